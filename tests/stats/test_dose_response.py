"""Limits of detection and medians: worked cases, and how often their intervals hold what they should."""

from __future__ import annotations

import numpy as np
import pytest

from audit.core.errors import UndefinedError
from audit.stats.dose_response import detection_limit, monotone
from audit.stats.quantiles import median_bounds, median_exposure

DOSES = (1.0, 2.0, 4.0, 8.0, 16.0)


def test_worked_limits() -> None:
    limit = detection_limit(DOSES, [0, 1, 10, 19, 20], [20] * 5)
    assert (limit.value, limit.interval.low, limit.interval.high) == (4.0, 4.0, 8.0)
    assert limit.reached
    never = detection_limit(DOSES, [0] * 5, [20] * 5)
    assert (never.value, never.interval.low, never.interval.high) == (32.0, 32.0, 32.0)
    assert not never.reached
    always = detection_limit(DOSES, [20] * 5, [20] * 5)
    assert (always.value, always.interval.low, always.interval.high) == (1.0, 1.0, 1.0)
    with pytest.raises(ValueError, match="ascend"):
        detection_limit((2, 1), [0, 0], [1, 1])


def test_a_monotone_fit_is_the_closest_one() -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        shares, weights = rng.random(6), rng.integers(1, 9, 6).astype(float)
        fit = monotone(shares, weights)
        assert (np.diff(fit) >= 0).all()
        brute = [
            max(
                min(np.average(shares[i : j + 1], weights=weights[i : j + 1]) for j in range(k, 6))
                for i in range(k + 1)
            )
            for k in range(6)
        ]
        assert fit == pytest.approx(brute)


@pytest.mark.parametrize("steepness", [0.5, 2.0])
def test_the_interval_of_a_limit_holds_it(steepness: float) -> None:
    rng = np.random.default_rng(1)
    true = 1 / (1 + np.exp(-steepness * (np.log2(DOSES) - 2.2)))
    limit = DOSES[int(np.flatnonzero(true >= 0.5)[0])]
    held = 0
    for _ in range(400):
        found = rng.binomial(20, true)
        got = detection_limit(DOSES, found.tolist(), [20] * 5)
        assert got.interval.low <= got.value <= got.interval.high
        held += got.interval.low <= limit <= got.interval.high
    assert held >= 0.95 * 400 - 2 * np.sqrt(400 * 0.05 * 0.95)


def test_the_bounds_of_a_median() -> None:
    assert median_bounds(6) == (0, 5)
    with pytest.raises(UndefinedError, match="too few"):
        median_bounds(5)


@pytest.mark.parametrize("shift", [0.0, 1.5])
def test_the_interval_of_an_exposure_holds_it(shift: float) -> None:
    from scipy import stats

    rng, held = np.random.default_rng(2), 0
    true = -np.log2(stats.norm.sf(shift))
    for _ in range(200):
        found = median_exposure(rng.normal(shift, 1, 20), rng.normal(size=100))
        assert found.interval.low <= found.bits <= found.interval.high
        held += found.interval.low <= true <= found.interval.high
    assert held >= 190


def test_an_exposure_counts_ties_against_the_finding_and_takes_minus_infinity() -> None:
    assert median_exposure(np.ones(9), np.ones(7)).bits == 0.0
    assert median_exposure(np.full(9, -np.inf), np.zeros(7)).bits == 0.0
    top = median_exposure(np.ones(9), np.zeros(7))
    assert top.bits == top.most == 3.0
