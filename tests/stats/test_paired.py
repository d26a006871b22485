"""Paired comparisons: textbook special cases, coverage, and what pairing buys."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from audit.core.errors import UndefinedError
from audit.stats.paired import paired_means, paired_rates, paired_ratios, shared_rows


def test_means_are_the_paired_t_test() -> None:
    rng = np.random.default_rng(0)
    hard = rng.normal(0, 3, 40)
    x, noise = np.r_[hard, hard], rng.normal(0, 0.3, 40)
    y = x + 0.2 + np.r_[noise, -noise]  # symmetric differences: no skewness to correct
    found = paired_means(x, y)
    wanted = stats.ttest_rel(y, x)
    assert found.value == pytest.approx(0.2)
    assert found.p_value == pytest.approx(wanted.pvalue)
    limits = wanted.confidence_interval(0.95)
    assert (found.interval.low, found.interval.high) == (
        pytest.approx(limits.low),
        pytest.approx(limits.high),
    )
    assert found.gain > 50


def test_independent_runs_gain_nothing() -> None:
    rng = np.random.default_rng(1)
    assert paired_means(rng.normal(size=5000), rng.normal(size=5000)).gain == pytest.approx(1, abs=0.1)


def test_the_same_run_twice_differs_by_nothing() -> None:
    x = np.random.default_rng(2).normal(size=30)
    found = paired_means(x, x)
    assert (found.value, found.interval.low, found.interval.high, found.p_value) == (0.0, 0.0, 0.0, 1.0)
    rates = paired_rates(x > 0, x > 0)
    assert (rates.value, rates.p_value) == (0.0, 1.0)
    assert rates.interval.low < 0 < rates.interval.high


def test_clusters_of_copies_add_nothing() -> None:
    rng = np.random.default_rng(3)
    x, y = rng.normal(size=25), rng.normal(0.3, 1, 25)
    once = paired_means(x, y)
    which = np.repeat(np.arange(25), 7)
    copied = paired_means(np.repeat(x, 7), np.repeat(y, 7), which)
    assert (copied.units, copied.rows) == (25, 175)
    assert copied.interval.half_width == pytest.approx(once.interval.half_width)
    rates = paired_rates(np.repeat(x > 0, 7), np.repeat(y > 0, 7), which)
    assert rates.interval.half_width == pytest.approx(paired_means(x > 0, y > 0).interval.half_width)


def test_rates_are_mcnemar() -> None:
    x = np.r_[np.ones(30), np.ones(9), np.zeros(1), np.zeros(60)]
    y = np.r_[np.ones(30), np.zeros(9), np.ones(1), np.zeros(60)]
    found = paired_rates(x, y)
    assert found.value == -0.08
    assert found.p_value == pytest.approx(stats.binomtest(1, 10, 0.5).pvalue)
    assert found.interval.low < -0.08 < found.interval.high < 0.01


def test_ratios_over_the_same_bytes_are_the_ratio_of_differences() -> None:
    rng = np.random.default_rng(4)
    size = rng.lognormal(7, 0.6, 300)
    rate = rng.normal(1.2, 0.3, 300)
    one, other = size * rate, size * (rate + rng.normal(0.002, 0.003, 300))
    found = paired_ratios((one, size), (other, size))
    assert found.value == pytest.approx((other.sum() - one.sum()) / size.sum())
    assert found.interval.low < 0.002 < found.interval.high
    assert found.interval.half_width < 0.001
    assert found.gain > 1000
    # denominators that differ by a hair go the general way, to the same answer
    nearly = paired_ratios((one, size), (other, size * (1 + 1e-9)))
    assert nearly.interval.low == pytest.approx(found.interval.low, rel=1e-4)
    assert nearly.interval.high == pytest.approx(found.interval.high, rel=1e-4)


def test_ratios_over_different_tokens_agree_with_the_jackknife() -> None:
    rng = np.random.default_rng(5)
    tokens = rng.integers(50, 500, 400).astype(float)
    others = np.round(tokens * rng.uniform(0.8, 0.95, 400))
    hard = rng.normal(3, 0.5, 400)
    a, c = tokens * hard, others * (hard * 1.1 + rng.normal(0, 0.1, 400))
    found = paired_ratios((a, tokens), (c, others))
    without = (c.sum() - c) / (others.sum() - others) - (a.sum() - a) / (tokens.sum() - tokens)
    error = np.sqrt(399 / 400 * ((without - without.mean()) ** 2).sum())
    assert found.value == pytest.approx(c.sum() / others.sum() - a.sum() / tokens.sum())
    assert found.interval.half_width == pytest.approx(1.97 * error, rel=0.05)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["same bytes", "other tokens", "means", "rates"])
def test_paired_intervals_cover(kind: str) -> None:
    rng, kept, draws = np.random.default_rng(6), 0, 2000
    for _ in range(draws):
        size, hard = rng.lognormal(5, 0.8, 150), rng.normal(3, 0.5, 150)
        if kind == "means":
            found, truth = paired_means(hard, hard + rng.exponential(0.1, 150)), 0.1
        elif kind == "rates":
            level = rng.uniform(size=150)
            found, truth = paired_rates(level < 0.10, level + rng.normal(0, 0.02, 150) < 0.15), 0.05
        elif kind == "same bytes":
            found, truth = (
                paired_ratios((size * hard, size), (size * (hard + rng.normal(0.05, 0.1, 150)), size)),
                0.05,
            )
        else:
            more = size * rng.uniform(1.0, 1.5, 150)
            found = paired_ratios((size * hard, size), (more * (hard + rng.normal(0.05, 0.1, 150)), more))
            truth = 0.05
        kept += found.interval.low <= truth <= found.interval.high
    assert 0.93 <= kept / draws <= 0.98


def test_rows_are_paired_by_name() -> None:
    first, second = shared_rows(["a", "b", "c", "d"], ["d", "q", "b"])
    assert (first.tolist(), second.tolist()) == ([1, 3], [2, 0])
    nothing = shared_rows(["a"], ["b"])
    assert [len(places) for places in nothing] == [0, 0]
    with pytest.raises(ValueError, match="twice"):
        shared_rows(["a", "a"], ["a"])
    with pytest.raises(UndefinedError, match="share no rows"):
        paired_means([], [])
    with pytest.raises(ValueError, match="do not pair up"):
        paired_means([1.0, 2.0], [1.0])
    with pytest.raises(ValueError, match="0 or 1"):
        paired_rates([0.5], [1.0])
