"""Intervals of means over templates, within their bounds."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from audit.core.errors import UndefinedError
from audit.core.measurements import Interval, Unquantified
from audit.stats.clusters import clustered_mean
from audit.stats.proportions import upper_bound

Floats = NDArray[np.float64]


def mean_within(
    values: Floats, clusters: NDArray[np.generic], level: float, lowest: float = 0.0, highest: float = 1.0
) -> tuple[float, Interval | Unquantified]:
    """Return a mean over clusters with an interval within bounds; where all are the same, what as many clusters can show."""
    try:
        value, interval = clustered_mean(values, clusters, level)
    except UndefinedError as error:
        return float(values.mean()), Unquantified(str(error))
    if interval.high - interval.low > 1e-12:
        return value, held_within(interval, lowest, highest)
    clusters_ = len(np.unique(clusters))
    other = upper_bound(0, clusters_, level)
    low, high = value - other * (value - lowest), value + other * (highest - value)
    return value, Interval(
        min(low, value),
        max(high, value),
        level,
        f"Clopper-Pearson bound of unlike ones, {clusters_} templates",
    )


def held_within(interval: Interval, lowest: float, highest: float = 1.0) -> Interval:
    low, high = (float(np.clip(end, lowest, highest)) for end in (interval.low, interval.high))
    return replace(interval, low=low, high=high)
