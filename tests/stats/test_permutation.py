"""Randomisation p-values against full enumeration, and their error rates."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from scipy import stats

from audit.core.errors import UndefinedError
from audit.stats import permutation as pm


def test_label_shuffling_approaches_full_enumeration() -> None:
    x, y = np.array([[5.0, 7.0, 9.0]]), np.array([[1.0, 6.0, 2.0, 3.0]])
    pooled = stats.rankdata(np.r_[x[0], y[0]])
    sums = [pooled[list(chosen)].sum() for chosen in combinations(range(7), 3)]
    exact = np.mean(np.array(sums) >= pooled[:3].sum())
    found = pm.permute_labels(x, y, 20_000, np.random.default_rng(0))
    assert found.p[0] == pytest.approx(exact, abs=0.006)
    assert found.p_adjusted[0] == found.p[0]


def test_shuffled_labels_give_uniform_p_values_and_max_t_bounds_the_family() -> None:
    rng = np.random.default_rng(1)
    single, family = [], 0
    for _ in range(300):
        shared = rng.normal(size=60)
        scores = np.stack([shared + rng.normal(0, s, 60) for s in (0.1, 0.5, 2.0, 5.0)])
        found = pm.permute_labels(scores[:, :25], scores[:, 25:], 99, rng)
        single.append(found.p[0])
        family += found.p_adjusted.min() <= 0.05
    assert stats.kstest(single, "uniform").pvalue > 0.001
    assert family / 300 <= 0.085
    assert (found.p_adjusted >= found.p).all()


def test_a_planted_difference_is_found_and_the_blank_is_the_null_quantile() -> None:
    rng = np.random.default_rng(2)
    found = pm.permute_labels(rng.normal(1, 1, (1, 80)), rng.normal(0, 1, (1, 80)), 499, rng)
    assert found.p_adjusted[0] == 1 / 500
    assert found.blank[0] == pytest.approx(0.5 + 1.645 * np.sqrt(161 / (12 * 80 * 80)), abs=0.01)


def test_a_constant_score_never_decides() -> None:
    rng = np.random.default_rng(3)
    scores = np.stack([rng.normal(size=40), np.zeros(40)])
    found = pm.permute_labels(scores[:, :20], scores[:, 20:], 199, rng)
    assert found.p[1] == 1.0
    with pytest.raises(UndefinedError, match="both classes"):
        pm.permute_labels(np.zeros((1, 5)), np.zeros((1, 0)), 10, rng)


def test_multiplicity_corrections_agree_with_scipy_and_hand() -> None:
    p = [0.001, 0.2, 0.03, 0.04, 0.011]
    np.testing.assert_allclose(pm.benjamini_hochberg(p), stats.false_discovery_control(p))
    assert pm.holm(p) == pytest.approx([0.005, 0.2, 0.09, 0.09, 0.044])


def test_p_value_counts_rounding_ties() -> None:
    assert pm.p_value(0.1 + 0.2, [0.3]) == 1.0
