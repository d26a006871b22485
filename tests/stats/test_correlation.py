"""Slopes and rank correlations against scipy, for many resamples at once."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from audit.stats import correlation as co


def test_batched_results_equal_scipy_row_by_row() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(5, 30)).round(1), rng.normal(size=(5, 30)).round(1)  # rounding makes ties
    for row in range(5):
        assert co.slopes(x, y)[row] == pytest.approx(stats.linregress(x[row], y[row]).slope)
        assert co.rank_correlations(x, y)[row] == pytest.approx(stats.spearmanr(x[row], y[row]).statistic)
        assert co.correlations(x, y)[row] == pytest.approx(stats.pearsonr(x[row], y[row]).statistic)


def test_no_variation_has_no_slope() -> None:
    assert np.isnan(co.slopes(np.ones(4), np.arange(4.0)))
    assert np.isnan(co.rank_correlations(np.arange(4.0), np.ones(4)))
    with pytest.raises(ValueError, match="three units"):
        co.slopes([0.0, 1.0], [0.0, 1.0])


def test_detectable_correlation_is_found_about_as_often_as_promised() -> None:
    rho, rng = co.detectable_correlation(60), np.random.default_rng(1)
    found = 0
    for _ in range(400):
        x = rng.normal(size=60)
        y = rho * x + np.sqrt(1 - rho**2) * rng.normal(size=60)
        found += stats.pearsonr(x, y).pvalue < 0.05
    assert 0.74 <= found / 400 <= 0.87
