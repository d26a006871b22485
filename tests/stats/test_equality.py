"""Permutation tests over kernels: the definition, their level at every size, power over scales, clusters."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import stats

from audit.core.errors import UndefinedError
from audit.stats.equality import aggregated_mmd, median_distance, permuted_mmd
from audit.stats.kernel_values import cubic, gaussian
from audit.stats.kernels import kid


def test_values_are_the_unbiased_discrepancies() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(700, 4)), rng.normal(size=(500, 4)) + 0.3  # several tiles
    found = permuted_mmd(x, y, rng, kernels=(cubic, gaussian(2.0)), draws=19)
    assert found.values[0] == pytest.approx(kid(x, y).value, rel=1e-9)
    kernel = gaussian(2.0)
    xx, yy, xy = kernel(x, x), kernel(y, y), kernel(x, y)
    wanted = (xx.sum() - 700) / (700 * 699) + (yy.sum() - 500) / (500 * 499) - 2 * xy.mean()
    assert found.values[1] == pytest.approx(float(wanted), rel=1e-9)


def test_shuffled_discrepancies_are_those_of_shuffled_rows() -> None:
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(30, 3)), rng.normal(size=(50, 3))
    found = permuted_mmd(x, y, np.random.default_rng(2), draws=400)
    again, pooled = [], np.concatenate([x, y])
    for _ in range(400):
        order = rng.permutation(80)
        again.append(kid(pooled[order[:30]], pooled[order[30:]]).value)
    assert found.spread[0] == pytest.approx(np.std(again), rel=0.2)
    assert found.noise_floor[0] == pytest.approx(np.quantile(np.abs(again), 0.95), rel=0.25)


def _p_values(draw: Any, replicates: int, seed: int, **options: Any) -> list[float]:
    rng = np.random.default_rng(seed)
    return [aggregated_mmd(*draw(rng), rng, draws=99, **options).test.p_value for _ in range(replicates)]


def test_the_level_is_kept_with_heavy_tails_and_few_rows() -> None:
    found = _p_values(lambda r: (r.standard_t(3, (15, 5)), r.standard_t(3, (25, 5))), 300, seed=3)
    assert np.mean(np.array(found) <= 0.05) <= 0.085  # P(more | 5 %) is below 0.01
    assert stats.kstest(found, "uniform").statistic < 0.12  # conservative by discreteness at most


def test_several_bandwidths_find_what_one_does_not() -> None:
    def ripple(rng: np.random.Generator) -> tuple[Any, Any]:
        many = rng.uniform(0, 10, (1200, 1))
        kept = many[rng.uniform(size=1200) < 0.5 * (1 + np.sin(6 * many[:, 0]))]
        return rng.uniform(0, 10, (300, 1)), kept[:300]

    narrow = np.array(_p_values(ripple, 25, seed=4, factors=(0.03, 0.25, 1.0, 4.0)))
    wide = np.array(_p_values(ripple, 25, seed=4, factors=(1.0,)))
    assert (narrow <= 0.05).mean() > 0.9
    assert (wide <= 0.05).mean() < 0.4

    def moved(rng: np.random.Generator) -> tuple[Any, Any]:
        return rng.normal(size=(80, 5)), rng.normal(0.35, 1, (80, 5))

    assert (np.array(_p_values(moved, 25, seed=5)) <= 0.05).mean() > 0.8


def test_copies_are_shuffled_together() -> None:
    rng, alone, together = np.random.default_rng(6), [], []
    for _ in range(150):
        x, y = (np.repeat(rng.normal(size=(20, 3)), 5, axis=0) for _ in range(2))
        which = np.repeat(np.arange(40), 5)
        alone.append(permuted_mmd(x, y, rng, kernels=(gaussian(2.0),), draws=99).p_value)
        together.append(permuted_mmd(x, y, rng, kernels=(gaussian(2.0),), draws=99, clusters=which).p_value)
    assert np.mean(np.array(alone) <= 0.05) > 0.5  # copies taken for news
    assert np.mean(np.array(together) <= 0.05) <= 0.1


def test_the_median_distance_leaves_copies_out() -> None:
    rng = np.random.default_rng(7)
    x = np.repeat([[0.0], [3.0]], 50, axis=0)
    assert median_distance(x, x, rng) == 3.0
    with pytest.raises(UndefinedError, match="all rows are alike"):
        median_distance(np.ones((9, 2)), np.ones((9, 2)), rng)


def test_the_same_generator_gives_the_same_answer() -> None:
    x, y = np.random.default_rng(8).normal(size=(2, 40, 3))
    one, other = (aggregated_mmd(x, y, np.random.default_rng(9), draws=50) for _ in range(2))
    np.testing.assert_array_equal(one.test.p, other.test.p)
    np.testing.assert_array_equal(one.bandwidths, other.bandwidths)


def test_what_cannot_be_tested_is_refused() -> None:
    rng = np.random.default_rng(10)
    x = rng.normal(size=(20, 2))
    with pytest.raises(UndefinedError, match="eight rows"):
        permuted_mmd(x, x[:7], rng)
    with pytest.raises(UndefinedError, match="not finite"):
        permuted_mmd(x * np.nan, x, rng)
    with pytest.raises(UndefinedError, match="overflows"):
        permuted_mmd(x * 1e120, x, rng)
    with pytest.raises(UndefinedError, match="alike"):
        permuted_mmd(np.ones((9, 2)), np.ones((9, 2)), rng)
    with pytest.raises(ValueError, match="in both samples"):
        permuted_mmd(x, x, rng, clusters=np.arange(40) % 20)
    with pytest.raises(ValueError, match="do not compare"):
        permuted_mmd(x, x[:, :1], rng)
