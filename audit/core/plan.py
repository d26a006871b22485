"""An audit, fully decided and not yet run."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from audit.core.errors import PluginError
from audit.core.evaluators import Evaluator, Unmet
from audit.core.identity import Key, fields_of, key_of
from audit.core.policy import Policy
from audit.core.recipes import Recipe
from audit.core.subjects import Subject


@dataclass(frozen=True, slots=True)
class Planned:
    """An evaluator that will run, and the recipes it asked for by name."""

    evaluator: Evaluator
    inputs: tuple[tuple[str, Recipe[Any]], ...]


@dataclass(frozen=True, slots=True)
class Skipped:
    """An evaluator that cannot run here, and every reason why."""

    evaluator: Evaluator
    unmet: tuple[Unmet, ...]


@dataclass(frozen=True)
class AuditPlan:
    """An audit, fully decided and not yet run. Running it twice is running it once."""

    name: str
    subject: Subject
    steps: tuple[Planned | Skipped, ...]
    policy: Policy

    @cached_property
    def key(self) -> Key:
        steps = [
            (step.evaluator.about.name, parameters_of(step.evaluator), isinstance(step, Planned))
            for step in self.steps
        ]
        fields = {"name": self.name, "subject": self.subject, "steps": steps, "policy": self.policy}
        return key_of("plan", 1, fields)

    @property
    def planned(self) -> tuple[Planned, ...]:
        return tuple(step for step in self.steps if isinstance(step, Planned))

    @property
    def skipped(self) -> tuple[Skipped, ...]:
        return tuple(step for step in self.steps if isinstance(step, Skipped))

    def recipes(self) -> tuple[Recipe[Any], ...]:
        """Return every recipe the audit rests on, once each, parents before children."""
        seen: dict[Key, Recipe[Any]] = {}
        for step in self.planned:
            for _, recipe in step.inputs:
                for found in _lineage(recipe):
                    seen.setdefault(found.key, found)
        return tuple(seen.values())


def parameters_of(evaluator: Evaluator) -> dict[str, Any]:
    """Return an evaluator's parameters in canonical form."""
    return fields_of(evaluator)


def _lineage(recipe: Recipe[Any]) -> Iterator[Recipe[Any]]:
    for parent in recipe.parents:
        yield from _lineage(parent)
    yield recipe


def plan(name: str, subject: Subject, evaluators: Iterable[Evaluator], policy: Policy) -> AuditPlan:
    """Decide what runs. Pure: opens nothing, so ``audit plan`` answers in a second."""
    return AuditPlan(name, subject, tuple(_step(subject, e) for e in evaluators), policy)


def _step(subject: Subject, evaluator: Evaluator) -> Planned | Skipped:
    unmet = evaluator.about.needs.unmet(subject)
    if not unmet and (ask := getattr(evaluator, "unmet", None)) is not None:
        unmet = tuple(ask(subject))
    if unmet:
        return Skipped(evaluator, unmet)
    inputs = evaluator.inputs(subject)
    wanted = set(inspect.signature(evaluator.measure).parameters)
    if wanted != set(inputs):
        raise PluginError(
            f"Evaluator '{evaluator.about.name}' breaks its contract: inputs() names "
            f"{', '.join(sorted(inputs))} but measure() takes {', '.join(sorted(wanted))}."
        )
    return Planned(evaluator, tuple(sorted(inputs.items())))
