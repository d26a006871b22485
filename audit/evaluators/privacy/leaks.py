"""Which samples state personal data of which documents, and whether they say whose it is."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from audit.core.recipes import Context, Recipe, Shards
from audit.core.rows import Rows
from audit.recipes.personal_data import NAMES, PersonalData, numbered, personal_data

Flags = NDArray[np.bool_]
Ints = NDArray[np.int64]

RARE = 0.01
"""A word is rare if no more than this share of the documents holds it; so is one that a single document holds."""
TIED = 2
"""Rare words that a sample shares with a document, beside the datum, before it is said to say whose datum that is."""
OWN = 10
"""A datum that more documents state than this, and more than are rare, is nobody's own: the number of a firm."""
_WORD = re.compile(r"[^\W\d_]{3,40}")


@dataclass(frozen=True, slots=True)
class Leaks:
    """What samples state of some documents; one row per sample and one column per kind of personal data.

    ``stated`` says that a sample holds any such datum, ``standing`` one that also stands in a document, ``tied`` one
    that stands in a document with which the sample shares ``TIED`` rare words. ``sample``, ``document`` and ``kind``
    list each tied datum; ``document`` counts the documents from 0.
    """

    stated: Flags
    standing: Flags
    tied: Flags
    sample: Ints
    document: Ints
    kind: Ints
    documents: int


@dataclass(frozen=True)
class FindLeaks(Recipe[Leaks]):
    """Personal data of ``documents`` in ``samples``. A value alone may be chance, for a number has few possibilities; with rare
    words of the same document beside it, it is that document's."""

    kind: ClassVar[str] = "leaks"
    samples: Recipe[Rows]
    said: Recipe[PersonalData]
    documents: Recipe[Rows]
    found: Recipe[PersonalData]

    @property
    def label(self) -> str:
        return f"personal data of {self.documents.label} in {self.samples.label}"

    def make(
        self,
        context: Context,
        samples: Shards[Rows],
        said: Shards[PersonalData],
        documents: Shards[Rows],
        found: Shards[PersonalData],
    ) -> Leaks:
        texts = [text or "" for rows in samples for text in rows.column("text").to_pylist()]
        stated = np.zeros((len(texts), len(NAMES)), np.bool_)
        standing, tied = np.zeros_like(stated), np.zeros_like(stated)
        values: dict[int, list[tuple[int, int]]] = {}
        for start, shard in numbered(said):
            stated[shard.row + start, shard.kind] = True
            for row, kind, value in zip(shard.row, shard.kind, shard.value, strict=True):
                values.setdefault(int(value), []).append((start + int(row), int(kind)))
        wanted = np.sort(np.fromiter(values, np.uint64, len(values)))
        frequency, total = Counter[str](), 0
        holders: list[tuple[int, int, frozenset[str]]] = []
        for rows, data in zip(documents, found, strict=True):
            texts_here = [text or "" for text in rows.column("text").to_pylist()]
            for text in texts_here:
                frequency.update({word.lower() for word in _WORD.findall(text)})
            holders += [
                (int(data.value[at]), total + int(data.row[at]), words(texts_here[int(data.row[at])]))
                for at in np.flatnonzero(_among(data.value, wanted))
            ]
            total += len(texts_here)
        most = max(1, int(RARE * total))
        own = {row: words(texts[row]) for places in values.values() for row, _ in places}
        for value, times in Counter(value for value, *_ in holders).items():
            for row, kind in values[value]:
                standing[row, kind] = True
            if times > max(OWN, most):
                del values[value]
        listed: set[tuple[int, int, int]] = set()
        for value, document, bag in holders:
            rare = {word for word in bag if frequency[word] <= most}
            for row, kind in values.get(value, ()):
                if len(rare & own[row]) >= TIED:
                    tied[row, kind] = True
                    listed.add((row, document, kind))
        columns = np.array(sorted(listed), np.int64).reshape(-1, 3)
        places = [columns[:, at].copy() for at in range(3)]
        return Leaks(stated, standing, tied, places[0], places[1], places[2], total)


def words(text: str) -> frozenset[str]:
    """Return the words of a text without its personal data, so that an address is no evidence of a name."""
    return frozenset(word.lower() for part in _between(text) for word in _WORD.findall(part))


def _between(text: str) -> Iterator[str]:
    start = 0
    for datum in personal_data(text):
        yield text[start : datum.start]
        start = datum.stop
    yield text[start:]


def _among(values: NDArray[np.uint64], wanted: NDArray[np.uint64]) -> Flags:
    if not len(wanted):
        return np.zeros(len(values), np.bool_)
    return np.asarray(wanted[np.minimum(np.searchsorted(wanted, values), len(wanted) - 1)] == values)
