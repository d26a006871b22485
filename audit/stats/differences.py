"""The interval of a difference, from the intervals of what is subtracted."""

from __future__ import annotations

import math

from audit.core.measurements import Interval

METHOD = "MOVER (Zou and Donner 2008)"


def difference_interval(
    first: float, first_interval: Interval, second: float, second_interval: Interval
) -> Interval:
    """Return an interval for ``second - first`` of two independent estimates.

    The method of variance estimates recovery: each side's distance from its
    estimate to its own bound stands in for z times the standard error on that
    side, so asymmetric intervals are respected. Zou and Donner 2008, eq. 3.
    Assumes that the two estimates are independent and have the same level;
    estimates made from shared random numbers correlate positively, and the
    interval is then wider than it need be.

    >>> a, b = Interval(-1.0, 1.0, 0.95, "z"), Interval(2.0, 4.0, 0.95, "z")
    >>> found = difference_interval(0.0, a, 3.0, b)
    >>> round(found.low, 3), round(found.high, 3)
    (1.586, 4.414)
    """
    if first_interval.level != second_interval.level:
        raise ValueError(f"levels differ: {first_interval.level} and {second_interval.level}")
    estimate = second - first
    low = estimate - math.hypot(second - second_interval.low, first_interval.high - first)
    high = estimate + math.hypot(second_interval.high - second, first - first_interval.low)
    return Interval(low, high, first_interval.level, METHOD)
