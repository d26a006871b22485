"""Features at the edges of what numbers can hold: a right value, or a reason why there is none, and never an exception."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
import pytest

from audit.core.errors import UndefinedError
from audit.core.evaluators import Evaluator
from audit.core.measurements import Interval, Measurement, Undefined, Unquantified
from audit.evaluators.quality.frechet.distance import FrechetDistance
from audit.evaluators.quality.frechet.recipes import PARTS, Distance, Extrapolation
from audit.evaluators.quality.kid import KernelDistance
from audit.evaluators.quality.mmd import GaussianDiscrepancy
from audit.evaluators.quality.precision_recall import PrecisionRecall
from audit.stats.kernels import LEAST_P
from tests.evaluators.test_frechet import as_matrix, as_rows, subject

D = 6
ROWS = 110
Rows: TypeAlias = Callable[[np.random.Generator, int], np.ndarray]
EVALUATORS: tuple[Evaluator, ...] = (
    FrechetDistance(),
    KernelDistance(),
    GaussianDiscrepancy(),
    PrecisionRecall(),
)


def rows(centre: float, spread: float, flat_column: float | None = None) -> Rows:
    def drawn(rng: np.random.Generator, n: int) -> np.ndarray:
        found = centre + spread * rng.normal(size=(n, D))
        if flat_column is not None:
            found[:, 0] = 0.5 + flat_column * rng.normal(size=n)
        return found

    return drawn


KINDS = {
    "ordinary": rows(0, 1),
    "one value": rows(0.5, 0),
    "one value without a binary form": rows(0.1, 0),
    "rounding noise": rows(0.5, 1e-9),
    "a flat column": rows(0, 1, flat_column=0),
    "a column of rounding noise": rows(0, 1, flat_column=1e-9),
    "large": rows(1e8, 1),
    "a single precision's largest": rows(0, 1e38),
    "too large": rows(0, 1e200),
    "tiny": rows(0, 1e-200),
}


class Drawn:
    def __init__(self, kind: Rows) -> None:
        self.kind = kind

    def sample(self, n: int, rng: np.random.Generator, condition: Any = None) -> Any:
        return as_rows(self.kind(rng, n))


def found(score: Any, evaluator: Evaluator, real: str, generated: str) -> list[Any]:
    """Return the outcomes by name of the metric; those of a statistic without a value as the engine would."""
    rng = np.random.default_rng(1)
    splits = {name: as_rows(KINDS[real](rng, ROWS)) for name in ("holdout", "train")}
    asked = subject(samples=ROWS, holdout=ROWS, train=ROWS)
    try:
        return list(
            score(evaluator, asked, model=Drawn(KINDS[generated]), splits=splits, extractor=as_matrix)
        )
    except UndefinedError as error:
        return [Undefined(metric, str(error)) for metric in evaluator.about.declared]


PAIRS = [
    *((kind, "ordinary") for kind in KINDS),
    *(("ordinary", kind) for kind in KINDS),
    *((kind, kind) for kind in ("one value", "rounding noise", "large", "too large", "tiny")),
    ("one value", "rounding noise"),
    ("one value", "one value without a binary form"),
    ("a flat column", "a column of rounding noise"),
]


@pytest.mark.parametrize("evaluator", EVALUATORS, ids=lambda e: e.about.name)
@pytest.mark.filterwarnings("ignore:overflow encountered", "ignore:invalid value encountered")
def test_every_pair_has_numbers_that_are_some_or_a_reason(score: Any, evaluator: Evaluator) -> None:
    for real, generated in PAIRS:
        outcomes = found(score, evaluator, real, generated)
        assert {o.metric for o in outcomes} == set(evaluator.about.declared), (real, generated)
        for outcome in outcomes:
            if isinstance(outcome, Measurement):
                assert math.isfinite(outcome.value), (real, generated, outcome.metric)
                # 299 shuffles say no less than 1 in 300, and the normal test of KID is not read below LEAST_P
                least = LEAST_P if outcome.metric == "quality.kid" else 1 / 300
                assert outcome.p_value is None or least <= outcome.p_value <= 1
            else:
                assert outcome.reason, (real, generated)


def test_a_distance_below_zero_is_rounding() -> None:
    whole = [-1.6e-14, *[0.5] * (len(PARTS) - 1)]
    assert Extrapolation.of(map(Distance, whole)).raw == 0.0


FLAT = ["one value", "one value without a binary form", "rounding noise"]


@pytest.mark.parametrize("real", FLAT)
def test_a_reference_that_does_not_vary_has_no_scale(score: Any, real: str) -> None:
    outcomes = {o.metric: o for e in EVALUATORS for o in found(score, e, real, "ordinary")}
    assert isinstance(outcomes["quality.frechet.relative"], Undefined)
    assert "alike" in outcomes["quality.kid"].reason
    assert "alike" in outcomes["quality.mmd"].reason
    assert "alike" in outcomes["quality.precision_recall.precision"].reason
    distance = outcomes["quality.frechet.raw"]
    centre = 0.1 if "binary" in real else 0.5
    assert distance.value == pytest.approx(D * (centre**2 + 1), rel=0.1)  # |m1 - m2|^2 + tr S1, exact


@pytest.mark.parametrize("kind", FLAT)
def test_two_sides_that_do_not_vary_are_at_distance_zero_without_an_interval(score: Any, kind: str) -> None:
    outcomes = {o.metric: o for o in found(score, FrechetDistance(), kind, kind)}
    distance = outcomes["quality.frechet"]
    assert abs(distance.value) < 1e-15
    assert isinstance(distance.uncertainty, Unquantified)
    assert distance.noise_floor is None or abs(distance.noise_floor) < 1e-15
    assert isinstance(outcomes["quality.frechet.relative"], Undefined)


def test_a_generator_that_has_collapsed_is_measured_like_any_other(score: Any) -> None:
    """Its variance is rounding noise: the distance is that of its value, to the last digits that matter."""
    for kind in FLAT[::2]:
        outcomes = {o.metric: o for e in EVALUATORS for o in found(score, e, "ordinary", kind)}
        relative = outcomes["quality.frechet.relative"]
        assert relative.value == pytest.approx(1 + 0.5**2, abs=0.15)
        assert isinstance(relative.uncertainty, Interval)
        assert outcomes["quality.precision_recall.recall"].value == 0
        assert outcomes["quality.mmd"].uncertainty.low > 0.1
        assert outcomes["quality.kid"].value > 1


@pytest.mark.parametrize("evaluator", EVALUATORS, ids=lambda e: e.about.name)
def test_a_column_of_rounding_noise_counts_as_a_flat_one(score: Any, evaluator: Evaluator) -> None:
    flat = found(score, evaluator, "a flat column", "a flat column")
    noisy = found(score, evaluator, "a flat column", "a column of rounding noise")
    for one, other in zip(flat, noisy, strict=True):
        assert other.value == pytest.approx(one.value, abs=1e-6)
