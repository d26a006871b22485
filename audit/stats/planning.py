"""How many units would decide, and what so many rows can find.

A run that ends INCONCLUSIVE says how many rows would have settled the question, by the very interval it would be
settled with, and never more rows than there are. A run that ends PASS says what it would have missed.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

from audit.core.measurements import Interval
from audit.stats.proportions import exact_interval, normal_quantile, upper_bound, wilson_bounds
from audit.stats.ranking import RocAreas, area_interval

MOST = 10**9
"""No question is said to need more rows than this."""


@dataclass(frozen=True, slots=True)
class Needed:
    """How many units would decide if the estimate stayed as it is.

    ``n`` is that number, or the rows there are where those do not suffice: then ``decides`` is False and ``wanted``
    says how many would (None where no number would, because the estimate is the bound). ``at_the_end`` says that the estimate
    ends its own interval, as a count of nothing does: then more units do decide, and how many the interval does not tell.
    """

    n: int
    decides: bool
    wanted: int | None
    at_the_end: bool = False

    def sentence(self) -> str:
        """Return what to tell a reader.

        >>> Needed(300, False, 4200).sentence()
        'All 300 units there are would not decide; at this estimate it takes about 4,200.'
        """
        if self.decides:
            return f"At this estimate {self.n:,} units would decide."
        if self.wanted is None and self.at_the_end:
            return "The estimate is the bound itself: more units decide once the interval holds nothing else; how many, it does not tell."
        if self.wanted is None:
            return "The estimate is the bound itself: no number of units would decide."
        return f"All {self.n:,} units there are would not decide; at this estimate it takes about {self.wanted:,}."


def _capped(wanted: int | None, available: int | None) -> Needed:
    if wanted is None:
        return Needed(available or 0, False, None)
    if available is not None and wanted > available:
        return Needed(available, False, wanted)
    return Needed(wanted, True, wanted)


def _least(decides: Callable[[int], bool], start: int) -> int | None:
    """Return the smallest n that decides, taking it that every larger one does too."""
    high = max(start, 2)
    while not decides(high):
        if high >= MOST:
            return None
        high *= 2
    low = high // 2 if high > max(start, 2) else 1
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if decides(middle) else (middle, high)
    return high


def rows_for_rate(
    rate: float, bound: float, available: int | None = None, level: float = 0.95, *, exact: bool = True
) -> Needed:
    """Return how many trials put the interval of a proportion on one side of ``bound``, should its estimate stay ``rate``.

    By Clopper and Pearson (``exact``) or Wilson, whichever the proportion is reported with.

    >>> rows_for_rate(0.0, 0.05).n
    72
    """
    if not (0 <= rate <= 1 and 0 <= bound <= 1):
        raise ValueError(f"a rate and its bound lie between 0 and 1, not {rate} and {bound}")
    z = normal_quantile((1 + level) / 2)

    def decides(n: int) -> bool:
        low, high = exact_interval(rate * n, n, level) if exact else wilson_bounds(rate * n, n, z)
        return high <= bound or low > bound

    return _capped(None if rate == bound else _least(decides, 2), available)


def rows_for_mean(
    value: float, spread: float, bound: float, available: int | None = None, level: float = 0.95
) -> Needed:
    """Return how many independent values (or clusters) put the t interval of a mean on one side of ``bound``.

    ``spread`` is the standard deviation of one value, or standard error times sqrt(n) of what was measured.
    """
    from scipy import special

    if spread < 0:
        raise ValueError(f"a standard deviation is not negative, as {spread} is")
    gap = abs(value - bound)

    def decides(n: int) -> bool:
        return float(special.stdtrit(n - 1, (1 + level) / 2)) * spread / math.sqrt(n) <= gap

    return _capped(None if gap == 0 else _least(decides, 2), available)


def rows_for_area(areas: RocAreas, bound: float, available: int | None = None, level: float = 0.95) -> Needed:
    """Return how many examples, both classes together in the shares they have, put the interval of an AUC on one side.

    The covariance is DeLong's, which falls with 1/n; small classes are judged by the score interval, as reported.
    """
    value = float(areas.values[0])
    total = areas.positives + areas.negatives

    def decides(n: int) -> bool:
        scale = n / total
        m, k = max(2, round(areas.positives * scale)), max(2, round(areas.negatives * scale))
        interval = area_interval(RocAreas(areas.values, areas.covariance / scale, m, k), 0, level)
        return interval.high <= bound or interval.low > bound

    return _capped(None if value == bound else _least(decides, 4), available)


def rows_for_interval(
    value: float, interval: Interval, n: int, bound: float, available: int | None = None
) -> Needed:
    """Return how many units would decide when all that is known is an interval from n: its sides shrink with 1 / sqrt(n).

    The side that faces the bound counts. A rough answer for skewed or bounded intervals; where the method is
    known, use its own function (0 of 400 against a bound of .05 is decided; 0 of 20 takes 72, not 400).
    """
    if n < 1:
        raise ValueError(f"an interval comes from at least one row, not {n}")
    gap = abs(value - bound)
    side = interval.high - value if bound > value else value - interval.low
    if gap == 0:
        return replace(_capped(None, available), at_the_end=value in (interval.low, interval.high))
    return _capped(min(MOST, max(2, math.ceil(n * (side / gap) ** 2))), available)


def design_effect(cluster_size: float, correlation: float) -> float:
    """Return by how much clusters multiply the rows needed: ``1 + (m - 1) rho`` (Kish, 1965).

    >>> design_effect(5, 0.25)
    2.0
    """
    return 1 + (cluster_size - 1) * correlation


def _standard(level: float, power: float) -> float:
    return normal_quantile((1 + level) / 2) + normal_quantile(power)


def detectable_difference(
    n: float, m: float, spread: float, level: float = 0.95, power: float = 0.8
) -> float:
    """Return the smallest difference of two means that samples of n and m find with this power; divide n and m by
    the design effect where rows come in clusters. For shares, ``spread`` is ``sqrt(p (1 - p))``.

    >>> round(detectable_difference(100, 100, 0.5), 3), round(detectable_difference(1000, 1000, 0.5), 3)
    (0.198, 0.063)
    """
    return _standard(level, power) * spread * math.sqrt(1 / n + 1 / m)


def detectable_mean(n: float, spread: float, level: float = 0.95, power: float = 0.8) -> float:
    """Return the smallest departure of a mean (of paired differences, say) that n values find with this power.

    >>> round(detectable_mean(200, 1.0), 3)
    0.198
    """
    return _standard(level, power) * spread / math.sqrt(n)


def rows_for_difference(difference: float, spread: float, level: float = 0.95, power: float = 0.8) -> int:
    """Return how many rows in each of two groups find this difference of means with this power.

    >>> rows_for_difference(0.2, 0.5)
    99
    """
    if difference == 0:
        raise ValueError("no number of rows finds a difference of nothing")
    return math.ceil(2 * (_standard(level, power) * spread / difference) ** 2)


def rows_for_share(share: float, level: float = 0.95, power: float = 0.8) -> int:
    """Return how many pairs tell this share of one outcome from one half (sign test), with this power.

    >>> rows_for_share(0.55), rows_for_share(0.6), rows_for_share(0.65)
    (785, 197, 88)
    """
    if share == 0.5:
        raise ValueError("no number of rows tells one half from itself")
    return math.ceil(_standard(level, power) ** 2 * 0.25 / (share - 0.5) ** 2)


def rows_for_half_width(half: float, spread: float = 0.5, level: float = 0.95) -> int:
    """Return how many rows bring the normal interval of a mean or share to ``± half``.

    >>> rows_for_half_width(0.05)
    385
    """
    return math.ceil((normal_quantile((1 + level) / 2) * spread / half) ** 2)


def power_of_difference(difference: float, error: float, level: float = 0.95) -> float:
    """Return the chance that a two-sided z test finds a true difference estimated with this standard error.

    >>> round(power_of_difference(2.8, 1.0), 2)
    0.8
    """
    z = normal_quantile((1 + level) / 2)
    return (
        math.erfc((z - abs(difference) / error) / math.sqrt(2)) / 2
        + math.erfc((z + abs(difference) / error) / math.sqrt(2)) / 2
    )


def rule_of_three(n: int, confidence: float = 0.95) -> float:
    """Return the greatest rate that n trials without an event leave open, about 3 / n.

    >>> round(rule_of_three(3000), 5), round(3 / 3000, 5)
    (0.001, 0.001)
    """
    return upper_bound(0, n, confidence)


def least_sensitivity(n: int, confidence: float = 0.95) -> float:
    """Return the sensitivity proven by n planted positives that were all found.

    >>> [round(least_sensitivity(n), 3) for n in (10, 20, 30, 60)]
    [0.741, 0.861, 0.905, 0.951]
    """
    return float((1 - confidence) ** (1 / n))
