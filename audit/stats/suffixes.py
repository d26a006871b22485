"""Longest common runs of bytes between texts and a corpus, by a suffix array: exact, and fast enough for tens of megabytes.

A suffix array lists where each suffix of the corpus begins, in the order of a dictionary (Manber & Myers 1993); libdivsufsort makes it
(Mori 2008, through pydivsufsort). What a text has in common with the corpus from some byte on is then what it shares with one of the two
neighbours of its place in that order, found by bisection for all bytes at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]

SEPARATOR = b"\xff"
"""Ends a text of the corpus: a byte that no UTF-8 text holds."""
_STOP = b"\xfe"
"""Ends a text that is looked up; it stands nowhere in the corpus, so that no match runs on into the next text."""
_BLOCK = 200_000
"""Bytes of the texts that are looked up at once."""
MOST_BYTES = 500_000_000


@dataclass(frozen=True, slots=True)
class Matches:
    """For each text its longest run of bytes that also stands in the corpus: how long, where in the text, in which document and where there."""

    length: Ints
    start: Ints
    document: Ints
    offset: Ints


@dataclass(frozen=True, slots=True)
class Corpus:
    """Documents, ready to be searched: 13 bytes of memory for each byte of them."""

    data: NDArray[np.uint8]
    order: NDArray[np.signedinteger[Any]]
    words: NDArray[np.uint64]
    begins: Ints

    @classmethod
    def of(cls, documents: Sequence[bytes]) -> Corpus:
        """Index documents. Raise ValueError for more than 500 MB."""
        from pydivsufsort import divsufsort

        joined = SEPARATOR.join([*documents, b""])
        if len(joined) > MOST_BYTES:
            raise ValueError(f"{len(joined):,} bytes of documents; an index holds {MOST_BYTES:,} at most")
        sizes = np.array([len(document) + 1 for document in documents], np.int64)
        data = np.frombuffer(joined, np.uint8)
        order = divsufsort(joined) if len(data) else np.empty(0, np.int32)
        return cls(data, order, _words(joined), np.cumsum(sizes) - sizes)

    def longest(self, texts: Sequence[bytes]) -> Matches:
        """Return the longest match of each text; the first one of several, and length 0 where not one byte is shared."""
        found = np.zeros((4, len(texts)), np.int64)
        found[2:] = -1
        first = 0
        while first < len(texts):
            last, size = first + 1, len(texts[first])
            while last < len(texts) and size + len(texts[last]) < _BLOCK:
                size += len(texts[last])
                last += 1
            self._block(texts[first:last], found[:, first:last])
            first = last
        return Matches(*found)

    def _block(self, texts: Sequence[bytes], found: Ints) -> None:
        joined = _STOP.join([*texts, b""])
        if not len(self.data) or len(joined) == len(texts):
            return
        words = _words(joined)
        places = np.arange(len(joined), dtype=np.int64)
        low, high = np.zeros(len(joined), np.int64), np.full(len(joined), len(self.order), np.int64)
        while (still := np.flatnonzero(low < high)).size:
            middle = (low[still] + high[still]) // 2
            before = self._before(self.order[middle].astype(np.int64), words, places[still])
            low[still[before]] = middle[before] + 1
            high[still[~before]] = middle[~before]
        length, where = np.zeros(len(joined), np.int64), np.zeros(len(joined), np.int64)
        for neighbour in (low - 1, low):
            there = (neighbour >= 0) & (neighbour < len(self.order))
            at = self.order[neighbour[there]].astype(np.int64)
            shared = self._shared(at, words, places[there])
            better = shared > length[there]
            chosen = places[there][better]
            length[chosen], where[chosen] = shared[better], at[better]
        begins = np.cumsum([0, *(len(text) + 1 for text in texts)])
        for row in range(len(texts)):
            span = length[begins[row] : begins[row + 1]]
            best = int(span.argmax())
            if span[best]:
                place = int(where[begins[row] + best])
                document = int(np.searchsorted(self.begins, place, side="right")) - 1
                found[:, row] = span[best], best, document, place - self.begins[document]

    def _before(self, at: Ints, words: NDArray[np.uint64], places: Ints) -> NDArray[np.bool_]:
        """Say of which suffixes of the corpus it stands before the text from a place on."""
        result = np.zeros(len(at), np.bool_)
        rest = np.arange(len(at))
        step = 0
        while rest.size:
            a = self.words[np.minimum(at[rest] + step, len(self.words) - 1)]
            b = words[np.minimum(places[rest] + step, len(words) - 1)]
            result[rest[a < b]] = True
            rest = rest[a == b]
            step += 8
        return result

    def _shared(self, at: Ints, words: NDArray[np.uint64], places: Ints) -> Ints:
        """Return how many bytes suffixes of the corpus share with the text from a place on."""
        result = np.zeros(len(at), np.int64)
        rest = np.arange(len(at))
        step = 0
        while rest.size:
            a = self.words[np.minimum(at[rest] + step, len(self.words) - 1)]
            b = words[np.minimum(places[rest] + step, len(words) - 1)]
            differ = a ^ b
            unequal = differ != 0
            result[rest] += np.where(unequal, 0, 8)
            result[rest[unequal]] += _leading(differ[unequal])
            rest = rest[~unequal]
            step += 8
        return result


def _leading(differ: NDArray[np.uint64]) -> Ints:
    """Return how many leading bytes of each word are zero."""
    count = np.zeros(len(differ), np.int64)
    for width in (4, 2, 1):
        high = (differ >> np.uint64(8 * (8 - width))) == 0
        count += np.where(high, width, 0)
        differ = np.where(high, differ << np.uint64(8 * width), differ)
    return count


def _words(data: bytes) -> NDArray[np.uint64]:
    """Return the eight bytes from each place on as one number in the order of a dictionary; the end is filled with zeros."""
    padded = np.frombuffer(data + bytes(8), np.uint8)
    found = np.zeros(len(data) + 1, np.uint64)
    for at in range(8):
        found = (found << np.uint64(8)) | padded[at : at + len(found)]
    return found
