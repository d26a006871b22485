"""Precision, recall, density, coverage: the package of their authors, exact nulls, and coverage of the intervals."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import stats
from scipy.spatial.distance import cdist

from audit.core.errors import UndefinedError
from audit.stats.fidelity import (
    METRICS,
    Neighbourhoods,
    equivalent_share,
    expected_coverage,
    expected_filling,
    fidelity,
)
from audit.stats.halving import halves, halving_errors, halving_interval, share_interval


def brute(x: Any, y: Any, k: int) -> Any:
    """The definitions, over whole matrices; the clipped forms as their authors' code computes them."""
    xx, yy, xy = cdist(x, x), cdist(y, y), cdist(x, y)
    np.fill_diagonal(xx, np.inf)
    np.fill_diagonal(yy, np.inf)
    r, s = np.sort(xx, axis=1)[:, k - 1], np.sort(yy, axis=1)[:, k - 1]
    inside = xy < r[:, None]
    clipped = np.minimum(r, np.median(r))
    hits, own = (xy <= clipped[:, None]).sum(axis=0), (xx <= clipped[:, None]).sum(axis=0)
    return np.array(
        [
            inside.any(axis=0).mean(),
            (xy < s).any(axis=1).mean(),
            inside.sum(axis=0).mean() / k,
            (xy.min(axis=1) < r).mean(),
            np.minimum(hits / k, 1).mean() / np.minimum(own / k, 1).mean(),
            np.minimum(inside.sum(axis=1), k).mean() / k,
        ]
    )


@pytest.mark.parametrize(("n", "m", "d", "k"), [(300, 200, 2, 5), (150, 400, 16, 3), (60, 60, 100, 10)])
def test_they_are_the_definitions(n: int, m: int, d: int, k: int) -> None:
    rng = np.random.default_rng(n)
    x, y = rng.normal(size=(n, d)), rng.normal(size=(m, d)) * 0.9 + 0.2
    found = Neighbourhoods.between(x, y, k).metrics()
    wanted = brute(x, y, k)
    np.testing.assert_allclose(found[:5], wanted[:5], rtol=1e-12)
    assert found[5] == pytest.approx(equivalent_share(wanted[5], n, m, k))


def test_they_are_those_of_the_package_prdc() -> None:
    prdc = pytest.importorskip("prdc")
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(400, 8)), rng.normal(size=(350, 8)) + 0.4
    wanted = prdc.compute_prdc(real_features=x, fake_features=y, nearest_k=5)
    found = fidelity(x, y, rng, draws=2).values
    for name in ("precision", "recall", "density", "coverage"):
        assert found[name] == pytest.approx(wanted[name], rel=1e-12)


def test_a_half_is_the_metric_of_half_the_rows() -> None:
    rng = np.random.default_rng(2)
    x, y = rng.normal(size=(200, 4)), rng.normal(size=(240, 4))
    a, b = halves(200, rng), halves(240, rng)
    found = Neighbourhoods.between(x, y, 5).metrics([a, b])
    wanted = brute(x[a], y[b], 5)
    np.testing.assert_allclose(found[:5], wanted[:5], rtol=1e-12)


@pytest.mark.parametrize("d", [2, 32])
def test_equal_distributions_have_the_expected_values(d: int) -> None:
    rng, k = np.random.default_rng(3), 4
    found = [
        Neighbourhoods.between(rng.normal(size=(150, d)), rng.normal(size=(90, d)), k).metrics()
        for _ in range(60)
    ]
    mean, error = np.mean(found, axis=0), np.std(found, axis=0) / np.sqrt(60)
    assert mean[2] == pytest.approx(1, abs=4 * error[2])
    assert mean[3] == pytest.approx(expected_coverage(150, 90, k), abs=4 * error[3])
    assert mean[4] == pytest.approx(1, abs=4 * error[4] + 0.01)
    assert mean[5] == pytest.approx(1, abs=4 * error[5] + 0.06)  # capped at one, so a little below on average


def test_nulls_are_the_beta_binomial() -> None:
    for n, m, k in ((50, 30, 3), (1000, 1000, 5), (20, 200, 1)):
        law = stats.betabinom(m, k, n - k)
        assert expected_coverage(n, m, k) == pytest.approx(law.sf(0))
        counts = np.arange(m + 1)
        assert float(expected_filling(n, m, k)) == pytest.approx(
            float((law.pmf(counts) * np.minimum(counts, k)).sum() / k)
        )
    assert expected_filling(100, [0], 5).tolist() == [0.0]


@pytest.mark.parametrize("good", [1.0, 0.7, 0.2])
def test_clipped_coverage_reads_as_the_share_of_good_samples(good: float) -> None:
    rng, found = np.random.default_rng(4), []
    for _ in range(20):
        x, y = rng.normal(size=(400, 6)), rng.normal(size=(400, 6))
        y[int(good * 400) :] += 100
        found.append(Neighbourhoods.between(x, y, 5).metrics()[4:6])
    density, coverage = np.mean(found, axis=0)
    assert coverage == pytest.approx(good, abs=0.06)
    assert density == pytest.approx(good, abs=0.06)


def test_outliers_inflate_density_but_not_its_clipped_form() -> None:
    rng = np.random.default_rng(5)
    x, bad = rng.normal(size=(300, 4)), 8 + rng.normal(size=(300, 4))
    x[:8] = 8 + 9 * rng.normal(size=(8, 4))  # a few real outliers whose balls hold every bad sample
    found = fidelity(x, bad, rng, draws=2).values
    assert found["density"] > 0.5
    assert found["clipped_density"] < 0.05


def test_collapsed_and_copied_samples() -> None:
    rng = np.random.default_rng(6)
    x = rng.normal(size=(200, 3))
    one = fidelity(x, np.tile(x[:1], (200, 1)), rng, draws=5)
    assert one.values["precision"] == 1.0
    assert one.values["recall"] == 0.0
    assert one.values["clipped_coverage"] < 0.05
    copied = fidelity(x, x, rng, draws=5)
    assert copied.values["precision"] == copied.values["coverage"] == 1.0
    for name in METRICS:
        assert copied.intervals[name].low <= copied.values[name] <= copied.intervals[name].high


def test_the_same_generator_gives_the_same_intervals() -> None:
    rng = np.random.default_rng(7)
    x, y = rng.normal(size=(80, 3)), rng.normal(size=(80, 3))
    one, other = (fidelity(x, y, np.random.default_rng(8)).intervals for _ in range(2))
    assert one == other


def _coverage(draw: Any, replicates: int, n: int, m: int) -> dict[str, float]:
    """How often each interval holds the mean value over all replicates."""
    rng = np.random.default_rng(9)
    found = [fidelity(*draw(rng, n, m), rng, draws=20) for _ in range(replicates)]
    held = {}
    for name in METRICS:
        truth = np.mean([f.values[name] for f in found])
        held[name] = float(np.mean([f.intervals[name].low <= truth <= f.intervals[name].high for f in found]))
    return held


DRAWS = {
    "equal": lambda rng, n, m: (rng.normal(size=(n, 8)), rng.normal(size=(m, 8))),
    "shifted": lambda rng, n, m: (rng.normal(size=(n, 8)), rng.normal(size=(m, 8)) + np.eye(8)[0]),
    "narrow": lambda rng, n, m: (rng.normal(size=(n, 8)), 0.7 * rng.normal(size=(m, 8))),
}


def test_intervals_hold_the_mean() -> None:
    held = _coverage(DRAWS["shifted"], 60, 150, 150)
    assert min(held.values()) >= 0.85  # P(fewer | 95 %) is below 0.001


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["equal", "shifted", "narrow"])
@pytest.mark.parametrize(("n", "m"), [(200, 200), (400, 300)])
def test_intervals_hold_the_mean_in_many_draws(kind: str, n: int, m: int) -> None:
    held = _coverage(DRAWS[kind], 300, n, m)
    assert min(held.values()) >= 0.905
    # near their ceiling the metrics vary less than halves suggest: cautious there
    assert np.median(list(held.values())) <= 0.99


def test_halves_give_the_error_of_a_mean() -> None:
    values = np.random.default_rng(10).exponential(size=400)
    found = halving_errors(lambda kept: [values[kept[0]].mean()], [400], np.random.default_rng(11), draws=400)
    assert found[0] == pytest.approx(values.std(ddof=1) / 20, rel=0.08)
    which = np.repeat(np.arange(40), 10)
    alike = np.repeat(np.random.default_rng(12).normal(size=40), 10)
    found = halving_errors(
        lambda kept: [alike[kept[0]].mean()], [400], np.random.default_rng(13), 400, [which]
    )
    assert found[0] == pytest.approx(alike[::10].std(ddof=1) / np.sqrt(40), rel=0.1)


def test_shares_at_the_end_keep_an_interval() -> None:
    assert share_interval(1.0, 0.0, 100).low == pytest.approx(0.963, abs=1e-3)
    assert share_interval(0.5, 0.05, 10_000).half_width == pytest.approx(0.097, abs=2e-3)
    assert halving_interval(2.0, 0.5).high == pytest.approx(2.98, abs=1e-2)


def test_what_is_too_small_is_refused() -> None:
    rng = np.random.default_rng(14)
    with pytest.raises(UndefinedError, match="more than 5 rows"):
        Neighbourhoods.between(rng.normal(size=(5, 2)), rng.normal(size=(50, 2)))
    with pytest.raises(UndefinedError, match="halves say nothing"):
        fidelity(rng.normal(size=(19, 2)), rng.normal(size=(50, 2)), rng)
    with pytest.raises(UndefinedError, match="no value in some half"):
        halving_errors(lambda kept: [np.nan], [50], rng, draws=3)
