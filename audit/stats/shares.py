"""How far shares are from a target: total variation without what noise adds to it, and each share's gap.

The total variation of two samples of one distribution is not 0: with ten values and 1,000 rows a side it is .06. Half of
the rows say here which values are over-represented and the other half by how much, so chance has no sign to follow.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from audit.core.errors import UndefinedError
from audit.core.measurements import Interval
from audit.stats.proportions import normal_quantile

Floats = NDArray[np.float64]
Whole = NDArray[np.int64]

_BOTH_ORDERS = math.sqrt(1 + 2 / math.pi)
"""Where nothing differs, the two orders of halves correlate at 2 / pi, which makes their mean this much more uncertain."""
METHOD = "cross-fitted below, with what noise adds above; multinomial and confusion errors"


@dataclass(frozen=True, slots=True)
class Variation:
    """The total variation between shares and their target: ``value`` cross-fitted, ``naive`` as it comes, ``read`` uncorrected.

    ``shares`` and ``target`` are corrected for the classifier's errors, shape (k,).
    """

    value: float
    interval: Interval
    naive: float
    read: float
    shares: Floats
    target: Floats


@dataclass(frozen=True, slots=True)
class Side:
    """Counts as read of even and of odd rows, shape (2, k); or shares that are known, without rows."""

    counts: Floats | None
    known: Floats | None = None

    @classmethod
    def of(cls, codes: Whole, k: int) -> Side:
        if len(codes) < 20:
            raise UndefinedError(f"shares need 20 rows; there are {len(codes)}")
        return cls(np.stack([np.bincount(codes[i::2], minlength=k).astype(np.float64) for i in (0, 1)]))

    def shares(self, correction: Floats, half: int | None = None) -> Floats:
        """Return corrected shares of all rows, or of one half; known ones as they are."""
        if self.counts is None:
            assert self.known is not None
            return self.known
        counts = self.counts.sum(axis=0) if half is None else self.counts[half]
        return np.asarray(counts / counts.sum() @ correction)

    def variance(self, weights: Floats) -> float:
        """Return the variance of the weighted sum of shares as read."""
        if self.counts is None:
            return 0.0
        counts = self.counts.sum(axis=0)
        shares = counts / counts.sum()
        return float((shares * weights**2).sum() - (shares @ weights) ** 2) / float(counts.sum())

    def uncertainty(self, correction: Floats, weights: Floats) -> float:
        """Return the variance of the weighted sum of corrected shares, the correction taken as known."""
        return self.variance(correction @ weights)


class Shares(Protocol):
    """Shares of k values among some rows, of all of them or of one half, and how uncertain a weighted sum of them is."""

    def shares(self, correction: Floats, half: int | None = None) -> Floats: ...
    def uncertainty(self, correction: Floats, weights: Floats) -> float: ...


def variation(ours: Shares, target: Side, inverses: Sequence[Floats], level: float = 0.95) -> Variation:
    """Return the total variation of ``ours`` from ``target``, ``½ sum |p - t|``, without what noise adds.

    ``inverses`` are the inverse of the classifier's confusion matrix (values in rows) and draws of it. The value is the mean of ``½ sum s(d of
    one half) d of the other`` over both orders, s the sign: its expectation is 0 where nothing differs, and elsewhere at most the
    truth. The lower end is that value less 1.28 z standard errors of the linear form, the upper end the naive value plus as many, which noise moves up: the interval
    covers .95 or more (simulated for 2 to 10 values, 200 to 2,000 rows, distances 0 to .4).
    """

    def difference(which: int, half: int | None = None) -> Floats:
        return ours.shares(inverses[which], half) - target.shares(inverses[which], half)

    whole, halves = difference(0), [difference(0, half) for half in (0, 1)]
    fitted = 0.25 * float(np.sign(halves[0]) @ halves[1] + np.sign(halves[1]) @ halves[0])
    naive = 0.5 * float(np.abs(whole).sum())
    sign = np.sign(whole)
    drawn = np.array([0.5 * float(sign @ difference(i)) for i in range(1, len(inverses))])
    error = math.sqrt(
        ours.uncertainty(inverses[0], 0.5 * sign)
        + target.uncertainty(inverses[0], 0.5 * sign)
        + (float(drawn.var()) if len(drawn) else 0.0)
    )
    z = normal_quantile((1 + level) / 2)
    plain = np.eye(len(whole))
    read = 0.5 * float(np.abs(ours.shares(plain) - target.shares(plain)).sum())
    value = min(max(fitted, 0.0), naive)
    low = max(min(fitted - z * _BOTH_ORDERS * error, value), 0.0)
    interval = Interval(low, min(naive + z * error, 1.0), level, METHOD)
    return Variation(value, interval, naive, read, ours.shares(inverses[0]), target.shares(inverses[0]))
