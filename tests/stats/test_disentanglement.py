"""MIG and DCI where factors have a unit each, are rotated into one another, or are not there; parity with hand-computed values."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.stats import entropy
from sklearn.metrics import mutual_info_score

from audit.core.errors import UndefinedError
from audit.stats.disentanglement import dci, information_gap, jackknife_interval, mean_gap, scores_of

KINDS = (2, 4, 8)


def world(seed: int, n: int, kind: str, noise: float = 0.2) -> tuple[Any, list[Any], Any]:
    """Ten units; the first three stand for the factors, are rotated into one another, or say nothing."""
    rng = np.random.default_rng(seed)
    factors = [rng.integers(0, k, n) for k in KINDS]
    codes = rng.normal(size=(n, 10))
    if kind != "nothing":
        for unit, factor in enumerate(factors):
            codes[:, unit] = (factor - factor.mean()) / factor.std() + noise * rng.normal(size=n)
    if kind == "rotated":
        codes[:, :3] = codes[:, :3] @ np.linalg.qr(np.random.default_rng(5).normal(size=(3, 3)))[0]
    return codes, factors, rng


def gap_of(seed: int, n: int, kind: str) -> tuple[float, float, float]:
    codes, factors, rng = world(seed, n, kind)
    groups = rng.permutation(n) % 20
    gaps = [information_gap(codes, factor, groups) for factor in factors]
    return *mean_gap(gaps), float(np.mean([gap.plain for gap in gaps]))


def test_the_published_gap_is_that_of_sklearns_mutual_information() -> None:
    codes, factors, rng = world(0, 500, "rotated")
    found = information_gap(codes, factors[2], rng.permutation(500) % 20)
    told = []
    for unit in codes.T:
        edges = np.histogram_bin_edges(unit, 20)
        told.append(mutual_info_score(np.digitize(unit, edges[1:-1]), factors[2]))
    first, second = np.sort(told)[::-1][:2]
    h = entropy(np.bincount(factors[2]))
    assert found.plain == pytest.approx((first - second) / h, rel=1e-9)
    np.testing.assert_allclose(found.information, np.array(told) / h, rtol=1e-9)


def test_a_unit_for_each_factor_is_told_from_a_rotated_code_and_from_nothing() -> None:
    each, rotated, nothing = (gap_of(1, 2000, kind) for kind in ("each", "rotated", "nothing"))
    assert each[0] > 0.8
    assert rotated[0] < 0.35
    assert abs(nothing[0]) < 2.1 * nothing[1] < 0.05


def test_nothing_has_no_gap_on_average_where_the_published_one_has() -> None:
    runs = np.array([gap_of(seed, 300, "nothing") for seed in range(60)])
    assert abs(runs[:, 0].mean()) < 3 * runs[:, 0].std() / np.sqrt(60) + 1e-3
    assert runs[:, 2].mean() > 0.005


@pytest.mark.parametrize("kind", ["each", "rotated", "nothing"])
def test_the_interval_covers(kind: str) -> None:
    runs = np.array([gap_of(seed, 400, kind) for seed in range(80)])
    truth = runs[:, 0].mean()
    held = [
        interval.low <= truth <= interval.high
        for interval in (jackknife_interval(value, error, 0.95) for value, error, _ in runs)
    ]
    assert np.mean(held) >= 0.92


def test_dci_of_tables_by_hand() -> None:
    assert scores_of(np.eye(3)) == (pytest.approx(1.0), pytest.approx(1.0))
    assert scores_of(np.full((4, 4), 0.25)) == (pytest.approx(0.0), pytest.approx(0.0))
    table = np.array([[0.9, 0.1], [0.1, 0.4], [0.0, 0.5]])
    rows = [1 - entropy(row / row.sum()) / np.log(2) for row in table]
    columns = [1 - entropy(column / column.sum()) / np.log(3) for column in table.T]
    assert scores_of(table) == (
        pytest.approx(np.average(rows, weights=table.sum(axis=1))),
        pytest.approx(np.mean(columns)),
    )
    assert scores_of(np.array([[1.0], [0.0]])) == (None, pytest.approx(1.0))


def test_dci_tells_a_unit_each_from_a_rotated_code() -> None:
    each, rotated, nothing = (
        dci(*world(2, 600, kind)[:2], np.random.default_rng(0)) for kind in ("each", "rotated", "nothing")
    )
    assert each.disentanglement is not None
    assert rotated.disentanglement is not None
    assert nothing.disentanglement is not None
    assert each.disentanglement > rotated.disentanglement + 0.2 > nothing.disentanglement + 0.2
    assert each.completeness > rotated.completeness > nothing.completeness + 0.1
    assert (each.informativeness > 0.5).all()
    assert (np.abs(nothing.informativeness) < 0.15).all()


def test_what_has_no_gap() -> None:
    groups = np.arange(100) % 20
    with pytest.raises(UndefinedError, match="1 units"):
        information_gap(np.ones((100, 1)), np.arange(100) % 2, groups)
    with pytest.raises(UndefinedError, match="1 kinds"):
        information_gap(np.ones((100, 2)), np.zeros(100), groups)
    flat = information_gap(np.ones((100, 3)), np.arange(100) % 2, groups)
    assert flat.value == flat.plain == 0
