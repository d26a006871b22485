"""Text files and JSONL into strings: strict UTF-8 with or without its mark, any line ends, limited length."""

from __future__ import annotations

import codecs
import io
import itertools
import json
import re
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from audit.core.errors import InputError
from audit.formats.files import HEAD, opened, pointer, reason, signature
from audit.formats.hostile import Refused, UnreadableError, printable, shown

MOST_CHARACTERS = 1_000_000
_BYTES_PER_CHARACTER = 6
"""JSON may spell a character as \\uXXXX: six bytes, the longest per character that a document can need."""
_MARKS = (  # the marks of UTF-32 begin with those of UTF-16, so they come first
    (codecs.BOM_UTF32_LE, "UTF-32"),
    (codecs.BOM_UTF32_BE, "UTF-32"),
    (codecs.BOM_UTF16_LE, "UTF-16"),
    (codecs.BOM_UTF16_BE, "UTF-16"),
)
_VISIBLE = re.compile(r"[^\s\u200b\u2060\ufeff]")
_SURROGATE = re.compile("[\ud800-\udfff]")


def decoded(data: bytes) -> str:
    """Return UTF-8 text without its byte-order mark. Raise UnreadableError that names the encoding found."""
    if said := other_encoding(data[:HEAD]):
        raise UnreadableError(said)
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UnreadableError(_not_utf8(data, error)) from None


def other_encoding(head: bytes) -> str | None:
    """Say that the first bytes of a file are those of another encoding than UTF-8, None when nothing says so."""
    for mark, name in _MARKS:
        if head.startswith(mark):
            return f"{name} text (its byte-order mark says so): save it as UTF-8"
    if b"\0" in head and len(head) >= 4:
        zeros = [head[start::4].count(0) / max(1, len(head[start::4])) for start in range(4)]
        if sum(share > 0.9 for share in zeros) == 3:
            return "UTF-32 text without a byte-order mark: save it as UTF-8"
        even, odd = zeros[0] + zeros[2], zeros[1] + zeros[3]
        if min(even, odd) < 0.1 and max(even, odd) > 1:
            return "UTF-16 text without a byte-order mark: save it as UTF-8"
    return None


def _no_text(head: bytes) -> str | None:
    """Say what the first bytes of a file show that is surely no UTF-8 text; words alone may be of any kind."""
    if b"\0" in head and (kind := signature(head)):
        return f"{kind}, not text"
    return pointer(head) or other_encoding(head)


def _not_utf8(data: bytes, error: UnicodeDecodeError) -> str:
    if said := signature(data[:HEAD]):
        return f"{said}, not text"
    return _cut_or_other(error.start, at_end=error.reason == "unexpected end of data")


def checked(text: Any, most: int) -> str:
    """Return a text that an audit can use. Raise UnreadableError with the reason when it is none."""
    if not isinstance(text, str):
        raise UnreadableError("no string")
    if shows_nothing(text):
        raise UnreadableError("empty")
    if "\0" in text:
        raise UnreadableError("holds a NUL character")
    if len(text) > most:
        raise UnreadableError(f"{len(text):,} characters, the limit is {most:,}")
    if not text.isascii() and _SURROGATE.search(text):
        raise UnreadableError("holds half a surrogate pair")
    return text


def shows_nothing(text: str) -> bool:
    """Say whether a text is white space alone, marks of no width included.

    >>> shows_nothing(" \\u200b\\t\\ufeff"), shows_nothing("\\u200b.")
    (True, False)
    """
    return _VISIBLE.search(text) is None


def plain_name(value: str) -> str:
    """Return the name of a group as names are compared: without space around it, accents composed.

    What looks the same in a table is the same group, whichever editor or system wrote it.

    >>> plain_name(" e\u0301te ")
    'éte'
    """
    return unicodedata.normalize("NFC", value).strip()


def read_text(path: Path, most: int) -> str:
    """Return the text of one file, line ends made \\n. Raise UnreadableError."""
    return read_whole(path, most).replace("\r\n", "\n").replace("\r", "\n")


def read_whole(path: Path, most: int) -> str:
    """Return the text of one file with the line ends it has. Raise UnreadableError."""
    longest = 4 * most + len(codecs.BOM_UTF8)  # no character of UTF-8 is longer than four bytes
    try:
        with opened(path) as file:
            data = file.read(longest + 1)
    except OSError as error:
        raise UnreadableError(reason(error, path)) from error
    if said := _no_text(data[:HEAD]):
        raise UnreadableError(said)
    if len(data) > longest:
        raise UnreadableError(f"over {most:,} characters")
    return decoded(data)


def paragraphs(path: Path, most: int, refused: list[Refused]) -> Iterator[tuple[int, str]]:
    """Yield number and text of what stands between the blank lines of a text file; white space makes none less blank.

    Line ends of Unix, Windows and old Macs are all read. A paragraph that
    cannot be used is added to ``refused`` and is never held beyond ``most``
    characters. Raise InputError when the file is no UTF-8 text.
    """
    gathered: list[str] = []
    size = number = 0
    for line in itertools.chain(_lines(path, most), ("",)):
        if not shows_nothing(line):
            size += len(line)
            if size <= most + 1:
                gathered.append(line)
        elif size:
            number += 1
            try:
                if size > most + 1:
                    raise UnreadableError(f"{size:,} characters, the limit is {most:,}")
                yield number, checked("".join(gathered).strip("\n"), most)
            except UnreadableError as error:
                refused.append(Refused(f"paragraph {number}", str(error)))
            gathered, size = [], 0


def _lines(path: Path, most: int) -> Iterator[str]:
    """Yield the lines of a text file, longer ones in parts. Raise InputError."""
    try:
        with opened(path) as file:
            head = file.peek(HEAD)[:HEAD]
            if said := _no_text(head):
                raise UnreadableError(said)
            lines = io.TextIOWrapper(file, "utf-8-sig", newline=None)
            while line := lines.readline(most + 2):
                yield line
    except UnicodeDecodeError:
        said = _not_utf8_in(path)
    except UnreadableError as error:
        said = str(error)
    except OSError as error:
        said = reason(error, path)
    else:
        return
    raise InputError(f"{printable(path)} cannot be read: {said}.")


def _not_utf8_in(path: Path) -> str:
    """Say where a file that is known to be no UTF-8 stops being it; its blocks are decoded again one by one."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    done = 0
    with opened(path) as file:
        head = file.peek(HEAD)[:HEAD]
        if said := signature(head):
            return f"{said}, not text"
        while True:
            block = file.read(1 << 20)
            held = len(decoder.getstate()[0])
            try:
                decoder.decode(block, final=not block)
            except UnicodeDecodeError as error:
                return _cut_or_other(done - held + error.start, at_end=not block)
            done += len(block)


def _cut_or_other(start: int, *, at_end: bool) -> str:
    if at_end:
        return f"not UTF-8 at byte {start:,}, its end: it was cut short in a character"
    return f"not UTF-8 at byte {start:,}: an older encoding, such as Latin-1, or no text; save it as UTF-8"


def records(path: Path, most: int, refused: list[Refused]) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield line number and object of each line of a JSONL file; what is none is added to ``refused``.

    A line ends where a line feed stands and nowhere else: U+2028 and its kin
    may stand inside a JSON string. Blank lines are passed over. A line is never
    held beyond what a text of ``most`` characters can need, so a file without
    line ends costs no memory. Raise InputError when the file is no UTF-8 text at all.
    """
    longest = _BYTES_PER_CHARACTER * most + 65_536
    try:
        with opened(path) as file:
            head = file.peek(HEAD)[:HEAD]
            if said := signature(head) or other_encoding(head):
                raise UnreadableError(said)
            for number, line in enumerate(_byte_lines(file, longest), 1):
                try:
                    if (record := _record(line, longest)) is not None:
                        yield number, record
                except UnreadableError as error:
                    refused.append(Refused(f"line {number}", str(error)))
    except UnreadableError as error:
        raise InputError(f"{printable(path)} cannot be read: {error}.") from error
    except OSError as error:
        raise InputError(f"{printable(path)} cannot be read: {reason(error, path)}.") from error


def _byte_lines(file: io.BufferedReader, longest: int) -> Iterator[bytes]:
    """Yield the lines of a file; one that is too long is given up to its first ``longest`` bytes."""
    while line := file.readline(longest):
        whole = line.endswith(b"\n") or len(line) < longest
        while not whole:
            whole = (rest := file.readline(1 << 20)).endswith(b"\n") or not rest
        yield line


def _record(line: bytes, longest: int) -> dict[str, Any] | None:
    """Return the object of a line, None for a blank one."""
    only_cr = b"\r" in line.strip()
    if len(line) >= longest and not line.endswith(b"\n"):
        raise UnreadableError(_OLD_MAC if only_cr else f"a line of over {longest:,} bytes")
    text = decoded(line).strip()
    if not text:
        return None
    try:
        value = json.loads(text, object_pairs_hook=_distinct)
    except json.JSONDecodeError as error:
        raise UnreadableError(_OLD_MAC if only_cr else _no_json(text, error)) from None
    except RecursionError:
        raise UnreadableError("nested too deep") from None
    except ValueError:  # Python reads no whole number of over 4,300 digits
        raise UnreadableError("holds a number of thousands of digits") from None
    if not isinstance(value, dict):
        raise UnreadableError(f"{_JSON.get(type(value), 'a number')}, where JSONL has an object on each line")
    return value


_OLD_MAC = "its lines end in CR alone, as on old Macs: convert the line ends to LF"
_JSON = {list: "a JSON array", str: "a string", bool: "a truth value", type(None): "null"}


def _no_json(text: str, error: json.JSONDecodeError) -> str:
    if text.startswith("["):
        return "a JSON array, where JSONL has an object on each line"
    if text.startswith("{") and error.pos >= len(text):
        return "an object that does not end on its line, where JSONL has each on one line"
    return f"not JSON at character {error.pos + 1:,}"


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise UnreadableError(f"names '{shown(twice)}' twice")
    return found
