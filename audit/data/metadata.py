"""Groups of images from a table beside them."""

from __future__ import annotations

import csv
import io
import json
import math
import posixpath
import unicodedata
import urllib.parse
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from audit.core.errors import InputError, nearest
from audit.formats.hostile import Refused, UnreadableError, printable, shown
from audit.formats.texts import plain_name, read_whole, records

_KEY = "file"
_KEYS = (_KEY, "file_name")
"""Columns that name the image; the second is that of Hugging Face's image folders."""
_RESERVED = ("image", "text", "prefix", *_KEYS)
_MOST_CHARACTERS = 128 * 2**20
_MOST_ENTRY = 100_000
_MOST_VALUE = 1_000
_SEPARATORS = {";": "semicolons", "\t": "tabs", "|": "vertical bars"}


Entry: TypeAlias = tuple[str | None, ...]
"""The value of each group column for one image."""


@dataclass(frozen=True, slots=True, eq=False)
class Metadata:
    """Values by file name for each group column; None where the table says nothing."""

    path: Path
    groups: tuple[str, ...]
    values: Mapping[str, tuple[str | None, ...]]

    def matched(self, names: Mapping[str, Sequence[str]]) -> dict[str, dict[str, Entry]]:
        """Return by split the entries of the files that have one, ``names`` being those of every file of every split.

        A file ``a.png`` of the split ``train`` is entered as ``train/a.png`` or as
        ``a.png``. Names that differ only in Unicode form match: macOS
        decomposes accents, other systems do not. Raise InputError when no file has an entry.
        """
        exact = {
            form for split, listed in names.items() for name in listed for form in (f"{split}/{name}", name)
        }
        composed: dict[str, list[str]] = {}
        for name in self.values.keys() - exact:
            composed.setdefault(_composed(name), []).append(name)

        def entry(split: str, name: str) -> Entry | None:
            for tried in (f"{split}/{name}", name):
                if tried in self.values:
                    return self.values[tried]
                alike = composed.get(_composed(tried), [])
                if len(alike) == 1:  # of two entries that differ in form alone, neither is surely this file
                    return self.values[alike[0]]
            return None

        found = {
            split: {name: values for name in listed if (values := entry(split, name)) is not None}
            for split, listed in names.items()
        }
        if any(names.values()) and not any(found.values()):
            raise InputError(
                f"No name in the column of files of {printable(self.path)} is that of an image. {self._hint(names)}"
            )
        return found

    def problems(
        self, found: Mapping[str, Mapping[str, Entry]], read: Mapping[str, Sequence[str]]
    ) -> tuple[str, ...]:
        """Say how many of the images that were read have no entry, and how many entries fit no file."""
        total = sum(map(len, read.values()))
        missing = sum(name not in found[split] for split, names in read.items() for name in names)
        said = (
            [f"{missing:,} of {total:,} images have no entry in {shown(self.path.name)}."] if missing else []
        )
        unused = len(self.values) - sum(map(len, found.values()))
        if unused > 0:
            said.append(
                f"{unused:,} of {len(self.values):,} entries in {shown(self.path.name)} name no image."
            )
        return tuple(said)

    def _hint(self, names: Mapping[str, Sequence[str]]) -> str:
        """Say what seems to be wrong with the names, going by what would make one of them fit."""
        files = {
            name for split, listed in names.items() for name in (*listed, *(f"{split}/{n}" for n in listed))
        }
        entered, example = next(iter(self.values)), next(iter(next(iter(names.values()))))
        if any(name.strip() in files for name in self.values):
            return "They begin or end with a space."
        if any("\\" in name and name.replace("\\", "/") in files for name in self.values):
            return f"They are written with backslashes, such as '{shown(entered)}': write / between folder and file."
        if any("%" in name and urllib.parse.unquote(name) in files for name in self.values):
            return f"They are written as in web addresses, such as '{shown(entered)}': write the names as they are."
        lower = {name.lower() for name in files}
        if any(name.lower() in lower for name in self.values):
            return (
                f"They differ in capitals: '{shown(entered)}' in the table, '{shown(example)}' in the folder."
            )
        bare = {name.rpartition("/")[2] for name in files}
        if any(name.replace("\\", "/").rpartition("/")[2] in bare for name in self.values):
            return (
                f"They name other folders: '{shown(entered)}' in the table, '{shown(example)}' in the folder."
            )
        stems = {name.rpartition(".")[0] for name in files}
        if any(name in stems for name in self.values):
            return f"They lack the ending: '{shown(entered)}' in the table, '{shown(example)}' in the folder."
        return f"Names are relative to the folder of images, such as '{shown(example)}'."


def _composed(name: str) -> str:
    """Return the plain form of a name: accents composed, without ./ and doubled slashes."""
    return posixpath.normpath(unicodedata.normalize("NFC", name))


def read_metadata(path: Path, wanted: tuple[str, ...]) -> Metadata:
    """Read a CSV or JSONL file whose column ``file`` names images. Raise InputError."""
    ending = path.suffix.lower()
    if ending not in (".csv", ".jsonl"):
        raise InputError(f"The metadata {printable(path)} is neither .csv nor .jsonl.")
    rows = list(_csv(path) if ending == ".csv" else _jsonl(path))
    if not rows:
        raise InputError(
            f"The metadata {printable(path)} hold no entry. Write a heading and a line for each image."
        )
    columns = list(dict.fromkeys(name for _, row in rows for name in row))
    key = next((name for name in _KEYS if name in columns), None)
    if key is None:
        raise InputError(
            f"The metadata {printable(path)} has no column '{_KEY}' with the names of the images. {_found(columns)}"
        )
    available = [name for name in columns if name not in _RESERVED]
    for name in wanted:
        if name not in available:
            raise InputError(
                f"The metadata {printable(path)} has no group column '{shown(name)}'. {nearest(name, map(shown, available))}"
            )
    groups = wanted or tuple(available)
    values: dict[str, Entry] = {}
    for where, row in rows:
        file = row.get(key)
        if not isinstance(file, str) or not file:
            raise InputError(f"{where} of the metadata {printable(path)} lacks a value for '{key}'.")
        if file in values:
            raise InputError(
                f"The metadata {printable(path)} names '{shown(file)}' twice. Keep one entry for each image."
            )
        values[file] = tuple(_group(row.get(group), group, where, path) for group in groups)
    return Metadata(path, groups, values)


def _found(columns: Sequence[str]) -> str:
    return f"It has {', '.join(shown(name) for name in columns[:5])}." if columns else "It has no columns."


def _group(value: Any, group: str, where: str, path: Path) -> str | None:
    """Return a group as text; an empty cell, null and NaN are no group."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return None
    if isinstance(value, bool | int | float):
        return json.dumps(value)
    if (
        not isinstance(value, str)
        or len(value) > _MOST_VALUE
        or any("\ud800" <= c <= "\udfff" for c in value)
    ):
        raise InputError(
            f"{where} of the metadata {printable(path)} has a value of '{shown(group)}' that is no number and no text "
            f"of up to {_MOST_VALUE:,} characters."
        )
    return plain_name(value) or None


def _jsonl(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    refused: list[Refused] = []
    for number, record in records(path, _MOST_ENTRY, refused):
        yield f"Line {number}", record
    if refused:
        first = refused[0]
        raise InputError(
            f"The metadata {printable(path)} cannot be read: {first.name}: {first.reason}. Every line must be good."
        )


def _csv(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    try:
        text = read_whole(path, _MOST_CHARACTERS)
    except UnreadableError as error:
        raise InputError(f"The metadata {printable(path)} cannot be read: {error}.") from error
    lines = csv.reader(io.StringIO(text, newline=""), strict=True, skipinitialspace=True)
    header: list[str] | None = None
    try:
        for cells in lines:
            if not any(cell.strip() for cell in cells):
                continue
            if header is None:
                header = _header(cells, path)
                continue
            if len(cells) != len(header):
                raise InputError(
                    f"Line {lines.line_num} of the metadata {printable(path)} has {len(cells)} values for "
                    f"{len(header)} columns. A value with a comma in it must stand in quotation marks."
                )
            yield f"Line {lines.line_num}", dict(zip(header, cells, strict=True))
    except csv.Error as error:
        raise InputError(
            f"The metadata {printable(path)} cannot be read: line {lines.line_num}: {_csv_damage(error)}."
        ) from error


def _csv_damage(error: csv.Error) -> str:
    words = str(error)
    if "end of data" in words:
        return "a quotation mark is opened and never closed"
    if "field larger" in words:
        return "a value is over 131,072 characters long; is a quotation mark missing?"
    return "a quotation mark stands inside a value; write it twice"


def _header(cells: Sequence[str], path: Path) -> list[str]:
    header = [cell.strip() for cell in cells]
    if len(header) == 1:
        for separator, name in _SEPARATORS.items():
            if set(_KEYS) & {cell.strip(' "') for cell in header[0].split(separator)}:
                raise InputError(
                    f"The metadata {printable(path)} has {name} between its columns. Save it with commas."
                )
    twice = [name for name, count in Counter(header).items() if count > 1]
    if twice:
        raise InputError(f"The metadata {printable(path)} has two columns '{shown(twice[0])}'. Rename one.")
    return header
