"""Cluster-robust intervals against their special cases, and for coverage."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from audit.core.errors import UndefinedError
from audit.stats import clusters as cl


def test_singleton_clusters_give_the_t_interval() -> None:
    values = np.random.default_rng(0).normal(size=20)
    mean, interval = cl.clustered_mean(values, np.arange(20))
    expected = stats.ttest_1samp(values, 0).confidence_interval(0.95)
    assert mean == pytest.approx(values.mean())
    assert (interval.low, interval.high) == (pytest.approx(expected.low), pytest.approx(expected.high))


def test_copies_of_one_value_per_cluster_add_nothing() -> None:
    values = np.random.default_rng(1).normal(size=15)
    _, once = cl.clustered_mean(values, np.arange(15))
    _, copied = cl.clustered_mean(np.repeat(values, 8), np.repeat(np.arange(15), 8))
    assert copied.half_width == pytest.approx(once.half_width)


def _crossed_coverage(rows: int, columns: int, replicates: int, seed: int) -> float:
    rng, kept = np.random.default_rng(seed), 0
    row, column = np.divmod(np.arange(rows * columns), columns)
    for _ in range(replicates):
        values = rng.normal(size=rows)[row] + rng.normal(size=columns)[column] + rng.normal(size=len(row))
        _, interval = cl.crossed_mean(values, row, column)
        kept += interval.low <= 0 <= interval.high
    return kept / replicates


def test_crossed_interval_covers_where_one_way_does_not() -> None:
    assert 0.91 <= _crossed_coverage(30, 20, 300, seed=2) <= 0.985
    rng, kept = np.random.default_rng(3), 0
    row, column = np.divmod(np.arange(600), 20)
    for _ in range(200):
        values = rng.normal(size=20)[column] + 0.2 * rng.normal(size=600)
        _, interval = cl.clustered_mean(values, row)
        kept += interval.low <= 0 <= interval.high
    assert kept / 200 < 0.6


@pytest.mark.slow
def test_intervals_cover_at_their_level() -> None:
    assert 0.93 <= _crossed_coverage(40, 40, 2000, seed=4) <= 0.975
    rng, kept = np.random.default_rng(5), 0
    which = np.repeat(np.arange(50), 6)
    for _ in range(2000):
        _, interval = cl.clustered_mean(rng.normal(size=50)[which] + rng.normal(size=300), which)
        kept += interval.low <= 0 <= interval.high
    assert 0.93 <= kept / 2000 <= 0.97


def test_bootstrap_of_the_mean_covers() -> None:
    rng, kept = np.random.default_rng(6), 0
    for _ in range(300):
        values = rng.normal(size=25)
        draws = values[cl.resamples(25, 600, rng)].mean(axis=1)
        interval = cl.percentile_interval(draws, 25)
        kept += interval.low <= 0 <= interval.high
    assert 0.92 <= kept / 300 <= 0.985


def test_bootstrap_refuses_draws_without_a_value() -> None:
    with pytest.raises(UndefinedError, match="900 of 1000"):
        cl.percentile_interval(np.r_[np.ones(900), np.full(100, np.nan)], 10)


def test_shuffles_hold_every_unit_once() -> None:
    orders = cl.shuffles(7, 50, np.random.default_rng(7))
    np.testing.assert_array_equal(np.sort(orders, axis=1), np.tile(np.arange(7), (50, 1)))


def test_one_cluster_has_no_interval() -> None:
    with pytest.raises(UndefinedError, match="two clusters"):
        cl.clustered_mean([1.0, 2.0], ["a", "a"])
    with pytest.raises(UndefinedError, match="two groups"):
        cl.crossed_mean([1.0, 2.0], ["a", "a"], ["b", "c"])
