"""Uncertainty of statistics that are not smooth, from random halves of the sample: the delete-half jackknife.

A bootstrap draws rows twice, and a statistic of nearest neighbours then sees distances of 0 that no sample has:
precision falls from .885 to .819 by resampling alone. A half drawn without replacement is a sample like any other. The
variance of the statistic over halves, given the data, is that of the whole (Shao & Wu 1989: deleting d of n
leaves (1 - d / n) of the variance at d rows; at d = n / 2 both factors cancel), smooth or not.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from audit.core.errors import UndefinedError
from audit.core.measurements import Interval
from audit.stats.proportions import normal_quantile, wilson_bounds

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

DRAWS = 40
"""Random halvings; each gives two values, and a standard error then varies by about 8 %."""


def halves(units: int, rng: np.random.Generator, clusters: ArrayLike | None = None) -> Flags:
    """Return which units are in a random half, shape (units,); with clusters, half of the clusters, whole."""
    if clusters is None:
        chosen = np.zeros(units, dtype=np.bool_)
        chosen[rng.permutation(units)[: units // 2]] = True
        return chosen
    _, which = np.unique(np.asarray(clusters), return_inverse=True)
    if which.shape != (units,):
        raise ValueError(f"{units} units and clusters of shape {which.shape}")
    return halves(int(which.max()) + 1, rng)[which]


def halving_errors(
    statistic: Callable[[Sequence[Flags]], ArrayLike],
    sizes: Sequence[int],
    rng: np.random.Generator,
    draws: int = DRAWS,
    clusters: Sequence[ArrayLike | None] | None = None,
) -> Floats:
    """Return standard errors of a statistic of one or more samples, shape (values,).

    ``statistic`` is given which rows of each sample to use and returns its values for them. Both halves of
    each halving are used. For statistics that change with n in a way of their own (a nearest-neighbour radius
    does, slowly: what the values are is of half the rows, only their spread is used). Raises UndefinedError below
    twenty rows in a sample, or when a value is not finite in more than one half of twenty.
    """
    if min(sizes) < 20:
        raise UndefinedError(f"halves say nothing of {min(sizes)} rows; it takes 20")
    groups = list(clusters) if clusters is not None else [None] * len(sizes)
    found = []
    for _ in range(draws):
        chosen = [halves(n, rng, group) for n, group in zip(sizes, groups, strict=True)]
        found.append(np.asarray(statistic(chosen), dtype=np.float64))
        found.append(np.asarray(statistic([~half for half in chosen]), dtype=np.float64))
    values = np.stack(found)
    missing = ~np.isfinite(values)
    if (missing.mean(axis=0) > 0.05).any():
        raise UndefinedError("the statistic has no value in some half of the sample")
    return np.asarray(np.nanstd(np.where(missing, np.nan, values), axis=0, ddof=1))


def halving_interval(value: float, error: float, level: float = 0.95) -> Interval:
    """Return ``value ± z SE`` of a statistic without bounds."""
    reach = normal_quantile((1 + level) / 2) * error
    return Interval(value - reach, value + reach, level, "delete-half jackknife")


def share_interval(share: float, error: float, n: int, level: float = 0.95) -> Interval:
    """Return the interval of a share of n rows whose standard error is known, safe near 0 and 1.

    Wilson's at the effective number of rows ``share (1 - share) / SE^2``, n at most and where the error is 0: a
    precision of .999 with a normal interval covered .80.
    """
    effective = share * (1 - share) / error**2 if error > 0 and 0 < share < 1 else float(n)
    effective = min(effective, float(n)) if math.isfinite(effective) else float(n)
    low, high = wilson_bounds(share * effective, effective, normal_quantile((1 + level) / 2))
    return Interval(min(low, share), max(high, share), level, "delete-half jackknife, Wilson")
