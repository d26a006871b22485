"""Before anything runs: can each criterion be met at all, can it be missed, and what would have to be wrong for that?

An evaluator that can say how wide its interval will be has a method ``foreseen(subject)``; an audit too small to pass, or one that
could never fail, is told so by ``audit plan`` and costs nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from audit.core.plan import AuditPlan, Planned
from audit.core.policy import Criterion

_POWER = 1.0 + 0.8416 / 1.96
"""Half-widths by which a true value has to lie beyond a bound to be found there four times in five."""


@dataclass(frozen=True, slots=True)
class Foreseen:
    """How well one metric will be known: ``half_width(value)`` of its 95 % interval, and the value where there is nothing to find.

    ``metric`` is its last word; larger is worse. ``most`` is the largest value it can have, ``rests_on`` says how many examples it will
    be measured on.
    """

    metric: str
    nothing: float
    most: float
    half_width: Callable[[float], float]
    rests_on: str


@dataclass(frozen=True, slots=True)
class Forecast:
    """What a criterion will be able to say. ``fails_from`` is the least true value that fails four times in five; None if there is none."""

    metric: str
    bound: str
    passes_clean: bool
    fails_from: float | None
    rests_on: str

    @property
    def can_decide(self) -> bool:
        return self.passes_clean and self.fails_from is not None

    def sentence(self) -> str:
        """Say what the criterion can show with so many examples.

        >>> Forecast("a.auc", "<= 0.6", True, 0.64, "500 members and 500 others").sentence()
        'a.auc <= 0.6, from 500 members and 500 others: a model with nothing to find passes; from 0.64 on one fails four times in five.'
        """
        passes = (
            "a model with nothing to find passes"
            if self.passes_clean
            else "too few for a pass, even where there is nothing to find"
        )
        fails = (
            "no value that it can have would fail"
            if self.fails_from is None
            else f"from {self.fails_from:.3g} on one fails four times in five"
        )
        return f"{self.metric} {self.bound}, from {self.rests_on}: {passes}; {fails}."


def forecasts(plan: AuditPlan) -> tuple[Forecast, ...]:
    """Return what each criterion on a metric that can be foreseen will be able to say."""
    found = []
    for step in plan.planned:
        for one in _foreseen(plan, step):
            metric = step.about.full(one.metric)
            found += [
                _forecast(metric, criterion, one)
                for criterion in plan.policy.criteria
                if criterion.metric == metric and criterion.concerns(plan.subject.card.modality)
            ]
    return tuple(found)


def _foreseen(plan: AuditPlan, step: Planned) -> Iterable[Foreseen]:
    ask = getattr(step.evaluator, "foreseen", None)
    extractors = dict(step.asked.extractors)
    return () if ask is None else ask(plan.subject.with_extractors(extractors))


def _forecast(metric: str, criterion: Criterion, one: Foreseen) -> Forecast:
    reach = one.nothing + one.half_width(one.nothing)
    bound = reach + criterion.within_floor if criterion.within_floor is not None else criterion.at_most
    if bound is None:
        return Forecast(metric, criterion.bound, True, None, one.rests_on)
    return Forecast(metric, criterion.bound, reach <= bound, _fails_from(bound, one), one.rests_on)


def _fails_from(bound: float, one: Foreseen) -> float | None:
    """Return the least value whose interval lies beyond the bound four times in five, by bisection."""

    def beyond(value: float) -> bool:
        return value - _POWER * one.half_width(value) > bound

    if not beyond(one.most):
        return None
    low, high = bound, one.most
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (low, middle) if beyond(middle) else (middle, high)
    return high


def exchangeable(plan: AuditPlan) -> tuple[str, ...]:
    """Say what speaks against comparing members with non-members, where an evaluator of privacy is to do so."""
    if not any({"train", "holdout"} <= set(step.about.needs.splits) for step in plan.planned):
        return ()
    card = plan.subject.data_card
    said = []
    if not card.randomised:
        said.append(
            "No coin decided what is in 'train' and what in 'holdout': a classifier that never asks the model is held against every attack, "
            "and what it explains is not the model's."
        )
    shared = card.overlap("train", "holdout")
    if shared is not None and shared.rows:
        said.append(
            f"{len(shared.rows):,} of {shared.total:,} rows of 'holdout' ({shared.share:.1%}) also stand in 'train', exactly or nearly; they are "
            "left out, and above 5 % nothing is measured."
        )
    if shared is not None and shared.compared < shared.total:
        said.append(
            f"Only {shared.compared:,} of {shared.total:,} rows of 'holdout' were compared for near copies in 'train'."
        )
    return tuple(said)
