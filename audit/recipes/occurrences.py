"""How often given texts stand in others, letter by letter."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from audit.core.recipes import Context, Recipe, Shards
from audit.core.rows import PREFIX, TEXT, Rows, Vector, texts_of

_WIDTH = 16
"""Bytes at the end of a needle, where a secret stands, that are looked up by a hash before the whole of it is compared."""
_FACTOR = 0x100000001B3


@dataclass(frozen=True)
class Occurrences(Recipe[Vector]):
    """For each row of ``needles``, how often its ``prefix`` and ``text`` stand, one after the other, in the texts of a shard."""

    kind: ClassVar[str] = "occurrences"
    along: ClassVar[tuple[str, ...]] = ("texts",)
    texts: Recipe[Rows]
    needles: Recipe[Rows]

    @property
    def label(self) -> str:
        return f"occurrences of {self.needles.label} in {self.texts.label}"

    def examples(self, shard: int) -> int:
        return sum(self.needles.examples(i) for i in range(self.needles.shards))

    def make(self, context: Context, texts: Rows, needles: Shards[Rows]) -> Vector:
        wanted = [text for rows in needles for text in whole_texts(rows)]
        return occurrences([w.encode() for w in wanted], [t.encode() for t in whole_texts(texts)])


def whole_texts(rows: Rows) -> list[str]:
    """Return what each row says: its prefix, if it has one, and its text."""
    texts = [text or "" for text in texts_of(rows, TEXT)]
    if PREFIX not in rows.column_names:
        return texts
    return [(prefix or "") + text for prefix, text in zip(texts_of(rows, PREFIX), texts, strict=True)]


def occurrences(needles: Sequence[bytes], texts: Sequence[bytes]) -> Vector:
    """Return how often each needle stands in the texts, within one text; an empty needle nowhere.

    >>> occurrences([b"na", b"b", b""], [b"banana", b"bn"]).tolist()
    [2.0, 2.0, 0.0]
    """
    counts = np.zeros(len(needles))
    joined = b"\xff".join(texts)  # a byte that no UTF-8 text holds
    by_width: dict[int, list[int]] = {}
    for place, needle in enumerate(needles):
        if needle and b"\xff" not in needle:
            by_width.setdefault(min(len(needle), _WIDTH), []).append(place)
    for width, places in by_width.items():
        ends: dict[int, list[int]] = {}
        for place in places:
            ends.setdefault(int(hashes(needles[place][-width:], width)[0]), []).append(place)
        found = hashes(joined, width)
        known = np.sort(np.fromiter(ends, np.uint64, len(ends)))
        hits = np.flatnonzero(known[np.minimum(np.searchsorted(known, found), len(known) - 1)] == found)
        for at in hits.tolist():
            for place in ends[int(found[at])]:
                counts[place] += joined.endswith(needles[place], 0, at + width)
    return counts


def hashes(data: bytes, width: int) -> NDArray[np.uint64]:
    """Return a hash of every run of ``width`` bytes, in log(width) passes; equal runs have equal hashes."""
    found = np.frombuffer(data, np.uint8).astype(np.uint64) + np.uint64(1)
    size, done = 1, np.zeros(max(0, len(data) - width + 1), np.uint64)
    covered, factor = 0, _FACTOR
    while size <= width:
        if width & size:
            part = found[covered : covered + len(done)]
            done = done * np.uint64(factor) + part
            covered += size
        if size * 2 <= width:
            found = found[:-size] * np.uint64(factor) + found[size:] if len(found) > size else found[:0]
        size, factor = size * 2, factor * factor % 2**64
    return done * np.uint64(0x9E3779B97F4A7C15)
