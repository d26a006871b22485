"""Policies: what an organisation requires of metrics, and the four verdicts on it."""

from __future__ import annotations

import enum
import math
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import TypeAlias

from audit.core.evaluators import Unmet
from audit.core.measurements import Direction, Group, Interval, Measurement, Outcome, Undefined


class Verdict(enum.StrEnum):
    """What a criterion says of a measurement."""

    PASS = "pass"
    FAIL = "fail"
    INCONCLUSIVE = "inconclusive"
    NOT_ASSESSED = "not assessed"


GRAVEST_FIRST = (Verdict.FAIL, Verdict.INCONCLUSIVE, Verdict.NOT_ASSESSED, Verdict.PASS)


@dataclass(frozen=True, slots=True)
class Criterion:
    """A bound on a metric. The whole interval decides: inside passes, outside fails, across is inconclusive.

    ``within_floor`` is a bound relative to the noise floor: so much worse than what chance alone reaches is allowed, in the
    metric's own unit. Without a noise floor such a criterion is not assessed.

    ``every_group`` judges the metric on each group by itself instead of on all
    examples together. ``modalities`` limits the criterion to models of these
    modalities; empty means all. ``why`` says where the threshold comes from.

    ``baseline`` names an earlier run, or the file of its record: the difference from what that run measured is judged, and may be
    worse by ``margin`` at most, in the metric's own unit (non-inferiority). Criteria of one ``family`` are judged
    together, so that asking many questions brings no verdicts by chance (``audit.engine.families``).

    One that is not ``blocking`` is advice: it is judged and shown, and the verdict of the audit does not rest on it.

    A criterion that is not ``required`` is left out where its question cannot be asked: its evaluator is skipped, since the
    model or the data lack what it needs, or is not in the audit. Where the evaluator failed, it is not assessed like any other.
    """

    metric: str
    at_most: float | None = None
    at_least: float | None = None
    why: str = ""
    every_group: bool = False
    modalities: tuple[str, ...] = ()
    within_floor: float | None = None
    required: bool = True
    blocking: bool = True
    family: str = ""
    baseline: str = ""
    margin: float | None = None

    def __post_init__(self) -> None:
        if bool(self.baseline) != (self.margin is not None):
            raise ValueError(
                f"criterion on {self.metric}: baseline and margin go together, what to compare with and how much worse is allowed"
            )
        fixed = [bound for bound in (self.at_most, self.at_least) if bound is not None]
        relative = {n: v for n in ("within_floor", "margin") if (v := getattr(self, n)) is not None}
        if not fixed and not relative:
            raise ValueError(
                f"criterion on {self.metric} needs at_most, at_least, within_floor, or baseline and margin"
            )
        if len(relative) > 1 or (relative and fixed):
            raise ValueError(
                f"criterion on {self.metric} has {next(iter(relative))} and another bound; write two criteria"
            )
        for name, value in relative.items():
            if value < 0:
                raise ValueError(f"criterion on {self.metric}: {name} is {value}, below 0")
        if self.at_most is not None and self.at_least is not None and self.at_least > self.at_most:
            raise ValueError(
                f"criterion on {self.metric}: at_least {self.at_least} is above at_most {self.at_most}"
            )

    @property
    def bound(self) -> str:
        """The bound in words, such as ``<= 0.6``."""
        parts = []
        if self.at_least is not None:
            parts.append(f">= {self.at_least:g}")
        if self.at_most is not None:
            parts.append(f"<= {self.at_most:g}")
        if self.within_floor is not None:
            parts.append(f"no more than {self.within_floor:g} beyond the noise floor")
        if self.margin is not None:
            parts.append(f"no more than {self.margin:g} worse than run {self.baseline}")
        return " and ".join(parts)

    def concerns(self, modality: str) -> bool:
        """Whether the criterion is about models of a modality; the empty one stands for all."""
        return not modality or not self.modalities or modality in self.modalities

    def on(self, measurement: Measurement) -> Criterion | None:
        """Return the criterion with its bound as a number for one measurement.

        None where its noise floor is not known, and where a difference is judged, not the measurement.
        """
        if self.margin is not None:
            return None
        if self.within_floor is None:
            return self
        floor = measurement.noise_floor
        match measurement.direction:
            case Direction.HIGHER_IS_BETTER if floor is not None:
                return replace(self, at_least=floor - self.within_floor, within_floor=None)
            case Direction.LOWER_IS_BETTER if floor is not None:
                return replace(self, at_most=floor + self.within_floor, within_floor=None)
            case _:
                return None

    def on_difference(self, direction: Direction) -> Criterion:
        """Return the criterion with its bound as a number for the difference from the baseline, this run's minus that one's."""
        allowed = self.margin or 0.0
        if direction is Direction.LOWER_IS_BETTER:
            return replace(self, baseline="", margin=None, at_most=allowed)
        return replace(self, baseline="", margin=None, at_least=-allowed)

    def judge(self, measurement: Measurement) -> Verdict:
        """Return the verdict on one measurement; without an interval, or with a void one, it is not assessed."""
        resolved = self.on(measurement)
        if resolved is None or measurement.void or not isinstance(measurement.uncertainty, Interval):
            return Verdict.NOT_ASSESSED
        return resolved.verdict(measurement.uncertainty)

    def verdict(self, interval: Interval) -> Verdict:
        """Return the verdict on an interval by the bounds that are numbers."""
        upper = math.inf if self.at_most is None else self.at_most
        lower = -math.inf if self.at_least is None else self.at_least
        if interval.low > upper or interval.high < lower:
            return Verdict.FAIL
        if lower <= interval.low and interval.high <= upper:
            return Verdict.PASS
        return Verdict.INCONCLUSIVE

    @property
    def bounds(self) -> tuple[float, ...]:
        return tuple(bound for bound in (self.at_most, self.at_least) if bound is not None)


Deciding: TypeAlias = Callable[["Criterion", Measurement], tuple[int | None, str]]
"""Says how many units would settle an inconclusive verdict, None where no number would, and the same in a sentence."""


@dataclass(frozen=True, slots=True)
class Basis:
    """What a verdict rests on in place of the measurement's own interval, and in words why: a difference, an interval at another level."""

    value: float
    interval: Interval
    said: str


Against: TypeAlias = Callable[["Criterion", Measurement], Basis | Unmet]
"""Says how far a measurement is from its criterion's baseline, this run's minus that one's, or why that is not known."""


@dataclass(frozen=True, slots=True)
class Waiver:
    """Somebody answers for a criterion that is not met, until a day: the verdict of the audit does not rest on it till then.

    ``expires`` is the last day it holds, as ISO 8601; ``group`` limits it to one group. It never changes a criterion's own
    verdict, and every report shows it.
    """

    metric: str
    owner: str
    reason: str
    expires: str
    group: Group = ()

    def __post_init__(self) -> None:
        for name in ("metric", "owner", "reason"):
            if not getattr(self, name).strip():
                raise ValueError(f"a waiver needs its {name}")
        try:
            date.fromisoformat(self.expires)
        except ValueError:
            raise ValueError(
                f"the waiver of {self.metric} expires on {self.expires!r}, which is no date such as 2027-01-31"
            ) from None

    def holds(self, on: date) -> bool:
        """Whether it has not expired on a day."""
        return on <= date.fromisoformat(self.expires)

    def covers(self, metric: str, group: Group) -> bool:
        """Whether it is about a metric on a group; without a group of its own it is about all of them."""
        return self.metric == metric and self.group in ((), group)


@dataclass(frozen=True, slots=True)
class Judgement:
    """One criterion's verdict and what it rests on.

    ``n_to_decide`` is how many units would settle an inconclusive one, as far as there are so many; ``to_decide`` says it.
    ``waiver`` is what the policy says of it besides; ``expired`` that it held no more when the run began.
    """

    criterion: Criterion
    verdict: Verdict
    because: Measurement | tuple[Unmet, ...]
    n_to_decide: int | None = None
    to_decide: str = ""
    waiver: Waiver | None = None
    expired: bool = False
    basis: Basis | None = None

    @property
    def held(self) -> tuple[Criterion, Measurement] | None:
        """The bound in numbers and the number it was held against: the measurement, or what the verdict rests on in its place."""
        if not isinstance(self.because, Measurement):
            return None
        number, criterion = self.because, self.criterion.on(self.because)
        if self.criterion.margin is not None:
            criterion = self.criterion.on_difference(number.direction) if self.basis else None
        if self.basis is not None:
            number = replace(number, value=self.basis.value, uncertainty=self.basis.interval)
        return None if criterion is None else (criterion, number)

    @property
    def waived(self) -> bool:
        """Whether somebody answers for what is not met."""
        return self.waiver is not None and not self.expired and self.verdict is not Verdict.PASS

    @property
    def decides(self) -> bool:
        """Whether the verdict of the audit rests on it."""
        return self.criterion.blocking and not self.waived

    @property
    def standing(self) -> str:
        """What a reader has to know besides the verdict: what it rests on where that is not the number's own interval, and
        its status; else empty."""
        return "; ".join(
            part for part in ("" if self.basis is None else self.basis.said, self.status) if part
        )

    @property
    def status(self) -> str:
        """That the verdict is advice, waived, or no more waived; else empty."""
        parts = []
        if not self.criterion.blocking:
            parts.append("advice: the verdict of the audit does not rest on it")
        if self.waiver is not None:
            w = self.waiver
            if self.expired:
                parts.append(f"the waiver of {w.owner} expired on {w.expires}")
            elif self.waived:
                parts.append(f"waived by {w.owner} until {w.expires}: {w.reason}")
            else:
                parts.append(f"met, so the waiver of {w.owner} is not needed")
        return "; ".join(parts)


@dataclass(frozen=True, slots=True)
class Policy:
    """What an organisation requires. Silence never passes: a required criterion that nobody measured is NOT_ASSESSED."""

    name: str
    version: str
    criteria: tuple[Criterion, ...]
    waivers: tuple[Waiver, ...] = ()

    def asked(self, modality: str, reported: Collection[str]) -> tuple[Criterion, ...]:
        """Return the criteria about models of a modality that are required, or whose metric is among ``reported``."""
        return tuple(
            c for c in self.criteria if c.concerns(modality) and (c.required or c.metric in reported)
        )

    def judge(
        self,
        outcomes: Iterable[Outcome],
        missing: Mapping[str, Sequence[Unmet]],
        modality: str = "",
        deciding: Deciding | None = None,
        skipped: Collection[str] = (),
        on: date | None = None,
        undecided: Mapping[str, Unmet] | None = None,
        against: Against | None = None,
    ) -> tuple[Judgement, ...]:
        """Judge every criterion that is about models of this modality; with none given, every criterion.

        ``missing`` says why a metric was not measured, by metric name, and ``skipped`` names those whose evaluator was
        skipped; ``deciding`` says how many units would settle what is inconclusive. ``on`` is the day by which waivers
        expire; without one, none has. ``undecided`` names metrics whose values decide nothing in this audit, with the
        reason: criteria on them are not assessed. ``against`` gives the difference from a baseline.
        """
        found = list(outcomes)
        reported = {outcome.metric for outcome in found} | (set(missing) - set(skipped))
        return tuple(
            self._waived(judgement, on)
            for criterion in self.asked(modality, reported)
            for judgement in _judge(criterion, found, missing, deciding, undecided or {}, against)
        )

    def _waived(self, judgement: Judgement, on: date | None) -> Judgement:
        because = judgement.because
        group = because.group if isinstance(because, Measurement) else ()
        fitting = [w for w in self.waivers if w.covers(judgement.criterion.metric, group)]
        if not fitting:
            return judgement
        last = max(fitting, key=lambda w: date.fromisoformat(w.expires))
        return replace(judgement, waiver=last, expired=on is not None and not last.holds(on))


def _judge(
    criterion: Criterion,
    outcomes: Sequence[Outcome],
    missing: Mapping[str, Sequence[Unmet]],
    deciding: Deciding | None,
    undecided: Mapping[str, Unmet],
    against: Against | None,
) -> Iterable[Judgement]:
    relevant = [
        o for o in outcomes if o.metric == criterion.metric and bool(o.group) == criterion.every_group
    ]
    if not relevant:
        reasons = tuple(missing.get(criterion.metric, ())) or (
            Unmet(
                need=f"a measurement of {criterion.metric}",
                found="no evaluator in this audit reports it",
                remedy="add the evaluator that reports it, or leave the criterion out of the policy",
            ),
        )
        yield Judgement(criterion, Verdict.NOT_ASSESSED, reasons)
    for outcome in relevant:
        match outcome:
            case Measurement() if criterion.metric in undecided:
                yield Judgement(criterion, Verdict.NOT_ASSESSED, (undecided[criterion.metric],))
            case Measurement():
                yield _judged(criterion, outcome, deciding, against)
            case Undefined(reason=reason):
                unmet = Unmet(f"a value of {criterion.metric}", reason, "change what the reason names")
                yield Judgement(criterion, Verdict.NOT_ASSESSED, (unmet,))


def _judged(
    criterion: Criterion, measurement: Measurement, deciding: Deciding | None, against: Against | None
) -> Judgement:
    basis = None
    if criterion.margin is not None and not measurement.void:
        unread = Unmet(f"the record of run {criterion.baseline}", "nobody read it", "run 'audit run'")
        found = unread if against is None else against(criterion, measurement)
        if isinstance(found, Unmet):
            return Judgement(criterion, Verdict.NOT_ASSESSED, (found,))
        basis = found
    elif criterion.on(measurement) is None and not measurement.void:
        return Judgement(criterion, Verdict.NOT_ASSESSED, (_no_floor(criterion),))
    judgement = Judgement(criterion, criterion.judge(measurement), measurement, basis=basis)
    if basis is not None:
        verdict = criterion.on_difference(measurement.direction).verdict(basis.interval)
        judgement = replace(judgement, verdict=verdict)
    if judgement.verdict is Verdict.INCONCLUSIVE and deciding is not None and judgement.held is not None:
        n, said = deciding(*judgement.held)
        return replace(judgement, n_to_decide=n, to_decide=said)
    return judgement


def _no_floor(criterion: Criterion) -> Unmet:
    return Unmet(
        f"a noise floor of {criterion.metric}",
        "this metric has none in this audit, or neither of its sides is better",
        "write at_least or at_most in place of within_floor",
    )


def spared(judgements: Iterable[Judgement]) -> list[Judgement]:
    """Return those that the verdict of an audit would rest on, were they not waived."""
    return [j for j in judgements if j.waived and j.criterion.blocking]


def overall(judgements: Iterable[Judgement]) -> Verdict:
    """Return the verdict of a whole audit: fail over inconclusive over not assessed over pass.

    Only blocking criteria decide; what is waived counts as met.
    """
    return gravest(Verdict.PASS if j.waived else j.verdict for j in judgements if j.criterion.blocking)


def gravest(verdicts: Iterable[Verdict]) -> Verdict:
    """Return the gravest of some verdicts; of none, that nothing was assessed."""
    return min(verdicts, key=GRAVEST_FIRST.index, default=Verdict.NOT_ASSESSED)


def in_order(judgements: Iterable[Judgement]) -> list[Judgement]:
    """Return judgements as a reader wants them: the gravest first, of those what decides first, otherwise as they were."""
    return sorted(judgements, key=lambda j: (GRAVEST_FIRST.index(j.verdict), not j.decides))
