"""Corrected rates: inverses by hand, a general optimiser, and coverage down to half a per cent."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import optimize

from audit.core.errors import UndefinedError
from audit.stats.misclassification import (
    CorrectedRate,
    Labelled,
    corrected_rate,
    corrected_shares,
    lang_reiczigel,
)
from audit.stats.proportions import wilson


def test_the_value_is_rogan_and_gladens_and_exact_labels_leave_wilson() -> None:
    found = corrected_rate(200, 1000, Labelled(90, 100), Labelled(95, 100))
    assert found.value == pytest.approx((0.2 + 0.95 - 1) / 0.85)
    perfect = corrected_rate(200, 1000, Labelled(10**9, 10**9), Labelled(10**9, 10**9)).interval
    assert (perfect.low, perfect.high) == (
        pytest.approx(wilson(200, 1000).low, abs=1e-6),
        pytest.approx(wilson(200, 1000).high, abs=1e-6),
    )


def test_lang_and_reiczigels_interval_is_their_formula() -> None:
    x, n, z = 240, 1000, 1.959963984540054
    q, se, sp = (x + z * z / 2) / (n + z * z), 181 / 202, 191 / 202
    rate = (q + sp - 1) / (se + sp - 1)
    shift = 2 * z**2 * (rate * se * (1 - se) / 202 - (1 - rate) * sp * (1 - sp) / 202)
    half = (
        z
        / (se + sp - 1)
        * math.sqrt(
            q * (1 - q) / (n + z * z) + (1 - rate) ** 2 * sp * (1 - sp) / 202 + rate**2 * se * (1 - se) / 202
        )
    )
    found = lang_reiczigel(x, n, Labelled(180, 200), Labelled(190, 200))
    assert (found.low, found.high) == (pytest.approx(rate + shift - half), pytest.approx(rate + shift + half))


def test_fewer_positives_than_false_alarms_explain_is_said() -> None:
    found = corrected_rate(40, 1000, Labelled(90, 100), Labelled(95, 100))
    assert (found.value, found.interval.low) == (0.0, 0.0)
    assert found.unbounded < 0 < found.interval.high
    with pytest.raises(UndefinedError, match="fewer than the labelled errors can explain"):
        corrected_rate(10, 1000, Labelled(90, 100), Labelled(95, 100))
    with pytest.raises(UndefinedError, match="more than the labelled errors can explain"):
        corrected_rate(999, 1000, Labelled(90, 100), Labelled(95, 100))


@pytest.mark.parametrize(
    ("se", "sp", "words"),
    [
        (Labelled(51, 100), Labelled(50, 100), "condition number"),
        (Labelled(6, 10), Labelled(6, 10), "than a coin"),
    ],
)
def test_a_useless_classifier_is_refused(se: Labelled, sp: Labelled, words: str) -> None:
    with pytest.raises(UndefinedError, match=words):
        corrected_rate(50, 100, se, sp)


SETTINGS = [
    (0.1, 0.92, 0.88, 2000, 300, 300),
    (0.005, 0.9, 0.95, 5000, 150, 150),
    (0.005, 0.9, 0.99, 5000, 150, 150),
    (0.005, 0.8, 0.95, 5000, 2, 298),
    (0.005, 0.9, 0.98, 50_000, 150, 150),
    (0.02, 0.9, 0.95, 2000, 100, 200),
    (0.5, 0.9, 0.9, 1000, 100, 100),
    (0.95, 0.9, 0.9, 1000, 100, 100),
]


def coverage(setting: tuple[float, float, float, int, int, int], draws: int) -> tuple[float, float]:
    """How often the interval holds the rate, and how often the one that takes the classifier at its word does."""
    pi, se, sp, n, positives, negatives = setting
    rng, kept, naive, refused = np.random.default_rng(0), 0, 0, 0
    for _ in range(draws):
        x = int(rng.binomial(n, pi * se + (1 - pi) * (1 - sp)))
        labels = (
            Labelled(int(rng.binomial(positives, se)), positives),
            Labelled(int(rng.binomial(negatives, sp)), negatives),
        )
        raw = wilson(x, n)
        naive += raw.low <= pi <= raw.high
        try:
            found: CorrectedRate = corrected_rate(x, n, *labels)
        except UndefinedError:
            refused += 1
            continue
        kept += found.interval.low <= pi <= found.interval.high
    assert refused < 0.1 * draws or positives == 2  # two labelled positives, one of them missed, say nothing
    return kept / (draws - refused), naive / draws


def test_the_interval_covers_where_the_naive_one_does_not() -> None:
    ours, naive = coverage(SETTINGS[0], 400)
    assert 0.92 <= ours <= 0.98
    assert naive < 0.1
    assert 0.92 <= coverage(SETTINGS[1], 400)[0] <= 0.985


@pytest.mark.slow
@pytest.mark.parametrize("setting", SETTINGS)
def test_the_interval_covers_rare_and_frequent_classes(
    setting: tuple[float, float, float, int, int, int],
) -> None:
    assert 0.93 <= coverage(setting, 3000)[0] <= 0.987


def matrix(k: int, accuracy: float) -> np.ndarray:
    return np.full((k, k), (1 - accuracy) / (k - 1)) + np.eye(k) * (accuracy - (1 - accuracy) / (k - 1))


def test_shares_are_the_inverse_inside_the_simplex_and_the_optimum_on_its_edge() -> None:
    rng = np.random.default_rng(1)
    counts, labels = np.array([500.0, 300, 200]), 100 * matrix(3, 0.8)
    found = corrected_shares(counts, labels, rng)
    np.testing.assert_allclose(found.values @ matrix(3, 0.8), counts / 1000, atol=1e-9)
    edge = np.array([880.0, 80, 40])
    found = corrected_shares(edge, labels, rng)

    def loss(free: np.ndarray) -> float:
        pi = np.exp(free) / np.exp(free).sum()
        return -float(edge @ np.log(pi @ matrix(3, 0.8)))

    best = optimize.minimize(
        loss, np.zeros(3), method="Nelder-Mead", options={"maxiter": 20_000, "xatol": 1e-9, "fatol": 1e-12}
    )
    np.testing.assert_allclose(found.values, np.exp(best.x) / np.exp(best.x).sum(), atol=2e-3)
    assert found.values.min() == 0.0
    assert found.values.sum() == pytest.approx(1)
    assert found.interval(2).low == 0.0


def test_two_classes_agree_with_the_two_class_interval() -> None:
    rng = np.random.default_rng(2)
    pair = corrected_rate(300, 1000, Labelled(85, 100), Labelled(170, 200)).interval
    both = corrected_shares([700, 300], [[170, 30], [15, 85]], rng, draws=20_000)
    assert both.values[1] == pytest.approx((0.3 - 0.15) / 0.7)
    assert (both.low[1], both.high[1]) == (
        pytest.approx(pair.low, abs=0.01),
        pytest.approx(pair.high, abs=0.01),
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("shares", "accuracy", "labels", "n"),
    [
        ((0.6, 0.3, 0.1), 0.8, 100, 1000),
        ((0.7, 0.3, 0.0), 0.8, 100, 1000),
        ((0.98, 0.015, 0.005), 0.9, 100, 5000),
        ((0.2,) * 5, 0.7, 100, 1000),
        ((0.5, 0.3, 0.2, 0.0, 0.0), 0.7, 100, 2000),
        ((0.5, 0.5), 0.85, 60, 400),
    ],
)
def test_intervals_of_shares_cover(shares: tuple[float, ...], accuracy: float, labels: int, n: int) -> None:
    rng, truth, kept = np.random.default_rng(3), np.array(shares), np.zeros(len(shares))
    confusion = matrix(len(shares), accuracy)
    for _ in range(1000):
        counts = rng.multinomial(n, truth @ confusion)
        seen = np.stack([rng.multinomial(labels, row) for row in confusion])
        found = corrected_shares(counts, seen, rng, draws=500)
        kept += (found.low <= truth) & (truth <= found.high)
    assert (kept / 1000 >= 0.915).all()
    assert (kept / 1000 <= 0.99).all()


def test_what_cannot_be_inverted_is_refused() -> None:
    rng = np.random.default_rng(4)
    with pytest.raises(UndefinedError, match="condition number"):
        corrected_shares([10, 20, 30], [[40, 30, 30], [40, 30, 30], [0, 0, 100]], rng)
    with pytest.raises(UndefinedError, match="no labelled example"):
        corrected_shares([10, 20], [[0, 0], [1, 9]], rng)
    with pytest.raises(UndefinedError, match="nothing was classified"):
        corrected_shares([0, 0], [[9, 1], [1, 9]], rng)
    with pytest.raises(ValueError, match="do not go together"):
        corrected_shares([1, 2, 3], [[9, 1], [1, 9]], rng)
    with pytest.raises(ValueError, match="3 right of 2"):
        Labelled(3, 2)
