"""StereoSet as its authors distribute it (Nadeem et al. 2021: ``dev.json``), or items of the same kind in a JSONL file.

=============  ==================================================================================================
``prefix``     what stands before the words that are scored: the context of an intersentence item, else nothing
``text``       a sentence, or the rest of one
``item``       which three rows belong together
``label``      stereotype, anti-stereotype or unrelated
``target``     who it is about
``category``   what kind of stereotype it is
``statement``  what is said, the same for items that say it of others; empty where the file does not say
=============  ==================================================================================================
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from audit.core.errors import InputError
from audit.data.probe_files.entries import MOST_FILE, Entry, Probes, entries_of, gathered, optional, text_in
from audit.formats.hostile import Refused, UnreadableError, printable, shown
from audit.formats.texts import read_whole

COLUMNS = ("prefix", "text", "item", "label", "target", "category", "statement")
LABELS = ("stereotype", "anti-stereotype", "unrelated")
_TASKS = ("intrasentence", "intersentence")


def read_stereotypes(path: Path) -> Probes:
    """Return the rows of a file, three an item."""
    refused: list[Refused] = []
    if path.suffix.lower() == ".jsonl":
        return gathered(path, COLUMNS, _own, entries_of(path, refused), refused)
    return gathered(path, COLUMNS, _published, _stereoset(path), refused)


def _stereoset(path: Path) -> Iterator[tuple[str, Entry]]:
    try:
        found = json.loads(read_whole(path, MOST_FILE))
    except UnreadableError as error:
        raise InputError(f"{printable(path)} cannot be read: {error}.") from None
    except (ValueError, RecursionError) as error:
        raise InputError(f"{printable(path)} is no JSON: {printable(str(error))}.") from None
    data = found.get("data") if isinstance(found, dict) else None
    if not isinstance(data, dict) or not any(isinstance(data.get(task), list) for task in _TASKS):
        raise InputError(
            f"{printable(path)} has no lists data.intrasentence and data.intersentence: it is not StereoSet as its authors "
            "distribute it. Items of your own go into a .jsonl file."
        )
    for task in _TASKS:
        for number, entry in enumerate(data.get(task) or (), 1):
            yield f"{task} {number}", {"task": task, "number": number, "entry": entry}


def _published(found: Entry) -> Iterator[Mapping[str, str]]:
    entry = found["entry"]
    if not isinstance(entry, dict) or not isinstance(entry.get("sentences"), list):
        raise UnreadableError("no object with 'sentences'")
    by_label: dict[str, str] = {}
    for sentence in entry["sentences"]:
        if not isinstance(sentence, dict):
            raise UnreadableError("a sentence that is no object")
        label = text_in(sentence, "gold_label", 100)
        if label not in LABELS or label in by_label:
            raise UnreadableError(f"'gold_label' is {shown(label)}, unknown or there twice")
        by_label[label] = text_in(sentence, "sentence")
    if len(by_label) != len(LABELS):
        raise UnreadableError(f"{len(by_label)} sentences, where there are {len(LABELS)}")
    inter = found["task"] == "intersentence"
    shared = {
        "prefix": text_in(entry, "context") if inter else "",
        "item": f"{found['task']} {found['number']}",
        "target": text_in(entry, "target", 200),
        "category": text_in(entry, "bias_type", 200),
        "statement": "",
    }
    for label in LABELS:
        yield {**shared, "label": label, "text": f" {by_label[label]}" if inter else by_label[label]}


def _own(entry: Entry) -> Iterator[Mapping[str, str]]:
    words: dict[str, Any] = {label: text_in(entry, label) for label in LABELS}
    prefix = optional(entry, "prefix")
    target, statement = text_in(entry, "target", 200), optional(entry, "statement")
    for label in LABELS:
        yield {
            "prefix": prefix,
            "text": words[label],
            "item": f"{target}: {prefix}{statement}: {'|'.join(words.values())}",
            "label": label,
            "target": target,
            "category": text_in(entry, "category", 200),
            "statement": statement,
        }
