"""Gaps between groups: Tukey's studentized range, published tables, and coverage of all pairs and of max - min."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from audit.core.errors import UndefinedError
from audit.stats.proportions import newcombe_difference
from audit.stats.simultaneous import detectable_gap, mean_gaps, rate_gaps


@pytest.mark.parametrize(("groups", "degrees"), [(3, math.inf), (6, math.inf), (5, 20)])
def test_for_equal_errors_it_is_tukeys_studentized_range(groups: int, degrees: float) -> None:
    rng = np.random.default_rng(0)
    found = mean_gaps(np.zeros(groups), np.ones(groups), rng, degrees=degrees, draws=200_000)
    tukey = stats.studentized_range.ppf(0.95, groups, 10_000 if math.isinf(degrees) else degrees)
    assert found.critical == pytest.approx(tukey / math.sqrt(2), rel=0.01)


def test_adjusted_p_values_are_tukeys() -> None:
    rng = np.random.default_rng(1)
    samples = [rng.normal(m, 1, 30) for m in (0.0, 0.2, 0.9)]
    pooled = np.mean([s.var(ddof=1) for s in samples])
    found = mean_gaps([s.mean() for s in samples], np.full(3, pooled / 30), rng, degrees=87, draws=200_000)
    tukey = stats.tukey_hsd(*samples)
    wanted = [tukey.pvalue[i, j] for i, j in zip(found.first, found.second, strict=True)]
    np.testing.assert_allclose(found.p, wanted, atol=0.004)
    limits = tukey.confidence_interval()
    np.testing.assert_allclose(
        found.low, [limits.low[i, j] for i, j in zip(found.first, found.second, strict=True)], atol=0.01
    )


def test_two_groups_are_one_comparison() -> None:
    found = rate_gaps([30, 12], [100, 80], np.random.default_rng(2), draws=400_000)
    alone = newcombe_difference(30, 100, 12, 80)
    assert found.low[0] == pytest.approx(alone.low, abs=0.002)
    assert found.high[0] == pytest.approx(alone.high, abs=0.002)
    assert (found.largest, found.spread.low) == (
        pytest.approx(0.15),
        pytest.approx(max(0.0, alone.low), abs=0.002),
    )


def test_perfectly_correlated_estimates_leave_only_what_differs() -> None:
    shared = np.full((3, 3), 100.0) + np.diag([0.01, 0.01, 0.01])  # one common error, small own ones
    found = mean_gaps([0.0, 1.0, 2.0], shared, np.random.default_rng(3))
    assert found.spread.low == pytest.approx(2 - found.critical * math.sqrt(0.02))
    assert found.p.max() < 0.001


def _coverage(rates: list[float], sizes: list[int], draws: int, seed: int) -> tuple[float, float]:
    """How often all pairs hold, and how often max - min does."""
    rng, all_held, spread_held = np.random.default_rng(seed), 0, 0
    truth, n = np.array(rates), np.array(sizes)
    for _ in range(draws):
        found = rate_gaps(rng.binomial(n, truth), n, rng, draws=2000)
        gaps = truth[found.first] - truth[found.second]
        all_held += bool(((found.low <= gaps) & (gaps <= found.high)).all())
        spread_held += found.spread.low <= np.ptp(truth) <= found.spread.high
    return all_held / draws, spread_held / draws


def test_equal_groups_are_called_equal() -> None:
    pairs, spread = _coverage([0.3] * 6, [200] * 6, 200, seed=4)
    assert 0.91 <= pairs <= 0.99
    assert spread >= 0.91  # the percentile bootstrap: 0


@pytest.mark.slow
@pytest.mark.parametrize(
    ("rates", "sizes"),
    [
        ([0.3] * 6, [200] * 6),
        ([0.5, 0.4, 0.3], [50, 100, 400]),
        ([0.02, 0.02, 0.05, 0.01], [300, 100, 60, 1000]),
        ([0.1] * 12, [80] * 12),
    ],
)
def test_all_pairs_hold_together_and_so_does_the_largest_gap(rates: list[float], sizes: list[int]) -> None:
    pairs, spread = _coverage(rates, sizes, 2000, seed=5)
    assert 0.93 <= pairs <= 0.985
    assert spread >= 0.93  # at least the level: a bound over all pairs


@pytest.mark.slow
@pytest.mark.parametrize("sizes", [[20, 20, 20, 20], [10, 30, 60, 100]])
def test_gaps_of_means_hold_together(sizes: list[int]) -> None:
    rng, truth, kept = np.random.default_rng(6), np.array([0.0, 0.3, -0.2, 1.0]), 0
    for _ in range(2000):
        samples = [rng.normal(m, 1, k) for m, k in zip(truth, sizes, strict=True)]
        pooled = sum(((s - s.mean()) ** 2).sum() for s in samples) / (sum(sizes) - 4)
        found = mean_gaps(
            [s.mean() for s in samples], pooled / np.array(sizes), rng, degrees=sum(sizes) - 4, draws=2000
        )
        gaps = truth[found.first] - truth[found.second]
        kept += bool(((found.low <= gaps) & (gaps <= found.high)).all())
    assert 0.93 <= kept / 2000 <= 0.97


def test_a_detectable_gap_is_found_about_as_often_as_promised() -> None:
    error, rng, found = 0.1 * math.sqrt(2), np.random.default_rng(7), 0
    gap = detectable_gap(4, error)
    for _ in range(300):
        gaps = mean_gaps(rng.normal([gap, 0, gap / 2, gap / 2], 0.1), np.full(4, 0.01), rng, draws=2000)
        found += gaps.p[1 - 1] < 0.05  # the first pair is the one that differs by the whole gap
    assert 0.75 <= found / 300 <= 0.9


def test_what_has_no_gap_is_refused() -> None:
    rng = np.random.default_rng(8)
    with pytest.raises(UndefinedError, match="two groups"):
        rate_gaps([1], [2], rng)
    with pytest.raises(UndefinedError, match="every group needs trials"):
        rate_gaps([0, 1], [0, 2], rng)
    with pytest.raises(UndefinedError, match="standard error"):
        mean_gaps([0.0, 1.0], [0.0, 0.0], rng)
    with pytest.raises(ValueError, match="do not go together"):
        mean_gaps([0.0, 1.0], [1.0, 1.0, 1.0], rng)
