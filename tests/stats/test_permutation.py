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
    np.testing.assert_allclose(pm.benjamini_yekutieli(p), stats.false_discovery_control(p, method="by"))
    large = [0.5, 0.9, 0.8]
    np.testing.assert_allclose(
        pm.benjamini_yekutieli(large), stats.false_discovery_control(large, method="by")
    )
    assert pm.holm(p) == pytest.approx([0.005, 0.2, 0.09, 0.09, 0.044])


def test_p_value_counts_rounding_ties() -> None:
    assert pm.p_value(0.1 + 0.2, [0.3]) == 1.0


def _correlated(rng: np.random.Generator, shifts: np.ndarray, draws: int) -> tuple[np.ndarray, np.ndarray]:
    """Two-sample t statistics of correlated columns, and the same under shuffled labels."""
    n, shared = 30, rng.normal(size=(60, 1))
    rows = shared + rng.normal(size=(60, len(shifts)))
    rows[:n] += shifts
    spread = rows.std(axis=0, ddof=1) * np.sqrt(2 / n)

    def gap(order: np.ndarray) -> np.ndarray:
        return np.abs(rows[order[:n]].mean(axis=0) - rows[order[n:]].mean(axis=0)) / spread

    return gap(np.arange(60)), np.stack([gap(rng.permutation(60)) for _ in range(draws)])


def test_step_down_bounds_the_family_and_finds_no_less_than_the_single_step() -> None:
    rng, false, single, step = np.random.default_rng(4), 0, 0, 0
    shifts = np.array([3.0, 0.9, 0, 0, 0, 0])
    for _ in range(200):
        observed, null = _correlated(rng, shifts, 199)
        adjusted = pm.westfall_young(observed, null)
        one_step = np.array([pm.p_value(float(value), null.max(axis=1)) for value in observed])
        assert (adjusted <= one_step + 1e-12).all()
        false += bool((adjusted[2:] <= 0.05).any())
        single, step = single + int(one_step[1] <= 0.05), step + int(adjusted[1] <= 0.05)
    assert false / 200 <= 0.09
    assert step >= single


def test_step_down_with_copies_of_one_statistic_is_that_statistic() -> None:
    rng = np.random.default_rng(5)
    null = rng.normal(size=(499, 1))
    once = pm.westfall_young([1.7], null)[0]
    copied = pm.westfall_young(np.full(8, 1.7), np.repeat(null, 8, axis=1))
    assert copied.tolist() == [once] * 8  # Holm would have multiplied by eight
    assert once == pm.p_value(1.7, null[:, 0])


def test_intervals_after_selection_hold_on_average() -> None:
    rng, missed, reported = np.random.default_rng(6), 0, 0
    truth = np.r_[np.zeros(80), np.full(20, 3.0)]
    for _ in range(300):
        found = rng.normal(truth, 1)
        chosen = np.argsort(found)[-15:]
        z = stats.norm.ppf((1 + pm.selected_level(0.9, 15, 100)) / 2)
        missed += int((np.abs(found - truth)[chosen] > z).sum())
        reported += 15
    assert missed / reported <= 0.1
    with pytest.raises(ValueError, match="3 selected of 2"):
        pm.selected_level(0.95, 3, 2)
