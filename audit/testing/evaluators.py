"""What every evaluator promises."""

from __future__ import annotations

import dataclasses
import math
import pickle
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from audit.core.cases import CaseKind, Control
from audit.core.evaluators import About, Evaluator
from audit.core.identity import canonical
from audit.core.measurements import Interval, Measurement, Outcome, Unquantified
from audit.core.metrics import Metric
from audit.core.plan import Planned, Skipped, parameters_of, plan
from audit.core.policy import Policy
from audit.core.subjects import Subject
from audit.testing.memory import Kitchen


def check_description(kind: type[Any], registered: str) -> None:
    """Check what an evaluator says about itself, without a subject."""
    about = kind.about
    assert isinstance(about, About)
    assert about.name == registered, f"registered as '{registered}', calls itself '{about.name}'"
    assert about.name.startswith(f"{about.dimension}."), f"{about.name} is in dimension {about.dimension}"
    assert about.summary.strip(), "the summary is a sentence"
    assert about.metrics, "it names the metrics it reports"
    assert about.references, "it names its sources"
    assert len(about.declared) == len(about.metrics), "each metric is declared once"
    assert set(about.distances) <= {metric.name for metric in about.metrics}, (
        "distances are metrics of its own"
    )
    for name, metric in about.declared.items():
        assert len(metric.meaning) > 20, f"{name} is described in a sentence"
        assert metric.question == "" or metric.question.endswith("?"), f"{name}: its question is a question"
    assert kind.__dataclass_params__.frozen, f"{kind.__name__} is a frozen dataclass"
    canonical(parameters_of(kind()))
    for field in dataclasses.fields(kind):
        assert field.default is not dataclasses.MISSING, f"parameter {field.name} has a sensible default"


def check_evaluator(evaluator: Evaluator, subject: Subject, kitchen: Kitchen | None = None) -> list[Outcome]:
    """Check an evaluator on one subject and return its outcomes; empty when it is skipped there."""
    policy = Policy("none", "1", ())
    step = plan("check", subject, [evaluator], policy).steps[0]
    if isinstance(step, Skipped):
        for gap in step.unmet:
            assert gap.need, "a skip says what is needed"
            assert gap.found, "a skip says what was found"
            assert gap.remedy, "a skip says what would change it"
        return []
    _check_recipes(step, plan("check", subject, [evaluator], policy).steps[0])
    kitchen = kitchen or Kitchen()
    found = kitchen.ask(evaluator, subject)
    _check_outcomes(evaluator, found.outcomes)
    assert not [o for o in found.outcomes if isinstance(o, Measurement) and o.void], (
        "its own null case is right"
    )
    again = kitchen.measure(evaluator, subject)
    assert [_number(o) for o in again] == [_number(o) for o in found.outcomes], (
        "measuring twice gives the same numbers"
    )
    return list(found.outcomes)


def check_null(evaluator: Evaluator, subject: Subject, kitchen: Kitchen | None = None) -> list[Outcome]:
    """Check the null case of an evaluator on one subject and return its outcomes; empty where it has none."""
    outcomes = (kitchen or Kitchen()).measure_null(evaluator, subject)
    if outcomes:
        _check_outcomes(evaluator, outcomes)
    return outcomes


def check_planted(
    evaluator: Evaluator, subject: Subject, dose: float, kitchen: Kitchen | None = None
) -> list[Control]:
    """Check that some metric of an evaluator finds the defect planted at a dose, where it has planted cases."""
    controls = (kitchen or Kitchen()).ask(evaluator, replace(subject, doses=(dose,))).controls
    planted = [control for control in controls if control.kind is CaseKind.PLANTED]
    judged = [control for control in planted if control.right is not None]
    assert not planted or any(control.right for control in judged), (
        f"a defect planted at dose {dose:g} is found by some metric: {[c.because for c in judged]}"
    )
    return planted


def check_shard_sizes(
    evaluator: Evaluator,
    subject: Subject,
    other: int,
    kitchen: Kitchen | None = None,
    tolerance: float = 1e-9,
) -> None:
    """Check that values do not depend on how rows are cut into shards, unless the evaluator says that they do.

    The subject's samples must not depend on it either: take a model whose samples were drawn before.
    """
    if evaluator.about.shards_matter:
        return
    kitchen = kitchen or Kitchen()
    one = kitchen.measure(evaluator, subject)
    two = kitchen.measure(evaluator, replace(subject, shard_size=other))
    assert [_number(o)[:2] for o in one] == [_number(o)[:2] for o in two], (
        "the same metrics at any shard size"
    )
    for a, b in zip(one, two, strict=True):
        if isinstance(a, Measurement) and isinstance(b, Measurement):
            assert math.isclose(a.value, b.value, rel_tol=tolerance, abs_tol=tolerance), (
                f"{a.metric} is {a.value!r} with shards of {subject.shard_size} and {b.value!r} with shards of {other}; "
                "set About.shards_matter if that is meant"
            )


def _check_outcomes(evaluator: Evaluator, outcomes: Sequence[Outcome]) -> None:
    assert outcomes, "it reports something"
    declared = evaluator.about.declared
    for outcome in outcomes:
        assert outcome.metric in declared, f"{outcome.metric} is declared"
        if isinstance(outcome, Measurement):
            _check_measurement(outcome, declared[outcome.metric])
        else:
            assert outcome.reason.strip(), "an undefined metric says why"
    seen = [(o.metric, o.group) for o in outcomes]
    assert len(seen) == len(set(seen)), "each metric is reported once for a group"


def _check_recipes(first: Any, second: Any) -> None:
    assert isinstance(first, Planned)
    for recipe, again in zip(first.recipes(), second.recipes(), strict=True):
        assert recipe.key == again.key, f"{recipe.label} has the same key when described again"
        assert pickle.loads(pickle.dumps(recipe)).key == recipe.key, f"{recipe.label} travels to a worker"  # noqa: S301 - our own bytes
        assert recipe.shards >= 1, f"{recipe.label} comes in shards"
        assert recipe.value is not None, f"{recipe.label} says what a shard holds"
        for link in recipe.links:
            for shard in range(recipe.shards):
                span = recipe.needs(link.field, link.parent, shard)
                assert 0 <= span.start <= span.stop <= link.parent.shards, (
                    f"{recipe.label} asks '{link.field}' for shards that exist"
                )


def _check_measurement(m: Measurement, declared: Metric) -> None:
    assert math.isfinite(m.value), f"{m.metric} is finite"
    assert m.direction is declared.direction, f"{m.metric} has the direction it was declared with"
    match m.uncertainty:
        case Interval(low=low, high=high, method=method):
            assert low <= high, f"{m.metric}: the interval is in order"
            assert method, f"{m.metric}: the interval names its method"
        case Unquantified(reason=reason):
            assert reason, f"{m.metric}: no interval, and no reason why"


def _number(outcome: Outcome) -> Any:
    return (outcome.metric, outcome.group, getattr(outcome, "value", None))
