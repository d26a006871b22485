"""Names of a user's own: a CSV or JSONL file with ``name``, ``group`` and perhaps ``gender``."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Mapping
from pathlib import Path

from audit.data.probe_files.entries import Entry, Probes, entries_of, gathered, optional, text_in
from audit.formats.hostile import Refused, UnreadableError, shown

COLUMNS = ("name", "group", "gender")


def read_names(path: Path) -> Probes:
    """Return the names of a file, in any script. A name that came before is left out: it would be two people, or in two groups."""
    refused: list[Refused] = []
    groups: dict[str, str] = {}

    def once(entry: Entry) -> Iterator[Mapping[str, str]]:
        for row in _name(entry):
            same = unicodedata.normalize("NFC", row["name"]).casefold()
            if same in groups:
                raise UnreadableError(
                    f"'name' is {shown(row['name'])}, which was given before in the group {shown(groups[same])}"
                )
            groups[same] = row["group"]
            yield row

    return gathered(path, COLUMNS, once, entries_of(path, refused), refused)


def _name(entry: Entry) -> Iterator[Mapping[str, str]]:
    yield {
        "name": text_in(entry, "name", 200).strip(),
        "group": text_in(entry, "group", 200).strip(),
        "gender": optional(entry, "gender"),
    }
