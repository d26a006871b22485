"""Activity of units and mutual information: closed forms, coverage, bounds on both sides."""

from __future__ import annotations

import numpy as np
import pytest

from audit.core.errors import UndefinedError
from audit.stats.latents import activity, mutual_information, normal_divergences


def test_bounds_hold_for_all_variances_at_once() -> None:
    inside = 0
    for seed in range(200):
        codes = np.random.default_rng(seed).normal(size=(300, 20)) * np.linspace(0.05, 2, 20)
        found = activity(codes, 0.01)
        truth = np.linspace(0.05, 2, 20) ** 2
        inside += bool(((found.low <= truth) & (truth <= found.high)).all())
    assert inside / 200 >= 0.91


def test_shares_are_counted_between_sure_and_perhaps() -> None:
    rng = np.random.default_rng(0)
    codes = rng.normal(size=(200, 4)) * np.array([1.0, 0.101, 0.099, 0.0])
    found = activity(codes, 0.01)
    assert found.surely.tolist() == [True, False, False, False]
    assert found.perhaps.tolist() == [True, True, True, False]
    interval = found.interval()
    assert (interval.low, interval.high) == (0.25, 0.75)
    with pytest.raises(UndefinedError, match="two examples"):
        activity(codes[:1], 0.01)


def test_divergences_of_normals() -> None:
    assert normal_divergences([[0.0, 1.0]], [[0.0, 0.0]]).tolist() == [[0.0, 0.5]]
    assert normal_divergences([0.0], [np.log(4.0)])[0] == pytest.approx(0.5 * (4 - 1 - np.log(4)))


@pytest.mark.parametrize("deviation", [0.5, 1.0, 3.0])
def test_both_bounds_hold_the_information_of_normals(deviation: float) -> None:
    rng, n = np.random.default_rng(1), 2000
    means = rng.normal(size=(n, 2))
    logs = np.full((n, 2), 2 * np.log(deviation))
    truth = np.log(1 + 1 / deviation**2)  # two units, half of that each
    found = mutual_information(means, logs, rng.normal(size=(n, 2)))
    error = 3 * found.lower.std() / np.sqrt(n)
    assert found.lower.mean() - error <= truth <= found.upper.mean() + error
    assert found.upper.mean() - found.lower.mean() < 0.02
    assert found.lower.mean() == pytest.approx(truth, abs=error + 0.02)


def test_posteriors_that_are_all_alike_say_nothing() -> None:
    rng = np.random.default_rng(2)
    found = mutual_information(np.zeros((50, 3)), np.zeros((50, 3)), rng.normal(size=(50, 3)))
    np.testing.assert_allclose(found.lower, 0, atol=1e-12)
    np.testing.assert_allclose(found.upper, 0, atol=1e-12)
    with pytest.raises(UndefinedError, match="two examples"):
        mutual_information(np.zeros((1, 3)), np.zeros((1, 3)), np.zeros((1, 3)))
