"""Numbers over items of which some could not be graded: bounded by the worst and the best that those could be.

Leaving an item out is a choice of what is judged: an answer that cannot be read is rarely one at random. What is known of such
items is only that each lies between the lowest and the highest grade, so the number lies between the two ends that
this gives (Manski 2003, Partial Identification of Probability Distributions, ch. 1), and its interval reaches over both.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from audit.core.measurements import Interval, Unquantified
from audit.stats.proportions import clopper_pearson, wilson

Floats = NDArray[np.float64]
EITHER_WAY = "; ungraded either way"


def rate_with_ungraded(
    successes: int,
    graded: int,
    ungraded: int,
    level: float = 0.95,
    *,
    exact: bool = True,
) -> tuple[float, float, Interval]:
    """Return the lowest and the highest that a share can be, and the interval that reaches over both.

    Of ``graded`` items ``successes`` are successes; ``ungraded`` more were asked for and nobody knows. By Clopper and Pearson
    (``exact``) or Wilson.

    >>> low, high, between = rate_with_ungraded(8, 10, 2)
    >>> round(low, 3), round(high, 3), round(between.low, 3), round(between.high, 3)
    (0.667, 0.833, 0.349, 0.979)
    """
    total, interval = graded + ungraded, clopper_pearson if exact else wilson
    worst, best = interval(successes, total, level), interval(successes + ungraded, total, level)
    reached = reaching(worst, best) if ungraded else worst
    assert isinstance(reached, Interval), "both ends have an interval"
    return successes / total, (successes + ungraded) / total, reached


def reaching(interval: Interval | Unquantified, *ends: Interval | Unquantified) -> Interval | Unquantified:
    """Return an interval that reaches over several: where all ungraded items go one way, and where all go the other.

    Without one of them there is no interval: nobody knows how far it would reach.
    """
    found = [interval, *ends]
    if lacking := [end for end in found if isinstance(end, Unquantified)]:
        return lacking[0]
    known = [end for end in found if isinstance(end, Interval)]
    low, high = min(e.low for e in known), max(e.high for e in known)
    return Interval(low, high, known[0].level, known[0].method + EITHER_WAY)


def mean_ends(
    low: Floats, high: Floats, share: float, lowest: float = 0.0, highest: float = 1.0
) -> tuple[Floats, Floats]:
    """Return the ends of means over all items from those over the graded ones, where a ``share`` of items has no grade.

    Any shape; grades lie between ``lowest`` and ``highest``.
    """
    graded = 1 - share
    return low * graded + lowest * share, high * graded + highest * share


def gap_ends(interval: Interval, shares: Sequence[float], width: float = 1.0) -> Interval:
    """Return the interval of a gap between means, or of a distance from 0 to ``width``, that reaches over what is ungraded.

    ``shares`` are those without a grade in each of the groups, ``width`` is the highest grade minus the lowest. A mean moves by its
    share times the width at most, a gap by the two largest of them.

    >>> gap_ends(Interval(0.2, 0.3, 0.95, "t"), (0.05, 0.0, 0.02)).low
    0.13
    """
    reach = width * float(sum(sorted(shares, reverse=True)[:2]))
    if not reach:
        return interval
    low, high = max(interval.low - reach, 0.0), min(interval.high + reach, width)
    return replace(
        interval,
        low=min(low, interval.low),
        high=max(high, interval.high),
        method=interval.method + EITHER_WAY,
    )


def ungraded_note(ungraded: int, total: int, what: str = "items") -> str:
    """Return the sentence that a reader needs beside such a number.

    >>> ungraded_note(2, 12)
    '2 of 12 items could not be graded; the interval reaches from all of them at their worst to all at their best.'
    """
    return (
        f"{ungraded:,} of {total:,} {what} could not be graded; the interval reaches from all of them at their worst "
        "to all at their best."
    )
