"""audit detect: which marks of provenance files carry, and what each does and does not prove."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from audit.cli.options import format_option, print_json
from audit.cli.visible import say, visible
from audit.core.errors import InputError, nearest

if TYPE_CHECKING:
    from audit.marks.detect import Ask, Finding
    from audit.marks.manifests.reading import Verifier

MARKED, UNMARKED, UNREAD, BROKEN = 0, 1, 2, 3
MOST_SIDE = 4096
_MOST_BYTES = 200_000_000
_ENDINGS = (".txt", ".md", ".text")
_BESIDE = (".c2pa", ".pem")
"""Endings of files in a folder that stand beside outputs: sidecars and certificates."""
_EPILOG = """\
\b
Examples:
  audit detect picture.png
  audit detect outputs/ --trust c2pa-trust-lists --format json
  audit detect picture.jpg --mark dwt_dct:15485863
  audit detect answer.txt --mark kgw:15485863 --tokenizer model/

\b
Exit codes:
  0  every file carries a mark
  1  some file carries none that was asked about
  2  bad input, or some file cannot be read
  3  some credential or label is broken
"""


@click.command("detect", epilog=_EPILOG)
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--trust",
    metavar="FILE",
    help="Certificates of authorities to trust (PEM), or c2pa-trust-lists: the official ones, once fetched.",
)
@click.option(
    "--mark", "marks", multiple=True, metavar="NAME:KEY", help="Look for this watermark; may be repeated."
)
@click.option(
    "--tokenizer",
    metavar="PATH",
    type=click.Path(path_type=Path),
    help="tokenizer.json, or the model's folder.",
)
@click.option(
    "--vocabulary",
    type=click.IntRange(1),
    help="Width of the model's output. Default: config.json, else the tokenizer's.",
)
@click.option(
    "--size",
    type=click.IntRange(16, MOST_SIDE),
    help="Square at which image marks were put in. Default: the image's, at most 256.",
)
@format_option
def command(
    files: tuple[Path, ...],
    trust: str | None,
    marks: tuple[str, ...],
    tokenizer: Path | None,
    vocabulary: int | None,
    size: int | None,
    form: str,
) -> int:
    """Say which marks of provenance files carry: credentials, labels, watermarks.

    Works offline, on files or folders, and needs no model. Watermarks are looked for by name and key.
    """
    from audit.config.trust import authorities
    from audit.marks.detect import NOT_READ, Ask, unread, verdict
    from audit.marks.manifests.reading import Verifier

    blocks(size)
    reader, width = _tokenizer(tokenizer, vocabulary)
    ask = Ask(tuple(parse_mark(m) for m in marks), size, reader, width)
    try:
        verifier = Verifier(*(authorities(trust, Path()) if trust else ()))
    except ValueError as error:
        raise InputError(f"{trust}: {error}.") from error
    found = [
        (
            place,
            [unread(why)] if why else examine(place, ask, verifier, strict=place in files),
        )
        for place, why in _listed(files)
    ]
    states = {verdict(findings) for _, findings in found}
    if form == "json":
        print_json(
            [
                {"file": str(p), "verdict": verdict(f), "findings": [asdict(one) for one in f]}
                for p, f in found
            ]
        )
    else:
        for place, findings in found:
            _print(place, verdict(findings), findings)
    if "broken" in states:
        return BROKEN
    return UNREAD if NOT_READ in states else UNMARKED if "unmarked" in states else MARKED


def blocks(size: int | None) -> None:
    """Raise InputError for a side that blocks of 8 pixels do not fill."""
    if size is not None and size % 8:
        raise InputError(f"--size is {size}; blocks are 8 pixels wide, so it must be a multiple of 8.")


def parse_mark(said: str) -> tuple[str, int]:
    """Return the name and key of ``NAME:KEY``. Raise InputError that says what is wrong."""
    from audit.marks.image.catalogue import IMAGE_MARKS, NEURAL, image_mark
    from audit.marks.text.catalogue import TEXT_MARKS, refused

    name, _, key = said.partition(":")
    if name not in TEXT_MARKS:
        try:
            image_mark(name)
        except KeyError:
            known = (*IMAGE_MARKS, NEURAL, *TEXT_MARKS)
            raise InputError(f"No watermark is called '{name}'. {nearest(name, known)}") from None
    if not key.isdecimal() or int(key) >= 1 << 63:
        raise InputError(
            f"'{said}' names no key: write NAME:KEY with a whole number below 2**63, such as {name}:15485863."
        )
    if why := refused(name, int(key)):
        raise InputError(f"'{said}' has a key that hides nothing: {why}.")
    return name, int(key)


def examine(place: Path, ask: Ask, verifier: Verifier, *, strict: bool = True) -> list[Finding]:
    """Return what each technique says of a file. What cannot be read is an InputError, or a finding where not ``strict``."""
    from audit.marks.detect import (
        UNKNOWN,
        Finding,
        credential,
        held_of,
        label,
        unread,
        verdict,
        watermarks,
    )
    from audit.marks.manifests.carriers import kind_of

    if place.is_file() and place.stat().st_size == 0:
        return [Finding("file", UNKNOWN, "it is empty")]
    try:
        file = read_bytes(place)
    except InputError as error:
        if strict:
            raise
        return [unread(str(error))]
    is_text = named_text(place) and kind_of(file) is None
    findings, sidecar = list[Finding](), None
    if (beside := next((p for p in _beside(place) if p.is_file()), None)) is not None:
        try:
            sidecar = read_bytes(beside)
        except InputError as error:
            findings.append(Finding("credential beside it", UNKNOWN, str(error)))
    held = held_of(file, sidecar, is_text)
    findings.append(
        Finding("credential (C2PA)", UNKNOWN, "its format cannot hold a credential, or is not read here")
        if held is None
        else credential(held, verifier)
    )
    if not is_text:
        findings.append(label(file))
    pictured = not is_text and is_named_picture(place)
    pixels = pixels_of(place) if not is_text and (ask.marks or (held is None and pictured)) else None
    if isinstance(pixels, str):
        if pictured and verdict(findings) == "unmarked":
            return [unread(pixels)]
        return [*findings, Finding("watermark", UNKNOWN, pixels)] if ask.marks else findings
    if ask.marks:
        findings += watermarks(pixels, file.decode("utf-8", errors="replace") if is_text else None, ask)
    return findings


def named_text(place: Path) -> bool:
    """Say whether a file's ending is one of a text. What it holds decides: a picture with such an ending is read as a picture."""
    return place.suffix.lower() in _ENDINGS


def is_named_picture(place: Path) -> bool:
    """Say whether a file's ending is one of a picture, whatever it holds."""
    from audit.formats.picture_formats import ENDINGS

    return place.suffix.lower() in ENDINGS


def _beside(place: Path) -> Iterator[Path]:
    if place.suffix != ".c2pa":
        yield place.with_suffix(".c2pa")
        yield place.with_name(f"{place.name}.c2pa")


def pixels_of(place: Path) -> Any:
    """Return the pixels of a picture, or why there are none."""
    from audit.formats.hostile import UnreadableError
    from audit.formats.images import ImageRules, read_image

    try:
        return read_image(place, ImageRules())
    except UnreadableError as error:
        return f"it is no picture that can be read: {error}"


def _listed(files: tuple[Path, ...]) -> list[tuple[Path, str]]:
    """Return the files that are meant, each with the reason why it is not read or nothing; those of a folder as :func:`outputs_in` does."""
    found: list[tuple[Path, str]] = []
    for place in files:
        found += [(path, why) for _, path, why in outputs_in(place)] if place.is_dir() else [(place, "")]
    return found


def outputs_in(folder: Path) -> list[tuple[str, Path, str]]:
    """Return the files of a folder by name, each with the reason why it is not read or nothing, without sidecars and certificates.

    Raise InputError where no file is found.
    """
    from audit.formats.folders import listing
    from audit.formats.hostile import Mark

    inside = listing(folder)
    found = [(name, path, "") for name, path in inside.files().items() if path.suffix not in _BESIDE]
    found += [
        (one.name, folder / one.name, f"it is not read: {one.reason}")
        for one in inside.refused
        if one.mark is Mark.LEFT_OUT
    ]
    if not found:
        raise InputError(f"The folder '{visible(str(folder))}' holds no files.")
    return sorted(found)


def read_bytes(place: Path) -> bytes:
    """Return a file's bytes. Raise InputError for what is no regular file, or a giant one."""
    from audit.formats.files import require

    if not place.exists():
        raise InputError(f"There is no file '{visible(str(place))}'.")
    if place.is_dir():
        raise InputError(f"'{visible(str(place))}' is a folder, and a file is wanted.")
    require(place)
    try:
        if (size := place.stat().st_size) > _MOST_BYTES:
            raise InputError(f"'{visible(str(place))}' has {size:,} bytes; at most {_MOST_BYTES:,} are read.")
        return place.read_bytes()
    except OSError as error:
        raise InputError(f"'{visible(str(place))}' cannot be read: {error.strerror}.") from error


def _tokenizer(place: Path | None, vocabulary: int | None) -> tuple[Any, int]:
    """Return a tokenizer and the width of the model's output, read without torch."""
    if place is None:
        return None, vocabulary or 0
    from tokenizers import Tokenizer

    file = place / "tokenizer.json" if place.is_dir() else place
    try:
        reader = Tokenizer.from_str(read_bytes(file).decode("utf-8", errors="replace"))
    except Exception as error:  # the library raises plain Exception for what is no tokenizer
        raise InputError(f"'{visible(str(file))}' is no tokenizer.json: {error}") from error
    if vocabulary is None and (config := file.with_name("config.json")).is_file():
        try:
            said = json.loads(read_bytes(config)).get("vocab_size")
        except (ValueError, AttributeError):
            said = None
        vocabulary = said if isinstance(said, int) and said > 0 else None
    return reader, vocabulary or reader.get_vocab_size()


def _print(place: Path, state: str, findings: list[Finding]) -> None:
    say(f"{visible(str(place))}: {state}")
    for finding in findings:
        say(visible(f"  {finding.technique}: {finding.said}"))
        if finding.state in ("found", "broken"):
            say(visible(f"    proves: {finding.proves} Does not prove: {finding.does_not_prove}"))
