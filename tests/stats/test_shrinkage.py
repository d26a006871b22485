"""Small groups: suppression that subtraction cannot undo, limits of shrinking, coverage on average over cells."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit.core.errors import UndefinedError
from audit.stats.proportions import wilson
from audit.stats.shrinkage import Cell, Reported, Suppressed, shrink_means, shrink_rates, suppressed


def reported(cell: Cell) -> Reported:
    assert isinstance(cell, Reported)
    return cell


@given(st.lists(st.integers(0, 200), min_size=1, max_size=12))
def test_what_is_suppressed_cannot_be_had_by_subtraction(sizes: list[int]) -> None:
    hidden = [n for n, gone in zip(sizes, suppressed(sizes), strict=True) if gone]
    assert not any(0 < n < 10 for n, gone in zip(sizes, suppressed(sizes), strict=True) if not gone)
    everything = len(hidden) == sum(n > 0 for n in sizes)
    assert not hidden or everything or (len(hidden) >= 2 and sum(hidden) >= 10)


def test_large_cells_stand_alone_and_tiny_ones_are_gone() -> None:
    cells = shrink_rates([30, 3, 2, 0, 9], [100, 20, 12, 4, 300])
    alone = reported(cells[0])
    assert alone.interval == wilson(30, 100)
    assert (alone.shrunk, reported(cells[1]).shrunk) == (False, True)
    assert isinstance(cells[3], Suppressed)
    assert isinstance(cells[2], Suppressed)  # the next smallest: else four would be the total minus the rest
    assert "10" in cells[3].reason


def test_equal_cells_are_pooled_and_unequal_ones_are_not() -> None:
    alike = shrink_rates([4] * 12, [40] * 12)
    one = reported(alike[0])
    assert one.value == pytest.approx(0.1, abs=0.01)
    assert one.interval.half_width < 0.6 * wilson(4, 40).half_width
    apart = shrink_rates([1, 39] * 6, [40] * 12)
    assert reported(apart[0]).value == pytest.approx(1 / 40, abs=0.03)
    assert reported(apart[1]).interval.half_width > 0.7 * wilson(1, 40).half_width


def test_known_strength_gives_the_conjugate_posterior() -> None:
    # thousands of large cells fix Beta(2, 6); a small one then has the posterior Beta(2 + x, 6 + n - x)
    rng = np.random.default_rng(0)
    many = rng.binomial(2000, rng.beta(2, 6, 1500))
    cell = reported(shrink_rates([*map(int, many), 9], [2000] * 1500 + [20])[-1])
    assert cell.value == pytest.approx(11 / 28, abs=0.01)


def test_an_empty_cell_gets_what_is_known_of_the_others() -> None:
    cells = shrink_rates([10, 14, 8, 0], [40, 40, 40, 0])
    assert reported(cells[3]).value == pytest.approx(32 / 120, abs=0.03)
    assert reported(cells[3]).interval.half_width > reported(cells[0]).interval.half_width


def _average_coverage(cells: int, size: int, a: float, b: float, draws: int) -> float:
    rng, kept = np.random.default_rng(1), 0
    for _ in range(draws):
        truth = rng.beta(a, b, cells)
        found = shrink_rates(
            [int(k) for k in rng.binomial(size, truth)], [size] * cells, alone=10_000, least=1
        )
        kept += sum(
            reported(c).interval.low <= p <= reported(c).interval.high
            for c, p in zip(found, truth, strict=True)
        )
    return kept / draws / cells


def test_intervals_cover_on_average() -> None:
    assert 0.92 <= _average_coverage(8, 20, 3, 12, 30) <= 0.99


@pytest.mark.slow
@pytest.mark.parametrize(
    ("cells", "size", "a", "b"),
    [(8, 20, 3, 12), (8, 20, 60, 240), (20, 30, 1, 19), (40, 12, 5, 5), (5, 40, 2, 2)],
)
def test_intervals_cover_on_average_in_many_draws(cells: int, size: int, a: float, b: float) -> None:
    assert 0.92 <= _average_coverage(cells, size, a, b, 1200 // cells) <= 0.99


@pytest.mark.slow
@pytest.mark.parametrize("spread", [0.0, 0.5, 2.0])
@pytest.mark.parametrize("cells", [4, 12])
def test_shrunk_means_cover_on_average(cells: int, spread: float) -> None:
    rng, kept = np.random.default_rng(2), 0
    for _ in range(1500):
        truth, errors = rng.normal(3, spread, cells), rng.uniform(0.5, 1.5, cells)
        found = shrink_means(rng.normal(truth, errors), errors)
        kept += sum(i.low <= t <= i.high for (_, i), t in zip(found, truth, strict=True))
    assert 0.935 <= kept / 1500 / cells <= 0.995  # cautious when all cells are equal


def test_means_with_tiny_errors_stay_and_equal_ones_meet() -> None:
    stay = shrink_means([1.0, 5.0, 9.0], [1e-3] * 3)
    assert [value for value, _ in stay] == pytest.approx([1, 5, 9], abs=1e-3)
    assert stay[0][1].half_width == pytest.approx(1.96e-3, rel=0.01)
    meet = shrink_means([0.9, 1.0, 1.1, 1.0, 0.95, 1.05], [1.0] * 6)
    assert max(v for v, _ in meet) - min(v for v, _ in meet) < 0.1


def test_too_few_cells_are_refused() -> None:
    with pytest.raises(UndefinedError, match="three cells"):
        shrink_rates([1, 2], [10, 20])
    with pytest.raises(UndefinedError, match="three cells"):
        shrink_means([1.0, 2.0, 3.0], [1.0, 0.0, 1.0])
    with pytest.raises(ValueError, match="no more successes"):
        shrink_rates([5, 1, 1], [2, 3, 4])
