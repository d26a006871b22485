"""Nearest neighbours of every row, and the pairs of two samples that are near: one exact pass per pair of sets."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from audit.core.recipes import Context, Recipe, Shards
from audit.core.rows import Matrix
from audit.core.summaries import merged
from audit.stats.fidelity import Fidelity, Neighbourhoods, fidelity_of
from audit.stats.neighbours import Nearest, pairs_within
from audit.stats.products import together


@dataclass(frozen=True)
class Neighbours(Recipe[Nearest]):
    """The ``k`` nearest rows of ``others`` to each row; when both are the same recipe, no row is its own neighbour.

    Distances are Euclidean, exact where near zero; a copy elsewhere is a neighbour. Memory holds one shard of
    the rows and a few thousand of the others.
    """

    kind: ClassVar[str] = "neighbours"
    version: ClassVar[int] = 2
    along: ClassVar[tuple[str, ...]] = ("rows",)
    rows: Recipe[Matrix]
    others: Recipe[Matrix]
    k: int

    @property
    def label(self) -> str:
        among = "" if self.rows == self.others else f" among {self.others.label}"
        return f"neighbours of {self.rows.label}{among}"

    def make(self, context: Context, rows: Matrix, others: Shards[Matrix]) -> Nearest:
        found = Nearest(np.full((len(rows), self.k), np.inf), np.full((len(rows), self.k), -1, np.int64))
        own = self.rows.rows_of(context.shard).start if self.rows == self.others else None
        for start, block in in_blocks(others):
            if own is None:
                nearest = Nearest.among(rows, block, self.k, offset=start)
            else:
                nearest = _without(Nearest.among(rows, block, self.k + 1, offset=start), own)
            found = found.closer(nearest)
        return found


def in_blocks(shards: Shards[Matrix]) -> Iterator[tuple[int, Matrix]]:
    """Yield the rows of several shards at once, and where they begin: few large products instead of many small ones."""
    start = 0
    for _, held in together(shards):
        block = np.concatenate(held)
        yield start, block
        start += len(block)


def _without(nearest: Nearest, first: int) -> Nearest:
    """Return one neighbour fewer a row: not the row itself, row i being number ``first`` + i."""
    itself = nearest.indices == first + np.arange(len(nearest.indices))[:, None]
    distances = np.where(itself, np.inf, nearest.distances)
    order = np.argsort(distances, axis=1, kind="stable")[:, :-1]
    indices = np.where(itself, -1, nearest.indices)
    return Nearest(np.take_along_axis(distances, order, 1), np.take_along_axis(indices, order, 1))


@dataclass(frozen=True, slots=True)
class Pairs:
    """Pairs of a row and another sample's row: their places and their distances, shape (pairs,); merging appends rows."""

    rows: int
    row: NDArray[np.int64]
    other: NDArray[np.int64]
    distance: NDArray[np.float64]

    @classmethod
    def of(cls, batch: tuple[Matrix, Matrix, Nearest, Nearest]) -> Pairs:
        """Take (rows, all others, the rows' neighbours, the others' neighbours)."""
        rows, others, ours, theirs = batch
        return cls(len(rows), *pairs_within(rows, others, ours.radii, theirs.radii))

    def merge(self, more: Pairs) -> Pairs:
        return Pairs(
            self.rows + more.rows,
            np.concatenate([self.row, more.row + self.rows]),
            np.concatenate([self.other, more.other]),
            np.concatenate([self.distance, more.distance]),
        )


@dataclass(frozen=True)
class NearPairs(Recipe[Pairs]):
    """Every pair of a row and one of ``others`` that is nearer than the farthest neighbour listed for either."""

    kind: ClassVar[str] = "near-pairs"
    version: ClassVar[int] = 2
    along: ClassVar[tuple[str, ...]] = ("rows", "ours")
    rows: Recipe[Matrix]
    others: Recipe[Matrix]
    ours: Recipe[Nearest]
    theirs: Recipe[Nearest]

    @property
    def label(self) -> str:
        return f"near pairs of {self.rows.label} and {self.others.label}"

    def make(
        self, context: Context, rows: Matrix, others: Shards[Matrix], ours: Nearest, theirs: Shards[Nearest]
    ) -> Pairs:
        radii, parts = merged(theirs).radii, []
        for start, block in in_blocks(others):
            i, j, distance = pairs_within(rows, block, ours.radii, radii[start : start + len(block)])
            parts.append((i, j + start, distance))
        row, other, distance = (np.concatenate(column) for column in zip(*parts, strict=True))
        return Pairs(len(rows), row, other, distance)


@dataclass(frozen=True)
class FidelityScores(Recipe[Fidelity]):
    """Precision, recall, density and coverage of samples among real rows, each with its interval over random halves."""

    kind: ClassVar[str] = "fidelity"
    version: ClassVar[int] = 3
    samples: Recipe[Nearest]
    real: Recipe[Nearest]
    pairs: Recipe[Pairs]
    k: int
    level: float

    @property
    def label(self) -> str:
        return "precision, recall, density and coverage"

    def make(
        self, context: Context, samples: Shards[Nearest], real: Shards[Nearest], pairs: Shards[Pairs]
    ) -> Fidelity:
        near = merged(pairs)
        found = Neighbourhoods(merged(real), merged(samples), (near.other, near.row, near.distance), self.k)
        return fidelity_of(found, context.rng(), self.level)
