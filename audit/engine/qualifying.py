"""Qualify the evaluators of an audit: do they catch defects planted at known doses, and stay quiet where there are none?

Everything is asked of real examples: of a second real sample (a *blank*), and of the same with a defect planted in it. Each
repeat draws anew. Words are those of laboratory assays (CLSI EP17): sensitivity at a dose, specificity on blanks, limit of
blank, limit of detection. The model's own samples are drawn only where a defect can be planted in nothing else.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

import numpy as np

from audit.core.cases import CaseKind, Cases
from audit.core.errors import InputError
from audit.core.facts import Executor, Failed, Scored
from audit.core.identity import Key
from audit.core.measurements import Direction, Group, Interval, Measurement
from audit.core.plan import Asked, AuditPlan, Planned, plan
from audit.engine.record import controlled_of
from audit.engine.run import Assessed, Event, run
from audit.stats.dose_response import Limit, detection_limit
from audit.stats.proportions import clopper_pearson
from audit.store.runs import Store

DOSES = (0.02, 0.05, 0.1, 0.2, 0.4)
"""Shares of what is planted, where a user names none."""
REPEATS = 20
SHARE = 0.95
"""How often a defect has to be found at its limit of detection."""
_NEEDED = 60
"""Blanks from which their 95th percentile is read off their ranks; below, the largest stands for it (CLSI EP17)."""

Place: TypeAlias = tuple[str, Group]


@dataclass(frozen=True, slots=True)
class Repeat:
    """Draw ``number`` of ``of`` begins; a display says so."""

    number: int
    of: int


@dataclass(frozen=True, slots=True)
class Share:
    """How many of some draws, with the exact interval of Clopper and Pearson at 95 %."""

    found: int
    tried: int

    @property
    def interval(self) -> Interval:
        return clopper_pearson(self.found, self.tried)


@dataclass(frozen=True, slots=True)
class Qualified:
    """What one metric on one group would have caught of one defect.

    ``sensitivity`` is the share of draws in which it is found, by dose. ``limit`` is the smallest dose that is found in at least ``SHARE`` of repeats, None where nothing could be said.
    ``specificity`` is the share of draws that raise no alarm where nothing was planted, None where all are one: the metric's
    whole interval does not lie beyond the noise floor that the next draw found. ``blank`` is the limit of blank: what 95 % of blanks stay on the good side of.
    """

    metric: str
    group: Group
    defect: str
    sensitivity: tuple[tuple[float, Share], ...]
    limit: Limit | None
    specificity: Share | None
    blank: float | None


@dataclass(frozen=True, slots=True)
class Qualification:
    """What an audit's evaluators would have caught. ``without`` names evaluators in which nothing can be planted, and why."""

    name: str
    doses: tuple[float, ...]
    repeats: int
    qualified: tuple[Qualified, ...]
    without: tuple[tuple[str, str], ...]
    failures: tuple[tuple[str, str], ...]


@dataclass
class _Seen:
    """What the repeats gave: for each metric and group, blanks, and what was found of planted defects."""

    blanks: dict[Place, list[Measurement]] = field(default_factory=dict)
    planted: dict[tuple[Place, str], list[dict[float, bool]]] = field(default_factory=dict)
    keys: set[tuple[str, int, Key]] = field(default_factory=set)
    failures: list[tuple[str, str]] = field(default_factory=list)


def check(doses: Sequence[float], repeats: int) -> None:
    """Raise InputError for a ladder that means nothing."""
    if not doses or list(doses) != sorted(set(doses)) or not 0 < doses[0] <= doses[-1] < 1:
        raise InputError(
            f"doses are shares above 0 and below 1 that ascend, not {', '.join(f'{d:g}' for d in doses)}."
        )
    if not 2 <= repeats <= 1_000:
        raise InputError(f"repeats is {repeats}. Give 2 to 1,000: of a single blank nothing can be said.")


def qualify(
    audit: AuditPlan, store: Store, executor: Executor, doses: Sequence[float], repeats: int
) -> Iterator[Event | Repeat | Qualification]:
    """Ask every evaluator of blanks and of planted defects, ``repeats`` times; yield events, and the result last.

    What is made is kept in the store by content, so the same question again costs nothing. No run and no record is made.
    """
    check(doses, repeats)
    seen = _Seen()
    for number in range(repeats):
        controls = controls_of(audit, doses, number)
        yield Repeat(number + 1, repeats)
        scored: dict[tuple[str, int], Scored | Failed] = {}
        for event in run(controls, f"qualify-{audit.key[:12]}", store, executor):
            if isinstance(event, Assessed):
                scored[event.label, event.case] = event.fact
            yield event
        for step in controls.planned:
            _note(seen, step, scored)
    ladder = tuple(map(float, doses))
    unplanted = [step.about.called for step in _steps(audit, doses, 0) if not step.cases.planted]
    yield Qualification(
        audit.name,
        ladder,
        repeats,
        tuple(_qualified(seen, place, defect, draws) for (place, defect), draws in seen.planted.items()),
        tuple((name, "no defect can be planted in what it reads") for name in unplanted),
        tuple(dict.fromkeys(seen.failures)),
    )


def controls_of(audit: AuditPlan, doses: Sequence[float], number: int) -> AuditPlan:
    """Return the plan that asks the evaluators of an audit of blanks and planted defects alone, drawn for the nth time."""
    steps = [_alone(step) for step in _steps(audit, doses, number) if step.cases.planted]
    return replace(audit, steps=tuple(steps))


def _steps(audit: AuditPlan, doses: Sequence[float], number: int) -> tuple[Planned, ...]:
    subject = replace(audit.subject, doses=tuple(map(float, doses)), seed=audit.subject.seed + number)
    asked: list[Asked] = [step.asked for step in audit.planned]
    return plan(audit.name, subject, asked, audit.policy).planned


def _alone(step: Planned) -> Planned:
    """Return a step that asks the blank in place of the model, where there is one."""
    cases = step.cases
    subject = cases.subject if cases.null is None else cases.null.inputs
    return replace(step, cases=Cases(subject, cases.null, cases.planted, cases.no_null))


def _note(seen: _Seen, step: Planned, scored: Mapping[tuple[str, int], Scored | Failed]) -> None:
    """Take what one draw gave. A case whose inputs are those of an earlier draw, byte for byte, is that draw again."""
    label, fresh = step.about.called, []
    for number, case in enumerate(step.cases.all):
        fact = scored.get((label, number))
        if isinstance(fact, Failed):
            seen.failures.append((label, fact.error))
        if fact is not None and (label, number, fact.key) not in seen.keys:
            seen.keys.add((label, number, fact.key))
            fresh.append(case)
    found = controlled_of(step, scored, {})
    if step.cases.null in fresh:
        for outcome in found.outcomes:
            if isinstance(outcome, Measurement):
                seen.blanks.setdefault((outcome.metric, outcome.group), []).append(outcome)
    planted = {(case.defect, case.dose) for case in fresh if case.kind is CaseKind.PLANTED}
    draw: dict[tuple[Place, str], dict[float, bool]] = {}
    for control in found.controls:
        if (
            control.dose is not None
            and control.right is not None
            and (control.defect, control.dose) in planted
        ):
            place = ((control.metric, control.group), control.defect)
            draw.setdefault(place, {})[control.dose] = control.right
    for where, by_dose in draw.items():
        seen.planted.setdefault(where, []).append(by_dose)


def _qualified(seen: _Seen, place: Place, defect: str, draws: Sequence[dict[float, bool]]) -> Qualified:
    doses = sorted({dose for draw in draws for dose in draw})
    tried = [sum(dose in draw for draw in draws) for dose in doses]
    found = [sum(draw.get(dose, False) for draw in draws) for dose in doses]
    blanks = [m for m in seen.blanks.get(place, ()) if m.noise_floor is not None]
    return Qualified(
        metric=place[0],
        group=place[1],
        defect=defect,
        sensitivity=tuple((dose, Share(f, n)) for dose, f, n in zip(doses, found, tried, strict=True)),
        limit=detection_limit(doses, found, tried, SHARE) if doses else None,
        specificity=Share(sum(not alarm(*pair) for pair in _pairs(blanks)), len(blanks))
        if len(blanks) > 1
        else None,
        blank=limit_of_blank(blanks),
    )


def _pairs(blanks: Sequence[Measurement]) -> Iterator[tuple[Measurement, Measurement]]:
    """Pair each blank with the next, whose noise floor it is held against: its own it cannot miss."""
    if len(blanks) > 1:
        yield from zip(blanks, [*blanks[1:], blanks[0]], strict=True)


def alarm(blank: Measurement, other: Measurement) -> bool:
    """Say whether the whole interval of a blank lies beyond the noise floor of another, on the worse side."""
    low, high = getattr(blank.uncertainty, "low", None), getattr(blank.uncertainty, "high", None)
    if low is None or high is None or other.noise_floor is None:
        return False
    if blank.direction is Direction.HIGHER_IS_BETTER:
        return bool(high < other.noise_floor)
    return bool(low > other.noise_floor)


def limit_of_blank(blanks: Sequence[Measurement]) -> float | None:
    """Return what 95 % of blanks stay on the good side of: by rank from 60 on, else the worst; of one alone nothing is known."""
    if len(blanks) < 2:
        return None
    values: Any = np.array([m.value for m in blanks])
    worse_is_low = blanks[0].direction is Direction.HIGHER_IS_BETTER
    if len(values) < _NEEDED:
        return float(values.min() if worse_is_low else values.max())
    rank = 0.5 + 0.95 * len(values)
    ordered = np.sort(-values if worse_is_low else values)
    at = float(np.interp(rank - 1, np.arange(len(ordered)), ordered))
    return -at if worse_is_low else at
