"""Cases: the one question of an evaluator, asked of the model, of a null case and of planted defects.

=========  ======================================================================  =======================
case       two-sample metrics, for example                                         proves
=========  ======================================================================  =======================
subject    samples against real examples                                           the measurement
null       a second real sample against the same real examples                     what chance alone gives
planted    real examples with a known defect at a dose, against the same           what would be caught
=========  ======================================================================  =======================
"""

from __future__ import annotations

import enum
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from statistics import NormalDist
from typing import Any

from audit.core.measurements import (
    Direction,
    Group,
    Interval,
    Measurement,
    Outcome,
    Undefined,
    Unquantified,
)
from audit.core.metrics import Metric
from audit.core.recipes import Inputs

CONFIDENCE = 0.999
"""A null case misbehaves when what it should give lies outside this interval: one sound control in a thousand."""
MATERIAL = 0.5
"""... and when it is off by at least this share of what the model is off by, so that it could explain the number."""


class CaseKind(enum.StrEnum):
    """What a case is about: the model, a place where there is nothing to find, or a planted defect."""

    SUBJECT = "subject"
    NULL = "null"
    PLANTED = "planted"


@dataclass(frozen=True, slots=True)
class Case:
    """The question asked once: the inputs that ``measure`` gets, and in words what they are about.

    ``dose`` is how much of the defect was planted; ``defect`` names it.
    """

    kind: CaseKind
    inputs: Inputs
    asked: str = ""
    defect: str = ""
    dose: float | None = None


@dataclass(frozen=True, slots=True)
class Cases:
    """Everything an evaluator asks: of the subject first, then of the null and of planted defects.

    ``no_null`` says why there is no null case here; an evaluator without one by nature leaves both empty.
    ``notes`` are sentences that every number of the subject needs beside it.
    """

    subject: Inputs
    null: Case | None = None
    planted: tuple[Case, ...] = ()
    no_null: str = ""
    notes: tuple[str, ...] = ()

    @classmethod
    def of(cls, asked: Inputs | Cases) -> Cases:
        """Take plain inputs as a question that is asked of the subject alone."""
        return asked if isinstance(asked, Cases) else cls(asked)

    def also(self, **inputs: Any) -> Cases:
        """Return the same cases, each with these inputs as well."""
        null = None if self.null is None else replace(self.null, inputs={**self.null.inputs, **inputs})
        planted = tuple(replace(case, inputs={**case.inputs, **inputs}) for case in self.planted)
        return Cases({**self.subject, **inputs}, null, planted, self.no_null, self.notes)

    @property
    def all(self) -> tuple[Case, ...]:
        null = () if self.null is None else (self.null,)
        return (Case(CaseKind.SUBJECT, self.subject), *null, *self.planted)


@dataclass(frozen=True, slots=True)
class Control:
    """What a control case gave for one metric, and whether that was right.

    ``right`` is None where nothing can be said: a null without an interval or without a known right
    value, a planted defect that the noise floor cannot be compared with. ``because`` is a sentence.
    """

    metric: str
    kind: CaseKind
    asked: str
    value: float | None
    interval: Interval | None
    right: bool | None
    because: str
    group: Group = ()
    defect: str = ""
    dose: float | None = None


@dataclass(frozen=True, slots=True)
class Controlled:
    """An evaluator's outcomes with their noise floors, and the controls that guard them."""

    outcomes: tuple[Outcome, ...]
    controls: tuple[Control, ...] = field(default=())


def controlled(
    subject: Sequence[Outcome],
    others: Sequence[tuple[Case, Sequence[Outcome] | str]],
    metrics: Mapping[str, Metric],
    no_null: str = "",
    notes: tuple[str, ...] = (),
) -> Controlled:
    """Set what the control cases gave beside what the subject gave.

    ``others`` holds each control case with its outcomes, or with why it gave none. ``metrics`` has the
    declarations by full name. A measurement whose control misbehaved becomes void.
    """
    nulls, planted_ones = (_by_metric(others, kind) for kind in (CaseKind.NULL, CaseKind.PLANTED))
    failed = [f for case, f in others if case.kind is CaseKind.NULL and isinstance(f, str)]
    no_null = failed[0] if failed else no_null
    kept: list[Outcome] = []
    controls: list[Control] = []
    for outcome in subject:
        if not isinstance(outcome, Measurement):
            kept.append(outcome)
            continue
        declared = metrics.get(outcome.metric)
        place = (outcome.metric, outcome.group)
        own = [_null_control(outcome, case, found, declared) for case, found in nulls.get(place, ())]
        if not own and no_null and not outcome.group:
            own = [Control(outcome.metric, CaseKind.NULL, "", None, None, None, no_null, outcome.group)]
        floor = next((_floor(c, declared, outcome.direction) for c in own if c.value is not None), None)
        planted = [
            _planted_control(outcome, case, found, floor) for case, found in planted_ones.get(place, ())
        ]
        void = _void(own, planted)
        kept.append(
            replace(
                outcome,
                noise_floor=outcome.noise_floor if floor is None else floor,
                void=void,
                notes=(*notes, *outcome.notes),
            )
        )
        controls += own + planted
    return Controlled(tuple(kept), tuple(controls))


def _by_metric(
    others: Iterable[tuple[Case, Sequence[Outcome] | str]], kind: CaseKind
) -> dict[tuple[str, Group], list[tuple[Case, Outcome | str]]]:
    """Group what cases of one kind gave by metric and group; a case that failed as a whole is left out here."""
    found: dict[tuple[str, Group], list[tuple[Case, Outcome | str]]] = {}
    for case, outcomes in others:
        if case.kind is kind and not isinstance(outcomes, str):
            for outcome in outcomes:
                found.setdefault((outcome.metric, outcome.group), []).append((case, outcome))
    return found


def _null_control(subject: Measurement, case: Case, found: Outcome | str, declared: Metric | None) -> Control:
    if not isinstance(found, Measurement):
        reason = found.reason if isinstance(found, Undefined) else str(found)
        return Control(subject.metric, case.kind, case.asked, None, None, None, reason, subject.group)
    interval = found.uncertainty if isinstance(found.uncertainty, Interval) else None
    expected = None if declared is None else declared.null
    right, because = _null_is_right(subject, found, interval, expected)
    return Control(
        subject.metric, case.kind, case.asked, found.value, interval, right, because, subject.group
    )


def _null_is_right(
    subject: Measurement, found: Measurement, interval: Interval | None, expected: float | None
) -> tuple[bool | None, str]:
    if isinstance(found.uncertainty, Unquantified):
        return None, f"it has no interval: {found.uncertainty.reason}"
    if expected is None or interval is None:
        return None, "no fixed value is known for the null case; read the model's number against this one"
    low, high = _widened(found.value, interval, CONFIDENCE)
    if low <= expected <= high:
        return True, f"{expected:g} is what it should be, within chance"
    off, model_off = abs(found.value - expected), abs(subject.value - expected)
    if off < MATERIAL * model_off:
        return True, (
            f"it should be {expected:g} and is off by {off:.3g}, more than chance; the model is off by {model_off:.3g}, "
            "which that cannot explain"
        )
    return (
        False,
        f"it should be {expected:g} and is off by {off:.3g}, more than chance; the model is off by {model_off:.3g}",
    )


def _widened(value: float, interval: Interval, level: float) -> tuple[float, float]:
    """Return the bounds of a normal interval at another level; each side keeps its own width."""
    scale = _quantile(level) / _quantile(interval.level)
    return value - (value - interval.low) * scale, value + (interval.high - value) * scale


@cache
def _quantile(level: float) -> float:
    return NormalDist().inv_cdf((1 + level) / 2)


def _floor(control: Control, declared: Metric | None, direction: Direction) -> float | None:
    """Return what the metric reaches by chance in one case of twenty, on its worse side.

    Around the value that the null should have where one is known, else around what it had; as far as the null's
    own interval reaches at 95 %.
    """
    if control.interval is None or control.value is None:
        return None
    low, high = _widened(control.value, control.interval, 0.95)
    reach = high - control.value if direction is not Direction.HIGHER_IS_BETTER else control.value - low
    centre = control.value if declared is None or declared.null is None else declared.null
    floor = centre - reach if direction is Direction.HIGHER_IS_BETTER else centre + reach
    return floor if math.isfinite(floor) else None


def _planted_control(subject: Measurement, case: Case, found: Outcome | str, floor: float | None) -> Control:
    words = (subject.metric, case.kind, case.asked)
    tail = {"group": subject.group, "defect": case.defect, "dose": case.dose}
    if not isinstance(found, Measurement):
        reason = found.reason if isinstance(found, Undefined) else str(found)
        return Control(*words, None, None, None, reason, **tail)  # type: ignore[arg-type]  # as declared
    interval = found.uncertainty if isinstance(found.uncertainty, Interval) else None
    right, because = _caught(found, interval, floor)
    return Control(*words, found.value, interval, right, because, **tail)  # type: ignore[arg-type]


def _caught(found: Measurement, interval: Interval | None, floor: float | None) -> tuple[bool | None, str]:
    if floor is None or interval is None or found.direction is Direction.NEITHER:
        return None, "without an interval, a noise floor and a direction nothing can be said"
    worse = interval.high < floor if found.direction is Direction.HIGHER_IS_BETTER else interval.low > floor
    return (
        worse,
        f"its whole interval {'lies' if worse else 'does not lie'} beyond the noise floor {floor:.4g}",
    )


def _void(nulls: Sequence[Control], planted: Sequence[Control]) -> str:
    """Return why a measurement cannot be relied on, or an empty string."""
    for control in nulls:
        if control.right is False:
            return f"the null case ({control.asked}) gave {control.value:.4g}: {control.because}"
    judged = [c for c in planted if c.right is not None and c.dose is not None]
    if judged:
        largest = max(judged, key=lambda c: c.dose or 0.0)
        if not largest.right:
            return (
                f"a planted defect ({largest.defect}, dose {largest.dose:g}) was not found: {largest.because}"
            )
    return ""


def detectable(controls: Iterable[Control]) -> dict[tuple[str, Group, str], float]:
    """Return, for each metric, group and defect, the smallest dose from which every larger one was found."""
    found: dict[tuple[str, Group, str], list[tuple[float, bool]]] = {}
    for control in controls:
        if control.kind is CaseKind.PLANTED and control.dose is not None and control.right is not None:
            found.setdefault((control.metric, control.group, control.defect), []).append(
                (control.dose, control.right)
            )
    smallest: dict[tuple[str, Group, str], float] = {}
    for place, doses in found.items():
        for dose, right in sorted(doses, reverse=True):
            if not right:
                break
            smallest[place] = dose
    return smallest
