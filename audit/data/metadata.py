"""Groups of images from a table beside them."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from audit.core.errors import InputError, nearest
from audit.formats.hostile import shown

_KEY = "file"
_RESERVED = ("image", "text", "prefix", _KEY)
_MOST_BYTES = 512 * 2**20


@dataclass(frozen=True, slots=True, eq=False)
class Metadata:
    """Values by file name for each group column."""

    path: Path
    groups: tuple[str, ...]
    values: Mapping[str, tuple[str, ...]]

    def columns(self, split: str, names: Sequence[str]) -> dict[str, list[str | None]]:
        """Return the group columns for files in this order; a file without an entry has no value."""
        found = [self.values.get(f"{split}/{name}", self.values.get(name)) for name in names]
        return {
            group: [None if entry is None else entry[place] for entry in found]
            for place, group in enumerate(self.groups)
        }

    def problems(self, names: Mapping[str, Sequence[str]]) -> list[str]:
        """Say how many files have no entry; refuse a table that fits no file at all."""
        missing, total = 0, 0
        for split, files in names.items():
            missing += sum(f"{split}/{n}" not in self.values and n not in self.values for n in files)
            total += len(files)
        if missing == total:
            raise InputError(
                f"No name in column '{_KEY}' of {self.path} is that of an image. "
                f"Names are relative to the folder of images, such as '{shown(next(iter(names.values()))[0])}'."
            )
        return [f"{missing:,} of {total:,} images have no entry in {self.path.name}."] if missing else []


@lru_cache(maxsize=4)
def read_metadata(path: Path, wanted: tuple[str, ...]) -> Metadata:
    """Read a CSV or JSONL file whose column ``file`` names images. Raise InputError."""
    if path.suffix.lower() not in (".csv", ".jsonl"):
        raise InputError(f"The metadata {path} is neither .csv nor .jsonl.")
    if path.stat().st_size > _MOST_BYTES:
        raise InputError(
            f"The metadata {path} has {path.stat().st_size:,} bytes; at most {_MOST_BYTES:,} are read."
        )
    try:
        text = path.read_text(encoding="utf-8-sig")
        records = (
            _csv(text) if path.suffix.lower() == ".csv" else [json.loads(x) for x in text.splitlines() if x]
        )
    except (OSError, UnicodeDecodeError, ValueError, RecursionError, csv.Error) as error:
        raise InputError(f"The metadata {path} cannot be read: {error}.") from error
    columns = list(records[0]) if records and isinstance(records[0], dict) else []
    if _KEY not in columns:
        raise InputError(f"The metadata {path} has no column '{_KEY}' with the names of the images.")
    available = [name for name in columns if name not in _RESERVED]
    for name in wanted:
        if name not in available:
            raise InputError(
                f"The metadata {path} has no group column '{shown(name)}'. {nearest(name, available)}"
            )
    groups = wanted or tuple(available)
    values: dict[str, tuple[str, ...]] = {}
    for number, record in enumerate(records, 1):
        name, entry = _entry(record, groups, path, number)
        if name in values:
            raise InputError(
                f"The metadata {path} names '{shown(name)}' twice. Keep one entry for each image."
            )
        values[name] = entry
    return Metadata(path, groups, values)


def _csv(text: str) -> list[Any]:
    import io

    return list(csv.DictReader(io.StringIO(text, newline=""), strict=True))


def _entry(record: Any, groups: Sequence[str], path: Path, number: int) -> tuple[str, tuple[str, ...]]:
    fields = [_KEY, *groups]
    if not isinstance(record, dict) or any(record.get(field) is None for field in fields):
        raise InputError(
            f"Entry {number} of the metadata {path} lacks a value for one of {', '.join(fields)}."
        )
    name, *entry = (str(record[field]) for field in fields)
    return name, tuple(entry)
