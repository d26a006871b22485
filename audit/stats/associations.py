"""Associations of attributes: log odds ratios of every pair of values, and how much stronger one sample has them than another.

The ratio of two noisy strengths is not the strength's ratio: noise adds to every square, so a weak association looks
stronger than it is and its amplification weaker (by half in tables of 110 cells and 5,000 rows). Squares are debiased
here by their own jackknife variance, and the interval is Fieller's, which says so when the denominator may be 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from audit.core.errors import UndefinedError
from audit.stats.misclassification import MOST_CONDITION
from audit.stats.permutation import benjamini_hochberg
from audit.stats.proportions import normal_quantile

Floats = NDArray[np.float64]
Whole = NDArray[np.int64]

BLOCKS = 100
"""Rows are left out by so many blocks; a jackknife variance of one cell then has a relative error of 14 %."""
FAINT = 0.1
"""Root mean square log odds, in nats, below which an association of the data is too faint to be amplified."""
LEAST_COUNT = 5.0
"""A cell has no weight where one of its four counts in the data is smaller: its log odds grow with the number of rows, not with a tie."""
LEAST_EXPECTED = 5.0
"""A cell is reported by itself where both samples would hold so many rows if nothing were associated."""
_DRAWS = 4000


@dataclass(frozen=True, slots=True)
class Tables:
    """Joint counts of all attributes' values: of every row, and without each block of rows, shape (1 + blocks, w, w).

    ``widths`` says how many values each attribute has; w is their sum.
    """

    counts: Floats
    widths: tuple[int, ...]
    rows: int

    @classmethod
    def of(cls, codes: Whole, widths: tuple[int, ...], blocks: int = BLOCKS) -> Tables:
        """Count codes of shape (rows, attributes); row i is in block i modulo ``blocks``."""
        n = len(codes)
        if codes.shape != (n, len(widths)) or n < 2 * blocks:
            raise UndefinedError(f"associations need {2 * blocks} rows; there are {n}")
        starts = np.cumsum((0, *widths[:-1]))
        shown = np.zeros((n, sum(widths)))
        np.put_along_axis(shown, codes + starts, 1.0, axis=1)
        held = np.stack([shown[b::blocks].T @ shown[b::blocks] for b in range(blocks)])
        whole = held.sum(axis=0)
        return cls(np.concatenate([whole[None], whole - held]), widths, n)

    def pair(self, first: int, second: int) -> Floats:
        """Return the tables of two attributes, shape (1 + blocks, values, values)."""
        starts = np.cumsum((0, *self.widths))
        rows, columns = (slice(starts[i], starts[i + 1]) for i in (first, second))
        return np.asarray(self.counts[:, rows, columns])

    def shown(self, attribute: int) -> Floats:
        """Return how many rows have each value of an attribute."""
        return np.asarray(np.diagonal(self.pair(attribute, attribute)[0]))


def inverse(confusion: Floats) -> Floats:
    """Return the matrix that takes counts as read (columns) back to true ones; ``confusion`` counts labels, shape (k, k).

    Raises UndefinedError for a class without labels or a condition number above 30.
    """
    totals = confusion.sum(axis=1, keepdims=True)
    if not (totals > 0).all():
        raise UndefinedError("a value has no labelled example, so how it is misread is not known")
    matrix = confusion / totals
    condition = float(np.linalg.cond(matrix))
    if not condition <= MOST_CONDITION:
        raise UndefinedError(
            f"the confusion matrix has condition number {condition:.3g}, above {MOST_CONDITION:g}: it hardly tells the "
            "values apart"
        )
    return np.asarray(np.linalg.inv(matrix))


def log_odds(tables: Floats) -> tuple[Floats, Floats]:
    """Return the log odds ratio of each cell, one value against the rest on both sides, and its usual variance.

    Half a row is added to each of the four counts (Haldane 1956). Shapes (…, a, b).
    """
    held = np.maximum(tables, 0.0)
    total = held.sum(axis=(-2, -1), keepdims=True)
    row, column = held.sum(axis=-1, keepdims=True), held.sum(axis=-2, keepdims=True)
    both, one, other = held + 0.5, row - held + 0.5, column - held + 0.5
    none = total - row - column + held + 0.5
    return np.log(both * none / (one * other)), 1 / both + 1 / one + 1 / other + 1 / none


@dataclass(frozen=True, slots=True)
class Pair:
    """One pair of attributes in two samples, arrays over its cells or over ways of leaving rows out.

    ``noise`` is the jackknife variance of ``theirs``, ``variance`` the usual one of the difference of both. ``ours`` and ``theirs`` are log odds ratios (1 + blocks, a, b); ``weights`` (a, b) sum to 1; ``misread``
    (draws, 2) is what ``product`` and ``square`` become under other confusion matrices that fit the labels as well.
    """

    ours: Floats
    theirs: Floats
    weights: Floats
    noise: Floats
    variance: Floats
    misread: Floats
    expected: Floats

    @classmethod
    def of(
        cls, ours: Floats, theirs: Floats, inverses: tuple[Sequence[Floats], Sequence[Floats]] | None = None
    ) -> Pair:
        """Take the tables of both samples as read, or corrected by ``inverses``.

        They hold each attribute's inverse confusion matrix, then draws of it.
        """

        def corrected(tables: Floats, which: int) -> Floats:
            if inverses is None:
                return tables
            return np.asarray(inverses[0][which].T @ tables @ inverses[1][which])

        mine, own = log_odds(corrected(ours, 0))
        data, variance = log_odds(corrected(theirs, 0))
        weights = np.where(variance[0] < 1 / LEAST_COUNT, 1 / variance[0], 0.0)
        weights /= max(float(weights.sum()), 1e-12)
        noise = _jackknife_variance(data)
        drawn = []
        for which in range(1, 1 if inverses is None else len(inverses[0])):
            a, b = (log_odds(corrected(t[:1], which))[0][0] for t in (ours, theirs))
            drawn.append(((weights * a * b).sum(), (weights * (b * b - noise)).sum()))
        expected = np.minimum(*(_expected(t[0]) for t in (ours, theirs)))
        return cls(mine, data, weights, noise, own[0] + variance[0], np.array(drawn).reshape(-1, 2), expected)

    @property
    def product(self) -> Floats:
        """The weighted mean product of both samples' log odds: of all rows, shape ()."""
        return np.asarray((self.weights * self.ours[0] * self.theirs[0]).sum())

    @property
    def square(self) -> Floats:
        """The weighted mean square of the data's log odds, without what noise adds."""
        return np.asarray((self.weights * (self.theirs[0] ** 2 - self.noise)).sum())

    def influence(self) -> Floats:
        """Return deviations of (product, square) whose outer products sum to their covariance, shape (parts, 2)."""
        own = (self.weights * self.ours[1:] * self.theirs[0]).sum(axis=(1, 2))
        data = (self.weights * self.theirs[1:] * self.ours[0]).sum(axis=(1, 2))
        square = (self.weights * self.theirs[1:] ** 2).sum(axis=(1, 2))
        blocks = len(own)
        scale = np.sqrt((blocks - 1) / blocks)
        parts = [
            scale * np.stack([own - own.mean(), np.zeros(blocks)], axis=1),
            scale * np.stack([data - data.mean(), square - square.mean()], axis=1),
        ]
        if len(self.misread):
            parts.append((self.misread - self.misread.mean(axis=0)) / np.sqrt(len(self.misread)))
        return np.concatenate(parts)


def _jackknife_variance(values: Floats) -> Floats:
    left = values[1:]
    return np.asarray((len(left) - 1) / len(left) * np.square(left - left.mean(axis=0)).sum(axis=0))


def _expected(table: Floats) -> Floats:
    """Return the smallest of the four counts of each cell that would be expected without any association."""
    total, row, column = (
        float(table.sum()),
        table.sum(axis=1, keepdims=True),
        table.sum(axis=0, keepdims=True),
    )
    both = row * column / max(total, 1.0)
    return np.asarray(
        np.minimum(np.minimum(both, row - both), np.minimum(column - both, total - row - column + both))
    )


@dataclass(frozen=True, slots=True)
class Amplified:
    """How much stronger each association is in one sample than in the data, arrays over pairs of attributes.

    ``strength`` is the data's root mean square log odds and ``least`` its lower 95 % bound. Where ``least`` is above
    ``FAINT``, ``value`` is the slope of the sample's log odds on the data's (1 is as in the data, 2 twice as strong), both
    as read, ``corrected`` the same after the confusion matrices were inverted, and ``low`` and ``high`` hold both
    for all such pairs together; elsewhere they are NaN. ``critical`` took the place of z.
    """

    strength: Floats
    least: Floats
    value: Floats
    corrected: Floats
    low: Floats
    high: Floats
    critical: float
    level: float

    @property
    def judged(self) -> NDArray[np.bool_]:
        return np.isfinite(self.value)

    @property
    def worst(self) -> int:
        """The pair with the greatest lower bound."""
        return int(np.nanargmax(self.low))


@dataclass(frozen=True, slots=True)
class _Slopes:
    """The two sums of each pair, shape (pairs, 2), and deviations whose outer products sum to their covariance."""

    sums: Floats
    parts: list[Floats]

    @classmethod
    def of(cls, pairs: Sequence[Pair]) -> _Slopes:
        sums = np.array([(float(p.product), float(p.square)) for p in pairs]).reshape(-1, 2)
        return cls(sums, [p.influence() for p in pairs])

    @property
    def values(self) -> Floats:
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.asarray(self.sums[:, 0] / self.sums[:, 1])

    def deviations(self, chosen: NDArray[np.intp]) -> Floats:
        """Return what each part moves ``product - slope square`` by, in its standard errors, shape (parts, pairs)."""
        values = self.values
        moved = np.stack([self.parts[i] @ (1.0, -values[i]) for i in chosen], axis=1)
        return np.asarray(moved / np.sqrt(np.square(moved).sum(axis=0)))

    def bounds(self, which: int, critical: float) -> tuple[float, float]:
        part = self.parts[which]
        return _fieller(float(self.sums[which, 0]), float(self.sums[which, 1]), part.T @ part, critical)


def amplification(
    read: Sequence[Pair], corrected: Sequence[Pair], rng: np.random.Generator, level: float = 0.95
) -> Amplified:
    """Return the amplification of each pair, with intervals that hold for all of them at once.

    ``slope = sum w x y / sum w (y² - var y)`` over cells, x the sample's and y the data's log odds, w the inverse
    variance of y, 0 for what all but never occurs in the data. Intervals are Fieller's of the two sums; their covariance is a delete-a-block jackknife of both
    samples' rows, plus the spread over draws of the confusion matrices. The quantile of the largest standardised
    deviation over pairs takes the place of z.

    An error that depends on nothing else weakens both samples' log odds alike, so the slope of what was ``read`` is nearly
    right; inverting the confusion matrix (``corrected``) makes an error that depends on the other attribute look like an
    association. Intervals reach over both: neither assumption can be checked from the readings alone.
    """
    plain, inverted = _Slopes.of(read), _Slopes.of(corrected)
    error = np.array([np.linalg.norm(part[:, 1]) for part in plain.parts])
    square = plain.sums[:, 1]
    strength = np.sqrt(np.maximum(square, 0.0))
    least = np.sqrt(np.maximum(square - normal_quantile(0.95) * error, 0.0))
    values, found, low, high = (np.full(len(read), np.nan) for _ in range(4))
    chosen = np.flatnonzero((least > FAINT) & (inverted.sums[:, 1] > 0))
    critical = normal_quantile((1 + level) / 2)
    if len(chosen):
        critical = _largest((plain.deviations(chosen), inverted.deviations(chosen)), rng, level)
    for i in chosen:
        ends = np.array([s.bounds(int(i), critical) for s in (plain, inverted)])
        if np.isfinite(ends).all():
            values[i], found[i] = plain.values[i], inverted.values[i]
            low[i], high[i] = ends[:, 0].min(), ends[:, 1].max()
    return Amplified(strength, least, values, found, low, high, critical, level)


def _largest(deviations: tuple[Floats, Floats], rng: np.random.Generator, level: float) -> float:
    """Return the quantile of the largest of all deviations; those of rows are the same rows in both, those of matrices are not."""
    parts = max(map(len, deviations))
    joined = np.concatenate([np.pad(d, ((0, parts - len(d)), (0, 0))) for d in deviations], axis=1)
    return float(np.quantile(np.abs(rng.standard_normal((_DRAWS, parts)) @ joined).max(axis=1), level))


def _fieller(product: float, square: float, covariance: Floats, critical: float) -> tuple[float, float]:
    """Return the slopes b for which ``product - b square`` is within ``critical`` standard errors of 0, NaN where unbounded."""
    c = critical**2
    a = square**2 - c * covariance[1, 1]
    half = product * square - c * covariance[0, 1]
    rest = product**2 - c * covariance[0, 0]
    inside = half**2 - a * rest
    if a <= 0 or inside < 0:
        return np.nan, np.nan
    reach = np.sqrt(inside)
    return float((half - reach) / a), float((half + reach) / a)


@dataclass(frozen=True, slots=True)
class Cells:
    """Single cells of all pairs, arrays of shape (cells,): where they are, and how far the sample is from the data there.

    ``shrunk`` is the difference of log odds drawn towards 0 as far as the pair's other cells are near 0 (empirical
    Bayes); ``adjusted`` the p-value that the difference is 0, adjusted for the number of cells (Benjamini & Hochberg 1995).
    """

    pair: Whole
    first: Whole
    second: Whole
    ours: Floats
    theirs: Floats
    shrunk: Floats
    error: Floats
    adjusted: Floats


def cells(pairs: Sequence[Pair]) -> Cells:
    """Return every cell that enough rows were expected in, of pairs of binary attributes one only."""
    from scipy import special

    places: list[tuple[NDArray[Any], ...]] = []
    found: list[tuple[Floats, ...]] = []
    for number, pair in enumerate(pairs):
        kept = pair.expected >= LEAST_EXPECTED
        kept[1:] &= len(kept) != 2  # the second of two values mirrors the first
        kept[:, 1:] &= kept.shape[1] != 2
        first, second = np.nonzero(kept)
        if not len(first):
            continue
        ours, theirs = pair.ours[0][kept], pair.theirs[0][kept]
        variance = pair.variance[kept]
        gap = ours - theirs
        spread = max(float((gap**2 - variance).mean()), 0.0)
        shrunk = gap * spread / (spread + variance)
        places.append((np.full(len(first), number), first, second))
        found.append((ours, theirs, np.asarray(shrunk), np.sqrt(variance)))
    if not found:
        raise UndefinedError(f"no two values have {LEAST_EXPECTED:g} rows expected together in both samples")
    ours, theirs, shrunk, error = (np.concatenate(column) for column in zip(*found, strict=True))
    where = [np.concatenate(column).astype(np.int64) for column in zip(*places, strict=True)]
    p = 2 * special.ndtr(-np.abs(ours - theirs) / error)
    adjusted = np.array(benjamini_hochberg(p.tolist()))
    return Cells(where[0], where[1], where[2], ours, theirs, shrunk, error, adjusted)


def drawn_inverses(confusion: Floats, rng: np.random.Generator, draws: int = 60) -> list[Floats]:
    """Return the inverse of a confusion matrix, then of draws from its rows' Dirichlet posteriors (Jeffreys)."""
    found = [inverse(confusion)]
    for _ in range(draws):
        rows = np.stack([rng.dirichlet(row + 0.5) for row in confusion])
        found.append(np.asarray(np.linalg.inv(rows)))
    return found
