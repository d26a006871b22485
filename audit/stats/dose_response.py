"""How much of something it takes to be noticed: the limit of detection on a ladder of doses, without a model of the curve.

A laboratory calls the smallest amount that an assay finds reliably its limit of detection (CLSI EP17). Here the amount is
one of a few known doses, at each of which some trials were found and others not. Nothing is assumed but that more is
found no less often.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from audit.core.measurements import Interval
from audit.stats.proportions import lower_bound, upper_bound

METHOD = "exact binomial tests along the ladder of doses"


@dataclass(frozen=True, slots=True)
class Limit:
    """The smallest dose at which at least a ``share`` is found. ``beyond`` stands for more than the largest dose."""

    value: float
    interval: Interval
    beyond: float

    @property
    def reached(self) -> bool:
        """Whether it is on the ladder at all."""
        return self.value < self.beyond


def detection_limit(
    doses: Sequence[float],
    found: Sequence[int],
    tried: Sequence[int],
    share: float = 0.5,
    level: float = 0.95,
) -> Limit:
    """Return the smallest of ascending ``doses`` at which at least ``share`` of trials is found, with an exact interval.

    The value is read off the monotone fit to the shares found (isotonic regression). The interval tests dose after
    dose: from the smallest upwards while the share there is certainly less, from the largest downwards while it is
    certainly more; each walk ends at the first dose that is neither. Because the true shares do not fall, a walk can
    only be wrong at one dose, so no test needs a correction for the others. More than the largest dose is
    written as twice that.
    """
    if not doses or list(doses) != sorted(set(doses)) or doses[0] <= 0:
        raise ValueError(f"doses are positive and ascend, not {list(doses)}")
    if not len(doses) == len(found) == len(tried) or min(tried) < 1:
        raise ValueError("every dose has trials, and a number of those found")
    ladder = [*map(float, doses), 2.0 * doses[-1]]
    each = (1 + level) / 2
    low = 0
    while low < len(doses) and upper_bound(found[low], tried[low], each) < share:
        low += 1
    high = len(doses)
    while high > 0 and lower_bound(found[high - 1], tried[high - 1], each) >= share:
        high -= 1
    fit = monotone(np.array(found) / np.array(tried), np.array(tried, dtype=np.float64))
    reached = np.flatnonzero(fit >= share)
    value = ladder[int(reached[0])] if len(reached) else ladder[-1]
    return Limit(value, Interval(ladder[low], ladder[high], level, METHOD), ladder[-1])


def monotone(shares: NDArray[np.float64], weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the closest shares that never fall (pooled adjacent violators).

    >>> monotone(np.array([0.1, 0.5, 0.3]), np.ones(3)).round(2).tolist()
    [0.1, 0.4, 0.4]
    """
    blocks: list[tuple[float, float, int]] = []
    for share, weight in zip(shares.tolist(), weights.tolist(), strict=True):
        blocks.append((share, weight, 1))
        while len(blocks) > 1 and blocks[-2][0] > blocks[-1][0]:
            (a, v, m), (b, w, n) = blocks[-2:]
            blocks[-2:] = [((a * v + b * w) / (v + w), v + w, m + n)]
    return np.concatenate([np.full(length, share) for share, _, length in blocks])
