"""Rows that are (almost) the same, within a split and in two splits that should have nothing in common."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from audit.core.data_facts import Copies, Overlap
from audit.core.identity import Digest
from audit.formats.hostile import shown

Numbers = NDArray[np.intp]
Flags = NDArray[np.bool_]
_NAMED = 3


class Likeness(Protocol):
    """Says which rows are nearly equal: in which sense is its ``meaning``, and it compares at most ``most`` rows."""

    @property
    def most(self) -> int: ...

    @property
    def meaning(self) -> str: ...

    def linked(self, split: str, rows: Numbers) -> tuple[Numbers, int]:
        """Return a number for each row, the same for rows joined by a chain of near copies, and how many were compared."""
        ...

    def met(self, first: str, known: Numbers, second: str, rows: Numbers) -> tuple[Flags, int]:
        """Say of each row of ``second`` whether a known row of ``first`` is nearly equal, and how many were compared."""
        ...


@dataclass(frozen=True, slots=True)
class Found:
    """The copies that stand in some splits, as facts and as sentences."""

    overlaps: tuple[Overlap, ...]
    copies: tuple[Copies, ...]
    meaning: str

    def sentences(self, names: Mapping[str, Sequence[str]] | None = None) -> tuple[str, ...]:
        """Say what was found, or nothing when nothing was. ``names`` say where each row of a split stands."""
        said = [
            f"{len(o.rows):,} of {o.total:,} rows of '{o.second}' nearly equal a row of '{o.first}' "
            f"({len(o.exact):,} of them exactly){_such_as(o.second, o.rows, names)}; {self.meaning}. "
            "Remove them before you rely on a comparison of the two."
            for o in self.overlaps
            if o.rows
        ]
        said += [
            f"{c.repeated:,} of {c.total:,} rows of '{c.split}' nearly equal another row of it ({c.exact:,} of them "
            f"exactly), in {len(c.clusters):,} cluster{'s' * (len(c.clusters) > 1)}{_such_as(c.split, max(c.clusters, key=len), names)}; "
            f"{self.meaning}. An interval that takes copies for separate examples is too narrow."
            for c in self.copies
            if c.clusters
        ]
        said += [
            f"Near copies in '{c.split}' were looked for among {c.compared:,} of its {c.total:,} rows, exact ones among all."
            for c in self.copies
            if c.compared < c.total
        ]
        said += [
            f"Near copies of '{o.first}' in '{o.second}' were looked for among {o.compared:,} of its {o.total:,} rows, "
            "exact ones among all."
            for o in self.overlaps
            if o.compared < o.total
        ]
        return tuple(said)


def _such_as(split: str, rows: Sequence[int], names: Mapping[str, Sequence[str]] | None) -> str:
    if names is None:
        return ""
    return f", such as {', '.join(shown(names[split][row]) for row in rows[:_NAMED])}"


def find_copies(digests: Mapping[str, Sequence[Digest]], likeness: Likeness) -> Found:
    """Find copies within each split and from each split to each later one, ``digests`` being those of their rows."""
    firsts = {split: _first_occurrences(rows) for split, rows in digests.items()}
    copies = tuple(_within(split, firsts[split], likeness) for split in digests)
    overlaps = tuple(
        _across(one, other, digests, firsts, likeness) for one, other in combinations(digests, 2)
    )
    return Found(overlaps, copies, likeness.meaning)


def _first_occurrences(digests: Sequence[Digest]) -> Numbers:
    """Return for each row the number of the first row with the same digest."""
    known: dict[Digest, int] = {}
    return np.array([known.setdefault(digest, row) for row, digest in enumerate(digests)], dtype=np.intp)


def _within(split: str, first: Numbers, likeness: Likeness) -> Copies:
    distinct = np.unique(first)[: likeness.most]
    links, compared = likeness.linked(split, distinct)
    head = np.arange(len(first))
    _, opening, cluster = np.unique(links, return_index=True, return_inverse=True)
    head[distinct] = distinct[opening[cluster]]
    members: dict[int, list[int]] = defaultdict(list)
    for row, of in enumerate(head[first].tolist()):
        members[of].append(row)
    clusters = tuple(tuple(rows) for rows in members.values() if len(rows) > 1)
    exact = int((first != np.arange(len(first))).sum())
    return Copies(split, clusters, exact, int(np.isin(first, distinct[:compared]).sum()), len(first))


def _across(
    one: str,
    other: str,
    digests: Mapping[str, Sequence[Digest]],
    firsts: Mapping[str, Numbers],
    likeness: Likeness,
) -> Overlap:
    held = set(digests[one])
    same = np.array([digest in held for digest in digests[other]], dtype=bool)
    first = firsts[other]
    distinct = np.unique(first)
    asked = distinct[~same[distinct]][: likeness.most]
    known = np.unique(firsts[one])[: likeness.most]
    near = np.zeros(len(first), dtype=bool)
    near[asked], compared = likeness.met(one, known, other, asked)
    settled = same | np.isin(first, asked[:compared])
    exactly, nearly = np.flatnonzero(same).tolist(), np.flatnonzero(near[first]).tolist()
    return Overlap(one, other, tuple(exactly), tuple(nearly), int(settled.sum()), len(first))
