"""Shares from labels by hand and a classifier: PPI++ for each value, coverage whatever the classifier does, and refusals."""

from __future__ import annotations

import numpy as np
import pytest

from audit.core.errors import UndefinedError
from audit.stats.hand_labels import Powered, labelled_rate, refuse_chosen
from audit.stats.prediction_powered import powered_mean
from audit.stats.shares import Side, variation

SHARES = np.array([0.5, 0.3, 0.2])
MISREAD = np.array([[0.7, 0.2, 0.1], [0.05, 0.9, 0.05], [0.3, 0.3, 0.4]])


def drawn(
    rng: np.random.Generator, n: int, labelled: int, shares: np.ndarray = SHARES
) -> tuple[np.ndarray, ...]:
    truth = rng.choice(len(shares), n, p=shares)
    read = (rng.random(n)[:, None] >= np.cumsum(MISREAD, axis=1)[truth]).sum(axis=1).clip(0, 2)
    labels = np.where(rng.permutation(n) < labelled, truth, -1)
    return labels, read, truth


def test_two_values_are_ppi_of_one() -> None:
    rng = np.random.default_rng(0)
    labels, read, _ = drawn(rng, 3000, 400, np.array([0.6, 0.4, 0.0]))
    labels, read = np.minimum(labels, 1), np.minimum(read, 1)
    found = Powered.of(labels, read, 2)
    known = labels >= 0
    one = powered_mean(labels[known] == 1, read[known] == 1, read[~known] == 1)
    assert found.shares(np.eye(2))[1] == pytest.approx(one.value, abs=1e-12)
    assert np.sqrt(found.covariance[1, 1]) == pytest.approx(one.standard_error, rel=0.01)
    assert found.weight == pytest.approx(one.weight, rel=1e-9)


def test_shares_add_up_and_labels_alone_are_less_precise() -> None:
    rng = np.random.default_rng(1)
    labels, read, _ = drawn(rng, 4000, 300)
    found = Powered.of(labels, read, 3)
    assert found.held.sum(axis=1) == pytest.approx([1, 1, 1])
    alone = np.bincount(labels[labels >= 0], minlength=3) / 300
    assert (np.diag(found.covariance) < alone * (1 - alone) / 300).all()
    assert abs(found.shares(np.eye(3)) - SHARES).max() < 0.08


def _held(runs: int, shift: float) -> float:
    """The share of audits in which the true distance is in the interval, though the classifier misreads the last value as the first."""
    rng = np.random.default_rng(2)
    target = SHARES + np.array([-shift, 0.0, shift])
    held = 0
    for _ in range(runs):
        labels, read, _ = drawn(rng, 2000, 200)
        found = variation(Powered.of(labels, read, 3), Side(None, target), [np.eye(3)] * 5)
        held += found.interval.low <= shift <= found.interval.high
    return held / runs


@pytest.mark.parametrize("shift", [0.0, 0.2])
def test_the_distance_is_held(shift: float) -> None:
    assert _held(60, shift) >= 0.9


@pytest.mark.slow
@pytest.mark.parametrize("shift", [0.0, 0.05, 0.2])
def test_the_distance_is_held_as_often_as_it_says(shift: float) -> None:
    assert _held(600, shift) >= 0.94


def test_a_rare_value_is_double_sampled() -> None:
    rng = np.random.default_rng(3)
    held = 0
    for _ in range(100):
        truth = rng.random(3000) < 0.005
        read = np.where(rng.random(3000) < 0.9, truth, rng.random(3000) < 0.02).astype(np.int64)
        labels = np.where(rng.permutation(3000) < 300, truth, -1)
        _, interval = labelled_rate(labels, read, 1)
        assert "double sample" in interval.method or "Clopper" in interval.method
        held += interval.low <= 0.005 <= interval.high
    assert held >= 90


def test_labels_that_were_chosen_are_refused() -> None:
    rng = np.random.default_rng(4)
    labels, read, truth = drawn(rng, 3000, 300)
    refuse_chosen(labels, read, 3)
    chosen = np.where(truth == 0, truth, -1)
    with pytest.raises(UndefinedError, match="not drawn at random"):
        Powered.of(chosen, read, 3)
    with pytest.raises(UndefinedError, match="too few"):
        Powered.of(np.where(np.arange(3000) < 50, truth, -1), read, 3)
    with pytest.raises(UndefinedError, match="takes both"):
        Powered.of(truth, read, 3)


def test_a_random_choice_is_refused_one_time_in_a_thousand_at_most() -> None:
    rng = np.random.default_rng(5)
    refused = 0
    for _ in range(300):
        labels, read, _ = drawn(rng, 1000, 150)
        try:
            refuse_chosen(labels, read, 3)
        except UndefinedError:
            refused += 1
    assert refused <= 2
