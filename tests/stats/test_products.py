"""Products of centred rows in single precision: what they lose, and that kernels and neighbours made of them lose nothing that matters."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from audit.stats import kernel_values, products
from audit.stats.kernel_values import TiledKernel, cubic, gaussian
from audit.stats.kernels import discrepancy, four_sums
from audit.stats.neighbours import Nearest
from audit.stats.products import Centred, above_diagonal, across, crossing, within

ROWS, COLUMNS = 1200, 96


def normal(rng: np.random.Generator, shift: float) -> Any:
    return rng.normal(shift, 1, (ROWS, COLUMNS))


def far_away(rng: np.random.Generator, shift: float) -> Any:
    return rng.normal(5 + shift, 1, (ROWS, COLUMNS))


def rectified(rng: np.random.Generator, shift: float) -> Any:
    return np.maximum(normal(rng, shift), 0) / 2


def heavy(rng: np.random.Generator, shift: float) -> Any:
    return rng.standard_t(3, (ROWS, COLUMNS)) + shift


@pytest.mark.parametrize("kernel", [cubic, gaussian(14.0)], ids=["cubic", "gaussian"])
@pytest.mark.parametrize("made", [normal, far_away, rectified, heavy])
@pytest.mark.parametrize("shift", [0.0, 0.1])
def test_single_precision_gives_the_discrepancy_of_double_precision(
    made: Callable[[Any, float], Any], kernel: TiledKernel, shift: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(3)
    x, y = made(rng, 0.0), made(rng, shift)
    assert kernel.is_single(*Centred.pair(x, y)), "nothing would be compared"
    single = discrepancy(*four_sums(x, y, kernel))
    monkeypatch.setattr(kernel_values, "FEW", 10**12)
    double = discrepancy(*four_sums(x, y, kernel))
    assert single.value != double.value
    assert abs(single.value - double.value) < 1e-4 * double.variance**0.5
    if shift:
        assert single.value == pytest.approx(double.value, rel=2e-6)
    assert single.variance == pytest.approx(double.variance, rel=1e-5)
    assert single.p_value == pytest.approx(double.p_value, rel=1e-3)


@pytest.mark.parametrize(("scale", "offset"), [(1e-3, 1e4), (1e6, 0.0), (1e60, 0.0), (1.0, 1e9)])
def test_what_single_precision_cannot_hold_is_done_in_double(scale: float, offset: float) -> None:
    rng = np.random.default_rng(4)
    x, y = (scale * rng.normal(shift, 1, (600, 8)) + offset for shift in (0.0, 1.0))
    assert not cubic.is_single(*Centred.pair(x, y))
    if scale < 1e10:
        whole = (x @ np.concatenate([x, y]).T / 8 + 1) ** 3
        sums = four_sums(x, y, cubic)
        np.testing.assert_allclose(sums[0].totals, whole[:, :600].sum(axis=1) - np.diagonal(whole), rtol=1e-9)
        np.testing.assert_allclose(sums[1].totals, whole[:, 600:].sum(axis=1), rtol=1e-9)


def test_a_narrow_bandwidth_is_done_in_double() -> None:
    x = np.random.default_rng(5).normal(size=(600, 8))
    assert not gaussian(0.01).is_single(*Centred.pair(x, x))


def test_products_and_offsets_are_the_products_of_the_rows() -> None:
    rng = np.random.default_rng(6)
    x, y = rng.normal(3, 1, (70, 12)), rng.normal(4, 2, (50, 12))
    ours, theirs = Centred.pair(x, y)
    centred = ours.rows.astype(float) @ theirs.rows.T.astype(float)
    np.testing.assert_allclose(centred + ours.offset[:, None] + theirs.offset, x @ y.T, rtol=1e-6)
    np.testing.assert_allclose(theirs.norms, np.square(y - y.mean(axis=0)).sum(axis=1), rtol=1e-5)


@pytest.mark.parametrize("size", [1e-140, 1e-30, 1e30, 1e140])
def test_features_of_any_size_have_neighbours(size: float) -> None:
    rows = np.random.default_rng(7).normal(size=(60, 5))
    expected = Nearest.among(rows, rows, 4, own=True)
    found = Nearest.among(rows * size, rows * size, 4, own=True)
    np.testing.assert_array_equal(found.indices, expected.indices)


def test_tiles_hold_each_pair_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(products, "TILE", 7)
    monkeypatch.setattr(products, "WIDE", 10)
    seen = np.zeros((30, 30), int)
    for rows, columns in above_diagonal(30):
        seen[rows, columns] += 1
    assert (np.triu(seen) == np.triu(np.ones((30, 30)))).all()
    assert seen[8, 0] == 0, "a tile below the diagonal"
    counted = np.zeros((16, 23), int)
    for rows, columns in crossing(16, 23):
        counted[rows, columns] += 1
    assert (counted == 1).all()


def test_products_of_one_sample_and_of_two_are_those_of_their_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(products, "TILE", 7)
    monkeypatch.setattr(products, "WIDE", 10)
    rng = np.random.default_rng(8)
    ours, theirs = Centred.pair(rng.normal(size=(16, 3)), rng.normal(size=(23, 3)))
    for rows, columns, found in across(ours, theirs):
        np.testing.assert_allclose(found, ours.rows[rows] @ theirs.rows[columns].T, rtol=1e-5, atol=1e-6)
    for rows, columns, found in within(theirs):
        np.testing.assert_allclose(found, theirs.rows[rows] @ theirs.rows[columns].T, rtol=1e-5, atol=1e-6)
