"""Products of the rows of two samples, tile by tile in single precision about a common centre.

Twice as fast as in double precision, and what a large common offset would cost is not lost: rows are centred before they are rounded, and
``x'y = (x - c)'(y - c) + c'x + c'y - c'c``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Singles = NDArray[np.float32]

TILE = 1024
WIDE = 4096
"""Rows of the other sample that are held at once, at least: few large products are faster than many small ones."""
_BLOCK = 32
"""Rows that are centred at once: a processor keeps them at hand."""
_PLAIN = 1e15
"""Features up to this size, and from its inverse, have squares that single precision holds: they are not rescaled."""


@dataclass(frozen=True, slots=True)
class Centred:
    """Rows (n, d) of features less a common centre (d,), times ``unit``, a power of two, in single precision."""

    rows: Singles
    centre: Floats
    unit: float
    norms: Floats
    """The squared length of each centred row, shape (n,)."""
    offset: Floats
    """What a product of two rows has beyond that of the centred ones, half of it for each: c'x - c'c / 2, shape (n,)."""

    @classmethod
    def pair(cls, x: NDArray[Any], y: NDArray[Any]) -> tuple[Centred, Centred]:
        """Return two samples about the mean of the smaller one; the same sample twice is centred once."""
        centre = (x if len(x) < len(y) else y).mean(axis=0, dtype=np.float64)
        if x.dtype == y.dtype == np.float32:  # then a difference from it is rounded once
            centre = centre.astype(np.float32).astype(np.float64)
        largest = max(_largest(x), _largest(y), float(np.abs(centre).max(initial=0.0)))
        unit = 1.0 if 1 / _PLAIN <= largest <= _PLAIN else 2.0 ** -np.ceil(np.log2(max(largest, 1e-300)))
        theirs = cls._of(y, centre, unit)
        return (theirs if x is y else cls._of(x, centre, unit)), theirs

    @classmethod
    def _of(cls, x: NDArray[Any], centre: Floats, unit: float) -> Centred:
        rows, norms, along = np.empty(x.shape, np.float32), np.empty(len(x)), np.empty(len(x))
        middle = centre.astype(np.float32) if x.dtype == np.float32 and unit == 1.0 else centre
        for start in range(0, len(x), _BLOCK):
            block = slice(start, start + _BLOCK)
            moved = x[block] - middle
            if unit != 1.0:
                moved *= unit
            rows[block] = moved
            doubles = moved.astype(np.float64, copy=False)
            norms[block] = np.vecdot(doubles, doubles)
            along[block] = doubles @ centre
        return cls(rows, centre, unit, norms, along / unit + centre @ centre / 2)

    def part(self, rows: slice) -> Centred:
        return Centred(self.rows[rows], self.centre, self.unit, self.norms[rows], self.offset[rows])

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def rounding(self) -> float:
        """How far a squared distance may be off by rounding, as a share of the squared lengths it is made of."""
        return float(np.finfo(np.float32).eps * (8 + 2 * self.rows.shape[1] ** 0.5))


def _largest(rows: NDArray[Any]) -> float:
    return max(float(rows.max(initial=0.0)), -float(rows.min(initial=0.0)))


def together(shards: Iterable[NDArray[Any]]) -> Iterator[tuple[int, list[NDArray[Any]]]]:
    """Yield shards, so many at once that they have ``WIDE`` rows, and the number of the first of them."""
    first, held = 0, list[NDArray[Any]]()
    for shard in shards:
        held.append(shard)
        if sum(map(len, held)) >= WIDE:
            yield first, held
            first, held = first + len(held), []
    if held:
        yield first, held


def above_diagonal(rows: int) -> Iterator[tuple[slice, slice]]:
    """Yield the tiles of a square of so many rows that hold each pair once: those on the diagonal first, then those above."""
    spans = list(_spans(rows, TILE))
    yield from ((span, span) for span in spans)
    yield from ((span, other) for i, span in enumerate(spans) for other in spans[i + 1 :])


def crossing(rows: int, columns: int) -> Iterator[tuple[slice, slice]]:
    """Yield the tiles of a rectangle, row by row."""
    yield from ((span, other) for span in _spans(rows, TILE) for other in _spans(columns, WIDE))


def _spans(rows: int, step: int) -> Iterator[slice]:
    for start in range(0, rows, step):
        yield slice(start, min(start + step, rows))


def within(x: Centred) -> Iterator[tuple[slice, slice, Singles]]:
    """Yield (rows, columns, products of the centred rows) for the tiles that hold each pair of one sample once."""
    for rows, columns in above_diagonal(len(x)):
        yield rows, columns, x.rows[rows] @ x.rows[columns].T


def across(x: Centred, y: Centred) -> Iterator[tuple[slice, slice, Singles]]:
    """Yield (rows, columns, products of the centred rows) for all tiles of two samples."""
    for rows, columns in crossing(len(x), len(y)):
        yield rows, columns, x.rows[rows] @ y.rows[columns].T
