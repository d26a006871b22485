"""Nearest neighbours, exact, without ever holding all distances: tiles of single-precision products, then real distances.

``|x|^2 + |y|^2 - 2 x'y`` is fast and loses small distances: in single precision exact copies come out at up to 0.1
where neighbours are 36 apart. So products only propose; what is returned is computed from differences in
double precision, and a row whose proposals might have missed a neighbour by rounding is computed in full.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from audit.core.errors import UndefinedError
from audit.stats.moments import LARGEST
from audit.stats.products import Centred, across, within

Floats = NDArray[np.float64]
Singles = NDArray[np.float32]
Ints = NDArray[np.int64]

_ROWS = 1024
_PAIRS = 1 << 18
"""Numbers in the largest block of differences: two megabytes, which a processor keeps at hand."""


@dataclass(frozen=True, slots=True)
class Nearest:
    """The k nearest rows of a reference to each of n queries: distances (n, k), ascending, and indices (n, k).

    Laws: queries concatenate under ``merge``; over parts of a reference, ``closer`` of the parts is the whole.
    """

    distances: Floats
    indices: Ints

    @classmethod
    def of(cls, batch: Any) -> Self:
        """Summarise (queries, reference, k)."""
        queries, reference, k = batch
        return cls.among(queries, reference, k)

    @classmethod
    def among(
        cls, queries: ArrayLike, reference: ArrayLike, k: int, *, own: bool = False, offset: int = 0
    ) -> Self:
        """Return the k nearest of ``reference`` (m, d) to each of ``queries`` (n, d), by Euclidean distance.

        With ``own`` query i is reference row i and not its own neighbour: by place, not by distance 0, so that copies
        count. ``offset`` is added to indices, for parts of a larger reference. Where fewer than k rows exist the
        distance is infinite and the index -1. Equal distances come in the order of their indices where both
        were proposed. O(n m d) time; memory is one tile.
        """
        x, y = _matrix(queries), _matrix(reference)
        if x.shape[1] != y.shape[1]:
            raise ValueError(f"rows of {x.shape[1]} and of {y.shape[1]} columns have no distance")
        if k < 1:
            raise ValueError(f"there is no {k}-th neighbour")
        distances = np.full((len(x), k), np.inf)
        indices = np.full((len(x), k), -1, dtype=np.int64)
        found = min(k, len(y) - own)
        if found > 0 and len(x):
            distances[:, :found], indices[:, :found] = _nearest(x, y, found, own)
            indices[:, :found] += offset
        return cls(distances, indices)

    def merge(self, other: Self) -> Self:
        """Return the neighbours of both sets of queries."""
        return type(self)(
            np.concatenate([self.distances, other.distances]), np.concatenate([self.indices, other.indices])
        )

    def closer(self, other: Self) -> Self:
        """Return the nearest over two parts of a reference, for the same queries and k; indices must be of the whole."""
        if self.distances.shape != other.distances.shape:
            raise ValueError(
                f"neighbours {self.distances.shape} and {other.distances.shape} are of other queries"
            )
        k = self.distances.shape[1]
        distances = np.concatenate([self.distances, other.distances], axis=1)
        indices = np.concatenate([self.indices, other.indices], axis=1)
        order = np.lexsort((indices, distances), axis=1)[:, :k]
        return type(self)(np.take_along_axis(distances, order, 1), np.take_along_axis(indices, order, 1))

    @property
    def radii(self) -> Floats:
        """The distance of the farthest of the k, shape (n,)."""
        return np.asarray(self.distances[:, -1])


def _matrix(rows: ArrayLike) -> NDArray[Any]:
    found = np.asarray(rows)
    if found.ndim != 2:
        raise ValueError(f"rows of features have shape (n, d), not {found.shape}")
    if not np.isfinite(found).all():
        raise UndefinedError("features that are not finite have no neighbours")
    if float(np.abs(found).max(initial=0)) > LARGEST:
        raise UndefinedError(f"features above {LARGEST:.0e} are too large to have distances")
    return found


def direct(x: NDArray[Any], y: NDArray[Any], rows: Ints, columns: Ints) -> Floats:
    """Return the distances of pairs (x[rows], y[columns]) from their differences, in double precision, shape (pairs,)."""
    found = np.empty(len(rows))
    step = max(1, _PAIRS // max(1, x.shape[1]))
    gaps, others = (np.empty((min(step, len(rows)), x.shape[1])) for _ in range(2))
    for start in range(0, len(rows), step):
        part = slice(start, min(start + step, len(rows)))
        gap, other = gaps[: part.stop - start], others[: part.stop - start]
        gap[:], other[:] = x[rows[part]], y[columns[part]]
        gap -= other
        found[part] = np.sqrt(np.vecdot(gap, gap))
    return found


def _to_each(x: NDArray[Any], y: NDArray[Any], places: Ints) -> Floats:
    """Return the distances of each row x (n, d) to its own ``places`` (n, k) of y, as ``direct`` does."""
    found = np.empty(places.shape)
    step = max(1, _PAIRS // max(1, x.shape[1] * places.shape[1]))
    gaps = np.empty((min(step, len(x)), places.shape[1], x.shape[1]))
    for start in range(0, len(x), step):
        part = slice(start, min(start + step, len(x)))
        gap = gaps[: part.stop - start]
        gap[:] = y[places[part]]
        gap -= x[part, None].astype(np.float64)
        found[part] = np.sqrt(np.vecdot(gap, gap))
    return found


def _nearest(x: NDArray[Any], y: NDArray[Any], k: int, own: bool) -> tuple[Floats, Ints]:
    ours, theirs = Centred.pair(x, y)
    proposed = Proposed.of(ours, theirs, k, own)
    for rows, columns, products in within(ours) if own else across(ours, theirs):
        proposed.see(rows, columns, products)
    return proposed.settled(x, y)


@dataclass(frozen=True, slots=True)
class Proposed:
    """The nearest columns of each of n rows by single precision, of the tiles of products seen so far.

    ``squares`` and ``columns`` have shape (n, proposals); squared distances are less the rows' own squared norms. What is not below
    a row's ``limits`` (n,), the largest among them, is not proposed.
    """

    x: Centred
    y: Centred
    k: int
    own: bool
    squares: Singles
    columns: Ints
    limits: Singles

    @classmethod
    def of(cls, x: Centred, y: Centred, k: int, own: bool) -> Proposed:
        wanted = min(len(y) - own, k + max(8, k // 4))
        squares = np.full((len(x), wanted), np.inf, np.float32)
        return cls(x, y, k, own, squares, np.zeros(squares.shape, np.int64), squares[:, 0].copy())

    def see(self, rows: slice, columns: slice, products: Singles) -> None:
        """Take the nearest out of a tile of products: of ``own`` rows for those of the tile's columns, too."""
        squares = self.y.norms[columns].astype(np.float32) - 2 * products
        if self.own and rows == columns:
            np.fill_diagonal(squares, np.inf)
        self._take(rows, columns, squares)
        if self.own and rows != columns:
            self._take(columns, rows, self.x.norms[rows].astype(np.float32) - 2 * products.T)

    def _take(self, rows: slice, columns: slice, squares: Singles) -> None:
        (count, width), wanted = squares.shape, self.squares.shape[1]
        limits = self.limits[rows]
        near = np.flatnonzero(squares < limits[:, None]) if limits.max() < np.inf else None
        if near is None or len(near) > count * wanted * 4:
            keep = min(wanted, width)
            places = np.argpartition(squares, keep - 1, axis=1)[:, :keep]
            self._join(rows, np.take_along_axis(squares, places, 1), places + columns.start)
        elif len(near):
            here, there = np.divmod(near, width)
            counts = np.bincount(here, minlength=count)
            slot = np.arange(len(here)) - np.repeat(np.cumsum(counts) - counts, counts)
            padded = np.full((count, int(counts.max())), np.inf, np.float32)
            places = np.zeros(padded.shape, np.int64)
            padded[here, slot] = squares[here, there]
            places[here, slot] = there + columns.start
            self._join(rows, padded, places)

    def _join(self, rows: slice, squares: Singles, columns: Ints) -> None:
        values = np.concatenate([self.squares[rows], squares], axis=1)
        places = np.concatenate([self.columns[rows], columns], axis=1)
        kept = np.argpartition(values, self.squares.shape[1] - 1, axis=1)[:, : self.squares.shape[1]]
        self.squares[rows] = np.take_along_axis(values, kept, 1)
        self.columns[rows] = np.take_along_axis(places, kept, 1)
        self.limits[rows] = self.squares[rows].max(axis=1)

    def settled(self, x: NDArray[Any], y: NDArray[Any]) -> tuple[Floats, Ints]:
        """Return the distances and places of the k nearest, exact, from the rows themselves; shapes (n, k)."""
        k, own, unit = self.k, self.own, self.x.unit
        distances, indices = np.empty((len(x), k)), np.empty((len(x), k), dtype=np.int64)
        for start in range(0, len(x), _ROWS):
            span = slice(start, min(start + _ROWS, len(x)))
            places = self.columns[span]
            exact = _to_each(x[span], y, places)
            order = np.lexsort((places, exact), axis=1)[:, :k]
            distances[span] = np.take_along_axis(exact, order, 1)
            indices[span] = np.take_along_axis(places, order, 1)
            if places.shape[1] < len(y) - own:
                # what was not proposed is at least as far as the farthest proposal, less rounding
                kth = (distances[span, -1] * unit) ** 2 - self.x.norms[span]
                doubt = self.x.rounding * (self.x.norms[span] + self.y.norms.max())
                doubtful = (kth > self.limits[span] - doubt) & (distances[span, -1] > 0)
                for row in np.flatnonzero(doubtful) + start:
                    distances[row], indices[row] = _in_full(x, y, int(row), k, own)
        return distances, indices


def _in_full(x: NDArray[Any], y: NDArray[Any], row: int, k: int, own: bool) -> tuple[Floats, Ints]:
    columns = np.arange(len(y))
    if own:
        columns = np.delete(columns, row)
    exact = direct(x, y, np.full(len(columns), row), columns)
    order = np.lexsort((columns, exact))[:k]
    return exact[order], columns[order].astype(np.int64)


def pairs_within(x: ArrayLike, y: ArrayLike, x_radii: Floats, y_radii: Floats) -> tuple[Ints, Ints, Floats]:
    """Return every pair of rows (i of x, j of y) nearer than the larger of their radii, and its distance.

    ``x_radii`` (n,) and ``y_radii`` (m,) are in the units of the features; the distance is exact, and equal to the radius
    is kept. Memory grows with the number of such pairs.
    """
    a, b = _matrix(x), _matrix(y)
    found = Near(a, b, *Centred.pair(a, b), x_radii, y_radii)
    for rows, columns, products in across(found.ours, found.theirs):
        found.see(rows, columns, products)
    return found.pairs


@dataclass(frozen=True, slots=True)
class Near:
    """Pairs of rows x (n, d) and y (m, d) that are nearer than the larger of their radii, of the tiles of products seen so far."""

    x: NDArray[Any]
    y: NDArray[Any]
    ours: Centred
    theirs: Centred
    x_radii: Floats
    y_radii: Floats
    found: list[tuple[Ints, Ints, Floats]] = field(default_factory=list)

    def see(self, rows: slice, columns: slice, products: Singles) -> None:
        ours, theirs = self.ours, self.theirs
        norms = ours.norms[rows]
        doubt = ours.rounding * (norms + theirs.norms.max(initial=0.0)) - norms
        reach, their_reach = (
            np.square(radii * ours.unit) * (1 + 1e-6) for radii in (self.x_radii[rows], self.y_radii[columns])
        )
        squares = theirs.norms[columns].astype(np.float32) - 2 * products
        near = squares <= (reach + doubt).astype(np.float32)[:, None]
        squares -= their_reach.astype(np.float32)
        near |= squares <= doubt.astype(np.float32)[:, None]
        here, there = np.divmod(np.flatnonzero(near), near.shape[1])
        i, j = here + rows.start, there + columns.start
        exact = direct(self.x, self.y, i, j)
        kept = exact <= np.maximum(self.x_radii[i], self.y_radii[j])
        self.found.append((i[kept], j[kept], exact[kept]))

    @property
    def pairs(self) -> tuple[Ints, Ints, Floats]:
        """Row of x, row of y and distance of each pair, shapes (pairs,)."""
        if not self.found:
            return np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0)
        return tuple(np.concatenate(part) for part in zip(*self.found, strict=True))  # type: ignore[return-value]
