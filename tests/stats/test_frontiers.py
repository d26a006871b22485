"""MAUVE and the frontier integral against the authors' package and closed forms, their ceiling, their test and their errors."""

from __future__ import annotations

import numpy as np
import pytest

from audit.core.errors import UndefinedError
from audit.stats.frontiers import divergence_frontier, frontier_integral, mauve, quantised, smoothed


def test_both_numbers_are_those_of_the_authors_package() -> None:
    """mauve-text 0.4.0, ``get_divergence_curve_for_multinomials`` and ``get_fronter_integral`` on smoothed counts."""
    p, q = smoothed([12, 30, 8, 50, 0, 5]), smoothed([20, 10, 30, 20, 15, 5])
    assert mauve(p, q) == pytest.approx(0.5467782934770558, rel=1e-12)
    assert frontier_integral(p, q) == pytest.approx(0.18072154292408538, rel=1e-12)


def test_disjoint_and_equal_distributions_have_closed_forms() -> None:
    """The paper's toy case: disjoint histograms have the curve ((1-w)^5, w^5) and the area 5 B(6, 5) = 1/252."""
    tiny = 1e-14
    p, q = np.array([1 - tiny, tiny]), np.array([tiny, 1 - tiny])
    assert mauve(p, q, points=4000) == pytest.approx(1 / 252, rel=1e-5)
    assert frontier_integral(p, q) == pytest.approx(1.0)
    assert mauve(p, p) == pytest.approx(1.0)
    assert frontier_integral(p, p) == 0


def test_the_integral_is_what_its_definition_integrates_to() -> None:
    p, q = smoothed([9, 1, 4, 6]), smoothed([2, 8, 5, 5])
    w = (np.arange(20_000) + 0.5)[:, None] / 20_000
    r = w * p + (1 - w) * q
    inner = w[:, 0] * (p * np.log(p / r)).sum(1) + (1 - w[:, 0]) * (q * np.log(q / r)).sum(1)
    assert frontier_integral(p, q) == pytest.approx(2 * inner.mean(), rel=1e-6)


def rows(seed: int, n: int, shift: float, heavy: bool) -> np.ndarray:
    rng = np.random.default_rng(seed)
    drawn = rng.standard_t(3, (n, 12)) if heavy else rng.normal(size=(n, 12))
    return drawn + shift


def run(seed: int, n: int, shift: float, heavy: bool = False) -> tuple[float, ...]:
    found = divergence_frontier(
        rows(2 * seed, n, shift, heavy),
        rows(2 * seed + 1, n, 0, heavy),
        np.random.default_rng(seed),
        draws=99,
    )
    return (found.mauve, found.mauve_error, found.excess, found.excess_error, found.ceiling, found.p_value)


def covered(runs: np.ndarray) -> np.ndarray:
    """Return how often the intervals hold what the numbers are on average at this size."""
    truth = runs[:, [0, 2]].mean(axis=0)
    return np.asarray((np.abs(runs[:, [0, 2]] - truth) < 1.96 * runs[:, [1, 3]]).mean(axis=0))


def test_equal_distributions_reach_the_ceiling_and_a_shift_is_found() -> None:
    equal = np.array([run(s, 100, 0.0) for s in range(12)])
    assert abs(equal[:, 2].mean()) < 4 * equal[:, 2].std() / np.sqrt(12)
    assert equal[:, 0].mean() == pytest.approx(equal[:, 4].mean(), abs=0.02)
    assert (equal[:, 0] < 0.999).all()
    shifted = run(0, 200, 0.5)
    assert shifted[2] > 3 * shifted[3]
    assert shifted[5] == 0.01


@pytest.mark.slow
@pytest.mark.parametrize("shift", [0.0, 0.2, 0.5])
@pytest.mark.parametrize("heavy", [False, True])
def test_the_intervals_cover(shift: float, heavy: bool) -> None:
    runs = np.array([run(s, 200, shift, heavy) for s in range(150)])
    assert (covered(runs) >= 0.91).all()
    if shift == 0.0:
        assert (runs[:, 5] <= 0.05).mean() <= 0.1


def test_what_has_no_frontier() -> None:
    rng = np.random.default_rng(0)
    with pytest.raises(UndefinedError, match="40 rows a side"):
        divergence_frontier(np.ones((30, 3)), np.ones((50, 3)), rng)
    with pytest.raises(UndefinedError, match="are alike"):
        divergence_frontier(np.ones((50, 3)), np.ones((50, 3)), rng)
    with pytest.raises(UndefinedError, match="not finite"):
        divergence_frontier(np.full((50, 3), np.nan), np.ones((50, 3)), rng)


def test_fewer_kinds_than_buckets_are_as_many_buckets() -> None:
    kinds = np.eye(3)[np.arange(60) % 3]
    assert len(np.unique(quantised(kinds, kinds, 6, np.random.default_rng(0)))) == 3
