"""The same text in two varieties of a language, or in two languages: a CSV or JSONL file.

=============  ==================================================================================================
``dialect``    the variety, or the language
``text``       a text in it
``standard``   the same, in what the others are compared with
``feature``    pairs with the same value count as one cluster; may be left out
=============  ==================================================================================================
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from audit.data.probe_files.entries import Entry, Probes, entries_of, gathered, optional, text_in
from audit.formats.hostile import Refused

COLUMNS = ("dialect", "text", "standard", "feature")


def read_dialects(path: Path) -> Probes:
    """Return the pairs of a file."""
    refused: list[Refused] = []
    return gathered(path, COLUMNS, _pair, entries_of(path, refused), refused)


def _pair(entry: Entry) -> Iterator[Mapping[str, str]]:
    yield {
        "dialect": text_in(entry, "dialect", 200),
        "text": text_in(entry, "text"),
        "standard": text_in(entry, "standard"),
        "feature": optional(entry, "feature"),
    }
