"""The interval of a number at another level than it was made at, and the level at which it stops leaving a bound out.

Criteria of one family are judged at levels that depend on each other, and all that is kept of a number is its value, n, one
interval and that interval's method. For a share the method says what to do (Clopper and Pearson, Wilson); for a t interval
it names the degrees of freedom; any other is taken as normal on each side of the value, with that side's own width. The
last is exact for normal intervals and rough for others: an asymmetric bootstrap interval keeps its skew, not its tail.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable

from audit.core.measurements import Interval
from audit.stats.proportions import exact_interval, normal_quantile, wilson_bounds

_SURE = 1e-12
"""Levels are looked for up to 1 - this."""
_DEGREES = re.compile(r"([\d.e+]+) degrees of freedom")
_CLOSE = 1e-6

Bounds = tuple[float, float]


def at_level(value: float, interval: Interval, n: int, level: float) -> Interval:
    """Return the interval at another level; ``n`` is how many units ``value`` rests on.

    >>> found = at_level(0.0, Interval(0.0, 0.0362, 0.95, "Clopper-Pearson (exact)"), 100, 0.99)
    >>> round(found.high, 3)
    0.052
    """
    if level == interval.level:
        return interval
    low, high = _ends(value, interval, n)(level)
    return Interval(low, high, level, interval.method)


def p_value_against(value: float, interval: Interval, n: int, bound: float) -> float:
    """Return 1 minus the greatest level at which the interval leaves ``bound`` out: a two-sided p-value of ``value = bound``.

    An end that is the bound itself counts as leaving it out. 1.0 where no level does, and where the bound is the value.

    >>> round(p_value_against(3.0, Interval(1.04, 4.96, 0.95, "z"), 10, 0.0), 4)
    0.0027
    """
    ends, side = _ends(value, interval, n), 0 if bound < value else 1
    if bound == value:
        return 1.0

    def out(p: float) -> bool:
        end = ends(1 - p)[side]
        return end >= bound if side == 0 else end <= bound

    if out(_SURE):
        return 0.0
    low, high = math.log(_SURE), math.log(1 - _SURE)
    if not out(math.exp(high)):
        return 1.0
    for _ in range(60):  # the interval grows with its level
        middle = (low + high) / 2
        low, high = (low, middle) if out(math.exp(middle)) else (middle, high)
    return math.exp(high)


def _ends(value: float, interval: Interval, n: int) -> Callable[[float], Bounds]:
    """Return what gives the ends of the interval at a level, by its method."""
    share = _share(value, interval, n) if 0 <= value <= 1 else None
    if share is not None:
        return share
    quantile = _quantile(interval.method, n)
    centre = value if interval.low <= value <= interval.high else (interval.low + interval.high) / 2
    below, above = centre - interval.low, interval.high - centre
    whole = quantile(interval.level)

    def ends(level: float) -> Bounds:
        scale = quantile(level) / whole
        return centre - below * scale, centre + above * scale

    return ends


def _quantile(method: str, n: int) -> Callable[[float], float]:
    """Return how many standard errors an interval of a level reaches, by what its method says of degrees of freedom."""
    said = _DEGREES.search(method)
    degrees = float(said[1]) if said else n - 1.0 if method.startswith("Student's t") and n > 1 else math.inf
    if math.isinf(degrees):
        return lambda level: normal_quantile((1 + level) / 2)
    from scipy import special

    return lambda level: float(special.stdtrit(degrees, (1 + level) / 2))


def _share(value: float, interval: Interval, n: int) -> Callable[[float], Bounds] | None:
    """Return the ends of a share's interval at a level; None for other methods, and where it is not that method's plain interval.

    Clusters make n smaller than it looks, so the number of trials is the one that gives the interval as it is.
    """
    exact, wilson = (interval.method.startswith(name) for name in ("Clopper-Pearson", "Wilson"))
    if not exact and not wilson:
        return None

    def of(trials: float, level: float) -> Bounds:
        if exact:
            return exact_interval(value * trials, trials, level)
        return wilson_bounds(value * trials, trials, normal_quantile((1 + level) / 2))

    width = interval.high - interval.low

    def fits(trials: float) -> bool:
        low, high = of(trials, interval.level)
        return abs(low - interval.low) + abs(high - interval.high) <= _CLOSE

    if n > 0 and fits(n):
        return lambda level: of(n, level)
    few, many = math.log(0.5), math.log(1e12)
    for _ in range(80):  # more trials, a narrower interval
        middle = (few + many) / 2
        low, high = of(math.exp(middle), interval.level)
        few, many = (middle, many) if high - low > width else (few, middle)
    trials = math.exp((few + many) / 2)
    return (lambda level: of(trials, level)) if fits(trials) else None
