"""Nearest neighbours against brute force: copies, far clusters, parts of a reference, pairs within radii."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.distance import cdist

from audit.core.errors import UndefinedError
from audit.stats import products
from audit.stats.neighbours import Nearest, pairs_within
from audit.testing.summaries import check_summary


def brute(x: Any, y: Any, k: int, own: bool = False) -> tuple[Any, Any]:
    distances = cdist(x, y)
    if own:
        np.fill_diagonal(distances, np.inf)
    order = np.argsort(distances, axis=1, kind="stable")[:, :k]
    return np.take_along_axis(distances, order, 1), order


@pytest.mark.parametrize("own", [False, True])
@pytest.mark.parametrize("d", [1, 7, pytest.param(300, marks=pytest.mark.slow)])
def test_they_are_the_nearest(d: int, own: bool) -> None:
    rng = np.random.default_rng(d)
    y = rng.normal(size=(2500, d)) + 3
    x = y if own else rng.normal(size=(700, d)) + 3
    found = Nearest.among(x, y, 5, own=own)
    distances, order = brute(x, y, 5, own)
    np.testing.assert_allclose(found.distances, distances, rtol=1e-9, atol=1e-12)
    np.testing.assert_array_equal(found.indices, order)
    np.testing.assert_array_equal(found.radii, found.distances[:, -1])


def test_copies_are_at_distance_zero_in_any_dimension() -> None:
    rng = np.random.default_rng(1)
    y = rng.normal(size=(3000, 768)).astype(np.float32) * 40 + 100
    found = Nearest.among(y[:500], y, 2)
    assert (found.distances[:, 0] == 0).all()
    np.testing.assert_array_equal(found.indices[:, 0], np.arange(500))
    doubled = np.concatenate([y[:200], y[:200]])
    apart = Nearest.among(doubled, doubled, 1, own=True)
    assert (apart.distances == 0).all()
    np.testing.assert_array_equal(apart.indices[:, 0], (np.arange(400) + 200) % 400)


def test_small_distances_far_from_the_centre_are_not_lost() -> None:
    # clusters a million radii from the centre: single precision cannot tell their members apart at all
    rng = np.random.default_rng(2)
    centres = rng.normal(size=(20, 30)) * 1e3
    y = (centres[:, None] + 1e-3 * rng.normal(size=(20, 60, 30))).reshape(1200, 30)
    x = centres + 1e-3 * rng.normal(size=(20, 30))
    found = Nearest.among(x, y, 3)
    distances, order = brute(x, y, 3)
    np.testing.assert_allclose(found.distances, distances, rtol=1e-6)
    np.testing.assert_array_equal(found.indices, order)


def test_parts_of_a_reference_give_the_whole() -> None:
    rng = np.random.default_rng(3)
    x, y = rng.normal(size=(50, 4)), rng.normal(size=(90, 4))
    whole = Nearest.among(x, y, 6)
    parts = [Nearest.among(x, y[a:b], 6, offset=a) for a, b in ((0, 3), (3, 40), (40, 90))]
    joined = parts[2].closer(parts[0]).closer(parts[1])
    np.testing.assert_array_equal(joined.indices, whole.indices)
    np.testing.assert_array_equal(joined.distances, whole.distances)
    with pytest.raises(ValueError, match="other queries"):
        whole.closer(Nearest.among(x[:5], y, 6))


def test_queries_obey_the_laws_of_summaries() -> None:
    rng = np.random.default_rng(4)
    x, y = rng.normal(size=(40, 3)), rng.normal(size=(30, 3))
    check_summary(Nearest, [(part, y, 3) for part in np.split(x, [9, 25])], (x, y, 3))


def test_missing_neighbours_are_infinitely_far() -> None:
    found = Nearest.among([[0.0]], [[1.0]], 3)
    assert found.distances.tolist() == [[1.0, np.inf, np.inf]]
    assert found.indices.tolist() == [[0, -1, -1]]
    alone = Nearest.among([[0.0]], [[0.0]], 1, own=True)
    assert alone.distances[0, 0] == np.inf


@given(st.integers(0, 10_000))
def test_neighbours_on_a_lattice_with_many_ties(seed: int) -> None:
    rng = np.random.default_rng(seed)
    x = rng.integers(0, 3, (rng.integers(1, 40), 2)).astype(float)
    y = rng.integers(0, 3, (rng.integers(1, 60), 2)).astype(float)
    k = int(rng.integers(1, 5))
    found = Nearest.among(x, y, k).distances[:, : len(y)]
    np.testing.assert_array_equal(found, brute(x, y, k)[0])


@pytest.mark.parametrize("d", [2, 64])
def test_pairs_within_radii_are_all_of_them(d: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(products, "TILE", 100)
    monkeypatch.setattr(products, "WIDE", 70)
    rng = np.random.default_rng(5)
    x, y = rng.normal(size=(250, d)), np.concatenate([rng.normal(size=(290, d)), np.zeros((10, d))])
    y[:5] = x[:5]
    distances = cdist(x, y)
    a, b = np.quantile(distances, 0.02, axis=1), np.quantile(distances, 0.03, axis=0)
    b[7] = 0.0
    i, j, found = pairs_within(x, y, a, b)
    wanted = distances <= np.maximum(a[:, None], b)
    seen = np.zeros_like(wanted)
    seen[i, j] = True
    sure = np.abs(distances - np.maximum(a[:, None], b)) > 1e-9  # quantiles are distances themselves
    np.testing.assert_array_equal(seen[sure], wanted[sure])
    np.testing.assert_allclose(found, distances[i, j], rtol=1e-9, atol=1e-12)
    assert len(set(zip(i.tolist(), j.tolist(), strict=True))) == len(i)


def test_what_has_no_neighbours_is_refused() -> None:
    with pytest.raises(UndefinedError, match="not finite"):
        Nearest.among([[np.nan]], [[1.0]], 1)
    with pytest.raises(ValueError, match="columns"):
        Nearest.among([[1.0]], [[1.0, 2.0]], 1)
    with pytest.raises(ValueError, match="shape"):
        Nearest.among([1.0], [[1.0]], 1)
    with pytest.raises(ValueError, match="no 0-th"):
        Nearest.among([[1.0]], [[1.0]], 0)
