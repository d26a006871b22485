"""Vendi scores and effective kinds: exact mixtures, the definition, bias with n, and coverage."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from audit.core.errors import UndefinedError
from audit.stats.diversity import (
    UnitMoments,
    cosine,
    effective_kinds,
    kinds_ratio,
    vendi,
    vendi_curve,
    vendi_ratio,
)
from audit.stats.kernel_values import gaussian
from audit.testing.summaries import check_summary


def kinds(rng: np.random.Generator, n: int, shares: Any) -> Any:
    """Rows of k kinds that share nothing: unit vectors."""
    return np.eye(len(shares))[rng.choice(len(shares), n, p=shares)]


def test_equal_kinds_count_themselves() -> None:
    rows = np.repeat(np.eye(7), 10, axis=0)
    assert vendi(rows, cosine) == pytest.approx(7)
    assert UnitMoments.of(rows * 5).vendi() == pytest.approx(7)
    found = effective_kinds(rows, cosine)
    assert found.capped == pytest.approx(7)  # n^2 / |K|^2
    assert found.value == pytest.approx(70 * 69 / (70 * 9))


@pytest.mark.parametrize("kernel", [cosine, gaussian(1.5)])
def test_they_are_the_definitions(kernel: Any) -> None:
    rows = np.random.default_rng(0).normal(size=(1100, 6)) + 0.5  # more than one tile
    similarity = kernel(rows, rows)
    eigenvalues = np.linalg.eigvalsh(similarity / 1100)
    eigenvalues = eigenvalues[eigenvalues > 0]
    assert vendi(rows, kernel) == pytest.approx(
        math.exp(-(eigenvalues * np.log(eigenvalues)).sum()), rel=1e-9
    )
    found = effective_kinds(rows, kernel)
    assert found.capped == pytest.approx(1100**2 / np.square(similarity).sum())
    assert found.repeats == pytest.approx((np.square(similarity).sum() - 1100) / (1100 * 1099))


def test_moments_obey_the_laws_and_give_the_same_score() -> None:
    rows = np.random.default_rng(1).normal(size=(60, 4))
    check_summary(UnitMoments, [rows[:9], rows[9:30], rows[30:]], rows)
    assert UnitMoments.of(rows).vendi() == pytest.approx(vendi(rows, cosine))


def test_order_two_settles_and_order_one_does_not() -> None:
    rng = np.random.default_rng(2)
    rows = rng.normal(size=(1600, 20))
    kernel = gaussian(3.0)
    curve = vendi_curve(rows, kernel, (200, 800), rng)
    assert curve[1] > 1.3 * curve[0]
    few = [effective_kinds(rng.normal(size=(100, 20)), kernel).repeats for _ in range(60)]
    many = effective_kinds(rows, kernel).repeats
    assert np.mean(few) == pytest.approx(many, abs=4 * np.std(few) / np.sqrt(60))


def _coverage(shares: Any, n: int, draws: int) -> float:
    rng, kept = np.random.default_rng(3), 0
    truth = 1 / np.square(shares).sum()
    for _ in range(draws):
        interval = effective_kinds(kinds(rng, n, shares), cosine).interval()
        kept += interval.low <= truth <= interval.high
    return kept / draws


UNEVEN = np.array([0.5, 0.2, 0.1, 0.1, 0.05, 0.05])
ZIPF = (1 / np.arange(1, 101)) / (1 / np.arange(1, 101)).sum()


def test_the_interval_covers() -> None:
    assert 0.9 <= _coverage(UNEVEN, 200, 200) <= 0.99


@pytest.mark.slow
@pytest.mark.parametrize("n", [100, 500])
@pytest.mark.parametrize("shares", [UNEVEN, np.array([0.9, 0.1]), ZIPF], ids=["six", "two", "a hundred"])
def test_the_interval_covers_in_many_draws(shares: Any, n: int) -> None:
    assert 0.92 <= _coverage(shares, n, 2000) <= 0.98


@pytest.mark.slow
def test_equal_shares_are_covered_on_the_safe_side() -> None:
    assert _coverage(np.full(20, 1 / 20), 300, 2000) >= 0.93


def test_a_collapsed_model_has_a_ratio_below_one() -> None:
    rng = np.random.default_rng(14)
    ours, real = (
        effective_kinds(kinds(rng, 300, UNEVEN), cosine),
        effective_kinds(kinds(rng, 900, np.full(10, 0.1)), cosine),
    )
    found = kinds_ratio(ours, real)
    truth = (1 / np.square(UNEVEN).sum()) / 10
    assert found.interval.low <= truth <= found.interval.high < 1
    order_one = vendi_ratio(rng.normal(size=(150, 5)) * 0.4, rng.normal(size=(200, 5)), gaussian(1.0), rng)
    assert (order_one.rows, order_one.order) == (150, 1)
    assert order_one.interval.high < 1
    same = vendi_ratio(rng.normal(size=(150, 5)), rng.normal(size=(200, 5)), gaussian(1.0), rng)
    assert same.interval.low < 1 < same.interval.high


@pytest.mark.slow
def test_ratios_cover() -> None:
    rng, kept = np.random.default_rng(5), 0
    truth = (1 / np.square(UNEVEN).sum()) / (1 / np.square(ZIPF).sum())
    for _ in range(1000):
        found = kinds_ratio(
            effective_kinds(kinds(rng, 200, UNEVEN), cosine), effective_kinds(kinds(rng, 300, ZIPF), cosine)
        )
        kept += found.interval.low <= truth <= found.interval.high
    assert 0.92 <= kept / 1000 <= 0.975
    values, held = [], []
    for _ in range(150):
        one = vendi_ratio(
            rng.normal(size=(80, 3)) * 0.8, rng.normal(size=(80, 3)), gaussian(1.0), rng, draws=10
        )
        values.append(one.value)
        held.append(one.interval)
    assert np.mean([i.low <= np.mean(values) <= i.high for i in held]) >= 0.89


def test_what_has_no_diversity_is_refused() -> None:
    with pytest.raises(UndefinedError, match="ten rows"):
        effective_kinds(np.eye(5), cosine)
    with pytest.raises(UndefinedError, match="no two of 12 rows"):
        effective_kinds(np.eye(12), cosine)
    with pytest.raises(UndefinedError, match="row of zeros"):
        cosine(np.zeros((2, 2)), np.ones((2, 2)))
    with pytest.raises(UndefinedError, match="no rows"):
        vendi(np.zeros((0, 2)), cosine)
    with pytest.raises(ValueError, match="similarity of 1"):
        vendi(np.ones((3, 2)), lambda x, y: x @ y.T)
