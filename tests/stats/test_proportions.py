"""Proportion intervals against scipy, published examples and exact coverage."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from audit.stats import proportions as pr


@pytest.mark.parametrize(("x", "n"), [(0, 5), (1, 7), (3, 10), (50, 100), (9, 9), (400, 1000)])
@pytest.mark.parametrize("level", [0.9, 0.95, 0.99])
def test_intervals_agree_with_scipy(x: int, n: int, level: float) -> None:
    for ours, theirs in (
        (pr.clopper_pearson(x, n, level), stats.binomtest(x, n).proportion_ci(level, "exact")),
        (pr.wilson(x, n, level), stats.binomtest(x, n).proportion_ci(level, "wilson")),
    ):
        assert ours.low == pytest.approx(theirs.low, abs=1e-9)
        assert ours.high == pytest.approx(theirs.high, abs=1e-9)


def test_one_sided_bounds_have_their_closed_forms() -> None:
    assert pr.upper_bound(0, 60, 0.95) == pytest.approx(1 - 0.05 ** (1 / 60))
    assert pr.lower_bound(60, 60, 0.95) == pytest.approx(0.05 ** (1 / 60))
    assert round(pr.lower_bound(60, 60), 3) == 0.951


@pytest.mark.parametrize("p", [0.01, 0.1, 0.37, 0.5, 0.93])
def test_clopper_pearson_never_covers_less_than_it_says(p: float) -> None:
    n = 40
    kept = [x for x in range(n + 1) if pr.clopper_pearson(x, n).low <= p <= pr.clopper_pearson(x, n).high]
    assert stats.binom.pmf(kept, n, p).sum() >= 0.95


def test_newcombe_difference_matches_the_published_example() -> None:
    interval = pr.newcombe_difference(56, 70, 48, 80)  # Newcombe 1998, table II, column (a)
    assert (round(interval.low, 4), round(interval.high, 4)) == (0.0524, 0.3339)
    edge = pr.newcombe_difference(10, 10, 0, 20)  # column (g)
    assert (round(edge.low, 4), round(edge.high, 4)) == (0.6791, 1.0)


def test_paired_difference_covers_and_is_narrower_when_answers_agree() -> None:
    rng, kept = np.random.default_rng(3), 0
    cells = np.array([0.5, 0.2, 0.1, 0.2])
    for counts in rng.multinomial(80, cells, size=600):
        interval = pr.newcombe_paired(*(int(c) for c in counts))
        kept += interval.low <= 0.1 <= interval.high
    assert 0.93 <= kept / 600 <= 0.975
    together = pr.newcombe_paired(50, 10, 5, 35)
    assert together.half_width < pr.newcombe_difference(60, 100, 55, 100).half_width


@pytest.mark.parametrize(("b", "c"), [(0, 0), (1, 9), (7, 3), (20, 20), (0, 12)])
def test_mcnemar_is_the_exact_sign_test(b: int, c: int) -> None:
    expected = stats.binomtest(b, b + c, 0.5).pvalue if b + c else 1.0
    assert pr.mcnemar(b, c) == pytest.approx(expected)


def test_impossible_counts_are_refused() -> None:
    with pytest.raises(ValueError, match="not a proportion"):
        pr.wilson(3, 2)
    with pytest.raises(ValueError, match="not a proportion"):
        pr.clopper_pearson(0, 0)


@pytest.mark.slow
def test_newcombe_difference_covers() -> None:
    rng = np.random.default_rng(5)
    for p, q, n, m in [(0.3, 0.3, 50, 60), (0.05, 0.2, 80, 40), (0.9, 0.5, 30, 30)]:
        kept = 0
        for _ in range(2000):
            interval = pr.newcombe_difference(int(rng.binomial(n, p)), n, int(rng.binomial(m, q)), m)
            kept += interval.low <= p - q <= interval.high
        assert 0.93 <= kept / 2000 <= 0.985


def test_a_scaled_difference_is_newcombes_at_factor_one_and_holds_what_it_should() -> None:
    value, interval = pr.scaled_difference(12, 80, 3, 60, 1.0)
    assert value == pytest.approx(12 / 80 - 3 / 60)
    known = pr.newcombe_difference(12, 80, 3, 60)
    assert (interval.low, interval.high) == pytest.approx((known.low, known.high))
    with pytest.raises(ValueError, match="not negative"):
        pr.scaled_difference(1, 2, 1, 2, -1.0)
    rng, held = np.random.default_rng(0), 0
    for a, b in zip(rng.binomial(200, 0.15, 400), rng.binomial(200, 0.02, 400), strict=True):
        _, interval = pr.scaled_difference(int(a), 200, int(b), 200, 5.0)
        held += interval.low <= 0.15 - 0.1 <= interval.high
    assert held >= 0.93 * 400
