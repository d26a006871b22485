"""An audit, fully decided and not yet run."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from audit.core.cases import Case, Cases
from audit.core.errors import PluginError
from audit.core.evaluators import About, Evaluator, Unmet
from audit.core.identity import Key, digest_of, fields_of, key_of
from audit.core.policy import Policy
from audit.core.recipes import Recipe, lineage, recipes_in
from audit.core.records import AuditRecord, to_json
from audit.core.references import ExtractorRef
from audit.core.subjects import Subject


@dataclass(frozen=True, slots=True)
class Asked:
    """An evaluator that a spec asks for: what its metrics are called there, and extractors of its own by role."""

    evaluator: Evaluator
    label: str = ""
    extractors: tuple[tuple[str, ExtractorRef], ...] = ()

    @property
    def about(self) -> About:
        return replace(self.evaluator.about, label=self.label) if self.label else self.evaluator.about


@dataclass(frozen=True, slots=True)
class Planned:
    """An evaluator that will run, and everything it asks."""

    asked: Asked
    cases: Cases

    @property
    def about(self) -> About:
        return self.asked.about

    @property
    def evaluator(self) -> Evaluator:
        return self.asked.evaluator

    def recipes(self) -> tuple[Recipe[Any], ...]:
        """Return every recipe it rests on, once each, parents before children."""
        return lineage([recipe for case in self.cases.all for recipe in recipes_in(case.inputs)])


@dataclass(frozen=True, slots=True)
class Skipped:
    """An evaluator that cannot run here, and every reason why."""

    asked: Asked
    unmet: tuple[Unmet, ...]

    @property
    def about(self) -> About:
        return self.asked.about

    @property
    def evaluator(self) -> Evaluator:
        return self.asked.evaluator


@dataclass(frozen=True)
class AuditPlan:
    """An audit, fully decided and not yet run. Running it twice is running it once."""

    name: str
    subject: Subject
    steps: tuple[Planned | Skipped, ...]
    policy: Policy
    baselines: Mapping[str, AuditRecord] = field(default_factory=dict)
    """The records that criteria compare with, by their runs."""

    @cached_property
    def key(self) -> Key:
        steps = [
            (
                step.about.name,
                step.about.label,
                parameters_of(step.evaluator),
                step.asked.extractors,
                isinstance(step, Planned),
            )
            for step in self.steps
        ]
        fields = {"name": self.name, "subject": self.subject, "steps": steps, "policy": self.policy}
        if self.baselines:
            fields["baselines"] = self.baseline_digests
        return key_of("plan", 2, fields)

    @cached_property
    def baseline_digests(self) -> dict[str, str]:
        """The digest of the record of each baseline."""
        return {
            run: str(digest_of(to_json(record).encode())) for run, record in sorted(self.baselines.items())
        }

    @cached_property
    def undecided(self) -> dict[str, Unmet]:
        """The metrics that no policy judges here, by name, with the reason: distances in features that see too little."""
        found: dict[str, Unmet] = {}
        for step in self.planned:
            blunt = self.subject.with_extractors(dict(step.asked.extractors)).blunt()
            if step.about.distances and blunt:
                need = "features in which a distance decides something"
                remedy = (
                    "leave the extractor out of the spec for the best that is installed, or name another; 'audit list extractors' "
                    "shows them"
                )
                names = map(step.about.full, step.about.distances)
                found |= dict.fromkeys(names, Unmet(need, blunt, remedy))
        return found

    @property
    def planned(self) -> tuple[Planned, ...]:
        return tuple(step for step in self.steps if isinstance(step, Planned))

    @property
    def skipped(self) -> tuple[Skipped, ...]:
        return tuple(step for step in self.steps if isinstance(step, Skipped))

    @cached_property
    def _recipes(self) -> tuple[Recipe[Any], ...]:
        return lineage(
            [r for step in self.planned for case in step.cases.all for r in recipes_in(case.inputs)]
        )

    def recipes(self) -> tuple[Recipe[Any], ...]:
        """Return every recipe the audit rests on, once each, parents before children."""
        return self._recipes


def parameters_of(evaluator: Evaluator) -> dict[str, Any]:
    """Return an evaluator's parameters in canonical form."""
    return fields_of(evaluator)


def plan(name: str, subject: Subject, evaluators: Iterable[Evaluator | Asked], policy: Policy) -> AuditPlan:
    """Decide what runs. Pure: opens nothing, so ``audit plan`` answers in a second.

    Raise PluginError for an evaluator or a recipe that breaks its contract.
    """
    asked = [e if isinstance(e, Asked) else Asked(e) for e in evaluators]
    decided = AuditPlan(name, subject, tuple(_step(subject, one) for one in asked), policy)
    for recipe in decided.recipes():
        recipe.refuse_unequal_shards()
    return decided


def _step(subject: Subject, asked: Asked) -> Planned | Skipped:
    evaluator = asked.evaluator
    seen = subject.with_extractors(dict(asked.extractors)) if asked.extractors else subject
    unmet = evaluator.about.needs.unmet(seen, getattr(evaluator, "reference", "holdout"))
    if not unmet and (ask := getattr(evaluator, "unmet", None)) is not None:
        unmet = tuple(ask(seen))
    if unmet:
        return Skipped(asked, unmet)
    cases = Cases.of(evaluator.inputs(seen))
    for case in cases.all:
        _check_names(evaluator, case)
    return Planned(asked, cases)


def _check_names(evaluator: Evaluator, case: Case) -> None:
    parameters = inspect.signature(evaluator.measure).parameters
    required = {name for name, p in parameters.items() if p.default is p.empty}
    if not required <= set(case.inputs) <= set(parameters):
        raise PluginError(
            f"Evaluator '{evaluator.about.name}' breaks its contract: for its {case.kind} case inputs() names "
            f"{', '.join(sorted(case.inputs))} but measure() takes {', '.join(sorted(parameters))}."
        )
