"""TPR at a low FPR: the ROC curve of scikit-learn, exact posteriors, and how often the intervals hold the truth."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy import stats

from audit.core.errors import UndefinedError
from audit.stats.low_fpr import guaranteed_tpr, tpr_at_fpr

Draw = Callable[[np.random.Generator, int], Any]

NORMAL = stats.norm
POSITIVES: dict[str, tuple[Draw, Callable[[float], float]]] = {
    "chance": (lambda r, n: r.normal(size=n), lambda t: NORMAL.sf(t)),
    "weak": (lambda r, n: r.normal(0.2, 1, n), lambda t: NORMAL.sf(t - 0.2)),
    "shifted": (lambda r, n: r.normal(1, 1, n), lambda t: NORMAL.sf(t - 1)),
    "strong": (lambda r, n: r.normal(3, 1, n), lambda t: NORMAL.sf(t - 3)),
    "a tenth exposed": (
        lambda r, n: r.normal(size=n) + 4 * (r.uniform(size=n) < 0.1),
        lambda t: 0.1 * NORMAL.sf(t - 4) + 0.9 * NORMAL.sf(t),
    ),
}
"""Positives' scores against standard normal negatives, and the share of them above a threshold."""


@pytest.mark.parametrize("n", [100, 150, 368, 1000])
def test_it_is_the_roc_curve_of_scikit_learn(n: int) -> None:
    from sklearn.metrics import roc_curve

    rng = np.random.default_rng(n)
    x, y = rng.normal(1, 1, 300), rng.normal(size=n)
    found = tpr_at_fpr(x, y, np.zeros(300), np.zeros(n), 0.01)
    false, true, _ = roc_curve(np.r_[np.ones(300), np.zeros(n)], np.r_[x, y], drop_intermediate=False)
    assert found.value == true[false <= 0.01].max() == np.interp(0.01, false, true)
    assert found.above == round(n * false[false <= 0.01].max())
    assert found.interval.low < found.value < found.interval.high


def test_where_all_negatives_lie_together_the_interval_is_jeffreys() -> None:
    # 30 positives above every negative, 70 below: wherever the threshold is, 30 lie above it
    x = np.r_[np.full(30, 10.0) + np.arange(30), -np.arange(70.0) - 10]
    found = tpr_at_fpr(x, np.linspace(0, 1, 2000), np.zeros(100), np.zeros(2000), 0.01, 0.9)
    low, high = stats.beta.ppf([0.05, 0.95], 30.5, 70.5)
    assert (found.interval.low, found.interval.high) == (pytest.approx(low), pytest.approx(high))
    assert (found.value, found.hits, found.above) == (0.3, 30, 20)


def test_with_endless_positives_it_is_the_binomial_place_of_the_threshold() -> None:
    # uniform scores on both sides: the TPR at the k-th negative is its rank, and K is Binomial(n, rate)
    n, m = 500, 200_001
    found = tpr_at_fpr(np.linspace(0, 1, m), (np.arange(n) + 0.5) / n, np.zeros(m), np.zeros(n), 0.02)
    low, high = (
        np.interp(q, stats.binom.cdf(np.arange(n), n, 0.02), np.arange(n) + 1.0) / n for q in (0.025, 0.975)
    )
    assert found.interval.low == pytest.approx(low, abs=1 / n)
    assert found.interval.high == pytest.approx(high, abs=1 / n)


def test_ties_are_broken_by_the_numbers_given() -> None:
    rng = np.random.default_rng(6)
    x, y = np.zeros(20_000), np.zeros(20_000)  # a score that carries nothing at all
    found = tpr_at_fpr(x, y, rng.uniform(size=20_000), rng.uniform(size=20_000), 0.01)
    assert found.interval.low < 0.01 < found.interval.high
    assert found.chance == pytest.approx(201 / 20_001)
    again = tpr_at_fpr(x, y, np.zeros(20_000), np.zeros(20_000), 0.01)
    assert again.value == 0.0  # where nothing breaks a tie, the curve has no point below its end


@pytest.mark.parametrize("rate", [0.0, 1.0, -0.1])
def test_a_rate_that_is_none_is_refused(rate: float) -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        tpr_at_fpr([1.0], [0.0], [0.5], [0.5], rate)


def test_what_cannot_be_read_off_is_refused() -> None:
    with pytest.raises(UndefinedError, match="it takes 100"):
        tpr_at_fpr(np.ones(9), np.arange(99.0), np.zeros(9), np.zeros(99), 0.01)
    with pytest.raises(UndefinedError, match="no positives"):
        tpr_at_fpr([], np.arange(99.0), [], np.zeros(99), 0.1)
    with pytest.raises(ValueError, match="not a number"):
        tpr_at_fpr([math.inf], np.arange(99.0), [0], np.zeros(99), 0.1)


def test_copies_count_once() -> None:
    rng = np.random.default_rng(3)
    x, y = rng.normal(1, 1, 400), rng.normal(size=500)
    once = tpr_at_fpr(x, y, np.zeros(400), np.zeros(500), 0.01)
    labels = np.repeat(np.arange(400), 5), np.repeat(np.arange(500), 5)
    copied = tpr_at_fpr(
        np.repeat(x, 5),
        np.repeat(y, 5),
        rng.uniform(size=2000),
        rng.uniform(size=2500),
        0.01,
        positive_clusters=labels[0],
        negative_clusters=labels[1],
    )
    assert (copied.positives, copied.negatives) == (400, 500)
    assert copied.value == once.value
    assert copied.interval.low == pytest.approx(once.interval.low, abs=0.003)
    assert copied.interval.high == pytest.approx(once.interval.high, abs=0.003)


def test_the_guarantee_is_the_order_statistic() -> None:
    rng = np.random.default_rng(4)
    x, y = rng.uniform(size=300), rng.uniform(size=800)
    found = guaranteed_tpr(x, y, np.zeros(300), np.zeros(800), 0.01)
    k = found.above
    assert stats.beta.sf(0.01, k, 801 - k) <= 0.025 < stats.beta.sf(0.01, k + 1, 800 - k)
    assert found.hits == int((x >= np.sort(y)[-k]).sum())
    assert found.lower_bound == pytest.approx(stats.beta.ppf(0.025, found.hits, 301 - found.hits))
    with pytest.raises(UndefinedError, match="it takes 368"):
        guaranteed_tpr(x, y[:367], np.zeros(300), np.zeros(367), 0.01)


def coverage(kind: str, m: int, n: int, replicates: int, rate: float = 0.01) -> float:
    draw, share = POSITIVES[kind]
    truth, rng, kept = share(NORMAL.isf(rate)), np.random.default_rng(5), 0
    for _ in range(replicates):
        found = tpr_at_fpr(draw(rng, m), rng.normal(size=n), np.zeros(m), np.zeros(n), rate).interval
        kept += found.low <= truth <= found.high
    return kept / replicates


@pytest.mark.parametrize(
    "kind", [pytest.param(k, marks=() if n < 1 else pytest.mark.slow) for n, k in enumerate(POSITIVES)]
)
def test_the_interval_covers(kind: str) -> None:
    assert 0.92 <= coverage(kind, 1000, 1000, 300) <= 0.99


@pytest.mark.slow
@pytest.mark.parametrize("kind", POSITIVES)
@pytest.mark.parametrize(
    ("m", "n", "most"), [(368, 368, 0.988), (200, 1000, 0.985), (1000, 1000, 0.978), (4000, 4000, 0.972)]
)
def test_the_interval_covers_the_population_at_exactly_one_per_cent(
    kind: str, m: int, n: int, most: float
) -> None:
    # at 368 fewer than four negatives lie above the threshold and both counts are whole numbers: on the safe side
    assert 0.94 <= coverage(kind, m, n, 2000) <= most


@pytest.mark.slow
@pytest.mark.parametrize("kind", POSITIVES)
def test_the_interval_covers_with_copies_on_both_sides(kind: str) -> None:
    draw, share = POSITIVES[kind]
    truth, rng, kept = share(NORMAL.isf(0.01)), np.random.default_rng(7), 0
    for _ in range(2000):
        times = rng.choice([1, 1, 1, 2, 5], size=(2, 1000))
        labels = [np.repeat(np.arange(1000), t) for t in times]
        x, y = (
            scores[of] for scores, of in zip((draw(rng, 1000), rng.normal(size=1000)), labels, strict=True)
        )
        found = tpr_at_fpr(
            x,
            y,
            rng.uniform(size=len(x)),
            rng.uniform(size=len(y)),
            0.01,
            positive_clusters=labels[0],
            negative_clusters=labels[1],
        ).interval
        kept += found.low <= truth <= found.high
    assert 0.94 <= kept / 2000 <= 0.985
