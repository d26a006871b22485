"""Cluster-robust intervals against their special cases, and for coverage."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from audit.core.errors import UndefinedError
from audit.stats import clusters as cl
from audit.stats.proportions import clopper_pearson


def test_singleton_clusters_give_the_t_interval() -> None:
    values = np.random.default_rng(0).normal(size=20)
    values = np.r_[values, -values]  # symmetric: skewness is corrected for
    mean, interval = cl.clustered_mean(values, np.arange(40))
    expected = stats.ttest_1samp(values, 0).confidence_interval(0.95)
    assert mean == pytest.approx(values.mean())
    assert (interval.low, interval.high) == (pytest.approx(expected.low), pytest.approx(expected.high))


def test_clusters_of_one_size_are_cluster_robust() -> None:
    values = np.random.default_rng(8).normal(size=(20, 5))
    values = np.r_[values, -values]
    _, interval = cl.clustered_mean(values.ravel(), np.repeat(np.arange(40), 5))
    wanted = stats.t.ppf(0.975, 39) * values.mean(axis=1).std(ddof=1) / np.sqrt(40)
    assert interval.half_width == pytest.approx(wanted)


def test_clusters_of_one_are_clopper_and_pearson() -> None:
    rate, interval = cl.clustered_rate(np.r_[np.ones(3), np.zeros(57)], np.arange(60))
    exact = clopper_pearson(3, 60)
    assert rate == 0.05
    assert (interval.low, interval.high) == (pytest.approx(exact.low), pytest.approx(exact.high))


@pytest.mark.parametrize("events", [0, 3, 30, 57, 60])
def test_copies_of_one_outcome_per_cluster_add_nothing(events: int) -> None:
    once = np.arange(60) < events
    _, interval = cl.clustered_rate(np.repeat(once, 8), np.repeat(np.arange(60), 8))
    exact = clopper_pearson(events, 60)
    assert interval.low == pytest.approx(exact.low, abs=0.01)
    assert interval.high == pytest.approx(exact.high, abs=0.01)


def test_a_rate_and_its_complement_have_mirrored_intervals() -> None:
    rng = np.random.default_rng(9)
    values, which = rng.uniform(size=200) < 0.1, rng.integers(0, 40, 200)
    (p, one), (q, other) = (cl.clustered_rate(v, which) for v in (values, ~values))
    assert p == pytest.approx(1 - q)
    assert (one.low, one.high) == (pytest.approx(1 - other.high), pytest.approx(1 - other.low))


SIZES = {
    "alike": lambda rng, n: np.full(n, 10),
    "uneven": lambda rng, n: rng.choice([1, 1, 1, 2, 5, 20], n),
    "a tenth copied": lambda rng, n: rng.choice([1] * 9 + [8], n),
}


@pytest.mark.slow
@pytest.mark.parametrize("rate", [0.01, 0.05, 0.3])
@pytest.mark.parametrize("correlation", [0.0, 0.1, 0.5, 1.0])
@pytest.mark.parametrize("kind", SIZES)
@pytest.mark.parametrize("clusters", [30, 300])
def test_clustered_rates_cover_whatever_the_correlation(
    clusters: int, kind: str, correlation: float, rate: float
) -> None:
    rng, kept = np.random.default_rng(10), 0
    for _ in range(500):
        which = np.repeat(np.arange(clusters), SIZES[kind](rng, clusters))
        if correlation == 1:
            shares = (rng.uniform(size=clusters) < rate).astype(float)
        elif correlation == 0:
            shares = np.full(clusters, rate)
        else:
            strength = 1 / correlation - 1
            shares = rng.beta(rate * strength, (1 - rate) * strength, clusters)
        _, interval = cl.clustered_rate(rng.uniform(size=len(which)) < shares[which], which)
        kept += interval.low <= rate <= interval.high
    assert kept / 500 >= 0.915  # a bound that may be cautious; 500 draws of .93 can look like this


@pytest.mark.slow
@pytest.mark.parametrize("clusters", [10, 20, 40, 100])
@pytest.mark.parametrize("skewed", [False, True])
def test_means_of_uneven_clusters_cover(clusters: int, skewed: bool) -> None:
    rng, kept = np.random.default_rng(11), 0
    for _ in range(2000):
        which = np.repeat(np.arange(clusters), SIZES["uneven"](rng, clusters))
        own = rng.exponential(size=clusters) - 1 if skewed else rng.normal(size=clusters)
        _, interval = cl.clustered_mean(own[which] + rng.normal(size=len(which)), which)
        kept += interval.low <= 0 <= interval.high
    assert 0.91 <= kept / 2000 <= 0.985


def _names(
    first: int, second: int, templates: int, spreads: tuple[float, float, float, float], seed: int, draws: int
) -> float:
    """Coverage of the difference between two groups of names; spreads of names, templates, interaction and cells."""
    rng, kept, names = np.random.default_rng(seed), 0, first + second
    row, column = np.divmod(np.arange(names * templates), templates)
    inside = row < first
    for _ in range(draws):
        own, shared, moved, cell = (
            s * rng.normal(size=k)
            for s, k in zip(spreads, (names, templates, templates, len(row)), strict=True)
        )
        values = 0.7 * inside + own[row] + shared[column] + np.where(inside, 0.5, -0.5) * moved[column] + cell
        _, interval = cl.crossed_difference(values, row, column, inside)
        kept += interval.low <= 0.7 <= interval.high
    return kept / draws


def test_what_templates_add_to_both_groups_cancels() -> None:
    rng = np.random.default_rng(12)
    row, column = np.divmod(np.arange(20 * 8), 8)
    cells, templates = rng.normal(size=160), rng.normal(size=8)
    one, narrow = cl.crossed_difference(cells, row, column, row < 10)
    other, same = cl.crossed_difference(cells + 100 * templates[column], row, column, row < 10)
    assert other == pytest.approx(one)
    assert one == pytest.approx(cells[row < 10].mean() - cells[row >= 10].mean())
    assert same.half_width == pytest.approx(narrow.half_width, rel=0.1)


@pytest.mark.slow
@pytest.mark.parametrize("spreads", [(1, 1, 0, 1), (1, 1, 0.5, 1), (0, 1, 0, 1), (0.3, 2, 1, 1)])
@pytest.mark.parametrize("names", [(5, 5, 10), (30, 30, 10), (30, 20, 40)])
def test_differences_of_names_cover(
    names: tuple[int, int, int], spreads: tuple[float, float, float, float]
) -> None:
    assert 0.92 <= _names(*names, spreads, seed=13, draws=2000) <= 0.99


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
    with pytest.raises(UndefinedError, match="two rows"):
        cl.crossed_difference([1.0, 2, 3, 4], [0, 0, 1, 1], [0, 1, 0, 1], [True, True, False, False])
    with pytest.raises(ValueError, match="both groups"):
        cl.crossed_difference([1.0, 2, 3, 4], [0, 0, 1, 1], [0, 1, 0, 1], [True, False, False, False])
    with pytest.raises(ValueError, match="0 or 1"):
        cl.clustered_rate([0.5], [0])
    with pytest.raises(ValueError, match="clusters of shape"):
        cl.clustered_mean([1.0, 2.0], ["a"])
    with pytest.raises(UndefinedError, match="two groups"):
        cl.crossed_mean([1.0, 2.0], ["a", "a"], ["b", "c"])


def _crossed_rates(rows: int, columns: int, spread: float, base: float, replicates: int) -> float:
    """Return how often ``crossed_rate`` holds the probability, where rows and columns move it by probit effects."""
    rng, held = np.random.default_rng(4), 0
    row, column = (labels.ravel() for labels in np.indices((rows, columns)))
    truth = float(stats.norm.cdf(base / np.sqrt(1 + 2 * spread**2)))
    for _ in range(replicates):
        moved = base + spread * (rng.normal(size=rows)[row] + rng.normal(size=columns)[column])
        _, found = cl.crossed_rate(moved + rng.normal(size=len(row)) > 0, row, column)
        held += found.low <= truth <= found.high
    return held / replicates


def test_crossed_rates_cover_and_leave_an_interval_where_all_agree() -> None:
    assert _crossed_rates(12, 10, 0.5, 0.0, 100) >= 0.88
    _, found = cl.crossed_rate(np.ones(96), np.repeat(np.arange(8), 12), np.tile(np.arange(12), 8))
    trials = 1 / (1 / 8 + 1 / 12 - 1 / 96)
    assert (found.low, found.high) == (pytest.approx(0.025 ** (1 / trials)), 1.0)
    with pytest.raises(ValueError, match="0 or 1"):
        cl.crossed_rate([0.5, 1], [0, 1], [0, 1])


@pytest.mark.slow
@pytest.mark.parametrize("base", [0.0, 1.0])
@pytest.mark.parametrize("spread", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("shape", [(8, 8), (48, 12), (20, 30)])
def test_crossed_rates_cover_at_their_level(shape: tuple[int, int], spread: float, base: float) -> None:
    assert _crossed_rates(*shape, spread, base, 600) >= 0.92
