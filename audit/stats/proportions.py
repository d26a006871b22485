"""Intervals for proportions and for differences between two of them."""

from __future__ import annotations

import math
from statistics import NormalDist

from audit.core.measurements import Interval

_NORMAL = NormalDist()


def normal_quantile(probability: float) -> float:
    """Return the quantile of the standard normal distribution.

    >>> round(normal_quantile(0.975), 3)
    1.96
    """
    return _NORMAL.inv_cdf(probability)


def _check(successes: int, n: int) -> None:
    if n < 1 or not 0 <= successes <= n:
        raise ValueError(f"{successes} successes in {n} trials is not a proportion")


def lower_bound(successes: int, n: int, confidence: float = 0.95) -> float:
    """Return the exact one-sided lower bound of a binomial proportion (Clopper & Pearson, 1934)."""
    _check(successes, n)
    if successes == 0:
        return 0.0
    from scipy import special

    return float(special.betaincinv(successes, n - successes + 1, 1 - confidence))


def upper_bound(successes: int, n: int, confidence: float = 0.95) -> float:
    """Return the exact one-sided upper bound of a binomial proportion (Clopper & Pearson, 1934).

    Nothing seen in n trials still leaves ``1 - (1 - confidence) ** (1 / n)``, about 3 / n.

    >>> round(upper_bound(0, 100), 4)
    0.0295
    """
    _check(successes, n)
    if successes == n:
        return 1.0
    from scipy import special

    return float(special.betaincinv(successes + 1, n - successes, confidence))


def clopper_pearson(successes: int, n: int, level: float = 0.95) -> Interval:
    """Return the exact interval of a binomial proportion (Clopper & Pearson, 1934).

    It covers at least as often as it says, whatever n: use it for a guarantee.
    """
    each = (1 + level) / 2
    return Interval(
        lower_bound(successes, n, each), upper_bound(successes, n, each), level, "Clopper-Pearson (exact)"
    )


def exact_interval(successes: float, n: float, level: float = 0.95) -> tuple[float, float]:
    """Return Clopper and Pearson's bounds for counts that need not be whole, such as effective numbers of trials."""
    from scipy import special

    if not (n > 0 and 0 <= successes <= n):
        raise ValueError(f"{successes} successes in {n} trials is not a proportion")
    each = (1 - level) / 2
    low = 0.0 if successes <= 0 else float(special.betaincinv(successes, n - successes + 1, each))
    high = 1.0 if successes >= n else float(special.betaincinv(successes + 1, n - successes, 1 - each))
    return low, high


def wilson_bounds(successes: float, n: float, z: float) -> tuple[float, float]:
    """Return Wilson's score bounds at z standard errors; counts need not be whole."""
    p = successes / n
    centre = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    low = 0.0 if successes == 0 else max(0.0, centre - half)
    high = 1.0 if successes == n else min(1.0, centre + half)
    return low, high


def wilson(successes: int, n: int, level: float = 0.95) -> Interval:
    """Return the score interval of a binomial proportion (Wilson, 1927).

    Its coverage is right on average over p and dips below the level for some p: use it for display.
    """
    _check(successes, n)
    low, high = wilson_bounds(successes, n, normal_quantile((1 + level) / 2))
    return Interval(low, high, level, "Wilson score")


def newcombe_difference(a: int, n_a: int, b: int, n_b: int, level: float = 0.95) -> Interval:
    """Return an interval for ``a/n_a - b/n_b`` of independent samples (Newcombe, 1998, method 10)."""
    _check(a, n_a)
    _check(b, n_b)
    z = normal_quantile((1 + level) / 2)
    (low_a, high_a), (low_b, high_b) = wilson_bounds(a, n_a, z), wilson_bounds(b, n_b, z)
    p, q = a / n_a, b / n_b
    low = p - q - math.hypot(p - low_a, high_b - q)
    high = p - q + math.hypot(high_a - p, q - low_b)
    return Interval(max(-1.0, low), min(1.0, high), level, "Newcombe hybrid score")


def scaled_difference(
    a: int, n_a: int, b: int, n_b: int, factor: float, level: float = 0.95
) -> tuple[float, Interval]:
    """Return ``a/n_a - factor * b/n_b`` and an interval for it: Newcombe's, recovered for a multiple (Zou & Donner, 2008).

    For a rate that grows with the size of what is searched, compared with one found in something of another size.
    """
    _check(a, n_a)
    _check(b, n_b)
    if factor < 0:
        raise ValueError(f"a factor is not negative, {factor} is")
    z = normal_quantile((1 + level) / 2)
    (low_a, high_a), (low_b, high_b) = wilson_bounds(a, n_a, z), wilson_bounds(b, n_b, z)
    p, q = a / n_a, b / n_b
    value = p - factor * q
    low = value - math.hypot(p - low_a, factor * (high_b - q))
    high = value + math.hypot(high_a - p, factor * (q - low_b))
    return value, Interval(low, min(1.0, high), level, "Newcombe hybrid score, one rate scaled")


def excess_p_value(a: int, b: int, factor: float) -> float:
    """Return the exact one-sided p-value that ``a`` hits are no more than ``factor`` times the rate that gave ``b``.

    Given how many there are in all, ``a`` is then binomial. Without any hit it is 1.

    >>> excess_p_value(5, 0, 1.0), excess_p_value(0, 0, 1.0)
    (0.03125, 1.0)
    """
    from scipy import stats

    return float(stats.binomtest(a, a + b, factor / (1 + factor), "greater").pvalue) if a + b else 1.0


def newcombe_paired(both: int, only_a: int, only_b: int, neither: int, level: float = 0.95) -> Interval:
    """Return an interval for the difference of two proportions of the same units (Newcombe, 1998, paired method 10).

    The four counts are the cells of the paired table. The correlation between
    the two answers is corrected for continuity when positive, as published.
    """
    n = both + only_a + only_b + neither
    if n < 1 or min(both, only_a, only_b, neither) < 0:
        raise ValueError("a paired table needs non-negative counts and at least one unit")
    z = normal_quantile((1 + level) / 2)
    a, b = both + only_a, both + only_b
    (low_a, high_a), (low_b, high_b) = wilson_bounds(a, n, z), wilson_bounds(b, n, z)
    p, q = a / n, b / n
    phi = _phi(both, only_a, only_b, neither)
    below, above = (p - low_a, high_b - q), (high_a - p, q - low_b)
    low = p - q - math.sqrt(max(0.0, below[0] ** 2 - 2 * phi * below[0] * below[1] + below[1] ** 2))
    high = p - q + math.sqrt(max(0.0, above[0] ** 2 - 2 * phi * above[0] * above[1] + above[1] ** 2))
    return Interval(max(-1.0, low), min(1.0, high), level, "Newcombe hybrid score (paired)")


def _phi(both: int, only_a: int, only_b: int, neither: int) -> float:
    n = both + only_a + only_b + neither
    margins = (both + only_a) * (only_b + neither) * (both + only_b) * (only_a + neither)
    if margins == 0:
        return 0.0
    product = both * neither - only_a * only_b
    corrected = max(product - n / 2, 0.0) if product > 0 else float(product)
    return corrected / math.sqrt(margins)


def mcnemar(only_a: int, only_b: int) -> float:
    """Return the exact two-sided p-value that two answers on the same units are right equally often (McNemar, 1947).

    >>> round(mcnemar(1, 9), 4)
    0.0215
    """
    n = only_a + only_b
    tail = sum(math.comb(n, k) for k in range(min(only_a, only_b) + 1))
    return min(1.0, float(2 * tail / 2**n))


def trials_to_see(prevalence: float, confidence: float = 0.95) -> int:
    """Return how many trials show at least one event of this prevalence with this confidence.

    >>> trials_to_see(0.01), trials_to_see(0.001)
    (299, 2995)
    """
    if not 0 < prevalence < 1:
        raise ValueError(f"a prevalence lies between 0 and 1, not {prevalence}")
    return math.ceil(math.log(1 - confidence) / math.log1p(-prevalence))
