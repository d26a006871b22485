"""Nearest neighbours in blocks: exact, with no matrix of all distances, and with true zeros.

Squared distances come from one matrix product, ``|x|^2 + |y|^2 - 2 xy``, which is fast and loses what is small: exact
copies come out at the rounding error of ``|x|^2``. So whatever lies that near is computed again as a difference.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from audit.stats.moments import Floats, as_matrix

_TILE = 1024
_NEAR = 1e-7
"""Below this share of the two squared lengths a squared distance has lost half its digits, and is computed again."""

Integers = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Nearest:
    """The k nearest rows of another sample to each of n rows: squared distances and row numbers, shape (n, k) each.

    Sorted by distance, equal ones by number. Where the other sample has fewer than k rows, distances are infinite and
    numbers -1. Merging appends rows.
    """

    distances: Floats
    numbers: Integers

    @classmethod
    def of(cls, batch: Any) -> Self:
        """Summarise (rows, all other rows, k)."""
        rows, others, k = batch
        return cls.among(rows, [others], k)

    @classmethod
    def among(cls, rows: Floats, others: Iterable[Floats], k: int, own: int | None = None) -> Self:
        """Find neighbours among shards of another sample, or of the same one of which ``rows`` is shard number ``own``.

        No row is its own neighbour; a copy of it elsewhere is.
        """
        found = cls(np.full((len(rows), k), np.inf), np.full((len(rows), k), -1, np.int64))
        start = 0
        for index, shard in enumerate(others):
            for span, squared in squared_distances(rows, shard):
                if index == own:
                    squared[np.arange(span.stop - span.start), np.arange(span.start, span.stop)] = np.inf
                found._keep(span, squared, start, rows, shard)
            start += len(shard)
        return found

    def _keep(self, span: slice, squared: Floats, start: int, rows: Floats, shard: Floats) -> None:
        """Take the nearest of one block into what was found before; both are this object's own arrays."""
        k = self.distances.shape[1]
        chosen = np.argpartition(squared, k - 1, axis=1)[:, :k] if squared.shape[1] > k else _all(squared)
        exact = _exact(rows[span], shard, chosen, np.take_along_axis(squared, chosen, axis=1))
        distances = np.concatenate([self.distances[span], exact], axis=1)
        numbers = np.concatenate(
            [self.numbers[span], np.where(np.isfinite(exact), chosen + start, -1)], axis=1
        )
        order = np.lexsort((numbers, distances), axis=1)[:, :k]
        self.distances[span] = np.take_along_axis(distances, order, axis=1)
        self.numbers[span] = np.take_along_axis(numbers, order, axis=1)

    def merge(self, other: Self) -> Self:
        return type(self)(
            np.concatenate([self.distances, other.distances]), np.concatenate([self.numbers, other.numbers])
        )

    @property
    def farthest(self) -> Floats:
        """The squared distance to the k-th neighbour of each row, shape (n,)."""
        return np.asarray(self.distances[:, -1])


def squared_distances(rows: Floats, others: Floats) -> Iterator[tuple[slice, Floats]]:
    """Yield squared distances of rows to all of ``others``, a tile of rows at a time, with which rows they are."""
    x, y = as_matrix(rows), as_matrix(others)
    lengths = np.square(y).sum(axis=1)
    for start in range(0, len(x), _TILE):
        span = slice(start, min(start + _TILE, len(x)))
        squared = x[span] @ y.T
        squared *= -2
        squared += np.square(x[span]).sum(axis=1)[:, None]
        squared += lengths
        yield span, np.maximum(squared, 0.0, out=squared)


def _all(squared: Floats) -> Integers:
    return np.broadcast_to(np.arange(squared.shape[1]), squared.shape)


def _exact(rows: Floats, others: Floats, chosen: Integers, squared: Floats) -> Floats:
    """Return squared distances to the chosen rows, those that lie near zero computed as differences."""
    scale = np.square(rows).sum(axis=1)[:, None] + np.square(others).sum(axis=1)[chosen]
    near = np.isfinite(squared) & (squared <= _NEAR * scale)
    if not near.any():
        return squared
    exact = squared.copy()
    which = np.nonzero(near)
    for start in range(0, len(which[0]), _TILE):
        i, j = which[0][start : start + _TILE], which[1][start : start + _TILE]
        exact[i, j] = np.square(rows[i] - others[chosen[i, j]]).sum(axis=1)
    return exact


@dataclass(frozen=True, slots=True)
class Balls:
    """How some rows of one sample meet the balls around rows of another one.

    For each of the n rows: in how many of the others' balls it lies, and in how many of those clipped at their median
    radius (n,). For each of the m others: how many of the rows lie in its ball, and how many
    of the rows' balls hold it (m,), summed over what was merged.
    """

    inside: Integers
    inside_clipped: Integers
    held: Integers
    covered: Integers

    @classmethod
    def of(cls, batch: Any) -> Self:
        """Summarise (rows, others, the others' squared radii, the rows' squared radii)."""
        rows, others, theirs, ours = batch
        return cls.between(rows, [others], theirs, ours)

    @classmethod
    def between(cls, rows: Floats, others: Iterable[Floats], theirs: Floats, ours: Floats) -> Self:
        """Count over shards of the others; ``theirs`` (m,) and ``ours`` (n,) are squared radii. A ball is open."""
        clipped = np.minimum(theirs, np.median(theirs))
        inside, inside_clipped = np.zeros(len(rows), np.int64), np.zeros(len(rows), np.int64)
        held, covered = np.zeros(len(theirs), np.int64), np.zeros(len(theirs), np.int64)
        start = 0
        for shard in others:
            place = slice(start, start + len(shard))
            for span, squared in squared_distances(rows, shard):
                within = squared < theirs[place]
                inside[span] += within.sum(axis=1)
                held[place] += within.sum(axis=0)
                inside_clipped[span] += (squared < clipped[place]).sum(axis=1)
                covered[place] += (squared < ours[span, None]).sum(axis=0)
            start += len(shard)
        return cls(inside, inside_clipped, held, covered)

    def merge(self, other: Self) -> Self:
        return type(self)(
            np.concatenate([self.inside, other.inside]),
            np.concatenate([self.inside_clipped, other.inside_clipped]),
            self.held + other.held,
            self.covered + other.covered,
        )
