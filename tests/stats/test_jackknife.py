"""The jackknife over shards against the closed form for a mean, and its coverage for a ratio and a distance."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from audit.core.errors import UndefinedError
from audit.stats.jackknife import delete_a_shard
from audit.stats.moments import Moments


def mean(summary: Moments) -> float:
    return float(summary.mean[0])


def test_for_a_mean_of_single_rows_it_is_students_interval() -> None:
    x = np.random.default_rng(0).normal(size=25)
    value, found = delete_a_shard([Moments.of(row[None]) for row in x], [1] * 25, mean)
    half = stats.t.ppf(0.975, 24) * x.std(ddof=1) / 5
    assert value == pytest.approx(x.mean())
    assert (found.low, found.high) == pytest.approx((x.mean() - half, x.mean() + half))


@pytest.mark.parametrize("sizes", [[40] * 12, [60] * 11 + [7]])
def test_it_covers_a_smooth_statistic_with_equal_and_unequal_shards(sizes: list[int]) -> None:
    """log of a standard deviation of skewed rows; the truth of Exp(1) is 0."""
    rng, held = np.random.default_rng(1), 0
    for _ in range(300):
        pieces = [Moments.of(rng.exponential(size=n)) for n in sizes]
        _, found = delete_a_shard(pieces, sizes, lambda s: 0.5 * float(np.log(s.variance[0])))
        held += found.low <= 0 <= found.high
    assert held >= 270  # 0.90: the statistic is biased downwards by skewness; P(fewer | 94 %) is about 0.005


@pytest.mark.slow
def test_it_covers_at_its_level() -> None:
    rng, held = np.random.default_rng(2), 0
    for _ in range(2000):
        rows = rng.normal(3.0, 1.0, size=(600, 1))
        pieces = [Moments.of(part) for part in np.split(rows, 20)]
        _, found = delete_a_shard(pieces, [30] * 20, lambda s: float(s.variance[0]) / float(s.mean[0]))
        held += found.low <= 1 / 3 <= found.high
    assert 0.93 <= held / 2000 <= 0.97


def test_it_refuses_what_it_cannot_do() -> None:
    pieces = [Moments.of(np.arange(3.0)) for _ in range(9)]
    with pytest.raises(UndefinedError, match="10 of them; there are 9"):
        delete_a_shard(pieces, [3] * 9, mean)
    many = [Moments.of(np.arange(3.0)) for _ in range(12)]
    with pytest.raises(UndefinedError, match="without rows"):
        delete_a_shard(many, [3] * 11 + [0], mean)
    with pytest.raises(UndefinedError, match="no value"):
        delete_a_shard(many, [3] * 12, lambda _: float("nan"))
    with pytest.raises(ValueError, match="12 summaries and 2 sizes"):
        delete_a_shard(many, [3, 3], mean)
