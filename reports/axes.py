"""Where a number is on a drawn axis, and which round numbers the axis names."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

_STRETCH = 6.0
"""A reference farther out than this many times the measured range would squash what was measured."""


@dataclass(frozen=True, slots=True)
class Axis:
    """A linear axis from ``low`` to ``high``; the drawn margin on either side is ``margin`` per cent."""

    low: float
    high: float
    margin: float = 4.0

    def __post_init__(self) -> None:
        if not (math.isfinite(self.low) and math.isfinite(self.high) and self.low < self.high):
            raise ValueError(f"an axis needs two finite ends in order, not {self.low} and {self.high}")

    def holds(self, value: float) -> bool:
        return self.low <= value <= self.high

    def at(self, value: float) -> float:
        """Return where a value lies, in per cent of the drawn width; what is beyond an end lies at that end.

        >>> Axis(0.0, 1.0).at(0.5), Axis(0.0, 1.0).at(0.0), Axis(0.0, 1.0, margin=0.0).at(0.25)
        (50.0, 4.0, 25.0)
        """
        share = (min(max(value, self.low), self.high) - self.low) / (self.high - self.low)
        return round(self.margin + share * (100 - 2 * self.margin), 3)

    def ticks(self, most: int = 5) -> tuple[float, ...]:
        """Return at most ``most`` round numbers on the axis, in order.

        >>> Axis(0.0, 1.0).ticks(), Axis(3.0, 47.0).ticks()
        ((0.0, 0.25, 0.5, 0.75, 1.0), (10.0, 20.0, 30.0, 40.0))
        """
        for step in _round_steps(self.high - self.low):
            first = math.ceil(self.low / step - 1e-9)
            last = math.floor(self.high / step + 1e-9)
            if last - first + 1 <= most:
                return tuple(round(i * step, 12) + 0.0 for i in range(first, last + 1))
        raise AssertionError("steps grow without end")


def _round_steps(span: float) -> Iterable[float]:
    exponent = max(math.floor(math.log10(span)) - 1, -300)  # below, 10.0**exponent is no longer above 0
    while True:
        for mantissa in (1.0, 2.0, 2.5, 5.0):
            yield mantissa * 10.0**exponent
        exponent += 1


def axis_over(measured: Sequence[float], references: Iterable[float] = ()) -> Axis:
    """Return an axis that holds everything measured, and the references that would not squash it.

    References (thresholds, baselines, noise floors) join nearest first, as long
    as the range stays within six times what was measured.

    >>> axis_over([0.4, 0.6], [0.5, 0.9, 50.0])
    Axis(low=0.4, high=0.9, margin=4.0)
    """
    low, high = min(measured), max(measured)
    core = high - low
    middle = (low + high) / 2
    for reference in sorted(references, key=lambda r: (abs(r - middle), r)):
        wider = max(high, reference) - min(low, reference)
        if core == 0 or wider <= _STRETCH * core:
            low, high = min(low, reference), max(high, reference)
    if high - low <= max(abs(low), abs(high)) * 1e-9:
        pad = abs(middle) * 0.1 or 1.0
        return Axis(low - pad, high + pad)
    return Axis(low, high)


def fits(axis: Axis, spans: Iterable[tuple[float, float]], least: float = 0.04) -> bool:
    """Say whether every span stays readable on an axis: at least ``least`` of its length."""
    return all(high - low >= least * (axis.high - axis.low) for low, high in spans)
