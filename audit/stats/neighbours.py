"""Nearest neighbours, exact, without ever holding all distances: tiles of single-precision products, then real distances.

``|x|^2 + |y|^2 - 2 x'y`` is fast and loses small distances: in single precision exact copies come out at up to 0.1
where neighbours are 36 apart. So products only propose; what is returned is computed from differences in
double precision, and a row whose proposals might have missed a neighbour by rounding is computed in full.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from audit.core.errors import UndefinedError
from audit.stats.moments import LARGEST

Floats = NDArray[np.float64]
Singles = NDArray[np.float32]
Ints = NDArray[np.int64]

_ROWS = 1024
_COLUMNS = 4096
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


@dataclass(frozen=True, slots=True)
class _Proposals:
    """Two sets of rows in single precision about a common centre, their squared norms, what distances were multiplied
    by, and what rounding may cost."""

    x: Singles
    y: Singles
    x_norms: Singles
    y_norms: Singles
    unit: float
    rounding: float

    @classmethod
    def of(cls, x: NDArray[Any], y: NDArray[Any]) -> _Proposals:
        centre = y.mean(axis=0, dtype=np.float64)
        scale = max(
            float(np.abs(x - centre).max(initial=0.0)), float(np.abs(y - centre).max(initial=0.0)), 1e-300
        )
        ours, theirs = (((rows - centre) / scale).astype(np.float32) for rows in (x, y))
        norms = [np.einsum("ij,ij->i", rows, rows) for rows in (ours, theirs)]
        rounding = float(np.finfo(np.float32).eps * (8 + 2 * x.shape[1] ** 0.5))
        return cls(ours, theirs, norms[0], norms[1], 1 / scale, rounding)

    def tiles(self, rows: slice) -> Iterator[tuple[int, Singles]]:
        """Yield where each block of columns begins, and its squared distances less the rows' own squared norms."""
        for start in range(0, len(self.y), _COLUMNS):
            block = slice(start, start + _COLUMNS)
            squares = self.x[rows] @ self.y[block].T
            squares *= -2
            squares += self.y_norms[block]
            yield start, squares

    def doubt(self, rows: slice) -> Singles:
        """Return how far a squared distance of these rows may be off, shape (rows,)."""
        return np.asarray(
            self.rounding * (self.x_norms[rows] + float(self.y_norms.max(initial=0.0))), np.float32
        )


def direct(x: NDArray[Any], y: NDArray[Any], rows: Ints, columns: Ints) -> Floats:
    """Return the distances of pairs (x[rows], y[columns]) from their differences, in double precision, shape (pairs,)."""
    found = np.empty(len(rows))
    step = max(1, _PAIRS // max(1, x.shape[1]))
    for start in range(0, len(rows), step):
        part = slice(start, start + step)
        gaps = x[rows[part]].astype(np.float64) - y[columns[part]]
        found[part] = np.sqrt(np.einsum("ij,ij->i", gaps, gaps))
    return found


def _nearest(x: NDArray[Any], y: NDArray[Any], k: int, own: bool) -> tuple[Floats, Ints]:
    proposals = _Proposals.of(x, y)
    wanted = min(len(y) - own, k + max(8, k // 2))
    distances, indices = np.empty((len(x), k)), np.empty((len(x), k), dtype=np.int64)
    for start in range(0, len(x), _ROWS):
        rows = slice(start, min(start + _ROWS, len(x)))
        squares, columns = _proposed(proposals, rows, wanted, own)
        count = rows.stop - rows.start
        which = np.repeat(np.arange(rows.start, rows.stop), wanted)
        exact = direct(x, y, which, columns.ravel()).reshape(count, wanted)
        order = np.lexsort((columns, exact), axis=1)[:, :k]
        distances[rows] = np.take_along_axis(exact, order, 1)
        indices[rows] = np.take_along_axis(columns, order, 1)
        if wanted < len(y) - own:
            # what was not proposed is at least as far as the farthest proposal, less rounding
            kth = (distances[rows, -1] * proposals.unit) ** 2 - proposals.x_norms[rows]
            doubtful = (kth > squares.max(axis=1) - proposals.doubt(rows)) & (distances[rows, -1] > 0)
            for row in np.flatnonzero(doubtful) + rows.start:
                distances[row], indices[row] = _in_full(x, y, int(row), k, own)
    return distances, indices


def _proposed(proposals: _Proposals, rows: slice, wanted: int, own: bool) -> tuple[Singles, Ints]:
    """Return squared distances and columns of the nearest of each row by single precision, shapes (rows, wanted)."""
    count = rows.stop - rows.start
    best = np.full((count, wanted), np.inf, dtype=np.float32)
    columns = np.zeros((count, wanted), dtype=np.int64)
    for start, squares in proposals.tiles(rows):
        if own:
            inside = np.arange(max(rows.start, start), min(rows.stop, start + squares.shape[1]))
            squares[inside - rows.start, inside - start] = np.inf
        here, there = np.nonzero(squares < best.max(axis=1)[:, None])
        if not len(here):
            continue
        if len(here) > count * wanted * 4:
            keep = min(wanted, squares.shape[1])
            nearest = np.argpartition(squares, keep - 1, axis=1)[:, :keep]
            best, columns = _joined(best, columns, np.take_along_axis(squares, nearest, 1), nearest + start)
            continue
        widest = int(np.bincount(here, minlength=count).max())
        padded = np.full((count, widest), np.inf, dtype=np.float32)
        places = np.zeros((count, widest), dtype=np.int64)
        ends = np.concatenate([[0], np.cumsum(np.bincount(here, minlength=count))])
        slot = np.arange(len(here)) - ends[here]
        padded[here, slot] = squares[here, there]
        places[here, slot] = there + start
        best, columns = _joined(best, columns, padded, places)
    return best, columns


def _joined(best: Singles, columns: Ints, more: Singles, places: Ints) -> tuple[Singles, Ints]:
    values, where = np.concatenate([best, more], axis=1), np.concatenate([columns, places], axis=1)
    kept = np.argpartition(values, best.shape[1] - 1, axis=1)[:, : best.shape[1]]
    return np.take_along_axis(values, kept, 1), np.take_along_axis(where, kept, 1)


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
    proposals = _Proposals.of(a, b)
    ours, theirs = (np.square(radii * proposals.unit).astype(np.float32) for radii in (x_radii, y_radii))
    found: list[tuple[Ints, Ints, Floats]] = []
    for start in range(0, len(a), _ROWS):
        rows = slice(start, min(start + _ROWS, len(a)))
        limit = ours[rows] - proposals.x_norms[rows] + proposals.doubt(rows) + 1e-6 * ours[rows]
        slack = proposals.doubt(rows) - proposals.x_norms[rows]
        for begin, squares in proposals.tiles(rows):
            reach = theirs[begin : begin + squares.shape[1]] * np.float32(1 + 1e-6)
            near = (squares <= limit[:, None]) | (squares <= slack[:, None] + reach)
            here, there = np.nonzero(near)
            i, j = (here + start).astype(np.int64), (there + begin).astype(np.int64)
            exact = direct(a, b, i, j)
            kept = exact <= np.maximum(x_radii[i], y_radii[j])
            found.append((i[kept], j[kept], exact[kept]))
    if not found:
        return np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0)
    return tuple(np.concatenate(part) for part in zip(*found, strict=True))  # type: ignore[return-value]
