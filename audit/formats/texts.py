"""Text files and JSONL into strings: strict UTF-8, no NUL, limited length."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from audit.core.errors import InputError
from audit.formats.hostile import Refused, UnreadableError

MOST_CHARACTERS = 1_000_000
_BYTES_PER_CHARACTER = 6
"""JSON may spell a character as \\uXXXX: six bytes, the longest per character that a document can need."""


def decoded(data: bytes) -> str:
    """Return UTF-8 text without its byte-order mark. Raise UnreadableError."""
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UnreadableError(f"not UTF-8 at byte {error.start:,}") from None


def checked(text: Any, most: int) -> str:
    """Return a text that an audit can use. Raise UnreadableError with the reason when it is none."""
    if not isinstance(text, str):
        raise UnreadableError("no string")
    if not text.strip():
        raise UnreadableError("empty")
    if "\0" in text:
        raise UnreadableError("holds a NUL character")
    if len(text) > most:
        raise UnreadableError(f"{len(text):,} characters, the limit is {most:,}")
    if not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text):
        raise UnreadableError("holds half a surrogate pair")
    return text


def read_text(path: Path, most: int) -> str:
    """Return the text of one file, line ends made \\n. Raise UnreadableError."""
    try:
        with path.open("rb") as file:
            data = file.read(_BYTES_PER_CHARACTER * most + 1)
    except OSError as error:
        raise UnreadableError(error.strerror or "cannot be read") from error
    if len(data) > _BYTES_PER_CHARACTER * most:
        raise UnreadableError(f"over {most:,} characters")
    return decoded(data).replace("\r\n", "\n").replace("\r", "\n")


def records(path: Path, most: int, refused: list[Refused]) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield line number and object of each line of a JSONL file; what is none is added to ``refused``.

    A line is never held beyond what a text of ``most`` characters can need,
    so a file without line ends costs no memory.
    """
    longest = _BYTES_PER_CHARACTER * most + 65_536
    try:
        with path.open("rb") as file:
            number = 0
            while line := file.readline(longest):
                number += 1
                whole = line.endswith(b"\n") or len(line) < longest
                while not whole:
                    whole = (rest := file.readline(1 << 20)).endswith(b"\n") or not rest
                    line = b""
                try:
                    if (record := _record(line, longest)) is not None:
                        yield number, record
                except UnreadableError as error:
                    refused.append(Refused(f"line {number}", str(error)))
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}.") from error


def _record(line: bytes, longest: int) -> dict[str, Any] | None:
    """Return the object of a line, None for a blank one. An empty line stands for one that was too long."""
    if not line:
        raise UnreadableError(f"a line of over {longest:,} bytes")
    text = decoded(line).strip()
    if not text:
        return None
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        raise UnreadableError("not JSON") from None
    if not isinstance(value, dict):
        raise UnreadableError("not a JSON object")
    return value
