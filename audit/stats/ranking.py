"""How well a score separates two classes: area under the ROC curve, operating points, and their uncertainty.

Throughout, ``positives`` and ``negatives`` are the scores of the two classes
and a higher score says positive. Ties count one half.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from audit.core.errors import UndefinedError
from audit.core.measurements import Interval
from audit.stats.proportions import clopper_pearson, normal_quantile

Floats = NDArray[np.float64]

SMALL = 30
"""Fewer examples than this in a class and DeLong's normal approximation gives way to a score interval."""


def midranks(values: ArrayLike) -> Floats:
    """Return the ranks from 1 to n, tied values sharing the mean of their ranks.

    >>> midranks([3, 1, 3]).tolist()
    [2.5, 1.0, 2.5]
    """
    _, inverse, counts = np.unique(np.asarray(values), return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    middles = ends - (counts - 1) / 2
    return np.asarray(middles[inverse], dtype=np.float64)


def _scores(values: ArrayLike, name: str) -> Floats:
    scores = np.atleast_2d(np.asarray(values, dtype=np.float64))
    if scores.ndim != 2 or scores.shape[1] == 0:
        raise UndefinedError(f"there are no {name} to rank")
    if np.isnan(scores).any() or np.isposinf(scores).any():
        raise ValueError(
            f"{name} hold a score that is not a number or infinite; minus infinity is the lowest score"
        )
    return scores


@dataclass(frozen=True, slots=True)
class RocAreas:
    """Areas under the ROC curves of k scores on the same examples, shape (k,), and their covariance, shape (k, k)."""

    values: Floats
    covariance: Floats
    positives: int
    negatives: int


def roc_areas(positives: ArrayLike, negatives: ArrayLike) -> RocAreas:
    """Return the areas of k scores and DeLong's covariance between them, in O(k n log n).

    ``positives`` has shape (k, m) or (m,), ``negatives`` (k, n) or (n,); column
    i of every row is the same example. The variance is an estimate for large
    samples and is exactly 0 when the classes do not overlap: see ``area_interval``.
    Source: DeLong, DeLong & Clarke-Pearson 1988; Sun & Xu 2014, algorithm 2.
    """
    x, y = _scores(positives, "positives"), _scores(negatives, "negatives")
    m, n = x.shape[1], y.shape[1]
    if m < 2 or n < 2:
        raise UndefinedError(f"an area's variance needs two examples of each class, not {m} and {n}")
    above, below = np.empty_like(x), np.empty_like(y)
    for k in range(x.shape[0]):
        above[k], below[k] = placements(x[k], y[k])
    covariance = np.atleast_2d(np.cov(above)) / m + np.atleast_2d(np.cov(below)) / n
    return RocAreas(above.mean(axis=1), covariance, m, n)


def placements(positives: Floats, negatives: Floats) -> tuple[Floats, Floats]:
    """Return for each positive the share of negatives below it, for each negative that of positives above it; ties count half.

    The mean of either is the area; their variances are what DeLong's is made of.

    >>> [side.tolist() for side in placements(np.array([2.0, 3.0]), np.array([1.0, 2.0]))]
    [[0.75, 1.0], [1.0, 0.75]]
    """
    m, n = len(positives), len(negatives)
    pooled = midranks(np.concatenate([positives, negatives]))
    return (pooled[:m] - midranks(positives)) / n, 1 - (pooled[m:] - midranks(negatives)) / m


def roc_area(positives: ArrayLike, negatives: ArrayLike) -> float:
    """Return the probability that a positive scores above a negative.

    >>> roc_area([2, 3], [1, 2])
    0.875
    """
    x, y = _scores(positives, "positives")[0], _scores(negatives, "negatives")[0]
    ranks = midranks(np.concatenate([x, y]))
    return float((ranks[: len(x)].sum() - len(x) * (len(x) + 1) / 2) / (len(x) * len(y)))


def area_interval(areas: RocAreas, which: int = 0, level: float = 0.95) -> Interval:
    """Return the interval of one area.

    DeLong's variance on the logit scale. With fewer than 30 examples in a class, or
    when the classes hardly overlap and that variance is useless, Newcombe's score interval instead.
    """
    value, variance = float(areas.values[which]), float(areas.covariance[which, which])
    z = normal_quantile((1 + level) / 2)
    nearly_apart = min(value, 1 - value) * areas.positives * areas.negatives < SMALL
    if min(areas.positives, areas.negatives) < SMALL or variance <= 0 or nearly_apart:
        low, high = _newcombe_bounds(value, areas.positives, areas.negatives, z)
        return Interval(low, high, level, "Newcombe score (Hanley-McNeil variance)")
    centre = math.log(value / (1 - value))
    half = z * math.sqrt(variance) / (value * (1 - value))
    low, high = (1 / (1 + math.exp(-side)) for side in (centre - half, centre + half))
    return Interval(low, high, level, "DeLong, logit scale")


def _newcombe_bounds(value: float, m: int, n: int, z: float) -> tuple[float, float]:
    """Solve ``|area - value| = z sd(area)`` with the Hanley-McNeil variance (Newcombe, 2006, part 2, method 5)."""
    shared = (m + n) / 2 - 1

    def excess(area: float) -> float:
        bracket = 1 + shared * ((1 - area) / (2 - area) + area / (1 + area))
        return abs(area - value) - z * math.sqrt(area * (1 - area) * bracket / (m * n))

    def solve(outer: float) -> float:
        inner = value
        if excess(outer) <= 0:
            return outer
        for _ in range(60):
            middle = (inner + outer) / 2
            inner, outer = (middle, outer) if excess(middle) <= 0 else (inner, middle)
        return (inner + outer) / 2

    return (0.0 if value <= 0 else solve(0.0)), (1.0 if value >= 1 else solve(1.0))


def area_difference(areas: RocAreas, a: int = 0, b: int = 1, level: float = 0.95) -> tuple[float, Interval]:
    """Return ``area a - area b`` of two scores on the same examples, with its interval.

    Paired DeLong; where either area needed the score interval, both intervals
    are combined with DeLong's correlation instead (MOVER: Zou & Donner, 2008).
    """
    cov = areas.covariance
    difference = float(areas.values[a] - areas.values[b])
    variance = float(cov[a, a] + cov[b, b] - 2 * cov[a, b])
    one, other = area_interval(areas, a, level), area_interval(areas, b, level)
    if one.method.startswith("DeLong") and other.method.startswith("DeLong") and variance > 0:
        half = normal_quantile((1 + level) / 2) * math.sqrt(variance)
        return difference, Interval(difference - half, difference + half, level, "paired DeLong")
    scale = math.sqrt(max(0.0, float(cov[a, a] * cov[b, b])))
    rho = float(np.clip(cov[a, b] / scale, -1, 1)) if scale > 0 else 0.0
    p, q = float(areas.values[a]), float(areas.values[b])

    def reach(u: float, v: float) -> float:
        return math.sqrt(max(0.0, u * u - 2 * rho * u * v + v * v))

    low = difference - reach(p - one.low, other.high - q)
    high = difference + reach(one.high - p, q - other.low)
    return difference, Interval(low, high, level, "MOVER of two score intervals")


def detectable_area(positives: int, negatives: int, level: float = 0.95, power: float = 0.8) -> float:
    """Return the smallest area that a two-sided test of chance would find with this power, ties aside.

    Uses the null variance ``(m + n + 1) / (12 m n)`` on both sides, so it is
    slightly pessimistic for large areas; capped at 1.
    """
    sd = math.sqrt((positives + negatives + 1) / (12 * positives * negatives))
    return min(1.0, 0.5 + (normal_quantile((1 + level) / 2) + normal_quantile(power)) * sd)


def area_half_width(positives: int, negatives: int, area: float, level: float = 0.95) -> float:
    """Return about how far the interval of an area will reach, by the variance of Hanley and McNeil (1982).

    >>> round(area_half_width(1000, 1000, 0.5), 4)
    0.0253
    """
    spread = (positives - 1) * (area / (2 - area) - area**2) + (negatives - 1) * (
        2 * area**2 / (1 + area) - area**2
    )
    variance = (area * (1 - area) + spread) / (positives * negatives)
    return normal_quantile((1 + level) / 2) * math.sqrt(max(variance, 0.0))


def negatives_needed(rate: float, level: float = 0.95) -> int:
    """Return how many negatives it takes before any threshold can promise a false-positive rate.

    The strictest threshold, the largest negative score, exceeds the rate with
    probability ``(1 - rate) ** n``.

    >>> negatives_needed(0.01), negatives_needed(0.001)
    (368, 3688)
    """
    return math.ceil(math.log((1 - level) / 2) / math.log1p(-rate))


@dataclass(frozen=True, slots=True)
class OperatingPoint:
    """The loosest threshold whose false-positive rate is at most ``rate`` with probability ``(1 + level) / 2``.

    ``above`` is how many negatives reach the threshold; ``sensitivity`` how often positives do. The
    rate's own upper bound is ``rate_bound``; a score that carries nothing reaches it ``expected_rate`` of the time.
    """

    rate: float
    above: int
    rate_bound: float
    expected_rate: float
    hits: int
    sensitivity: float
    interval: Interval


def operating_point(
    positives: ArrayLike,
    negatives: ArrayLike,
    positive_ties: ArrayLike,
    negative_ties: ArrayLike,
    rate: float,
    level: float = 0.95,
) -> OperatingPoint:
    """Return the sensitivity at a false-positive rate that holds beyond this sample.

    The threshold is the k-th largest of n negative scores; for an untied score
    its true rate is Beta(k, n - k + 1), and k is the largest with
    ``P(rate > f) <= (1 - level) / 2``. A threshold put at the observed rate would be
    optimistic: its mean rate is 0.0186 rather than 0.01 at n = 100. Ties are broken by the
    uniform numbers given for each example. The interval is Clopper-Pearson for the sensitivity at that
    threshold, so (rate bound, lower sensitivity bound) hold together with probability ``level``.

    Raises UndefinedError when no threshold can promise the rate: fewer than ``negatives_needed``.
    """
    from scipy import special

    x, y = _scores(positives, "positives")[0], _scores(negatives, "negatives")[0]
    n, alpha = len(y), (1 - level) / 2
    if n < negatives_needed(rate, level):
        raise UndefinedError(
            f"a false-positive rate of {rate:g} cannot be promised from {n} non-members; "
            f"it takes {negatives_needed(rate, level)}"
        )
    counts = np.arange(1, max(2, math.ceil(n * rate) + 1))
    k = int(counts[1 - special.betainc(counts, n - counts + 1, rate) <= alpha].max())
    order = np.lexsort((np.asarray(negative_ties), y))
    at = order[-k]
    score, tie = y[at], np.asarray(negative_ties)[at]
    hits = int(((x > score) | ((x == score) & (np.asarray(positive_ties) >= tie))).sum())
    return OperatingPoint(
        rate=rate,
        above=k,
        rate_bound=float(special.betaincinv(k, n - k + 1, 1 - alpha)),
        expected_rate=k / (n + 1),
        hits=hits,
        sensitivity=hits / len(x),
        interval=clopper_pearson(hits, len(x), level),
    )


def roc_curve(positives: ArrayLike, negatives: ArrayLike, most: int = 200) -> tuple[Floats, Floats]:
    """Return false- and true-positive rates at no more than about ``most`` thresholds, from (0, 0) to (1, 1)."""
    x, y = np.sort(_scores(positives, "positives")[0]), np.sort(_scores(negatives, "negatives")[0])
    thresholds = np.unique(np.concatenate([x, y]))[::-1]
    if len(thresholds) > most:
        thresholds = thresholds[np.unique(np.linspace(0, len(thresholds) - 1, most).round().astype(int))]
    false = 1 - np.searchsorted(y, thresholds, side="left") / len(y)
    true = 1 - np.searchsorted(x, thresholds, side="left") / len(x)
    return np.concatenate([[0.0], false]), np.concatenate([[0.0], true])
