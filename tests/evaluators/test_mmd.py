"""The Gaussian discrepancy: planted differences that a mean or one bandwidth does not see, and its clean twin."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from audit.core.errors import InputError
from audit.core.measurements import Interval
from audit.evaluators.quality.mmd import GaussianDiscrepancy
from tests.evaluators.test_kid import Planted, as_matrix, as_rows, splits, subject

QUICK = GaussianDiscrepancy(draws=199)


def only(outcomes: list[Any]) -> Any:
    (found,) = outcomes
    assert found.metric == "quality.mmd"
    return found


@pytest.mark.parametrize("defect", [{"shift": 0.8}, {"scale": 1.5}, {"dropped": 1.0}])
def test_planted_differences_lie_beyond_what_chance_reaches(score: Any, defect: dict[str, float]) -> None:
    clean, worst = (
        only(score(QUICK, subject(), model=model, splits=splits(), extractor=as_matrix))
        for model in (Planted(), Planted(**defect))
    )
    assert isinstance(worst.uncertainty, Interval)
    assert worst.uncertainty.low > clean.noise_floor > 0
    assert worst.p_value == pytest.approx(1 / 200), "none of the shuffles gave as much"
    assert clean.uncertainty.low <= 0 <= clean.uncertainty.high
    assert clean.p_value > 0.02


def test_equal_means_and_covariances_are_told_apart(score: Any) -> None:
    """Two-point marginals against normal ones: the Fréchet distance of these is 0."""

    class Signs:
        def sample(self, n: int, rng: np.random.Generator, condition: Any = None) -> Any:
            return as_rows(np.tile(rng.choice([-1.0, 1.0], size=(n, 2)), 4))

    rng = np.random.default_rng(3)
    data = {
        split: as_rows(np.tile(rng.normal(size=(n, 2)), 4)) for split, n in (("holdout", 600), ("train", 900))
    }
    found = only(score(QUICK, subject(), model=Signs(), splits=data, extractor=as_matrix))
    assert found.value > found.noise_floor
    assert found.uncertainty.low > 0
    assert found.p_value < 0.01


def test_the_scale_of_a_feature_does_not_decide(score: Any) -> None:
    def widened(rows: Any) -> Any:
        return as_matrix(rows) * np.array([5.0, *np.ones(7)])

    plain, wide = (
        only(score(QUICK, subject(), model=Planted(shift=0.8), splits=splits(), extractor=e))
        for e in (as_matrix, widened)
    )
    assert wide.value == pytest.approx(plain.value, rel=1e-6)


def test_bad_parameters_are_refused() -> None:
    with pytest.raises(InputError, match="max_rows"):
        GaussianDiscrepancy(max_rows=50)
