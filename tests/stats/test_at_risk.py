"""Naming single examples: blanks name nobody, planted ones are named, and the tail is the hypergeometric one."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from audit.stats.at_risk import _tail, standing_out


def test_the_tail_is_that_of_the_hypergeometric_distribution() -> None:
    for named, above, m, n in ((5, 0, 100, 50), (3, 2, 20, 30), (1, 0, 10, 10)):
        exact = stats.hypergeom.cdf(above, m + n, n, named + above)
        assert _tail(named, above, m, n) == pytest.approx(exact)


@pytest.mark.parametrize(("m", "n", "k"), [(200, 400, 1), (400, 200, 4), (1000, 500, 2)])
def test_nobody_is_named_where_there_is_nothing_to_find(m: int, n: int, k: int) -> None:
    rng = np.random.default_rng(m + n + k)
    named = [
        len(standing_out(rng.normal(size=(m, k)), rng.normal(size=(n, k))).places) > 0 for _ in range(400)
    ]
    assert np.mean(named) <= 0.065, "5 % and what 400 repeats may add"


def test_a_few_that_stand_far_out_are_named_among_many_that_do_not() -> None:
    """30 of 10,000 members beyond all of 5,000 others: too few for an average, and each can be named."""
    rng = np.random.default_rng(0)
    members, others = rng.normal(size=(10_000, 2)), rng.normal(size=(5_000, 2))
    members[:60, 1] += 8
    found = standing_out(members, others)
    assert set(range(60)) <= set(found.places.tolist())
    assert len(found.places) <= 66
    assert found.scores[0] == 1
    assert found.chance[0] == pytest.approx(1 / 5001)
    assert set(found.places[:60].tolist()) == set(range(60)), "those farthest out come first"
    blurred = members * [1.0, 1e6], others * [1.0, 1e6]  # scales mean nothing
    np.testing.assert_array_equal(standing_out(*blurred).places, found.places)


def test_equal_scores_and_empty_sides_name_nobody() -> None:
    assert len(standing_out(np.zeros((50, 1)), np.zeros((50, 1))).places) == 0
    assert len(standing_out(np.zeros((0, 1)), np.zeros((50, 1))).places) == 0
    assert len(standing_out(np.full((50, 1), -np.inf), np.zeros((50, 1))).places) == 0
