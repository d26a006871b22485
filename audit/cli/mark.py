"""audit mark: sign, label and watermark a folder of outputs into another folder."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from audit.cli.detect import (
    MOST_SIDE,
    blocks,
    is_named_picture,
    named_text,
    outputs_in,
    parse_mark,
    pixels_of,
    read_bytes,
)
from audit.cli.options import format_option, print_json
from audit.cli.visible import say, visible
from audit.core.errors import InputError

if TYPE_CHECKING:
    from audit.marks.manifests.identity import Identity

MADE, LEFT_OUT = 0, 3
TEST_AUTHORITY = "TEST-AUTHORITY-NOT-TRUSTED.pem"
_WRITES: Mapping[str, Mapping[str, Any]] = {
    "png": {},
    "jpeg": {"quality": 95},
    "webp": {"lossless": True},
    "tiff": {},
}
_EPILOG = """\
\b
Examples:
  audit mark outputs/ marked/ --test-identity
  audit mark outputs/ marked/ --certificate chain.pem --key key.pem --mark dwt_dct:15485863 --label
  audit detect marked/ --trust marked/TEST-AUTHORITY-NOT-TRUSTED.pem

\b
Exit codes:
  0  every file was marked
  2  bad input; nothing was written
  3  some file could not be marked, or a watermark is not found again in it, and it is named
"""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What each output gets."""

    identity: Identity
    context: Any
    marks: tuple[tuple[str, int], ...]
    size: int | None
    label: bool
    producer: str | None


@click.command("mark", epilog=_EPILOG)
@click.argument("source", type=click.Path(path_type=Path))
@click.argument("out", type=click.Path(path_type=Path))
@click.option(
    "--certificate",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Your certificate chain (PEM), your own first.",
)
@click.option(
    "--key", metavar="FILE", type=click.Path(path_type=Path), help="Its private key (PEM), not encrypted."
)
@click.option(
    "--test-identity", is_flag=True, help="Sign with an identity made for a test, which nobody trusts."
)
@click.option(
    "--mark",
    "marks",
    multiple=True,
    metavar="NAME:KEY",
    help="Put this watermark into images; may be repeated.",
)
@click.option(
    "--size",
    type=click.IntRange(16, MOST_SIDE),
    help="Square at which marks are put in. Default: the image's, at most 256.",
)
@click.option("--label", is_flag=True, help="Write the IPTC digital source type into images.")
@click.option(
    "--aigc-producer",
    metavar="NAME",
    help="Write the AIGC label of GB 45438-2025 as well, with this producer.",
)
@click.option(
    "--embed-texts",
    is_flag=True,
    help="Put the credential of a .txt inside, in characters of no width, not beside it. Needs an Ed25519 key.",
)
@format_option
def command(
    source: Path,
    out: Path,
    certificate: Path | None,
    key: Path | None,
    test_identity: bool,
    marks: tuple[str, ...],
    size: int | None,
    label: bool,
    aigc_producer: str | None,
    embed_texts: bool,
    form: str,
) -> int:
    """Sign the outputs in SOURCE, and label and watermark them if asked, into the new folder OUT.

    SOURCE is not changed and nothing is overwritten. Without a watermark or a label, images are signed as they are; with one they
    are written anew, in colour and on white where they were transparent. A text gets a file with its credential beside it, or inside with
    --embed-texts, where it is written in Unicode's form NFC.
    """
    from audit.marks.manifests.signing import signing_context
    from audit.marks.text.catalogue import TEXT_MARKS

    asked = tuple(parse_mark(mark) for mark in marks)
    if wrong := [name for name, _ in asked if name in TEXT_MARKS]:
        raise InputError(
            f"'{wrong[0]}' is a mark of texts: it is put in while a model writes, not afterwards."
        )
    blocks(size)
    if aigc_producer is not None and not aigc_producer.strip():
        raise InputError("--aigc-producer is empty. Name the producer that the AIGC label is to state.")
    identity = _identity(certificate, key, test_identity, embed_texts)
    files = _files(source, out)
    wanted = Wanted(identity, signing_context(), asked, size, label, aigc_producer)
    lines = [
        {"file": name, "reason": why} if why else _one(name, path, out, wanted) for name, path, why in files
    ]
    if identity.test_authority:
        _write(out / TEST_AUTHORITY, identity.test_authority.encode())
    left_out = [line for line in lines if line["reason"]]
    if form == "json":
        print_json({"out": str(out), "signer": identity.name, "files": lines})
    else:
        for line in left_out:
            say(visible(f"not marked: {line['file']}: {line['reason']}"))
        say(
            visible(
                f"{len(lines) - len(left_out)} of {len(lines)} outputs marked in {out}, signed by {identity.name}"
            )
        )
    return LEFT_OUT if left_out else MADE


def _identity(
    certificate: Path | None, key: Path | None, test_identity: bool, inside_texts: bool
) -> Identity:
    from audit.marks.manifests.identity import Identity

    if test_identity == (certificate is not None or key is not None):
        raise InputError("Say who signs: --certificate and --key together, or --test-identity.")
    if not test_identity and (certificate is None or key is None):
        raise InputError("--certificate and --key belong together; give both.")
    try:
        if certificate is None or key is None:
            return Identity.for_tests(inside_texts=inside_texts)
        return Identity.of(read_bytes(certificate), read_bytes(key), inside_texts=inside_texts)
    except ValueError as error:
        raise InputError(f"{error}.") from error


def _files(source: Path, out: Path) -> Sequence[tuple[str, Path, str]]:
    """Return the files to mark, and make the folder for what comes of them. Raise InputError before anything is written."""
    if not source.is_dir():
        raise InputError(f"'{visible(str(source))}' is no folder. Give the folder that holds the outputs.")
    if out.resolve().is_relative_to(source.resolve()):
        raise InputError("OUT is inside SOURCE. Give a folder elsewhere, so that nothing is marked twice.")
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError(
            f"'{visible(str(out))}' is there already and not an empty folder. Nothing is overwritten."
        )
    found = outputs_in(source)
    out.mkdir(parents=True, exist_ok=True)
    return found


def _one(name: str, path: Path, out: Path, wanted: Wanted) -> dict[str, str]:
    from audit.marks.manifests.carriers import kind_of
    from audit.marks.manifests.reading import TEXT, Held
    from audit.marks.manifests.signing import sign_with

    try:
        file = read_bytes(path)
        is_text = named_text(path) and kind_of(file) is None
        plain, mime = (file, TEXT) if is_text else _image(name, path, file, wanted)
        if not plain:
            raise ValueError("it is empty")
        if is_text and wanted.identity.embed is not None and path.suffix.lower() != ".md":
            signed = Held(TEXT, wanted.identity.embed(plain))
        else:
            signed = sign_with(wanted.context, plain, mime, wanted.identity.opened).held
    except (InputError, ValueError) as error:
        return {"file": name, "reason": str(error)}
    except Exception as error:  # what the signing library does not take is named, and the next file is marked
        return {"file": name, "reason": f"it cannot be signed: {error}"}
    _write(out / name, signed.file)
    if signed.sidecar is not None:
        _write((out / name).with_name(f"{Path(name).name}.c2pa"), signed.sidecar)
    return {"file": name, "reason": "" if is_text else _lost(out / name, wanted)}


def _lost(written: Path, wanted: Wanted) -> str:
    """Say which watermarks are not found again in a picture that was written, or nothing: a flat or noisy one holds little."""
    from audit.formats.images import ImageRules, read_image
    from audit.marks.detect import FOUND, Ask, watermarks

    if not wanted.marks:
        return ""
    found = watermarks(read_image(written, ImageRules()), None, Ask(wanted.marks, wanted.size))
    lost = [f"{one.technique} ({one.said})" for one in found if one.state != FOUND]
    return f"it is written, but not found again in it: {', '.join(lost)}" if lost else ""


def _image(name: str, path: Path, file: bytes, wanted: Wanted) -> tuple[bytes, str]:
    """Return an image with its watermarks and labels, and its MIME type; untouched where neither is asked for."""
    from audit.formats.images import ImageRules, read_picture
    from audit.marks.detect import LEAST_SIDE, TOO_SMALL, square
    from audit.marks.image.catalogue import image_mark
    from audit.marks.labels import labelled, xmp
    from audit.marks.manifests.carriers import kind_of, picture

    kind = kind_of(file)
    if kind is None:
        unread = pixels_of(path) if is_named_picture(path) else None
        raise ValueError(unread if isinstance(unread, str) else "its format cannot hold a credential")
    labels = wanted.label or wanted.producer is not None
    if not wanted.marks and not labels:
        return file, kind.mime
    if kind.name not in _WRITES:
        raise ValueError(
            f"{kind.name} files are signed as they are; they are not written here with a watermark or label"
        )
    seen = read_picture(path, ImageRules())
    if seen.look.several or (kind.name == "png" and file[24:25] == b"\x10"):
        raise ValueError(
            "several frames or 16-bit pixels are signed as they are; a watermark or label would lose some of them"
        )
    pixels = seen.pixels
    side = square(pixels) if wanted.size is None else wanted.size
    if wanted.marks and side < LEAST_SIDE:
        raise ValueError(TOO_SMALL)
    for mark, key in wanted.marks:
        pixels = image_mark(mark)(key, side).embed(pixels[None])[0]
    if labels:
        made = {"Label": "1", "ContentProducer": wanted.producer or "", "ProduceID": Path(name).stem[:80]}
        packet = xmp(aigc=None if wanted.producer is None else made)
        return labelled(picture(pixels), kind.name, packet, **_WRITES[kind.name]), kind.mime
    out = io.BytesIO()
    picture(pixels).save(out, kind.name.upper(), **_WRITES[kind.name])
    return out.getvalue(), kind.mime


def _write(place: Path, data: bytes) -> None:
    """Write a new file. Raise FileExistsError rather than overwrite one."""
    place.parent.mkdir(parents=True, exist_ok=True)
    with place.open("xb") as file:
        file.write(data)
