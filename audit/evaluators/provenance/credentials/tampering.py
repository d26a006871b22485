"""What others do to a signed output: alter it, give its credential to another output, or remove it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from audit.core.rows import Rng
from audit.marks.manifests.carriers import IMAGE_FORMATS, ImageFormat, decode, sealed, write
from audit.marks.manifests.reading import TEXT, Held
from audit.marks.manifests.signing import Signed

TAMPERS: Mapping[str, str] = {
    "asset_altered": "one byte of the coded pixels, or one character of the text, is another",
    "assertion_altered": "the manifest names another source than a trained model",
    "transplanted": "the manifest comes from another output of the model",
    "truncated": "the last tenth of the file is missing",
    "random_bytes": "two bytes anywhere in the file or its sidecar have one bit flipped",
}
"""The ways of altering what was signed. None of them has the signer's key."""

STRIPS: Mapping[str, str] = {
    "re_encoded": "opened and saved in the same format",
    "to_other_format": "saved as JPEG, or a JPEG saved as PNG",
    "resized": "scaled to three quarters and saved in the same format",
    "screenshot": "shown at twice the size on a grey page and saved as PNG",
    "metadata_stripped": "coded pixels kept as they are, everything that was added to the file removed",
    "copied_alone": "the text copied without its sidecar",
    "newline_added": "an editor ended the text with a newline; the sidecar is at hand",
    "carriage_returns": "line ends changed from LF to CR LF; the sidecar is at hand",
    "byte_order_mark": "a byte order mark put in front of the text; the sidecar is at hand",
}
"""What happens to outputs on their way, without bad intent."""

_CLAIMED, _ALTERED = b"trainedAlgorithmicMedia", b"humanMadeDigitalCapture"
_FLIPS = 2
_BY_NAME = {f.name: f for f in IMAGE_FORMATS}


def tampered(name: str, signed: Signed, donor: Signed | None, rng: Rng) -> Held:
    """Return what a recipient holds after one tamper. Raise ValueError when it cannot be done to this output."""
    match name:
        case "asset_altered":
            return _asset_altered(signed, rng)
        case "assertion_altered":
            return signed.with_manifest(signed.manifest.replace(_CLAIMED, _ALTERED))
        case "transplanted":
            if donor is None:
                raise ValueError("no other output differs from this one")
            return signed.with_manifest(donor.manifest)
        case "truncated":
            return _truncated(signed.held)
        case "random_bytes":
            return _flipped(signed.held, rng)
        case _:
            raise ValueError(f"no tamper is called '{name}'")


def _asset_altered(signed: Signed, rng: Rng) -> Held:
    held = signed.held
    if held.mime == TEXT:
        text = list(held.file.decode())
        at = int(rng.integers(len(text)))
        text[at] = "y" if text[at] == "x" else "x"
        return replace(held, file="".join(text).encode())
    coded = _format(held).payload(held.file)
    file = bytearray(held.file)
    file[coded[int(rng.integers(len(coded)))]] ^= 1 << int(rng.integers(8))
    return replace(held, file=sealed(bytes(file)))


def _format(held: Held) -> ImageFormat:
    return _BY_NAME[held.mime.removeprefix("image/")]


def _truncated(held: Held) -> Held:
    if held.mime == TEXT:
        text = held.file.decode()
        return replace(held, file=text[: min(len(text) - 1, len(text) * 9 // 10)].encode())
    return replace(held, file=held.file[: len(held.file) * 9 // 10])


def _flipped(held: Held, rng: Rng) -> Held:
    whole = bytearray(held.file + (held.sidecar or b""))
    for at in rng.choice(len(whole), _FLIPS, replace=False):
        whole[int(at)] ^= 1 << int(rng.integers(8))
    size = len(held.file)
    return replace(
        held, file=sealed(bytes(whole[:size])), sidecar=None if held.sidecar is None else bytes(whole[size:])
    )


def stripped(signed: Signed) -> Iterator[tuple[str, Held]]:
    """Yield the name of each passing change that alters this output, and what a recipient holds after it."""
    if signed.held.mime == TEXT:
        yield from _text_changes(signed)
        return
    image = decode(signed.held.file)
    own = _format(signed.held)
    other = _BY_NAME["png" if own.name == "jpeg" else "jpeg"]
    page = _page(image)
    small = image.resize(tuple(max(1, side * 3 // 4) for side in image.size))
    changes: tuple[tuple[str, ImageFormat, bytes], ...] = (
        ("re_encoded", own, write(image, own)),
        ("to_other_format", other, write(image.convert("RGB"), other)),
        ("resized", own, write(small, own)),
        ("screenshot", _BY_NAME["png"], write(page, _BY_NAME["png"])),
        ("metadata_stripped", own, signed.plain),
    )
    for name, into, file in changes:
        yield name, Held(into.mime, file)


def _page(image: Any) -> Any:
    from PIL import Image

    shown = image.convert("RGB")
    shown = shown.resize((shown.width * 2, shown.height * 2), Image.Resampling.NEAREST)
    page = Image.new("RGB", (shown.width + 16, shown.height + 16), (96, 96, 96))
    page.paste(shown, (8, 8))
    return page


def _text_changes(signed: Signed) -> Iterator[tuple[str, Held]]:
    text, held = signed.plain, signed.held
    yield "copied_alone", replace(held, sidecar=None)
    changed = {
        "newline_added": text + b"\n",
        "carriage_returns": text.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n"),
        "byte_order_mark": b"\xef\xbb\xbf" + text,
    }
    for name, file in changed.items():
        if file != text:
            yield name, replace(held, file=file)


def same_to_a_reader(before: Held, after: Held) -> bool:
    """Return whether a reader sees the same: equal text, or equal pixels. What cannot be opened is not the same."""
    if before.mime == TEXT:
        return before.file == after.file
    try:
        one, two = decode(before.file), decode(after.file)
    except Exception:  # each decoder has its own way of giving up, RuntimeError and SyntaxError among them
        return False
    return one.mode == two.mode and np.array_equal(np.asarray(one), np.asarray(two))
