"""How often outputs show what was asked for, read by a classifier that errs.

For each request the shares of what was read are brought back through the classifier's confusion matrix, which is the same
for all requests, so its own uncertainty does not shrink with their number. Near 0 and 1 a normal interval fails (all of 40
read rightly has no spread at all), so intervals are of the score kind: they hold every rate that the counts would not refute
if it were true, with the spread that it would have (Wilson 1927, for shares behind a confusion matrix).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from audit.core.measurements import Interval
from audit.stats.associations import inverse
from audit.stats.proportions import normal_quantile, wilson_bounds

Floats = NDArray[np.float64]

METHOD = "score interval behind the confusion matrix"
REFUTED = 0.99
"""Counts that no rate from 0 to 1 explains at this level say that the classifier errs differently here."""


@dataclass(frozen=True, slots=True)
class Rate:
    """A share of outputs that show what was asked for: corrected, as read, and for outputs that ignore the request.

    ``unbounded`` is the corrected share before it is brought into [0, 1]; ``misfit`` says that chance does not explain how far it is outside.
    """

    value: float
    interval: Interval
    read: float
    read_interval: Interval
    ignoring: float
    unbounded: float
    misfit: bool
    n: int


@dataclass(frozen=True, slots=True)
class Requests:
    """Counts of outputs by request (rows) and value read (columns), shape (r, k), and the value that each request asks for, (r,)."""

    counts: Floats
    asked: NDArray[np.int64]

    def __post_init__(self) -> None:
        r, k = self.counts.shape
        if (
            self.asked.shape != (r,)
            or r < 1
            or (self.counts < 0).any()
            or not (self.counts.sum(axis=1) > 0).all()
        ):
            raise ValueError(f"counts {self.counts.shape} and requests {self.asked.shape} do not go together")
        if self.asked.min() < 0 or self.asked.max() >= k:
            raise ValueError("a request asks for a value that nobody reads")

    def only(self, which: int) -> Requests:
        """Return one of the requests."""
        return Requests(self.counts[[which]], self.asked[[which]])

    @property
    def sizes(self) -> Floats:
        return np.asarray(self.counts.sum(axis=1))

    @property
    def own(self) -> Floats:
        """How many outputs of each request were read as what it asks for."""
        return np.asarray(self.counts[np.arange(len(self.asked)), self.asked])


@dataclass(frozen=True, slots=True)
class _Matrix:
    """A confusion matrix as shares, the number of labels in each row, and the matrix that takes read shares back, shapes (k, k), (k,), (k, k)."""

    shares: Floats
    labels: Floats
    back: Floats

    @classmethod
    def of(cls, confusion: Floats) -> _Matrix:
        labels = confusion.sum(axis=1)
        back = inverse(confusion)
        smooth = (confusion + 1 / len(confusion)) / (labels + 1)[
            :, None
        ]  # no error in 30 labels is not none ever
        return cls(smooth, labels, back)


def read_rate(requests: Requests, level: float) -> tuple[float, Interval]:
    """Return the mean over requests of the share read as asked, and Wilson's interval.

    Of several requests it is that of as many rows of one, which is wider or equal: strata of different rates vary less.
    """
    rates, sizes = requests.own / requests.sizes, requests.sizes
    value, effective = float(rates.mean()), len(rates) ** 2 / float((1 / sizes).sum())
    low, high = wilson_bounds(value * effective, effective, normal_quantile((1 + level) / 2))
    return value, Interval(min(low, value), max(high, value), level, "Wilson")


def adherence(requests: Requests, confusion: ArrayLike, whole: Requests, level: float = 0.95) -> Rate:
    """Return the mean over requests of the corrected share of outputs that show what was asked for.

    ``confusion[i, j]`` counts labelled examples of value i that were read as j. ``whole`` are all requests, from which follows what
    outputs would give that ignore them. Assumes that outputs are misread as the labelled examples are.
    Raises UndefinedError for a value without labels and for a matrix that hardly tells the values apart.
    """
    matrix = _Matrix.of(np.asarray(confusion, np.float64))
    own = _corrected(requests, matrix)
    unbounded, z = float(own.mean()), normal_quantile((1 + level) / 2)
    value = min(1.0, max(0.0, unbounded))

    def refuted(rate: float, quantile: float) -> bool:
        return abs(unbounded - rate) > quantile * math.sqrt(_variance(requests, matrix, _moved(own, rate)))

    low = 0.0 if not refuted(0.0, z) else _edge(lambda rate: refuted(rate, z), 0.0, value)
    high = 1.0 if not refuted(1.0, z) else _edge(lambda rate: refuted(rate, z), 1.0, value)
    read, read_interval = read_rate(requests, level)
    misfit = refuted(value, normal_quantile((1 + REFUTED) / 2))
    if misfit or refuted(value, z):  # then what was read bounds it better than what the labels say
        low, high = min(low, read_interval.low), max(high, read_interval.high)
    mixed = (whole.counts / whole.sizes[:, None]).mean(axis=0) @ matrix.back
    ignoring = float(np.clip(mixed[requests.asked], 0.0, 1.0).mean())
    interval = Interval(min(low, value), max(high, value), level, METHOD)
    return Rate(value, interval, read, read_interval, ignoring, unbounded, misfit, int(requests.sizes.sum()))


def _corrected(requests: Requests, matrix: _Matrix) -> Floats:
    shares = requests.counts / requests.sizes[:, None] @ matrix.back
    return np.asarray(shares[np.arange(len(requests.asked)), requests.asked])


def _moved(own: Floats, rate: float) -> Floats:
    """Return the corrected shares moved towards 0 or 1, all by one part of their way, so that their mean is the rate."""
    inside = np.clip(own, 0.0, 1.0)
    mean = float(inside.mean())
    if rate >= mean:
        return np.asarray(inside + (1 - inside) * ((rate - mean) / (1 - mean) if mean < 1 else 0.0))
    return np.asarray(inside * rate / mean)


def _variance(requests: Requests, matrix: _Matrix, own: Floats) -> float:
    """Return the variance of the mean corrected share if these were the true shares (r,) of what was asked for."""
    r, places = len(requests.asked), np.arange(len(requests.asked))
    others = np.maximum(requests.counts / requests.sizes[:, None] @ matrix.back, 0.0)
    others[places, requests.asked] = 0.0
    none = others.sum(axis=1) == 0
    others[none] = 1.0
    others[places, requests.asked] = 0.0
    shares = others * ((1 - own) / others.sum(axis=1))[:, None]
    shares[places, requests.asked] = own
    weights = matrix.back[:, requests.asked].T
    read = shares @ matrix.shares
    spread = (np.square(weights) * read).sum(axis=1) - np.square((weights * read).sum(axis=1))
    drawn = float((spread / requests.sizes).sum()) / r**2
    each = shares.T @ weights / r
    labelled = (np.square(each) * matrix.shares).sum(axis=1) - np.square((each * matrix.shares).sum(axis=1))
    return drawn + float((labelled / matrix.labels).sum())


def _edge(refuted: Callable[[float], bool], outer: float, inner: float) -> float:
    """Return where rates stop to be refuted, between one that is and the estimate, which is not."""
    for _ in range(50):
        middle = (outer + inner) / 2
        outer, inner = (middle, inner) if refuted(middle) else (outer, middle)
    return (outer + inner) / 2
