"""The expected largest of k draws against every subset, and without bias."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from audit.core.errors import UndefinedError
from audit.stats.extremes import expected_maximum


@pytest.mark.parametrize("k", [1, 2, 5, 8])
def test_it_is_the_mean_over_all_subsets(k: int) -> None:
    values = np.random.default_rng(k).normal(size=8)
    wanted = np.mean([max(chosen) for chosen in combinations(values, k)])
    assert expected_maximum(values, k)[0] == pytest.approx(wanted)


def test_it_has_the_mean_of_the_plain_maximum_and_a_smaller_variance() -> None:
    draws = np.random.default_rng(0).random((4000, 20))
    found = expected_maximum(draws, 5)
    plain = draws[:, :5].max(axis=1)
    assert found.mean() == pytest.approx(5 / 6, abs=0.005)
    assert found.std() < 0.8 * plain.std()


def test_more_than_there_are_is_refused() -> None:
    for k in (0, 4):
        with pytest.raises(UndefinedError, match="cannot be estimated"):
            expected_maximum([1.0, 2.0, 3.0], k)
