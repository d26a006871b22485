"""Copying statistics against brute force, hand-computed cases and simulated blanks."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from audit.core.errors import UndefinedError
from audit.stats.copying import (
    attraction,
    authentic,
    closeness,
    data_copying,
    excess_closer,
    regions,
    returned,
    tail_shares,
)
from audit.stats.neighbours import Nearest


def test_closeness_is_one_in_a_uniform_neighbourhood_and_zero_for_a_copy() -> None:
    found = closeness(
        Nearest(np.array([[2.0, 2.0], [0.0, 4.0], [1.0, np.inf], [0.0, 0.0]]), np.zeros((4, 2), int))
    )
    assert found.tolist() == [1.0, 0.0, 1.0, 0.0]


def test_excess_is_exact_arithmetic_on_counts() -> None:
    samples, unseen = np.arange(100) / 100, np.arange(200) / 200 + 1e-4
    found = excess_closer(samples, unseen, np.zeros(100), np.zeros(200), 0.05)
    assert (found.above, found.hits) == (10, 5)
    assert found.value == pytest.approx(0.05 - 10 / 201)
    share = stats.beta.ppf([0.0125, 0.9875], [5, 6], [96, 95])
    passed = stats.beta.ppf([0.0125, 0.9875], 10, 191)
    assert found.interval.low == pytest.approx(share[0] - passed[1])
    assert found.interval.high == pytest.approx(share[1] - passed[0])
    with pytest.raises(UndefinedError, match="it takes 1000"):
        excess_closer(samples, unseen, np.zeros(100), np.zeros(200), 0.001)


def covered(repeats: int, copied: float, rng: np.random.Generator) -> tuple[float, float]:
    """Return how often the interval holds the true excess at its own threshold, and how often it lies above 0."""
    held = above = 0
    for _ in range(repeats):
        unseen, samples = rng.random(400), rng.random(300)
        copies = rng.random(300) < copied
        samples[copies] = 1e-6
        found = excess_closer(samples, unseen, rng.random(300), rng.random(400), 0.01)
        threshold = np.sort(unseen)[found.above - 1]
        true = copied + (1 - copied) * threshold - threshold
        held += found.interval.low <= true <= found.interval.high
        above += found.interval.low > 0
    return held / repeats, above / repeats


def test_the_interval_covers_and_blanks_give_no_alarm() -> None:
    held, alarms = covered(400, 0.0, np.random.default_rng(0))
    assert held >= 0.95
    assert alarms <= 0.025
    held, alarms = covered(200, 0.1, np.random.default_rng(1))
    assert held >= 0.95
    assert alarms == 1.0


@pytest.mark.slow
def test_the_interval_covers_over_many_blanks_and_doses() -> None:
    rng = np.random.default_rng(2)
    for copied in (0.0, 0.01, 0.05, 0.5):
        assert covered(4000, copied, rng)[0] >= 0.95


def test_equal_closeness_is_ordered_by_chance_and_favours_nobody() -> None:
    rng = np.random.default_rng(3)
    shares = [
        excess_closer(np.zeros(200), np.zeros(200), rng.random(200), rng.random(200), 0.1).value
        for _ in range(200)
    ]
    assert abs(np.mean(shares)) < 0.01


def test_tail_shares_are_uniform_on_blanks() -> None:
    rng = np.random.default_rng(4)
    found = np.concatenate([tail_shares(rng.random(1), rng.random(99)) for _ in range(2000)])
    assert stats.kstest(found, "uniform").pvalue > 0.001
    assert found.min() >= 0.01


def test_a_blank_lists_nothing_and_rows_that_come_back_are_listed_once_each() -> None:
    rng = np.random.default_rng(5)
    listed = [
        len(returned(rng.random(300), rng.integers(0, 500, 300), rng.random(400)).rows) for _ in range(200)
    ]
    assert np.mean(np.array(listed) > 0) <= 0.07, "the chance of listing anything where there is nothing"
    close, nearest = rng.random(300), rng.integers(0, 500, 300)
    close[:60], nearest[:60] = 1e-3 * rng.random(60), np.repeat(np.arange(12), 5)
    found = returned(close, nearest, 0.01 + rng.random(400))
    assert set(range(12)) <= set(found.rows.tolist())
    assert len(found.rows) <= 13
    assert found.times[:12].tolist() == sorted(found.times[:12].tolist(), reverse=True)
    place = found.rows.tolist().index(3)
    own = np.flatnonzero(nearest[:60] == 3)
    assert found.best[place] == own[close[own].argmin()]


@pytest.mark.parametrize("share", [0.2, 0.9])
def test_rows_that_come_back_once_are_found_beside_those_that_come_back_often(share: float) -> None:
    """Most samples are copies of a few rows; twenty more rows come back once each, closer than all but a few of the unseen rows."""
    rng, m, n = np.random.default_rng(8), 2000, 5000
    wrong, found = [], []
    for _ in range(40):
        often = round(share * m)
        close, nearest = rng.random(m), 100 + rng.integers(0, 20_000, m)
        close[:often], nearest[:often] = 0.002 * rng.random(often), np.arange(often) % 40
        close[often : often + 20], nearest[often : often + 20] = (
            10 ** rng.uniform(-5, -2.5, 20),
            50 + np.arange(20),
        )
        listed = set(returned(close, nearest, rng.random(n)).rows.tolist())
        wrong.append(sum(row >= 100 for row in listed) / len(listed))
        found.append(sum(50 <= row < 70 for row in listed) / 20)
    assert np.mean(wrong) <= 0.06  # one in twenty, and four deviations of 40 repeats
    assert np.mean(found) >= (0.95 if share > 0.5 else 0.7)


def test_an_exact_copy_is_listed_by_itself_unless_unseen_rows_are_equal_to_training_rows_as_well() -> None:
    rng = np.random.default_rng(6)
    close, unseen = 0.5 + rng.random(100), 0.5 + rng.random(100)
    close[7] = 0.0
    nearest = np.arange(100)
    assert returned(close, nearest, unseen).rows.tolist() == [7]
    unseen[0] = 0.0
    assert returned(close, nearest, unseen).rows.tolist() == []


def test_the_randomisation_test_agrees_with_its_moments_and_is_uniform_on_blanks() -> None:
    rng = np.random.default_rng(7)
    p, z = [], []
    for _ in range(200):
        popular = rng.pareto(1.5, 60) + 0.1  # some rows are the nearest of many samples
        hits = np.bincount(rng.choice(60, 150, p=popular / popular.sum()), minlength=60)
        hits = hits[rng.permutation(60)]
        found = attraction(hits, 40, 199, rng)
        p.append(found.p)
        z.append(found.z)
    assert stats.kstest(np.array(p) - rng.random(200) / 200, "uniform").pvalue > 0.001
    assert np.mean(np.array(p) <= 0.05) <= 0.1
    assert np.std(z) == pytest.approx(1, abs=0.15)
    drawn = attraction(np.array([30] * 10 + [1] * 10), 10, 999, rng)
    assert drawn.p == pytest.approx(0.001)
    assert drawn.excess == pytest.approx(300 / 310 - 0.5)


def brute_c_t(samples: np.ndarray, unseen: np.ndarray, a: np.ndarray, b: np.ndarray) -> float:
    total = weight = 0.0
    for cell in np.unique(b):
        x, y = samples[a == cell], unseen[b == cell]
        m, n = len(x), len(y)
        if min(m, n) < 10:
            continue
        u = (x[:, None] > y[None, :]).sum()
        total += n * (u - m * n / 2) / np.sqrt(m * n * (m + n + 1) / 12)
        weight += n
    return total / weight


def test_c_t_is_that_of_brute_force_and_standard_normal_on_blanks() -> None:
    rng = np.random.default_rng(8)
    z = []
    for _ in range(200):
        samples, unseen = rng.random(120), rng.random(150)
        a, b = rng.integers(0, 3, 120), rng.integers(0, 3, 150)
        found = data_copying(samples, unseen, a, b)
        assert found.value == pytest.approx(brute_c_t(samples, unseen, a, b))
        z.append(found.p)
    assert stats.kstest(z, "uniform").pvalue > 0.001
    copied = data_copying(samples * 0.2, unseen, a, b)
    assert copied.value < -5
    assert copied.p < 1e-6
    assert copied.interval.high < 0
    with pytest.raises(UndefinedError, match="no region"):
        data_copying(samples, unseen, a, b + 10)


def test_authenticity_looks_up_the_training_rows_own_neighbour() -> None:
    """The published code indexes real distances by the place of the sample, and gives about one half whatever is true."""
    rng = np.random.default_rng(9)
    train, samples = rng.normal(size=(400, 8)), rng.normal(size=(300, 8))
    samples[:90] = train[:90]
    nearest = Nearest.among(samples, train, 1)
    own = Nearest.among(train, train, 1, own=True).distances[:, 0]
    found = authentic(nearest.distances[:, 0], own[nearest.indices[:, 0]])
    brute = [
        np.linalg.norm(s - train[i]) > np.sort(np.linalg.norm(train - train[i], axis=1))[1]
        for s, i in zip(samples, nearest.indices[:, 0], strict=True)
    ]
    np.testing.assert_array_equal(found, brute)
    assert found[:90].sum() == 0
    assert found[90:].mean() > 0.5


def test_regions_are_where_the_rows_are() -> None:
    rng = np.random.default_rng(10)
    rows = np.concatenate([rng.normal(size=(200, 2)) + centre for centre in ((0, 0), (30, 0), (0, 30))])
    centres = regions(rows, 3, np.random.default_rng(0))
    assert centres.shape == (3, 2)
    assert np.isfinite(centres).all()
