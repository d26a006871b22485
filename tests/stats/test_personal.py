"""Distances between people's answers: U-statistics by hand, no alarm where only people differ, power, exact p-values."""

from __future__ import annotations

import numpy as np
import pytest

from audit.core.errors import UndefinedError
from audit.stats.kernel_values import gaussian
from audit.stats.kernels import discrepancy, four_sums
from audit.stats.personal import compared, kernels, typical


def answers(
    rng: np.random.Generator, people: int, groups: np.ndarray, shift: float, requests: int = 4
) -> np.ndarray:
    """Answers that depend on the request and the person; for the first group they are ``shift`` off."""
    found = 3 * rng.normal(size=(requests, 1, 1, 4)) + 0.5 * rng.normal(size=(1, people, 1, 4))
    found = found + rng.normal(size=(requests, people, 2, 4))
    found[:, groups == 0] += shift
    return found


def test_one_request_is_the_discrepancy_of_two_samples() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(1, 24, 1, 3))
    groups = np.repeat([0, 1], 12)
    found = compared(kernels(x), groups, rng, permutations=99)
    rows = x[0, :, 0]
    apart = np.square(rows[:, None] - rows).sum(axis=-1)[np.tril_indices(24, -1)]
    kernel = gaussian(float(np.sqrt(np.median(apart))))
    whole = discrepancy(*four_sums(rows[:12], rows[12:], kernel))
    assert found.distance == pytest.approx(whole.value, abs=1e-12)
    assert found.pairs[0] == found.distance


def test_the_share_is_one_where_the_group_decides_the_answer() -> None:
    groups = np.repeat([0, 1], 10)
    x = np.broadcast_to(np.where(groups == 0, 0.0, 50.0)[None, :, None, None], (3, 20, 1, 2))
    x = x + 1e-3 * np.random.default_rng(0).normal(size=x.shape)
    found = compared(kernels(x), groups, np.random.default_rng(0), permutations=99)
    value = 1 - np.exp(-0.5)  # the median distance is that between groups
    assert found.distance == pytest.approx(2 * value, rel=1e-3)
    assert found.share == pytest.approx(1.0, rel=1e-3)
    assert found.p == pytest.approx(0.01, abs=0.011)


def _alarms(runs: int, groups: int, each: int, shift: float = 0.0) -> np.ndarray:
    rng = np.random.default_rng(7)
    codes = np.repeat(np.arange(groups), each)
    found = np.zeros(4)
    for _ in range(runs):
        one = compared(kernels(answers(rng, len(codes), codes, shift)), codes, rng, permutations=99)
        found += [one.interval.low > 0, one.p <= 0.05, (one.low > 0).any(), (one.request_p < 0.05).any()]
    return found / runs


def test_people_who_differ_are_no_group_and_a_group_is_found() -> None:
    assert _alarms(20, 2, 15).max() <= 0.2
    assert _alarms(5, 2, 20, 1.0).min() == 1
    assert _alarms(5, 3, 12, 1.0)[2] == 1


@pytest.mark.slow
@pytest.mark.parametrize("groups", [2, 4])
def test_false_alarms_are_at_most_one_in_twenty(groups: int) -> None:
    interval, p, pairs, requests = _alarms(400, groups, 10)
    assert interval <= 0.05
    assert pairs <= 0.05
    assert p <= 0.05 + 2.6 * np.sqrt(0.05 * 0.95 / 400)
    assert requests <= 0.08


@pytest.mark.slow
def test_the_interval_holds_a_distance_that_is_there() -> None:
    """The truth is the mean over many audits: the statistic is unbiased."""
    rng = np.random.default_rng(3)
    codes = np.repeat([0, 1], 20)
    found = [compared(kernels(answers(rng, 40, codes, 0.6)), codes, rng, permutations=99) for _ in range(300)]
    truth = np.mean([one.distance for one in found])
    held = np.mean([one.interval.low <= truth <= one.interval.high for one in found])
    assert held >= 0.93


def test_what_cannot_be_compared_has_a_reason() -> None:
    rng = np.random.default_rng(0)
    with pytest.raises(UndefinedError, match="same answers"):
        kernels(np.ones((2, 12, 1, 3)))
    with pytest.raises(UndefinedError, match="two groups of 5"):
        compared(kernels(rng.normal(size=(1, 8, 1, 2))), np.repeat([0, 1], 4), rng)
    assert typical(np.ones((2, 12, 1, 3))) == 0
