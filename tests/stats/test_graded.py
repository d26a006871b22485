"""Means of scores of which some are missing, against closed forms and simulated truths."""

from __future__ import annotations

import numpy as np
import pytest

from audit.core.errors import UndefinedError
from audit.core.measurements import Interval, Unquantified
from audit.stats.graded import graded_mean, graded_ratio
from audit.stats.proportions import clopper_pearson

NAN = float("nan")


def names(n: int) -> list[str]:
    return [str(i) for i in range(n)]


def test_grades_of_0_and_1_have_the_exact_interval() -> None:
    found = graded_mean([1, 1, 0, 1], names(4), 0, 1)
    assert (found.value, found.n, found.missing, found.low) == (0.75, 4, 0, None)
    assert found.uncertainty == clopper_pearson(3, 4)


def test_what_is_missing_reaches_from_the_worst_case_to_the_best() -> None:
    found = graded_mean([1, 1, 0, NAN, NAN], names(5), 0, 1)
    assert found.value == pytest.approx(2 / 3)
    assert (found.n, found.missing, found.low, found.high) == (3, 2, 0.4, 0.8)
    assert isinstance(found.uncertainty, Interval)
    assert found.uncertainty.low == pytest.approx(clopper_pearson(2, 5).low)
    assert found.uncertainty.high == pytest.approx(clopper_pearson(4, 5).high)
    assert found.uncertainty.method.startswith("worst to best case of 2 without a score")


def test_without_a_range_nothing_bounds_what_is_missing() -> None:
    found = graded_mean([3.0, NAN, 4.0], names(3))
    assert found.value == 3.5
    assert isinstance(found.uncertainty, Unquantified)
    assert "1 of 3 have no score" in found.uncertainty.reason


def test_copies_of_a_sample_are_no_further_evidence() -> None:
    once = graded_mean([1, 0] * 10, names(20), 0, 1).uncertainty
    thrice = graded_mean([1, 0] * 30, names(20) * 3, 0, 1).uncertainty
    assert isinstance(once, Interval)
    assert isinstance(thrice, Interval)
    assert once.half_width <= thrice.half_width <= 1.1 * once.half_width


def test_equal_scores_claim_no_certainty() -> None:
    assert isinstance(graded_mean([0.5] * 30, names(30), 0, 1).uncertainty, Unquantified)
    all_right = graded_mean([1.0] * 30, names(30), 0, 1).uncertainty
    assert isinstance(all_right, Interval)
    assert all_right.low < 0.9


def test_no_score_at_all_is_no_value() -> None:
    with pytest.raises(UndefinedError, match="none of 2"):
        graded_mean([NAN, NAN], names(2), 0, 1)


def test_intervals_of_partial_grades_hold_the_truth_as_often_as_they_say() -> None:
    rng, held = np.random.default_rng(5), 0
    for _ in range(1000):
        scores = rng.choice([0.0, 0.5, 1.0], size=100, p=[0.2, 0.3, 0.5])
        found = graded_mean(scores, names(100), 0, 1).uncertainty
        assert isinstance(found, Interval)
        held += found.low <= 0.65 <= found.high
    assert 0.93 <= held / 1000 <= 0.97


def test_the_interval_holds_the_truth_when_wrong_answers_go_missing() -> None:
    rng, held = np.random.default_rng(6), 0
    for _ in range(300):
        right = (rng.random(60) < 0.7).astype(float)
        seen = np.where((right == 0) & (rng.random(60) < 0.5), NAN, right)
        found = graded_mean(seen, names(60), 0, 1).uncertainty
        assert isinstance(found, Interval)
        held += found.low <= 0.7 <= found.high
    assert held >= 285


def test_a_perplexity_is_that_of_the_sums() -> None:
    nats, tokens = np.linspace(1, 3, 25), np.linspace(2, 10, 25)
    found = graded_ratio(nats, tokens, names(25), exponential=True)
    assert found.value == pytest.approx(np.exp(nats.sum() / tokens.sum()))
    assert isinstance(found.uncertainty, Interval)
    assert found.uncertainty.low < found.value < found.uncertainty.high
