"""Few labels and many predictions: special cases in closed form, and coverage with good, useless and wrong predictions."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from audit.core.errors import UndefinedError
from audit.stats.prediction_powered import Checked, double_sampled_rate, powered_mean
from audit.stats.proportions import wilson


def test_constant_predictions_leave_the_t_interval_of_the_labels() -> None:
    y = np.random.default_rng(0).normal(2, 1, 50)
    found = powered_mean(y, np.ones(50), np.ones(400))
    wanted = stats.ttest_1samp(y, 0).confidence_interval(0.95)
    assert (found.value, found.weight) == (pytest.approx(y.mean()), 0.0)
    assert (found.interval.low, found.interval.high) == (
        pytest.approx(wanted.low),
        pytest.approx(wanted.high),
    )
    assert found.standard_error == pytest.approx(found.labels_alone)


def test_perfect_predictions_give_nearly_the_mean_of_all() -> None:
    rng = np.random.default_rng(1)
    every = rng.normal(size=100_000)
    found = powered_mean(every[:100], every[:100], every[100:])
    assert found.weight == pytest.approx(1, abs=0.3)  # estimated from a hundred
    assert abs(found.value - every.mean()) < 3 * found.standard_error
    assert found.standard_error < 0.35 * found.labels_alone


def test_the_weight_and_error_are_those_of_the_paper() -> None:
    rng = np.random.default_rng(2)
    n, rest = 200, 5000
    f = rng.normal(size=n + rest)
    y = 3 + 0.8 * f + rng.normal(0, 0.5, n + rest)
    found = powered_mean(y[:n], f[:n], f[n:])
    weight = np.cov(y[:n], f[:n])[0, 1] / ((1 + n / rest) * f.var(ddof=1))
    assert found.weight == pytest.approx(weight)
    assert found.value == pytest.approx(weight * f[n:].mean() + (y[:n] - weight * f[:n]).mean())
    squared = weight**2 * f[n:].var(ddof=1) / rest + (y[:n] - weight * f[:n]).var(ddof=1) / n
    assert found.standard_error == pytest.approx(math.sqrt(squared))


def test_clusters_of_one_change_nothing_and_copies_add_nothing() -> None:
    rng = np.random.default_rng(3)
    y, f, g = rng.normal(size=60), rng.normal(size=60), rng.normal(size=300)
    plain = powered_mean(y, f, g)
    single = powered_mean(y, f, g, clusters=np.arange(60), other_clusters=np.arange(60, 360))
    assert single.standard_error == pytest.approx(plain.standard_error, rel=0.01)
    copied = powered_mean(
        np.repeat(y, 4),
        np.repeat(f, 4),
        np.repeat(g, 4),
        clusters=np.repeat(np.arange(60), 4),
        other_clusters=np.repeat(np.arange(60, 360), 4),
    )
    assert copied.standard_error == pytest.approx(plain.standard_error, rel=0.02)
    with pytest.raises(ValueError, match="of neither"):
        powered_mean(y, f, g, clusters=np.arange(60))


def _mean_coverage(slope: float, n: int, draws: int) -> tuple[float, float]:
    rng, kept, width = np.random.default_rng(4), 0, 0.0
    for _ in range(draws):
        f = rng.exponential(size=n + 2000)
        y = slope * f + rng.normal(0, 1, n + 2000)
        found = powered_mean(y[:n], f[:n] + 5, f[n:] + 5)  # a constant error of the predictions is no matter
        kept += found.interval.low <= slope <= found.interval.high
        width += found.standard_error / found.labels_alone
    return kept / draws, width / draws


def test_it_covers_and_saves_labels() -> None:
    covered, width = _mean_coverage(2.0, 100, 400)
    assert 0.92 <= covered <= 0.98
    assert width < 0.6


@pytest.mark.slow
@pytest.mark.parametrize("n", [30, 100, 300])
@pytest.mark.parametrize("slope", [-1.0, 0.0, 2.0])
def test_it_covers_whatever_the_predictions_are_worth(slope: float, n: int) -> None:
    assert 0.925 <= _mean_coverage(slope, n, 4000)[0] <= 0.97


def test_everything_checked_is_a_proportion_and_one_answer_too() -> None:
    value, interval = double_sampled_rate(Checked(0, 0, 0), Checked(300, 300, 12))
    alone = wilson(12, 300)
    assert value == 0.04
    assert (interval.low, interval.high) == (
        pytest.approx(alone.low, rel=1e-3),
        pytest.approx(alone.high, rel=1e-3),
    )
    same, both = double_sampled_rate(Checked(150, 150, 6), Checked(150, 150, 6))
    assert same == 0.04
    assert both.half_width == pytest.approx(alone.half_width, rel=0.05)


def test_swapping_answers_or_truths_mirrors_the_interval() -> None:
    a, b = Checked(400, 100, 70), Checked(1600, 200, 10)
    value, interval = double_sampled_rate(a, b)
    swapped, same = double_sampled_rate(b, a)
    assert (value, interval.low, interval.high) == pytest.approx((swapped, same.low, same.high))
    mirror, other = double_sampled_rate(Checked(400, 100, 30), Checked(1600, 200, 190))
    assert (value, interval.low, interval.high) == pytest.approx((1 - mirror, 1 - other.high, 1 - other.low))


def _rate_coverage(
    pi: float, se: float, sp: float, n: int, rest: int, draws: int, chosen: int | None = None
) -> float:
    """Coverage with n labels at random, or with ``chosen`` of them spent on examples classified positive."""
    rng, kept = np.random.default_rng(5), 0
    q = pi * se + (1 - pi) * (1 - sp)
    hit, miss = pi * se / q, pi * (1 - se) / (1 - q)
    for _ in range(draws):
        positive = int(rng.binomial(n + rest, q))
        checked = (
            int(rng.hypergeometric(positive, n + rest - positive, n))
            if chosen is None
            else min(chosen, positive)
        )
        if checked == 0:
            continue
        yes = Checked(positive, checked, int(rng.binomial(checked, hit)))
        no = Checked(n + rest - positive, n - checked, int(rng.binomial(n - checked, miss)))
        _, interval = double_sampled_rate(yes, no)
        kept += interval.low <= pi <= interval.high
    return kept / draws


def test_rare_outcomes_are_covered() -> None:
    assert 0.92 <= _rate_coverage(0.005, 0.9, 0.95, 300, 5000, 500) <= 0.985


@pytest.mark.slow
@pytest.mark.parametrize(
    ("pi", "se", "sp", "n", "chosen"),
    [
        (0.3, 0.9, 0.9, 200, None),
        (0.1, 0.92, 0.88, 300, None),
        (0.005, 0.9, 0.95, 300, None),
        (0.005, 0.9, 0.95, 300, 150),
        (0.02, 0.9, 0.95, 300, None),
        (0.5, 0.6, 0.6, 300, None),
        (0.0, 0.9, 0.95, 300, None),
    ],
)
def test_double_samples_cover(pi: float, se: float, sp: float, n: int, chosen: int | None) -> None:
    assert 0.93 <= _rate_coverage(pi, se, sp, n, 5000, 4000, chosen) <= (0.97 if pi else 1.0)


def test_what_labels_cannot_say_is_refused() -> None:
    with pytest.raises(UndefinedError, match="30 labelled"):
        powered_mean(np.ones(29), np.ones(29), np.ones(100))
    rare = np.zeros(300)
    rare[:9] = 1
    with pytest.raises(UndefinedError, match="9 labels of the rarer kind"):
        powered_mean(rare, rare, rare)
    with pytest.raises(UndefinedError, match="classified positive was checked"):
        double_sampled_rate(Checked(5, 0, 0), Checked(100, 50, 1))
    with pytest.raises(ValueError, match="cannot be"):
        Checked(5, 6, 0)
