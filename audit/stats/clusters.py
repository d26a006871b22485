"""Uncertainty of means and other statistics when examples come in clusters."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from audit.core.errors import UndefinedError
from audit.core.measurements import Interval

Floats = NDArray[np.float64]


def _t_quantile(probability: float, degrees: float) -> float:
    from scipy import special

    return float(special.stdtrit(degrees, probability))


def _values(values: ArrayLike) -> Floats:
    numbers = np.asarray(values, dtype=np.float64)
    if numbers.ndim != 1 or numbers.size == 0:
        raise UndefinedError("there are no values to average")
    return numbers


def _cluster_sums(residuals: Floats, clusters: ArrayLike) -> Floats:
    _, which = np.unique(np.asarray(clusters), return_inverse=True)
    return np.asarray(np.bincount(which, weights=residuals), dtype=np.float64)


def clustered_mean(values: ArrayLike, clusters: ArrayLike, level: float = 0.95) -> tuple[float, Interval]:
    """Return the mean of values that come in clusters, and its interval.

    ``SE^2 = G/(G-1) sum_g (sum of residuals in g)^2 / n^2``, Student's t with
    G - 1 degrees of freedom (Liang & Zeger 1986; Miller 2024). Assumes many clusters of
    like size: below about 40, or with one dominant cluster, it is too narrow.
    """
    numbers = _values(values)
    mean = float(numbers.mean())
    sums = _cluster_sums(numbers - mean, clusters)
    g = len(sums)
    if g < 2:
        raise UndefinedError("an interval over clusters needs two clusters")
    se = math.sqrt(g / (g - 1) * float((sums**2).sum())) / len(numbers)
    half = _t_quantile((1 + level) / 2, g - 1) * se
    return mean, Interval(mean - half, mean + half, level, f"cluster-robust t, {g} clusters")


def crossed_mean(
    values: ArrayLike, rows: ArrayLike, columns: ArrayLike, level: float = 0.95
) -> tuple[float, Interval]:
    """Return the mean of values in two crossed groupings (names x templates), and its interval.

    ``V = V_rows + V_columns - V_cells`` (Cameron, Gelbach & Miller, 2011), each with its own G/(G-1);
    where that falls below the larger of the first two, the larger is used.
    Student's t with one fewer degree of freedom than the smaller number of groups:
    ten names in a thousand templates are ten names.
    """
    numbers = _values(values)
    mean = float(numbers.mean())
    residuals = numbers - mean
    _, row = np.unique(np.asarray(rows), return_inverse=True)
    _, column = np.unique(np.asarray(columns), return_inverse=True)
    groups = (int(row.max()) + 1, int(column.max()) + 1)
    if min(groups) < 2:
        raise UndefinedError("a crossed interval needs two groups either way")

    def variance(labels: NDArray[np.intp]) -> float:
        sums = _cluster_sums(residuals, labels)
        return len(sums) / (len(sums) - 1) * float((sums**2).sum()) / len(numbers) ** 2

    by_row, by_column = variance(row), variance(column)
    total = max(by_row + by_column - variance(row * groups[1] + column), by_row, by_column)
    half = _t_quantile((1 + level) / 2, min(groups) - 1) * math.sqrt(total)
    method = f"two-way cluster-robust t, {groups[0]} x {groups[1]} groups"
    return mean, Interval(mean - half, mean + half, level, method)


def resamples(units: int, draws: int, rng: np.random.Generator) -> NDArray[np.intp]:
    """Return which units each bootstrap draw holds, shape (draws, units): whole clusters, with replacement."""
    return rng.integers(0, units, size=(draws, units), dtype=np.intp)


def shuffles(units: int, draws: int, rng: np.random.Generator) -> NDArray[np.intp]:
    """Return random orders of the units, shape (draws, units)."""
    return rng.permuted(np.tile(np.arange(units, dtype=np.intp), (draws, 1)), axis=1)


def percentile_interval(draws: ArrayLike, units: int, level: float = 0.95) -> Interval:
    """Return the expanded percentile interval of bootstrap draws over ``units`` clusters (Hesterberg, 2015).

    The plain percentile interval is too narrow by about sqrt((n-1)/n) and z
    instead of t; the tails are widened to make that good. Draws that have no value (NaN) are left
    out; more than one in twenty of them is an error. Not for maxima or nearest neighbours.
    """
    values = np.asarray(draws, dtype=np.float64)
    kept = values[np.isfinite(values)]
    if units < 2 or kept.size < 100 or kept.size < 0.95 * values.size:
        raise UndefinedError(f"{kept.size} of {values.size} bootstrap draws over {units} units have a value")
    z = math.sqrt(units / (units - 1)) * _t_quantile((1 + level) / 2, units - 1)
    tail = 0.5 * math.erfc(z / math.sqrt(2))
    low, high = np.quantile(kept, [tail, 1 - tail])
    return Interval(float(low), float(high), level, f"cluster bootstrap, {units} clusters")
