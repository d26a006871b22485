"""Maximum mean discrepancy between two samples from row sums of a kernel that is never held whole.

Every number here is a function of the sums of kernel values along rows, so the kernel is
visited in tiles and forgotten. The value is the unbiased U-statistic (Gretton et al. 2012), right on average
at every size; its variance has a first- and a second-order part (Sutherland & Deka 2019), and the second
is all there is when the two distributions are equal.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from audit.core.errors import UndefinedError
from audit.core.measurements import Interval
from audit.stats.kernel_values import TiledKernel, cubic, kernel_values
from audit.stats.moments import Floats, Marginals, Moments
from audit.stats.products import together

METHOD = "U-statistic, variance of its row means, normal quantile"

_FLATTEST = 0.1
"""A column is divided by no less than this share of the columns' typical deviation."""

LEAST_P = 1e-4
"""The normal approximation of the test is not trusted below this p-value: read it as "at most"."""
LEAST_ROWS = 8


@dataclass(frozen=True, slots=True)
class Scale:
    """Centre (d,) and deviation (d,) that features are standardised by, taken from the reference sample.

    A polynomial kernel has no scale of its own and heavy tails: one wide column would decide
    everything. A column that hardly moves in the reference is divided by a tenth of the typical
    deviation instead of its own, so a model that moves it is noticed without one pixel being the whole result. A
    reference that varies by no more than rounding has no scale, and is left as it is.
    """

    centre: Floats
    deviation: Floats

    @classmethod
    def of(cls, reference: Marginals) -> Self:
        deviation = np.sqrt(reference.variance)
        if reference.alike:
            return cls(reference.mean, np.ones_like(deviation))
        typical = math.sqrt(float(np.square(deviation).mean()))
        return cls(reference.mean, np.maximum(deviation, _FLATTEST * typical))

    def apply(self, rows: Floats) -> Floats:
        return np.asarray((rows - self.centre) / self.deviation)


@dataclass(frozen=True, slots=True)
class RowSums:
    """Sums of kernel values between each of n rows and another sample.

    ``half`` (n,) says which half a row itself is in, 0 or 1; ``sums`` (n, 2) are over either half of
    the other sample, ``squares`` (n,) sums of squared kernel values over all of it. A row is never paired with itself.
    """

    half: NDArray[np.uint8]
    sums: Floats
    squares: Floats

    @classmethod
    def of(cls, batch: Any) -> Self:
        """Summarise (rows, other rows, kernel)."""
        rows, others, kernel = batch
        return cls.against(rows, [others], kernel)

    @classmethod
    def against(
        cls,
        rows: Floats,
        others: Iterable[Floats],
        kernel: TiledKernel,
        own: int | None = None,
        pairs: int | None = None,
    ) -> Self:
        """Sum over shards of another sample, or of the same one of which ``rows`` is shard number ``own``.

        ``pairs`` is how many pairs the two samples have, of which these are a part.
        """
        sums, squares = np.zeros((len(rows), 2)), np.zeros(len(rows))
        for number, held in together(others):
            block, sides = (
                np.concatenate(held),
                np.concatenate([np.eye(2)[halves(len(part))] for part in held]),
            )
            place = -1 if own is None else own - number
            first = sum(map(len, held[:place])) if 0 <= place < len(held) else None
            for span, columns, values in kernel_values(rows, block, kernel, same=False, pairs=pairs):
                if first is not None:
                    itself = np.arange(
                        max(span.start, columns.start - first), min(span.stop, columns.stop - first)
                    )
                    values[itself - span.start, itself + first - columns.start] = 0.0
                sums[span] += values @ sides[columns]
                squares[span] += np.einsum("ij,ij->i", values, values)
        return cls(halves(len(rows)), sums, squares)

    def merge(self, other: Self) -> Self:
        return type(self)(
            np.concatenate([self.half, other.half]),
            np.concatenate([self.sums, other.sums]),
            np.concatenate([self.squares, other.squares]),
        )

    @property
    def n(self) -> int:
        return len(self.half)

    @property
    def totals(self) -> Floats:
        return np.asarray(self.sums.sum(axis=1))


def halves(n: int) -> NDArray[np.uint8]:
    """Return which half each row of a shard is in: they alternate."""
    return (np.arange(n) % 2).astype(np.uint8)


def four_sums(x: Floats, y: Floats, kernel: TiledKernel) -> tuple[RowSums, RowSums, RowSums, RowSums]:
    """Return the row sums within x, from x to y, from y to x and within y, for two samples (n, d), (m, d) held in memory.

    The kernel is taken to be symmetric, so each value is computed once.
    """
    if x.ndim != 2 or y.ndim != 2 or x.shape[1] != y.shape[1]:
        raise ValueError(f"samples of shape {x.shape} and {y.shape} do not compare")
    with np.errstate(over="ignore", invalid="ignore"):  # ``discrepancy`` tells what is too large
        across, back = _pair_sums(x, y, kernel, same=False)
        return _pair_sums(x, x, kernel, same=True)[0], across, back, _pair_sums(y, y, kernel, same=True)[0]


def _pair_sums(x: Floats, y: Floats, kernel: TiledKernel, *, same: bool) -> tuple[RowSums, RowSums]:
    if not (np.isfinite(x).all() and np.isfinite(y).all()):
        raise UndefinedError("features that are not finite have no kernel distance")
    ours = Growing.of(len(x))
    theirs = ours if same else Growing.of(len(y))
    for rows, columns, values in kernel_values(x, y, kernel, same=same):
        ours.add(rows, columns, values, theirs)
    return ours.sums, theirs.sums


@dataclass(frozen=True, slots=True)
class Growing:
    """Row sums of a sample that tiles of kernel values are added to."""

    sums: RowSums

    @classmethod
    def of(cls, rows: int) -> Growing:
        return cls(RowSums(halves(rows), np.zeros((rows, 2)), np.zeros(rows)))

    def add(self, rows: slice, columns: slice, values: Floats, theirs: Growing) -> None:
        """Add a tile to the sums of its rows, here, and to those of its columns in ``theirs``, which may be the same.

        Of one sample with itself each pair comes in one tile, and the diagonal of ``values`` is set to 0.
        """
        same = theirs is self
        if same and rows == columns:
            np.fill_diagonal(values, 0.0)
        self.sums.sums[rows, 0] += values[:, 0::2].sum(axis=1)
        self.sums.sums[rows, 1] += values[:, 1::2].sum(axis=1)
        self.sums.squares[rows] += np.einsum("ij,ij->i", values, values)
        if not same or rows != columns:
            theirs.sums.sums[columns, 0] += values[0::2].sum(axis=0)
            theirs.sums.sums[columns, 1] += values[1::2].sum(axis=0)
            theirs.sums.squares[columns] += np.einsum("ij,ij->j", values, values)


@dataclass(frozen=True, slots=True)
class Discrepancy:
    """An unbiased squared MMD, its variance and the p-value that the two distributions are equal.

    The p-value is never below ``LEAST_P``, where its approximation ends: print that as "at most".
    """

    value: float
    variance: float
    p_value: float
    n: int
    m: int

    def interval(self, level: float = 0.95) -> Interval:
        """Return ``value ± z SE``, given the features as they are (a scale they were divided by is taken as fixed).

        Simulated for the cubic kernel on Gaussian, t-distributed, pixel-like and rectified features at n = 100 and 500: .93
        to .99 away from equality (what is missed lies above), .98 to 1 at equality, on the safe side.
        """
        from scipy import special

        half = float(special.ndtri((1 + level) / 2)) * math.sqrt(self.variance)
        return Interval(self.value - half, self.value + half, level, METHOD)


def kid(x: Floats, y: Floats) -> Discrepancy:
    """Return the kernel inception distance of generated rows x (n, d) and real rows y (m, d), as the field defines it.

    ``k = (x'y / d + 1)^3`` on features as they come, one unbiased U-statistic over all rows (Bińkowski et al. 2018): what
    torchmetrics and torch-fidelity compute for one subset of all rows. The mean over their subsets has the same
    expectation; their standard deviation over overlapping subsets is neither a standard error nor an interval. Of
    standardised features it is another statistic and needs another name. May be negative; raises as ``discrepancy``.
    """
    samples, real = np.asarray(x), np.asarray(y)
    sums = four_sums(samples, real, cubic)
    if len(real) >= LEAST_ROWS:
        refuse_flat(Marginals.of(real))
    return discrepancy(*sums)


def discrepancy(xx: RowSums, xy: RowSums, yx: RowSums, yy: RowSums) -> Discrepancy:
    """Return the squared MMD between X and Y from the row sums within and between them.

    ``MMD^2 = sum_{i != j} k(x_i, x_j) / (n (n - 1)) + the same for y - 2 mean k(x, y)``; may be negative.
    Raises UndefinedError below eight rows a side, for a reference Y whose rows are all equal (``refuse_flat`` finds
    those that are so up to rounding, from the features), and where the kernel overflows.
    """
    n, m = xx.n, yy.n
    if min(n, m) < LEAST_ROWS:
        raise UndefinedError(f"a discrepancy and its variance need eight rows a side; there are {n} and {m}")
    with np.errstate(over="ignore", invalid="ignore"):
        value = float(
            xx.totals.sum() / (n * (n - 1)) + yy.totals.sum() / (m * (m - 1)) - 2 * xy.totals.sum() / (n * m)
        )
        variance = _variance(xx, xy, yx, yy)
    if not (math.isfinite(value) and math.isfinite(variance)):
        raise UndefinedError("the kernel overflows: the features are not finite or far too large")
    if _constant(yy):
        raise UndefinedError(
            f"the {m} reference rows are all alike, so there is no distribution to compare with"
        )
    p = cross_p_value(xx, xy, yx, yy)
    return Discrepancy(value, variance, max(p, LEAST_P), n, m)


def refuse_flat(reference: Marginals | Moments) -> None:
    """Raise UndefinedError when a reference sample varies by no more than rounding of its own size.

    Nothing can be standardised by such a sample, and a distance to it once read 1e91.
    """
    if reference.alike:
        deviation = math.sqrt(float(reference.variance.mean()))
        raise UndefinedError(
            f"the {reference.n} reference rows are all alike (deviation {deviation:.2g}), so there is no distribution "
            "to compare with"
        )


def _constant(sums: RowSums) -> bool:
    """Whether all rows of a sample have the same kernel values, which only equal rows have."""
    totals = sums.totals
    mean = float(totals.mean())
    square = (mean / (sums.n - 1)) * (mean / (sums.n - 1))
    varying = float(sums.squares.mean()) / (sums.n - 1) - square
    return float(np.ptp(totals)) <= 1e-12 * abs(mean) and varying <= 1e-12 * square


def _variance(xx: RowSums, xy: RowSums, yx: RowSums, yy: RowSums) -> float:
    """Return the variance of the U-statistic, on the safe side.

    The spread of the rows' means (Hoeffding projection) estimates the first-order variance plus twice the
    second-order one. Subtracting the excess would be unbiased, but a value that came out low comes with a
    variance that came out low: of small differences one interval in eight then misses. Kept, intervals are up
    to sqrt(2) too wide at equality and right far from it. No less than the second-order variance is returned.
    """
    n, m = xx.n, yy.n
    of_x = 2 * (xx.totals / (n - 1) - xy.totals / m)
    of_y = 2 * (yy.totals / (m - 1) - yx.totals / n)
    projected = float(of_x.var(ddof=1)) / n + float(of_y.var(ddof=1)) / m
    return max(projected, second_order_variance(xx, xy, yx, yy))


def second_order_variance(xx: RowSums, xy: RowSums, yx: RowSums, yy: RowSums) -> float:
    """Return the part of the variance that remains when the distributions are equal (Sutherland & Deka 2019)."""
    n, m = xx.n, yy.n
    return (
        2 * _degenerate_within(xx) / (n * (n - 1))
        + 2 * _degenerate_within(yy) / (m * (m - 1))
        + 4 * _degenerate_between(xy, yx) / (n * m)
    )


def _degenerate_within(sums: RowSums) -> float:
    """Estimate ``E k^2 - 2 E (E_y k)^2 + (E k)^2`` within one sample."""
    n, totals = sums.n, sums.totals
    squared, rows, whole = float(sums.squares.sum()), float(totals @ totals), float(np.square(totals.sum()))
    square = squared / (n * (n - 1))
    mean_square = (rows - squared) / (n * (n - 1) * (n - 2))
    apart = (whole - 4 * rows + 2 * squared) / (n * (n - 1) * (n - 2) * (n - 3))
    return max(square - 2 * mean_square + apart, 0.0)


def _degenerate_between(xy: RowSums, yx: RowSums) -> float:
    """Estimate ``E k^2 - E (E_y k)^2 - E (E_x k)^2 + (E k)^2`` between two samples."""
    n, m, over_y, over_x = xy.n, yx.n, xy.totals, yx.totals
    squared, rows, columns = float(xy.squares.sum()), float(over_y @ over_y), float(over_x @ over_x)
    whole = float(np.square(over_y.sum()))
    square = squared / (n * m)
    for_x = (rows - squared) / (n * m * (m - 1))
    for_y = (columns - squared) / (n * (n - 1) * m)
    apart = (whole - rows - columns + squared) / (n * (n - 1) * m * (m - 1))
    return max(square - for_x - for_y + apart, 0.0)


def cross_p_value(xx: RowSums, xy: RowSums, yx: RowSums, yy: RowSums) -> float:
    """Return the one-sided p-value of xMMD (Shekhar, Kim & Ramdas 2022) that both samples have one distribution.

    The second halves give a witness function, the first halves are compared through it: a difference
    of two means, normal under the null, with no permutations. Small when the distributions differ.
    """
    from scipy import special

    first_x, first_y = xx.half == 0, yy.half == 0
    n, m = int((~first_x).sum()), int((~first_y).sum())
    at_x = xx.sums[first_x, 1] / n - xy.sums[first_x, 1] / m
    at_y = yx.sums[first_y, 1] / n - yy.sums[first_y, 1] / m
    se = math.sqrt(float(at_x.var(ddof=1)) / len(at_x) + float(at_y.var(ddof=1)) / len(at_y))
    gap = float(at_x.mean() - at_y.mean())
    if se == 0:
        return 0.0 if gap > 0 else 1.0
    return float(special.ndtr(-gap / se))
