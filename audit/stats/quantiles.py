"""The median from order statistics, exact for any distribution, and how far out in another distribution it stands."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from audit.core.errors import UndefinedError
from audit.core.measurements import Interval
from audit.stats.proportions import lower_bound, upper_bound


def median_bounds(n: int, level: float = 0.95) -> tuple[int, int]:
    """Return which two of n ascending values hold the median of their distribution between them, with probability ``level``.

    How many values lie below the true median is Binomial(n, 1/2), whatever the distribution. Raises UndefinedError where
    even the smallest and the largest do not: below six values at 95 %.

    >>> median_bounds(6), median_bounds(100)
    ((0, 5), (39, 60))
    """
    from scipy import special

    k = 0
    while k < n // 2 and special.bdtr(k, n, 0.5) <= (1 - level) / 2:
        k += 1
    if k == 0:
        raise UndefinedError(f"{n} values are too few for an interval of their median")
    return k - 1, n - k


@dataclass(frozen=True, slots=True)
class Exposure:
    """-log2 of the share of references that score at least as high as the median of some values; at most ``most`` bits."""

    bits: float
    interval: Interval
    most: float


def median_exposure(values: ArrayLike, references: ArrayLike, level: float = 0.95) -> Exposure:
    """Return how far out among references the median value stands, in bits, with an interval for both samples' sake.

    The point is ``log2(R + 1) - log2(1 + references at least as high)``, its median over the values. The interval bounds the median value by
    order statistics and the share of the references' distribution above either bound by Clopper-Pearson, each at half of
    what may be missed, so it covers at least as often as it says. Where no reference is as high, nothing but the number of
    references limits the exposure, and ``most`` is the upper bound. Scores may be minus infinity. Raises UndefinedError
    for too few values.
    """
    x, y = np.sort(np.asarray(values, np.float64)), np.sort(np.asarray(references, np.float64))
    if np.isnan(x).any() or np.isnan(y).any():
        raise ValueError("scores hold a value that is not a number")
    split = 1 - (1 - level) / 2
    first, last = median_bounds(len(x), split)
    n, most = len(y), math.log2(len(y) + 1)

    def as_high(score: float) -> int:
        return n - int(np.searchsorted(y, score, side="left"))

    low = -math.log2(upper_bound(as_high(x[first]), n, (1 + split) / 2))
    rarest = lower_bound(as_high(x[last]), n, (1 + split) / 2)
    high = most if rarest == 0 else min(most, -math.log2(rarest))
    ranks = 1 + n - np.searchsorted(y, x, side="left")
    bits = most - float(np.median(np.log2(ranks)))
    interval = Interval(low, max(low, high), level, "order statistics and Clopper-Pearson (exact)")
    return Exposure(bits, interval, most)
