"""Slopes and rank correlations of two quantities, for one sample or many resamples at once."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from audit.stats.proportions import normal_quantile
from audit.stats.ranking import midranks

Floats = NDArray[np.float64]


def _pair(x: ArrayLike, y: ArrayLike) -> tuple[Floats, Floats]:
    a, b = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    a, b = np.broadcast_arrays(a, b)
    if a.shape[-1] < 3:
        raise ValueError(f"a relation needs three units, not {a.shape[-1]}")
    return a - a.mean(axis=-1, keepdims=True), b - b.mean(axis=-1, keepdims=True)


def slopes(x: ArrayLike, y: ArrayLike) -> Floats:
    """Return the least-squares slope of y on x along the last axis; NaN where x does not vary.

    >>> float(slopes([0, 1, 2], [1, 3, 5]))
    2.0
    """
    a, b = _pair(x, y)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray((a * b).sum(axis=-1) / (a * a).sum(axis=-1))


def correlations(x: ArrayLike, y: ArrayLike) -> Floats:
    """Return Pearson's correlation along the last axis; NaN where either does not vary."""
    a, b = _pair(x, y)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray((a * b).sum(axis=-1) / np.sqrt((a * a).sum(axis=-1) * (b * b).sum(axis=-1)))


def rank_correlations(x: ArrayLike, y: ArrayLike) -> Floats:
    """Return Spearman's correlation along the last axis, ties sharing their mean rank; NaN where either is constant.

    >>> float(rank_correlations([1, 2, 3, 4], [10, 100, 1000, 10000]))
    1.0
    """
    return correlations(_ranked(x), _ranked(y))


def _ranked(values: ArrayLike) -> Floats:
    numbers = np.asarray(values, dtype=np.float64)
    flat = numbers.reshape(-1, numbers.shape[-1])
    return np.stack([midranks(row) for row in flat]).reshape(numbers.shape)


def detectable_correlation(units: int, level: float = 0.95, power: float = 0.8) -> float:
    """Return the smallest correlation that a two-sided test would find with this power (Fisher's z).

    >>> round(detectable_correlation(60), 2)
    0.35
    """
    if units < 4:
        return 1.0
    return math.tanh((normal_quantile((1 + level) / 2) + normal_quantile(power)) / math.sqrt(units - 3))
