"""Gaps between groups, with intervals that all hold at once, and the largest gap of all.

The largest of many noisy gaps is large even when every group is equal: with 6 groups of 200 and a share of .3 the
percentile bootstrap of max - min left out 0 in every run. Here the quantile of the largest standardised gap takes
the place of z, so all pairwise intervals hold together, and the interval of max - min follows from them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from audit.core.errors import UndefinedError
from audit.core.measurements import Interval
from audit.stats.proportions import normal_quantile, wilson_bounds

Floats = NDArray[np.float64]

DRAWS = 20_000
"""Draws of the largest gap; the quantile of a 95 % interval then varies by about half a per cent."""


@dataclass(frozen=True, slots=True)
class Gaps:
    """Every difference between two of g groups, ``first - second``, arrays of shape (g (g - 1) / 2,).

    ``low`` and ``high`` hold for all pairs together; ``p`` is adjusted for their number (single-step max-T).
    ``critical`` took the place of z. ``largest`` is the greatest gap seen, ``spread`` the interval of the true
    greatest minus the true smallest: its lower end is above 0 only when some pair's interval leaves 0 out.
    """

    first: NDArray[np.intp]
    second: NDArray[np.intp]
    values: Floats
    low: Floats
    high: Floats
    p: Floats
    critical: float
    largest: float
    spread: Interval


def mean_gaps(
    values: ArrayLike,
    covariance: ArrayLike,
    rng: np.random.Generator,
    level: float = 0.95,
    degrees: float = math.inf,
    draws: int = DRAWS,
) -> Gaps:
    """Return all gaps between g estimates, with simultaneous max-t intervals (Hothorn, Bretz & Westfall, 2008).

    ``values`` (g,) are means or other estimates that are nearly normal, ``covariance`` (g, g) or, of independent
    groups, their variances (g,). ``degrees`` of freedom of the variances make it a multivariate t. The interval
    of max - min is ``[max(0, max(d - c se)), max(d + c se)]`` over pairs, which holds whenever all pairs do.
    """
    estimates = np.asarray(values, dtype=np.float64)
    spread = np.asarray(covariance, dtype=np.float64)
    matrix = np.diag(spread) if spread.ndim == 1 else spread
    if estimates.ndim != 1 or matrix.shape != (len(estimates), len(estimates)):
        raise ValueError(f"estimates {estimates.shape} and covariance {spread.shape} do not go together")
    first, second = _pairs(len(estimates))
    error = np.sqrt(np.maximum(_gap_variance(matrix, first, second), 0.0))
    if not (error > 0).all():
        raise UndefinedError("a gap without a standard error has no simultaneous interval")
    largest = _largest(matrix, first, second, rng, degrees, draws)
    critical = float(np.quantile(largest, level))
    gaps = estimates[first] - estimates[second]
    return _gaps(
        first,
        second,
        gaps,
        gaps - critical * error,
        gaps + critical * error,
        largest,
        np.abs(gaps) / error,
        level,
    )


def rate_gaps(
    successes: ArrayLike,
    trials: ArrayLike,
    rng: np.random.Generator,
    level: float = 0.95,
    draws: int = DRAWS,
) -> Gaps:
    """Return all gaps between the shares of g independent groups, with simultaneous intervals. Shapes (g,).

    Each pair's is Newcombe's hybrid score interval with the max-t quantile in the place of z, so rare events and small
    groups keep their coverage and no bound leaves [-1, 1]. Counts need not be whole: give effective ones
    where examples come in clusters.
    """
    hits, n = np.asarray(successes, dtype=np.float64), np.asarray(trials, dtype=np.float64)
    if hits.shape != n.shape or hits.ndim != 1:
        raise ValueError(f"successes {hits.shape} and trials {n.shape} do not pair up")
    if not ((n > 0) & (hits >= 0) & (hits <= n)).all():
        raise UndefinedError("every group needs trials, and no more successes than them")
    first, second = _pairs(len(n))
    rate, smoothed = hits / n, (hits + 1) / (n + 2)
    largest = _largest(np.diag(smoothed * (1 - smoothed) / n), first, second, rng, math.inf, draws)
    critical = float(np.quantile(largest, level))
    low, high = np.array([wilson_bounds(x, k, critical) for x, k in zip(hits, n, strict=True)]).T
    gaps = rate[first] - rate[second]
    below = gaps - np.hypot((rate - low)[first], (high - rate)[second])
    above = gaps + np.hypot((high - rate)[first], (rate - low)[second])
    pooled = (hits[first] + hits[second]) / (n[first] + n[second])
    error = np.sqrt(pooled * (1 - pooled) * (1 / n[first] + 1 / n[second]))
    standing = np.divide(np.abs(gaps), error, out=np.zeros_like(gaps), where=error > 0)
    return _gaps(first, second, gaps, np.maximum(below, -1), np.minimum(above, 1), largest, standing, level)


def _pairs(groups: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    if groups < 2:
        raise UndefinedError(f"a gap needs two groups, not {groups}")
    pairs = np.array(list(combinations(range(groups), 2)), dtype=np.intp)
    return pairs[:, 0], pairs[:, 1]


def _gap_variance(matrix: Floats, first: NDArray[np.intp], second: NDArray[np.intp]) -> Floats:
    return np.asarray(matrix[first, first] + matrix[second, second] - 2 * matrix[first, second])


def _largest(
    matrix: Floats,
    first: NDArray[np.intp],
    second: NDArray[np.intp],
    rng: np.random.Generator,
    degrees: float,
    draws: int,
) -> Floats:
    """Draw the largest standardised gap between estimates with this covariance and equal means, shape (draws,)."""
    w, V = np.linalg.eigh(matrix)
    root = V * np.sqrt(np.maximum(w, 0.0))
    error = np.sqrt(_gap_variance(matrix, first, second))
    contrasts = (root[first] - root[second]) / error[:, None]
    found = np.empty(draws)
    for start in range(0, draws, 1000):
        normal = rng.standard_normal((min(1000, draws - start), len(matrix)))
        found[start : start + len(normal)] = np.abs(normal @ contrasts.T).max(axis=1)
    if math.isfinite(degrees):
        found /= np.sqrt(rng.chisquare(degrees, draws) / degrees)
    return found


def _gaps(
    first: NDArray[np.intp],
    second: NDArray[np.intp],
    gaps: Floats,
    low: Floats,
    high: Floats,
    largest: Floats,
    standing: Floats,
    level: float,
) -> Gaps:
    critical = float(np.quantile(largest, level))
    ordered = np.sort(largest)
    beyond = len(ordered) - np.searchsorted(ordered, standing, side="left")
    reach = np.maximum(high, -low)
    least = float(max(0.0, np.maximum(low, -high).max()))
    return Gaps(
        first=first,
        second=second,
        values=gaps,
        low=low,
        high=high,
        p=(1 + beyond) / (1 + len(ordered)),
        critical=critical,
        largest=float(np.abs(gaps).max()),
        spread=Interval(least, float(reach.max()), level, f"simultaneous max-t over {len(gaps)} pairs"),
    )


def detectable_gap(groups: int, standard_error: float, level: float = 0.95, power: float = 0.8) -> float:
    """Return about the smallest gap between two of g groups that an all-pairs test finds with this power.

    Bonferroni over pairs, a little pessimistic; ``standard_error`` is that of one gap.
    """
    pairs = groups * (groups - 1) // 2
    return (normal_quantile(1 - (1 - level) / (2 * pairs)) + normal_quantile(power)) * standard_error
