"""Shares of kinds among samples beside real rows, read by a classifier that errs: which are gone, and how far all are off.

Counts of what was read are brought back through the confusion matrix (Rogan & Gladen 1978; under the name of label shift, Lipton,
Wang & Smola 2018), so shares compare with true labels. A kind counts as dropped when it comes less than ``threshold``
times as often as in the data. How many are is bounded from both sides by closed testing (Goeman et al. 2019), which finds several weak
losses together where no correction for many comparisons finds one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from audit.core.errors import UndefinedError
from audit.core.measurements import Interval
from audit.stats.proportions import exact_interval, normal_quantile

Floats = NDArray[np.float64]

DRAWS = 2_000
_LEAST_TOLD, _LEAST_OVER_NOISE = 0.03, 3.0
"""A confusion matrix is inverted when its smallest singular value is above this, and so many times what chance would give a reader that guesses."""


@dataclass(frozen=True, slots=True)
class Kinds:
    """What is known of the k kinds of one attribute, shapes (k,) and (k, k).

    ``read`` counts samples by the kind that was read, ``real`` labelled real rows by their kind, and ``confusion[i, j]`` labelled
    rows of kind i that were read as j; a reader that cannot err has counts on the diagonal alone.
    """

    read: Floats
    real: Floats
    confusion: Floats
    exact: bool = False


@dataclass(frozen=True, slots=True)
class Shares:
    """Corrected shares among samples beside real ones, shapes (k,), and the covariance (k, k) of their difference.

    ``error`` is the standard error of a share with that of the real one at the same ratio, so that of the ratio times the real share.
    ``gone`` and ``there`` are p-values: of the hypothesis that a kind is not dropped, and that it is.
    """

    samples: Floats
    real: Floats
    error: Floats
    covariance: Floats
    gone: Floats
    there: Floats
    n: int

    @property
    def ratios(self) -> Floats:
        return np.maximum(self.samples, 0.0) / self.real

    def ratio_bounds(self, level: float) -> tuple[Floats, Floats]:
        """Return bounds (k,) of the ratios that all hold at once: exact binomial ones at an effective n, Bonferroni over kinds."""
        each = 1 - (1 - level) / len(self.real)
        low, high = np.empty(len(self.real)), np.empty(len(self.real))
        for i, (share, error) in enumerate(zip(self.samples, self.error, strict=True)):
            p = min(max(float(share), 1 / self.n), 1 - 1 / self.n)
            n = min(float(self.n), p * (1 - p) / float(error) ** 2)
            count = min(max(float(share), 0.0) * n, n)
            low[i], high[i] = (bound / self.real[i] for bound in exact_interval(count, n, each))
            if n < 0.99 * self.n and share <= normal_quantile((1 + each) / 2) * error:
                low[i] = 0.0  # what was read may all be other kinds, misread
        return low, high


def corrected(kinds: Kinds, threshold: float) -> Shares:
    """Return the shares of kinds among samples, corrected for misreading, and what is said of each being dropped.

    Raises UndefinedError for a kind without a labelled row, and where the reader hardly tells the kinds apart.
    """
    n, m = float(kinds.read.sum()), float(kinds.real.sum())
    if n < 1 or not (kinds.real > 0).all():
        raise UndefinedError("a kind without real rows has no share to compare with")
    k = len(kinds.real)
    labels = np.full(k, np.inf) if kinds.exact else kinds.confusion.sum(axis=1)
    if not (labels > 0).all():
        raise UndefinedError("a kind has no labelled example, so how it is misread is not known")
    matrix = np.eye(k) if kinds.exact else kinds.confusion / labels[:, None]
    weakest = float(np.linalg.svd(matrix, compute_uv=False).min())
    noise = math.sqrt(float(((matrix * (1 - matrix)).sum(axis=1) / labels).max()))
    if weakest <= max(_LEAST_TOLD, _LEAST_OVER_NOISE * noise):
        raise UndefinedError(
            f"the kinds are hardly told apart in these features (smallest singular value of the confusion matrix {weakest:.2g}, "
            f"its noise {noise:.2g})"
        )
    back = np.linalg.inv(matrix.T)
    real = kinds.real / m
    samples = back @ (kinds.read / n)

    def variance(shares: Floats, read: Floats) -> Floats:
        spread = back @ _multinomial(read) @ back.T / n
        for share, row, count in zip(shares, matrix, labels, strict=True):
            if np.isfinite(count):
                spread = spread + share**2 * back @ _multinomial(row) @ back.T / count
        return np.asarray(spread)

    smooth = (kinds.read + 1) / (n + k)
    own = variance(samples, smooth)
    gone, there = np.empty(k), np.empty(k)
    for i in range(k):
        q = threshold * real[i]
        supposed = np.maximum(samples, 0.0)
        supposed[i] = 0.0
        supposed *= (1 - q) / max(float(supposed.sum()), 1e-12)
        supposed[i] = q
        spread = (
            float(variance(supposed, matrix.T @ supposed)[i, i]) + threshold**2 * real[i] * (1 - real[i]) / m
        )
        effective = min(n, q * (1 - q) / spread)
        gone[i], there[i] = _binomial_tails(max(float(samples[i]), 0.0) * effective, effective, q)
    ratios = np.maximum(samples, 0.0) / real
    error = np.sqrt(np.diag(own) + np.square(ratios) * real * (1 - real) / m)
    return Shares(samples, real, error, own + _multinomial(real) / m, gone, there, int(n))


def _multinomial(shares: Floats) -> Floats:
    return np.asarray(np.diag(shares) - np.outer(shares, shares))


def _binomial_tails(count: float, n: float, rate: float) -> tuple[float, float]:
    """Return P(X <= count) and P(X >= count) of a binomial, its count and n perhaps not whole."""
    from scipy import special

    at_most = 1.0 if count >= n else float(special.betainc(n - count, count + 1, 1 - rate))
    at_least = 1.0 if count <= 0 else float(special.betainc(min(count, n), n - min(count, n) + 1, rate))
    return at_most, at_least


def surely_true(p_values: ArrayLike, level: float) -> int:
    """Return how many of the hypotheses are false at least, with this confidence: closed testing with Simes' test (Goeman et al. 2019).

    Holds where the statistics are independent or positively dependent.

    >>> surely_true([0.012] * 4 + [0.9] * 6, 0.95), surely_true([0.03] + [0.9] * 9, 0.95), surely_true([0.05] * 9, 0.95)
    (3, 0, 9)
    """
    p = np.sort(np.asarray(p_values, dtype=np.float64))
    m, alpha = len(p), 1 - level
    kept = 0
    for i in range(m, 0, -1):
        j = np.arange(1, i + 1)
        if (p[m - i :] > j * alpha / i).all():
            kept = i
            break
    bounds = [1 - u + int((kept * p <= u * alpha + 1e-15).sum()) for u in range(1, m + 1)]
    return max(0, *bounds) if bounds else 0


@dataclass(frozen=True, slots=True)
class Variation:
    """Total variation distance between two sets of shares, corrected for its bias, and its standard error."""

    value: float
    error: float
    plain: float

    def interval(self, level: float) -> Interval:
        """Return the interval; above, it reaches further by the correction, which is too large where differences are as small as their errors."""
        below = normal_quantile((1 + level) / 2) * self.error
        above = math.hypot(below, self.plain - self.value)
        return Interval(
            self.value - below, self.value + above, level, "extrapolated in 1/√n, parametric draws"
        )


def variation(shares: Shares, rng: np.random.Generator) -> Variation:
    """Return the total variation distance between samples and real rows over one attribute, without its bias.

    A plain distance is never 0: of two equal sets of 11 shares it is .03 at 2,000 rows. A distance that is a sum of ``|d|`` grows
    as ``1/√n`` where d is 0 and not at all where d is large; half the rows would give the mean of a folded normal, so
    ``(√2 |d| - E|N(d, σ²)|) / (√2 - 1)`` is right at both ends. It may be negative.
    """
    difference = shares.samples - shares.real
    sigma = np.sqrt(np.maximum(np.diag(shares.covariance), 1e-18))
    value = _extrapolated(difference, sigma)
    w, V = np.linalg.eigh(shares.covariance)
    drawn = difference + rng.standard_normal((DRAWS, len(w))) @ (V * np.sqrt(np.maximum(w, 0.0))).T
    error = float(_extrapolated(drawn, sigma).std(ddof=1))
    return Variation(float(value), error, float(np.abs(difference).sum() / 2))


def _extrapolated(difference: Floats, sigma: Floats) -> Floats:
    from scipy import special

    absolute = np.abs(difference)
    folded = sigma * math.sqrt(2 / math.pi) * np.exp(
        -np.square(absolute / sigma) / 2
    ) + absolute * special.erf(absolute / sigma / math.sqrt(2))
    root = math.sqrt(2)
    return np.asarray(((root * absolute - folded) / (root - 1)).sum(axis=-1) / 2)
