"""Ways between codes, and the directions in which outputs change most."""

from __future__ import annotations

import numpy as np
import pytest

from audit.stats.paths import principal_directions, responses, spherical, straight


def test_the_straight_way_is_even() -> None:
    first, last = np.array([[0.0, 2.0]] * 3), np.array([[4.0, 0.0]] * 3)
    assert straight(first, last, np.array([0.0, 0.25, 1.0])).tolist() == [[0, 2], [1, 1.5], [4, 0]]


def test_the_spherical_way_keeps_to_the_sphere_and_turns_evenly() -> None:
    first, last = np.array([[1.0, 0.0]] * 5), np.array([[0.0, 3.0]] * 5)
    way = spherical(first, last, np.linspace(0, 1, 5))
    assert np.linalg.norm(way, axis=1) == pytest.approx([1, 1.5, 2, 2.5, 3])
    assert np.degrees(np.arctan2(way[:, 1], way[:, 0])) == pytest.approx([0, 22.5, 45, 67.5, 90])


def test_planted_directions_are_found_with_their_shares() -> None:
    rng = np.random.default_rng(0)
    codes = rng.standard_normal((20_000, 5)) * np.array([1.0, 10.0, 1.0, 1.0, 0.0])
    paint = np.zeros((5, 8))
    paint[1, :2] = 0.3 / np.sqrt(2)  # unit 1 has a spread of 10: 3 in standard deviations
    paint[3, 4] = 1.0
    directions, shares = principal_directions(codes, codes @ paint, 2)
    assert shares == pytest.approx([0.9, 0.1], abs=0.01)
    assert directions[0] == pytest.approx([0, 10, 0, 0, 0], abs=0.4)
    assert directions[1] == pytest.approx([0, 0, 0, 1, 0], abs=0.4)


def test_a_unit_that_never_changes_has_no_effect() -> None:
    codes = np.column_stack([np.arange(4.0), np.ones(4)])
    found = responses(codes, codes[:, :1])
    assert found[1] == pytest.approx([0.0])
    assert found[0] == pytest.approx([codes[:, 0].std()])
    directions, shares = principal_directions(codes, np.zeros((4, 3)), 2)
    assert shares.tolist() == [0.0, 0.0]
    assert np.isfinite(directions).all()


@pytest.mark.parametrize(("codes", "outputs"), [(1, 1), (3, 2)])
def test_too_few_codes_are_refused(codes: int, outputs: int) -> None:
    with pytest.raises(ValueError, match="two or more codes"):
        responses(np.zeros((codes, 2)), np.zeros((outputs, 2)))
