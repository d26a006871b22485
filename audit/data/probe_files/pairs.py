"""Minimal pairs: CrowS-Pairs as its authors distribute it (Nangia et al. 2020), or pairs in a JSONL file.

=============  ==================================================================================================
``more``       the sentence that says the stereotype
``less``       the same about another group: only the words that name the group differ
``category``   what kind of stereotype it is
``more_group`` the words of ``more`` that name its group; empty where the file does not say: then the words that differ
``less_group`` the same of ``less``
``kind``       stereotype, or neutral for a pair that states nothing about either group
``about``      what a pair is about, where that and not its groups makes pairs one cluster, such as an occupation; else empty
``statement``  what is said of the groups, the same for pairs that say it of others; empty where the file does not say
=============  ==================================================================================================
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from audit.core.errors import InputError
from audit.data.probe_files.entries import Entry, Probes, entries_of, gathered, optional, text_in
from audit.formats.hostile import Refused, UnreadableError, printable, shown

COLUMNS = ("more", "less", "category", "more_group", "less_group", "kind", "statement", "about")
_KINDS = ("stereotype", "neutral")
_PUBLISHED = ("sent_more", "sent_less", "bias_type")


def read_pairs(path: Path) -> Probes:
    """Return the pairs of a file: ``crows_pairs_anonymized.csv``, or JSONL with the columns of this module."""
    refused: list[Refused] = []
    found = entries_of(path, refused)
    if path.suffix.lower() == ".jsonl":
        return gathered(path, COLUMNS, _pair, found, refused)
    listed = list(found)
    if listed and not any(set(_PUBLISHED) <= set(entry) for _, entry in listed):
        raise InputError(
            f"{printable(path)} has no columns {', '.join(_PUBLISHED)}: it is not CrowS-Pairs as its authors distribute "
            "it. Pairs of your own go into a .jsonl file with 'more', 'less' and 'category' on each line."
        )
    return gathered(path, COLUMNS, _crows_pair, iter(listed), refused)


def _crows_pair(entry: Entry) -> Iterator[Mapping[str, str]]:
    """``sent_more`` says the stereotype whichever way ``stereo_antistereo`` points (the authors' metric.py)."""
    direction = optional(entry, "stereo_antistereo", "stereo")
    if direction not in ("stereo", "antistereo"):
        raise UnreadableError(f"'stereo_antistereo' is {shown(direction)}")
    yield pair_row(
        text_in(entry, "sent_more"), text_in(entry, "sent_less"), category=text_in(entry, "bias_type", 100)
    )


def _pair(entry: Entry) -> Iterator[Mapping[str, str]]:
    kind = optional(entry, "kind", _KINDS[0])
    if kind not in _KINDS:
        raise UnreadableError(f"'kind' is {shown(kind)}; it is {' or '.join(_KINDS)}")
    yield pair_row(
        text_in(entry, "more"),
        text_in(entry, "less"),
        category=text_in(entry, "category", 100),
        groups=(optional(entry, "more_group"), optional(entry, "less_group")),
        kind=kind,
        statement=optional(entry, "statement"),
        about=optional(entry, "about"),
    )


def pair_row(
    more: str,
    less: str,
    category: str,
    groups: tuple[str, str] = ("", ""),
    kind: str = "stereotype",
    statement: str = "",
    about: str = "",
) -> Mapping[str, str]:
    if " ".join(more.split()) == " ".join(less.split()):
        raise UnreadableError("both sentences are the same")
    for group, text in zip(groups, (more, less), strict=True):
        if bool(group) != bool(groups[0]) or group not in text:
            raise UnreadableError(
                f"the group '{shown(group)}' does not stand in its sentence, or only one is given"
            )
    values = (more, less, category, *groups, kind, statement, about)
    return dict(zip(COLUMNS, values, strict=True))
