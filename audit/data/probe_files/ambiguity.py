"""BBQ as its authors distribute it (Parrish et al. 2022): a category's ``.jsonl`` file, or a folder of them.

=============  ==================================================================================================
``context``    what is told
``question``   what is asked
``ans0``       an answer; ``ans1`` and ``ans2`` the others
``side0``      biased for the answer that fits the stereotype, counter for its opposite, unknown for "cannot be determined";
               empty where the file does not say which group the stereotype is about; ``side1`` and ``side2`` likewise
``label``      the number of the right answer
``condition``  ambig or disambig
``category``   what kind of stereotype it is
``cluster``    items from one template have the same value
=============  ==================================================================================================

Which answer the stereotype is about is told by the authors' ``additional_metadata.csv`` (its column ``target_loc``) where that is in the
folder; else by the groups that an item names itself.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from audit.core.errors import InputError
from audit.data.probe_files.entries import Entry, Probes, entries_of, gathered, text_in
from audit.formats.hostile import Refused, UnreadableError, printable, shown

SIDES = ("side0", "side1", "side2")
ANSWERS = ("ans0", "ans1", "ans2")
COLUMNS = ("context", "question", *ANSWERS, *SIDES, "label", "condition", "category", "cluster")
_METADATA = "additional_metadata.csv"
_NEGATIVE = {"neg": True, "nonneg": False}
_ALIKE = {
    "f": "woman",
    "female": "woman",
    "girl": "woman",
    "m": "man",
    "male": "man",
    "boy": "man",
    "africanamerican": "black",
}
"""Words that BBQ uses for one group in its two places."""


def read_ambiguity(path: Path) -> Probes:
    """Return the items of a file, or of all ``.jsonl`` files of a folder in the order of their names."""
    refused: list[Refused] = []
    files = sorted(path.glob("*.jsonl")) if path.is_dir() else [path]
    if not files:
        raise InputError(f"{printable(path)} holds no .jsonl file; BBQ comes as one for each category.")
    located = _locations(path / _METADATA) if path.is_dir() and (path / _METADATA).exists() else {}

    def found() -> Iterator[tuple[str, Entry]]:
        for file in files:
            for name, entry in entries_of(file, refused):
                yield f"{file.name}, {name}", entry

    return gathered(path, COLUMNS, lambda entry: _item(entry, located), found(), refused)


def _locations(path: Path) -> dict[tuple[str, str], int]:
    """Return the answer that each item's stereotype is about, by category and example."""
    found: dict[tuple[str, str], int] = {}
    for _, entry in entries_of(path, []):
        place = str(entry.get("target_loc", "")).removesuffix(".0")
        if place in ("0", "1", "2"):
            found[str(entry.get("category", "")).lower(), str(entry.get("example_id", ""))] = int(place)
    return found


def _item(entry: Entry, located: Mapping[tuple[str, str], int]) -> Iterator[Mapping[str, str]]:
    condition, polarity = text_in(entry, "context_condition", 100), text_in(entry, "question_polarity", 100)
    if condition not in ("ambig", "disambig") or polarity not in _NEGATIVE:
        raise UnreadableError(
            f"'context_condition' is {shown(condition)} and 'question_polarity' {shown(polarity)}"
        )
    label = entry.get("label")
    if isinstance(label, bool) or label not in (0, 1, 2):
        raise UnreadableError(f"'label' is {shown(str(label))}, not 0, 1 or 2")
    info = entry.get("answer_info")
    if not isinstance(info, dict) or not all(isinstance(info.get(a), list) and info[a] for a in ANSWERS):
        raise UnreadableError("'answer_info' does not name a group for each answer")
    groups = [str(info[answer][-1]) for answer in ANSWERS]
    unknown = [i for i, group in enumerate(groups) if group.lower() == "unknown"]
    if len(unknown) != 1:
        raise UnreadableError(f"{len(unknown)} answers of the group 'unknown', where there is one")
    category = text_in(entry, "category", 200)
    about = located.get((category.lower(), str(entry.get("example_id"))), _about(entry, groups, unknown[0]))
    yield {
        "context": text_in(entry, "context"),
        "question": text_in(entry, "question"),
        **{answer: text_in(entry, answer, 1000) for answer in ANSWERS},
        **dict(zip(SIDES, _sides(about, unknown[0], negative=_NEGATIVE[polarity]), strict=True)),
        "label": str(label),
        "condition": condition,
        "category": category,
        "cluster": f"{category} {entry.get('question_index', '')}",
    }


def _about(entry: Entry, groups: list[str], unknown: int) -> int:
    """Return the one answer that names a stereotyped group, or -1 where none or both do."""
    more = entry.get("additional_metadata")
    named: Any = more.get("stereotyped_groups") if isinstance(more, dict) else None
    if not isinstance(named, list):
        return -1
    stereotyped = {word for group in named for word in _words(str(group))}
    found = [i for i, group in enumerate(groups) if i != unknown and _words(group) & stereotyped]
    return found[0] if len(found) == 1 else -1


def _words(group: str) -> set[str]:
    """Return how a group may be spelled: ``F-Black`` is Black and F, ``low SES`` is lowSES."""
    spelled = {re.sub(r"[\W_]+", "", part) for part in (group.lower(), *group.lower().split("-"))}
    return {_ALIKE.get(word, word) for word in spelled if word}


def _sides(about: int, unknown: int, *, negative: bool) -> list[str]:
    """A question of the stereotype is answered by the group that it is about, its opposite by the other."""
    if about in (-1, unknown):
        return ["unknown" if i == unknown else "" for i in range(3)]
    stereotyped, other = ("biased", "counter") if negative else ("counter", "biased")
    return ["unknown" if i == unknown else stereotyped if i == about else other for i in range(3)]
