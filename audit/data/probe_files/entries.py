"""The entries of a probe file: rows of a CSV or TSV with a header, or the objects of a JSONL file."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from audit.core.errors import InputError
from audit.core.rows import Rows
from audit.formats.hostile import Refused, UnreadableError, printable, shown, tolerate
from audit.formats.texts import checked, read_whole, records

MOST_CHARACTERS = 20_000
"""Characters of one text of a probe."""
MOST_ROWS = 200_000
MOST_FILE = 64 * 2**20
_ENDINGS = {".csv": ",", ".tsv": "\t"}

Entry: TypeAlias = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Probes:
    """The rows of a probe file, all of one set of columns, and sentences about what was left out."""

    rows: Rows
    problems: tuple[str, ...]


def gathered(
    path: Path,
    columns: Sequence[str],
    each: Callable[[Entry], Iterator[Mapping[str, str]]],
    found: Iterator[tuple[str, Entry]],
    refused: list[Refused],
) -> Probes:
    """Return what ``each`` makes of every entry; one that raises UnreadableError is left out and named.

    Raise InputError when more than one entry in twenty is left out, when there is none, or when there are too many.
    """
    import pyarrow as pa

    made: dict[str, list[str]] = {column: [] for column in columns}
    entries = unusable = 0
    for name, entry in found:
        entries += 1
        try:
            for row in list(each(entry)):
                for column in columns:
                    made[column].append(row[column])
        except UnreadableError as error:
            unusable += 1
            refused.append(Refused(name, str(error)))
        if len(made[columns[0]]) > MOST_ROWS:
            raise InputError(f"{printable(path)} makes more than {MOST_ROWS:,} probes. Give fewer.")
    problems = tolerate(refused, entries + len(refused) - unusable, "probes", str(path))
    if not made[columns[0]]:
        raise InputError(f"{printable(path)} holds no probes.")
    return Probes(pa.table({name: pa.array(values, pa.string()) for name, values in made.items()}), problems)


def entries_of(path: Path, refused: list[Refused]) -> Iterator[tuple[str, Entry]]:
    """Yield the name ("row 3", counted as a spreadsheet does) and the fields of each entry. Raise InputError."""
    ending = path.suffix.lower()
    if ending == ".jsonl":
        for number, record in records(path, 10 * MOST_CHARACTERS, refused):
            yield f"line {number}", record
        return
    if ending not in _ENDINGS:
        raise InputError(
            f"{printable(path)} is neither .csv, .tsv nor .jsonl, the files that probes are read from."
        )
    try:
        text = read_whole(path, MOST_FILE)
    except UnreadableError as error:
        raise InputError(f"{printable(path)} cannot be read: {error}.") from None
    lines = csv.reader(io.StringIO(text, newline=""), delimiter=_ENDINGS[ending], strict=True)
    try:
        header = next(lines, [])
        for number, line in enumerate(lines, 2):
            if line:
                yield f"row {number}", _fields(header, line)
    except csv.Error as error:
        raise InputError(f"{printable(path)}, line {lines.line_num}: {error}.") from None


def _fields(header: Sequence[str], line: Sequence[str]) -> Entry:
    """Return the fields by name; a row of another length keeps its surplus under None, so that ``text_in`` refuses it."""
    if len(line) == len(header):
        return dict(zip(header, line, strict=True))
    return {"": f"{len(line)} cells under {len(header)} headings"}


def text_in(entry: Entry, field: str, most: int = MOST_CHARACTERS) -> str:
    """Return a text of an entry. Raise UnreadableError that says what is wrong with it."""
    if field not in entry:
        raise UnreadableError(
            entry[""]
            if list(entry) == [""]
            else f"no field '{shown(field)}' among {', '.join(map(shown, list(entry)[:6]))}"
        )
    try:
        return checked(entry[field], most)
    except UnreadableError as error:
        raise UnreadableError(f"'{shown(field)}' is {error}") from None


def optional(entry: Entry, field: str, default: str = "") -> str:
    """Return a text of an entry that may leave it out."""
    value = entry.get(field)
    return default if value is None or value == "" else text_in({field: str(value)}, field)
