"""Means of scores of which some are missing: the estimate from those that are there, and how far the others could move it.

A sample that was not graded is no sample of the same kind that was drawn and lost: a grader fails on hard answers, a sandbox
on long ones. So nothing is assumed of what is missing: the mean lies between that with the least score in its place and
that with the most (Manski, 1990), and the interval reaches from the lower end of the one's to the upper end of the other's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from audit.core.errors import UndefinedError
from audit.core.measurements import Interval, Unquantified
from audit.stats.clusters import clustered_rate
from audit.stats.proportions import clopper_pearson
from audit.stats.ratios import Ratio, ratio_of_sums

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Graded:
    """A mean over ``n`` scores of ``units`` samples, its uncertainty, and the mean with the ``missing`` at either end of the range.

    ``low`` and ``high`` are None where nothing is missing, or where the range of a score is not known.
    """

    value: float
    uncertainty: Interval | Unquantified
    n: int
    units: int
    missing: int
    low: float | None = None
    high: float | None = None


def graded_mean(
    values: ArrayLike,
    units: Sequence[str],
    least: float | None = None,
    most: float | None = None,
    level: float = 0.95,
) -> Graded:
    """Return the mean of scores, shape (n,), NaN where one is missing; ``units`` names the sample of each, (n,).

    Scores that are 0 or 1 get Clopper and Pearson's interval, with clusters where a sample stands more than once; others
    that of ``ratio_of_sums``, within the range. ``least`` and ``most`` are the range of one score; where they are not known and a score
    is missing there is no interval. Raises UndefinedError where no score is there.
    """
    scores = np.asarray(values, dtype=np.float64)
    if scores.shape != (len(units),):
        raise ValueError(f"{len(units)} samples and scores of shape {scores.shape}")
    there = np.isfinite(scores)
    if not there.any():
        raise UndefinedError(f"none of {len(scores):,} samples has a score")
    _, which = np.unique(np.asarray(units, dtype=np.str_), return_inverse=True)
    value, n, missing = float(scores[there].mean()), int(there.sum()), int((~there).sum())
    if not missing:
        return Graded(value, _uncertainty(scores, which, least, most, level), n, int(which.max()) + 1, 0)
    different = len(np.unique(which[there]))
    if least is None or most is None:
        why = f"{missing:,} of {len(scores):,} have no score, and the log does not say between which values a score lies"
        return Graded(value, Unquantified(why), n, different, missing)
    ends = [np.where(there, scores, end) for end in (least, most)]
    low, high = (_uncertainty(end, which, least, most, level) for end in ends)
    bounds = float(ends[0].mean()), float(ends[1].mean())
    found: Interval | Unquantified
    if isinstance(low, Interval) and isinstance(high, Interval):
        method = f"worst to best case of {missing:,} without a score, {low.method}"
        found = Interval(min(low.low, value), max(high.high, value), level, method)
    else:
        found = low if isinstance(low, Unquantified) else high
    return Graded(value, found, n, different, missing, *bounds)


def graded_ratio(
    numerators: ArrayLike,
    denominators: ArrayLike,
    units: Sequence[str],
    *,
    exponential: bool,
    level: float = 0.95,
) -> Graded:
    """Return a ratio of sums over samples, or its exponential, shapes (n,); a sample without a number is NaN in the first.

    Raises UndefinedError below two samples.
    """
    top, bottom = np.asarray(numerators, dtype=np.float64), np.asarray(denominators, dtype=np.float64)
    there = np.isfinite(top)
    _, which = np.unique(np.asarray(units, dtype=np.str_)[there], return_inverse=True)
    n, missing = int(there.sum()), int((~there).sum())
    ratio = ratio_of_sums(top[there], bottom[there], which)
    value = float(np.exp(ratio.value)) if exponential else ratio.value
    if missing:
        why = f"{missing:,} of {len(top):,} have no score, and nothing bounds what it could be"
        return Graded(value, Unquantified(why), n, ratio.units, missing)
    found = ratio.uncertainty(level)
    if exponential and isinstance(found, Interval):
        found = ratio.exponential(level)
    return Graded(value, found, n, ratio.units, 0)


def _uncertainty(
    scores: Floats, which: NDArray[np.intp], least: float | None, most: float | None, level: float
) -> Interval | Unquantified:
    units = int(which.max()) + 1
    if np.isin(scores, (0.0, 1.0)).all():
        if units == len(scores):
            return clopper_pearson(int(scores.sum()), len(scores), level)
        return clustered_rate(scores, which, level)[1]
    if units < 2:
        return Unquantified("one sample; an interval over samples needs more")
    ratio = ratio_of_sums(scores, np.ones(len(scores)), which)
    if ratio.standard_error == 0:
        return Unquantified(
            f"all {units:,} samples have the same score, which does not say how far another would lie from it"
        )
    return _within(ratio, least, most, level)


def _within(ratio: Ratio, least: float | None, most: float | None, level: float) -> Interval | Unquantified:
    found = ratio.uncertainty(level)
    if isinstance(found, Unquantified):
        return found
    low = found.low if least is None else max(found.low, least)
    high = found.high if most is None else min(found.high, most)
    method = f"t over samples, {ratio.degrees:.3g} degrees of freedom, skewness, {ratio.units} samples"
    return Interval(min(low, ratio.value), max(high, ratio.value), level, method)
