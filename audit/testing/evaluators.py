"""What every evaluator promises."""

from __future__ import annotations

import dataclasses
import math
import pickle
from typing import Any

from audit.core.evaluators import About, Evaluator
from audit.core.identity import canonical
from audit.core.measurements import Interval, Measurement, Outcome, Unquantified
from audit.core.plan import Planned, Skipped, parameters_of, plan
from audit.core.policy import Policy
from audit.core.subjects import Subject
from audit.testing.memory import Kitchen


def check_description(kind: type[Any], registered: str) -> None:
    """Check what an evaluator says about itself, without a subject."""
    about = kind.about
    assert isinstance(about, About)
    assert about.name == registered, f"registered as '{registered}', calls itself '{about.name}'"
    assert about.name.startswith(f"{about.dimension}."), f"{about.name} lies in dimension {about.dimension}"
    assert about.summary.strip(), "the summary is a sentence"
    assert about.metrics, "it names the metrics it reports"
    assert about.references, "it names its sources"
    for metric, meaning in about.metrics.items():
        assert metric == about.name or metric.startswith(f"{about.name}."), (
            f"{metric} begins with {about.name}"
        )
        assert len(meaning) > 20, f"{metric} is described in a sentence"
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
    outcomes = kitchen.measure(evaluator, subject)
    assert outcomes, "it reports something"
    for outcome in outcomes:
        assert outcome.metric in evaluator.about.metrics, f"{outcome.metric} is described"
        if isinstance(outcome, Measurement):
            _check_measurement(outcome)
        else:
            assert outcome.reason.strip(), "an undefined metric says why"
    seen = [(o.metric, o.group) for o in outcomes]
    assert len(seen) == len(set(seen)), "each metric is reported once for a group"
    again = kitchen.measure(evaluator, subject)
    assert [_number(o) for o in again] == [_number(o) for o in outcomes], (
        "measuring twice gives the same numbers"
    )
    return outcomes


def _check_recipes(first: Any, second: Any) -> None:
    assert isinstance(first, Planned)
    for (name, recipe), (_, again) in zip(first.inputs, second.inputs, strict=True):
        assert recipe.key == again.key, f"{name} has the same key when described again"
        assert pickle.loads(pickle.dumps(recipe)).key == recipe.key, f"{name} travels to a worker"  # noqa: S301 - our own bytes
        assert recipe.shards >= 1, f"{name} comes in pieces"
        for parent in recipe.parents:
            for shard in range(recipe.shards):
                span = recipe.needs(parent, shard)
                assert 0 <= span.start <= span.stop <= parent.shards, f"{name} asks for pieces that exist"


def _check_measurement(m: Measurement) -> None:
    assert math.isfinite(m.value), f"{m.metric} is finite"
    match m.uncertainty:
        case Interval(low=low, high=high, method=method):
            assert low <= high, f"{m.metric}: the interval is in order"
            assert method, f"{m.metric}: the interval names its method"
        case Unquantified(reason=reason):
            assert reason, f"{m.metric}: no interval, and no reason why"


def _number(outcome: Outcome) -> Any:
    return (outcome.metric, outcome.group, getattr(outcome, "value", None))
