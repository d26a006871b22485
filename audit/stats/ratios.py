"""Ratios of two sums over documents, with the uncertainty of both."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from audit.core.errors import UndefinedError
from audit.core.measurements import Interval

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Ratio:
    """A ratio of sums, its standard error, and how many units of equal size would weigh as much.

    ``effective`` is ``(sum B)^2 / sum B^2`` (Kish, 1965): far below ``units`` when a few long units dominate.
    """

    value: float
    standard_error: float
    units: int
    effective: float

    def interval(self, level: float = 0.95) -> Interval:
        """Return the interval of the ratio: Student's t with units - 1 degrees of freedom."""
        half = self.reach(level)
        return Interval(
            self.value - half, self.value + half, level, f"linearised ratio of sums, t, {self.units} units"
        )

    def exponential(self, level: float = 0.95) -> Interval:
        """Return the interval of exp(ratio): the ends of the ratio's own, transformed."""
        half = self.reach(level)
        low, high = math.exp(self.value - half), math.exp(self.value + half)
        return Interval(low, high, level, f"exponential of a linearised ratio of sums, t, {self.units} units")

    def reach(self, level: float = 0.95) -> float:
        """Return half the width of the interval."""
        from scipy import special

        return float(special.stdtrit(self.units - 1, (1 + level) / 2)) * self.standard_error


def ratio_of_sums(numerators: ArrayLike, denominators: ArrayLike, clusters: ArrayLike | None = None) -> Ratio:
    """Return ``R = sum A / sum B`` over units, and its linearised standard error.

    ``SE^2 = n/(n-1) sum_i (A_i - R B_i)^2 / (sum B)^2``, shapes (n,), B not negative (Cochran, 1977, 2.10). Where
    ``clusters`` names the cluster of each unit, A and B are first summed within clusters, which are then the
    units. Assumes units drawn independently; R is biased by O(1/n), and the interval is too narrow
    when a handful of units holds most of B: look at ``effective``.

    >>> ratio_of_sums([1, 2, 3], [1, 2, 3])
    Ratio(value=1.0, standard_error=0.0, units=3, effective=2.571...)
    """
    A, B = _totals(numerators, clusters), _totals(denominators, clusters)
    if A.shape != B.shape or A.ndim != 1:
        raise ValueError(f"numerators {A.shape} and denominators {B.shape} do not pair up")
    if len(A) < 2:
        raise UndefinedError(f"a ratio's uncertainty needs two units or more, not {len(A)}")
    if not (np.isfinite(A).all() and np.isfinite(B).all()) or (B < 0).any():
        raise ValueError("a ratio of sums needs finite numbers and no negative denominator")
    total = float(B.sum())
    if total == 0.0:
        raise UndefinedError("the denominators add up to nothing")
    value = float(A.sum()) / total
    n = len(A)
    error = math.sqrt(n / (n - 1) * float(((A - value * B) ** 2).sum())) / total
    return Ratio(value, error, n, total**2 / float((B**2).sum()))


def _totals(values: ArrayLike, clusters: ArrayLike | None) -> Floats:
    numbers = np.asarray(values, dtype=np.float64)
    if clusters is None:
        return numbers
    _, which = np.unique(np.asarray(clusters), return_inverse=True)
    return np.asarray(np.bincount(which, weights=numbers), dtype=np.float64)
