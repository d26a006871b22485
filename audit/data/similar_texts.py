"""Which texts say almost the same, told by the word 5-grams that they share."""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Mapping, Sequence
from itertools import chain
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from audit.data.near_duplicates import Flags, Numbers

OVERLAP = 0.8
"""Share of word 5-grams in common (Jaccard): the usual threshold for near-duplicates of texts."""
_GRAM = 5
_MOST = 20_000
"""Texts of a split that are compared: 8 seconds on one core at 300 words each, when few are alike."""
_WORK = 20_000_000
"""What one search may cost before it ends, where a pair of texts compared word by word costs 20: 15 seconds."""
_PAIR = 20
_UNSPACED = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
"""Kana and ideographs: no spaces stand between words, so each character counts as one."""
_WORD = re.compile(rf"[{_UNSPACED}]|[^\W{_UNSPACED}]+")

Grams: TypeAlias = NDArray[np.uint64]
"""Sorted, distinct numbers of the 5-grams of a text."""


class SimilarTexts:
    """Two texts are nearly equal when they share at least ``OVERLAP`` of the word 5-grams that either has.

    Words are compared without case and punctuation. Exact, by prefix
    filtering (Bayardo, Ma, Srikant 2007): two sets with a Jaccard similarity
    of t share one of the |A| - ceil(t |A|) + 1 rarest members of each. Texts
    that share most of their words without being near copies, such as long forms filled
    in briefly, would still be compared pair by pair, so a search ends after a
    fixed amount of work and says how far it came.
    """

    def __init__(self, texts: Mapping[str, Sequence[str]], most: int = _MOST, work: int = _WORK) -> None:
        self.most = most
        self.meaning = f"at least {OVERLAP:.0%} of the word {_GRAM}-grams of the two are shared"
        self._texts, self._work = texts, work
        self._words: dict[str, int] = {}
        self._grams: dict[tuple[str, int], Grams] = {}

    def linked(self, split: str, rows: Numbers) -> tuple[Numbers, int]:
        """Return a number for each row, the same for rows joined by a chain of near copies, and how many were compared."""
        sets = self._sets(split, rows)
        rarest = _rarest(sets)
        joined = list(range(len(rows)))

        def head(row: int) -> int:
            while joined[row] != row:
                joined[row] = row = joined[joined[row]]
            return row

        holders: dict[int, dict[int, list[int]]] = defaultdict(
            lambda: defaultdict(list)
        )  # by gram, then by cluster
        left = self._work
        for row, grams in enumerate(rarest):
            tried: set[int] = set()
            for gram in grams:
                for cluster, others in holders.get(gram, {}).items():
                    left -= 1
                    for other in others:
                        if head(cluster) == head(row):
                            break
                        left -= 1
                        if other not in tried:
                            tried.add(other)
                            left -= _PAIR
                            if _alike(sets[row], sets[other]):
                                joined[head(row)] = head(other)
            if left < 0:
                return np.array([head(one) for one in range(len(rows))], dtype=np.intp), row
            for gram in grams:
                holders[gram][head(row)].append(row)
        return np.array([head(one) for one in range(len(rows))], dtype=np.intp), len(rows)

    def met(self, first: str, known: Numbers, second: str, rows: Numbers) -> tuple[Flags, int]:
        """Say of each row of ``second`` whether a known row of ``first`` is nearly equal, and how many were compared."""
        held, asked = self._sets(first, known), self._sets(second, rows)
        rarest = _rarest([*held, *asked])
        holders: dict[int, list[int]] = defaultdict(list)
        for other, grams in enumerate(rarest[: len(held)]):
            for gram in grams:
                holders[gram].append(other)
        found = np.zeros(len(asked), dtype=bool)
        left = self._work
        for row, grams in enumerate(rarest[len(held) :]):
            tried: set[int] = set()
            for other in chain.from_iterable(holders.get(gram, ()) for gram in grams):
                left -= 1
                if other not in tried:
                    tried.add(other)
                    left -= _PAIR
                    if _alike(asked[row], held[other]):
                        found[row] = True
                        break
                if left < 0:
                    return found, row
        return found, len(rows)

    def _sets(self, split: str, rows: Numbers) -> list[Grams]:
        return [self._of(split, int(row)) for row in rows]

    def _of(self, split: str, row: int) -> Grams:
        """Return the 5-grams of a text, or all of its words as one when it has fewer."""
        if (split, row) not in self._grams:
            text = self._texts[split][row]
            words = _WORD.findall(unicodedata.normalize("NFKC", text).casefold()) or [text.strip()]
            numbers = np.array([self._words.setdefault(w, len(self._words)) for w in words], dtype=np.uint64)
            width = min(_GRAM, len(words))
            mixed = _mixed(numbers + np.uint64(1))
            value = np.zeros(len(words) - width + 1, dtype=np.uint64)
            for place in range(width):
                value = _mixed(value + mixed[place : place + len(value)])
            self._grams[split, row] = np.unique(value)
        return self._grams[split, row]


def _mixed(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Scramble 64-bit numbers one to one (the finaliser of splitmix64; Steele, Lea, Flood 2014)."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


def _rarest(sets: Sequence[Grams]) -> list[list[int]]:
    """Return those members of each set of which two similar sets share at least one: the rarest that any other has."""
    every = np.concatenate([np.empty(0, np.uint64), *sets])
    _, where, counts = np.unique(every, return_inverse=True, return_counts=True)
    chosen, start = [], 0
    for grams in sets:
        rarity = counts[where[start : start + len(grams)]]
        start += len(grams)
        keep = len(grams) - int(np.ceil(OVERLAP * len(grams) - 1e-9)) + 1
        rarest = np.lexsort((grams, rarity))[:keep]
        chosen.append(grams[rarest[rarity[rarest] > 1]].tolist())
    return chosen


def _alike(one: Grams, other: Grams) -> bool:
    fewer, more = sorted((len(one), len(other)))
    if fewer < OVERLAP * more:
        return False
    shared = len(np.intersect1d(one, other, assume_unique=True))
    return shared / (len(one) + len(other) - shared) >= OVERLAP
