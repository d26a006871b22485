"""Statistics of latent vectors: which units vary, and how much a code says about what it is a code of."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from audit.core.errors import UndefinedError
from audit.core.measurements import Interval
from audit.stats.proportions import normal_quantile

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

_BLOCK = 512


@dataclass(frozen=True, slots=True)
class Activity:
    """The variance of each unit over examples with bounds that hold for all units at once: shape (units,).

    ``active`` units have a variance above ``threshold``, ``surely`` those whose lower bound is, ``perhaps`` those whose upper bound is.
    """

    variance: Floats
    low: Floats
    high: Floats
    threshold: float
    examples: int
    level: float

    @property
    def active(self) -> Flags:
        return np.asarray(self.variance > self.threshold)

    @property
    def surely(self) -> Flags:
        return np.asarray(self.low > self.threshold)

    @property
    def perhaps(self) -> Flags:
        return np.asarray(self.high > self.threshold)

    @property
    def share(self) -> float:
        return float(self.active.mean())

    def interval(self) -> Interval:
        """Return the interval of the share of active units: from those that surely are to those that may be."""
        method = f"bounds of {len(self.variance)} variances at once, {self.examples} examples"
        low, high = float(self.surely.mean()), float(self.perhaps.mean())
        return Interval(min(low, self.share), max(high, self.share), self.level, method)


def activity(codes: ArrayLike, threshold: float, level: float = 0.95) -> Activity:
    """Return the variance of each unit of codes (n, units), against a threshold (Burda et al. 2016: 0.01 under a standard normal prior).

    Bounds on the logarithm by the fourth moment, Bonferroni's for all units. Raises UndefinedError below two examples or without units.
    """
    x = np.asarray(codes, dtype=np.float64)
    n, units = x.shape
    if n < 2 or not units:
        raise UndefinedError(f"units vary over two examples or more; there are {n} examples of {units} units")
    centred = x - x.mean(axis=0)
    variance = np.square(centred).sum(axis=0) / (n - 1)
    safe = np.maximum(variance, 1e-140)
    kurtosis = (centred**4).mean(axis=0) / safe**2
    error = np.sqrt(np.maximum(kurtosis - 1, 2.0) / n)
    reach = np.exp(normal_quantile(1 - (1 - level) / (2 * units)) * error)
    return Activity(variance, variance / reach, variance * reach, threshold, n, level)


def normal_divergences(means: ArrayLike, log_variances: ArrayLike) -> Floats:
    """Return KL(N(mean, variance) || N(0, 1)) of every unit of every example in nats, shape (n, units)."""
    mean, log_variance = np.asarray(means, dtype=np.float64), np.asarray(log_variances, dtype=np.float64)
    return np.asarray(0.5 * (mean**2 + np.exp(log_variance) - 1 - log_variance))


@dataclass(frozen=True, slots=True)
class Information:
    """What one draw from each posterior says about which example it is of, in nats: shape (n,) each.

    The mean of ``lower`` is a lower bound of the mutual information and no more than the logarithm of n; that of ``upper`` leaves an
    example's own posterior out of the mixture, and is an upper bound.
    """

    lower: Floats
    upper: Floats

    @property
    def cap(self) -> float:
        return math.log(len(self.lower))


def mutual_information(means: ArrayLike, log_variances: ArrayLike, noise: ArrayLike) -> Information:
    """Bound ``I(x; z)`` for normal posteriors, shapes (n, units): draws ``z = mean + deviation · noise`` scored under all of them.

    ``log q(z_i | x_i) - log mean_j q(z_i | x_j)`` with j over all examples or over the others (Hoffman & Johnson 2016; Poole et al.
    2019, eq. 10 and 13). O(n² units) time, blocks of examples. Raises UndefinedError below two examples.
    """
    mean, log_variance = np.asarray(means, dtype=np.float64), np.asarray(log_variances, dtype=np.float64)
    n = len(mean)
    if n < 2:
        raise UndefinedError(f"a mutual information takes two examples; there are {n}")
    z = mean + np.exp(0.5 * log_variance) * np.asarray(noise, dtype=np.float64)
    precision = np.exp(-log_variance)
    weighted, constant = mean * precision, (mean**2 * precision + log_variance).sum(axis=1)
    lower, upper = np.empty(n), np.empty(n)
    for start in range(0, n, _BLOCK):
        own = np.arange(start, min(start + _BLOCK, n))
        log_q = -0.5 * (z[own] ** 2 @ precision.T - 2 * z[own] @ weighted.T + constant)
        at_home = log_q[np.arange(len(own)), own]
        lower[own] = at_home - _log_sum(log_q) + math.log(n)
        log_q[np.arange(len(own)), own] = -np.inf
        upper[own] = at_home - _log_sum(log_q) + math.log(n - 1)
    return Information(lower, upper)


def _log_sum(logs: Floats) -> Floats:
    peak = logs.max(axis=1)
    return np.asarray(peak + np.log(np.exp(logs - peak[:, None]).sum(axis=1)))
