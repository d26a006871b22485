"""Areas and operating points against brute force, sklearn and their promised error rates."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from audit.core.errors import UndefinedError
from audit.stats import ranking as rk


def _brute_force(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """DeLong's definition: means over every pair."""
    wins = (x[:, :, None] > y[:, None, :]) + 0.5 * (x[:, :, None] == y[:, None, :])
    above, below = wins.mean(axis=2), wins.mean(axis=1)
    return wins.mean(axis=(1, 2)), np.cov(above) / x.shape[1] + np.cov(below) / y.shape[1]


def test_areas_and_covariance_equal_the_pairwise_definition() -> None:
    rng = np.random.default_rng(0)
    x = rng.integers(0, 8, size=(3, 17)).astype(float) + 1  # many ties
    y = rng.integers(0, 8, size=(3, 23)).astype(float)
    areas = rk.roc_areas(x, y)
    values, covariance = _brute_force(x, y)
    np.testing.assert_allclose(areas.values, values, atol=1e-12)
    np.testing.assert_allclose(areas.covariance, covariance, atol=1e-12)


def test_area_agrees_with_sklearn_and_ranks_with_scipy() -> None:
    from sklearn.metrics import roc_auc_score

    rng = np.random.default_rng(1)
    x, y = rng.normal(0.4, 1, 50).round(1), rng.normal(0, 1, 70).round(1)
    labels = np.r_[np.ones(50), np.zeros(70)]
    assert rk.roc_area(x, y) == pytest.approx(roc_auc_score(labels, np.r_[x, y]))
    np.testing.assert_array_equal(rk.midranks(np.r_[x, y]), stats.rankdata(np.r_[x, y]))


def _coverage(m: int, n: int, shift: float, replicates: int, seed: int) -> float:
    truth, rng, kept = stats.norm.cdf(shift / math.sqrt(2)), np.random.default_rng(seed), 0
    for _ in range(replicates):
        interval = rk.area_interval(rk.roc_areas(rng.normal(shift, 1, m), rng.normal(0, 1, n)))
        kept += interval.low <= truth <= interval.high
    return kept / replicates


@pytest.mark.parametrize(("m", "n", "shift"), [(60, 60, 0.0), (12, 15, 0.8), (40, 200, 1.5)])
def test_area_interval_covers(m: int, n: int, shift: float) -> None:
    assert 0.92 <= _coverage(m, n, shift, 300, seed=7) <= 0.985


@pytest.mark.slow
@pytest.mark.parametrize(
    ("m", "n", "shift"),
    [(60, 60, 0.0), (500, 500, 0.1), (10, 10, 0.0), (12, 15, 0.8), (40, 200, 1.5), (100, 100, 2.5)],
)
def test_area_interval_covers_at_its_level(m: int, n: int, shift: float) -> None:
    assert 0.93 <= _coverage(m, n, shift, 2000, seed=8) <= 0.975


def test_classes_that_do_not_overlap_still_have_an_honest_interval() -> None:
    interval = rk.area_interval(rk.roc_areas(np.arange(100.0, 200), np.arange(100.0)))
    assert interval.high == 1.0
    assert 0.9 < interval.low < 1.0
    # at the root of the score equation, |area - value| = z sd(area)
    area, shared = interval.low, 99
    variance = area * (1 - area) * (1 + shared * ((1 - area) / (2 - area) + area / (1 + area))) / 1e4
    assert 1 - area == pytest.approx(stats.norm.ppf(0.975) * math.sqrt(variance), rel=1e-6)


def test_paired_difference_covers_and_is_zero_for_the_same_score() -> None:
    rng, kept, width = np.random.default_rng(2), 0, []
    for _ in range(300):
        common, base = rng.normal(0.5, 1, 80), rng.normal(0, 1, 80)
        x = np.stack([common, common + rng.normal(0, 0.5, 80)])
        y = np.stack([base, base + rng.normal(0, 0.5, 80)])
        truth = stats.norm.cdf(0.5 / math.sqrt(2)) - stats.norm.cdf(0.5 / math.sqrt(2 * 1.25))
        _, interval = rk.area_difference(rk.roc_areas(x, y))
        kept += interval.low <= truth <= interval.high
        width.append(interval.half_width)
    assert 0.92 <= kept / 300 <= 0.985
    same = rk.roc_areas(np.stack([common, common]), np.stack([base, base]))
    difference, interval = rk.area_difference(same)
    assert difference == 0
    assert interval.low <= 0 <= interval.high
    alone = rk.area_interval(same).half_width
    assert np.mean(width) < alone  # pairing is what makes it narrow


def test_operating_point_is_the_order_statistic_and_keeps_its_promise() -> None:
    rng, broken = np.random.default_rng(4), 0
    for _ in range(400):
        y, x = rng.uniform(size=800), rng.uniform(size=300)
        point = rk.operating_point(x, y, rng.uniform(size=300), rng.uniform(size=800), 0.01)
        threshold = np.sort(y)[-point.above]
        broken += 1 - threshold > 0.01  # the true rate of a uniform score
        assert point.hits == int((x >= threshold).sum())
    assert broken / 400 <= 0.045  # promised: one in forty
    k = point.above
    assert stats.beta.sf(0.01, k, 801 - k) <= 0.025 < stats.beta.sf(0.01, k + 1, 800 - k)
    assert point.rate_bound == pytest.approx(stats.beta.ppf(0.975, k, 801 - k))


def test_operating_point_needs_enough_negatives() -> None:
    ties = np.zeros(368)
    with pytest.raises(UndefinedError, match="it takes 368"):
        rk.operating_point(np.ones(10), np.arange(367.0), ties[:10], ties[:367], 0.01)
    point = rk.operating_point(np.full(10, 1e9), np.arange(368.0), ties[:10], ties, 0.01)
    assert (point.above, point.sensitivity) == (1, 1.0)


def test_tied_scores_are_broken_by_the_numbers_given() -> None:
    rng = np.random.default_rng(6)
    x, y = np.zeros(2000), np.zeros(2000)  # a score that carries nothing at all
    point = rk.operating_point(x, y, rng.uniform(size=2000), rng.uniform(size=2000), 0.01)
    assert point.interval.low <= point.expected_rate <= point.interval.high


def test_roc_curve_is_monotone_and_ends_at_the_corners() -> None:
    rng = np.random.default_rng(8)
    false, true = rk.roc_curve(rng.normal(1, 1, 900), rng.normal(0, 1, 700), most=100)
    assert (false[0], true[0], false[-1], true[-1]) == (0, 0, 1, 1)
    assert (np.diff(false) >= 0).all()
    assert (np.diff(true) >= 0).all()
    assert len(false) <= 101


def test_detectable_area_is_found_about_as_often_as_promised() -> None:
    target = rk.detectable_area(100, 100)
    shift, rng = math.sqrt(2) * stats.norm.ppf(target), np.random.default_rng(9)
    found = 0
    for _ in range(300):
        areas = rk.roc_areas(rng.normal(shift, 1, 100), rng.normal(0, 1, 100))
        found += rk.area_interval(areas).low > 0.5
    assert 0.73 <= found / 300 <= 0.88


def test_what_cannot_be_ranked_is_refused() -> None:
    with pytest.raises(UndefinedError, match="no positives"):
        rk.roc_area([], [1.0])
    with pytest.raises(ValueError, match="not a number"):
        rk.roc_area([math.nan], [1.0])
    with pytest.raises(ValueError, match="infinite"):
        rk.roc_area([math.inf], [1.0])
    assert rk.roc_areas([[-math.inf, 0.0, 1.0]], [[-math.inf, -1.0]]).values[0] == pytest.approx(
        (0.5 + 0 + 4) / 6
    )
    with pytest.raises(UndefinedError, match="two examples"):
        rk.roc_areas([1.0], [2.0, 3.0])
