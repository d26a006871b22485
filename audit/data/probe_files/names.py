"""Names of a user's own: a CSV or JSONL file with ``name``, ``group`` and perhaps ``gender``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from audit.data.probe_files.entries import Entry, Probes, entries_of, gathered, optional, text_in
from audit.formats.hostile import Refused

COLUMNS = ("name", "group", "gender")


def read_names(path: Path) -> Probes:
    """Return the names of a file, in any script."""
    refused: list[Refused] = []
    return gathered(path, COLUMNS, _name, entries_of(path, refused), refused)


def _name(entry: Entry) -> Iterator[Mapping[str, str]]:
    yield {
        "name": text_in(entry, "name", 200).strip(),
        "group": text_in(entry, "group", 200).strip(),
        "gender": optional(entry, "gender"),
    }
