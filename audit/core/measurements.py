"""Measurements: numbers with their uncertainty, or with the reason why there is none."""

from __future__ import annotations

import enum
import math
from dataclasses import dataclass
from typing import TypeAlias

from audit.core.identity import Digest
from audit.core.rows import Rows


@dataclass(frozen=True, slots=True)
class Interval:
    """A range that holds the true value with probability ``level``."""

    low: float
    high: float
    level: float
    method: str

    def __post_init__(self) -> None:
        if not (math.isfinite(self.low) and math.isfinite(self.high) and self.low <= self.high):
            raise ValueError(f"an interval needs finite bounds in order, not [{self.low}, {self.high}]")
        if not 0 < self.level < 1:
            raise ValueError(f"a level lies between 0 and 1, not {self.level}")

    @property
    def half_width(self) -> float:
        return (self.high - self.low) / 2


@dataclass(frozen=True, slots=True)
class Unquantified:
    """No interval, and the reason why. Never zero, never NaN."""

    reason: str


class Direction(enum.StrEnum):
    """Which way a metric is better."""

    HIGHER_IS_BETTER = "higher"
    LOWER_IS_BETTER = "lower"
    NEITHER = "neither"


@dataclass(frozen=True, slots=True)
class Evidence:
    """Something a reader can inspect to believe a measurement.

    ``kind`` says how to show ``content``: ``images`` (rows with an ``image`` column; further columns of images are
    shown beside it, under their names), ``texts`` (rows with a ``text`` column), ``table`` (any rows),
    ``curve`` (rows with columns ``x``, ``y`` and perhaps ``low``, ``high``, and ``reference``, a line to compare with), ``intervals`` (``label``, ``value``, ``low``,
    ``high`` and perhaps ``target``) or ``heatmap`` (``row``, ``column``, ``value``); ``units``
    (``audit.core.units``) is for comparisons and not shown.
    ``sensitive`` evidence may show training examples and is hidden unless a
    reader asks for it. The store replaces ``content`` with its digest.
    """

    kind: str
    caption: str
    content: Rows | Digest
    sensitive: bool = True


@dataclass(frozen=True, slots=True)
class Ungraded:
    """Units that have no score, and between which values the metric lies whatever their scores would have been.

    ``errored`` of ``count`` ended in an error; the others were not graded. ``low`` and ``high`` are None where the range of a
    score is not known.
    """

    count: int
    errored: int = 0
    low: float | None = None
    high: float | None = None


Group: TypeAlias = tuple[tuple[str, str], ...]
"""The examples a number is about, such as ``(("sex", "F"),)``. Empty means all of them."""


@dataclass(frozen=True, slots=True)
class Measurement:
    """One metric on one group. The value is finite; what has no value is ``Undefined``.

    ``baseline`` is the value of the metric for a model that learnt nothing of
    interest (chance). ``noise_floor`` is what the metric reaches by chance where there is nothing to
    find, in one case of twenty; it comes from the null case (``audit.core.cases``). ``notes`` are
    sentences a reader needs beside the number. ``available`` is how many units there are at most: the rows of
    the data, a fixed set of items; None where more can always be made. ``void`` says which control misbehaved: such a number
    is shown struck through and never judged. ``ungraded`` are units that should count and have no score; the interval then covers whatever it would have been.
    """

    metric: str
    value: float
    uncertainty: Interval | Unquantified
    n: int
    direction: Direction
    group: Group = ()
    baseline: float | None = None
    noise_floor: float | None = None
    unit: str = ""
    p_value: float | None = None
    notes: tuple[str, ...] = ()
    evidence: tuple[Evidence, ...] = ()
    void: str = ""
    available: int | None = None
    ungraded: Ungraded | None = None

    def __post_init__(self) -> None:
        for name in ("value", "baseline", "noise_floor", "p_value"):
            number = getattr(self, name)
            if number is not None and not math.isfinite(number):
                raise ValueError(f"{self.metric}: {name} is {number}; what has no value is Undefined")
        if self.n < 0:
            raise ValueError(f"{self.metric}: n is {self.n}")


@dataclass(frozen=True, slots=True)
class Undefined:
    """A metric that has no value here, and why: too few rows, a gate not passed."""

    metric: str
    reason: str
    group: Group = ()


Outcome: TypeAlias = Measurement | Undefined
