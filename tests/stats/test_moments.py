"""Moments against numpy's, and the laws of merging."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audit.core.errors import UndefinedError
from audit.core.summaries import merged
from audit.stats.moments import Marginals, Moments
from audit.testing.summaries import check_summary


@settings(max_examples=40, deadline=None)
@given(
    cuts=st.lists(st.integers(0, 30), min_size=3, max_size=6),
    columns=st.integers(1, 4),
    offset=st.sampled_from([0.0, 1e6]),
    seed=st.integers(0, 2**16),
)
def test_merging_pieces_is_summarising_the_whole(
    cuts: list[int], columns: int, offset: float, seed: int
) -> None:
    rows = np.random.default_rng(seed).normal(size=(sum(cuts) + 2, columns)) + offset
    pieces = np.split(rows, np.cumsum(cuts))
    check_summary(Moments, pieces, rows, tolerance=1e-7)
    check_summary(Marginals, pieces, rows, tolerance=1e-7)


def test_moments_are_numpys() -> None:
    rows = np.random.default_rng(0).normal(size=(50, 3)) @ np.diag([1, 5, 0])
    found = Moments.of(rows)
    np.testing.assert_allclose(found.mean, rows.mean(axis=0))
    np.testing.assert_allclose(found.covariance, np.cov(rows.T), atol=1e-12)
    np.testing.assert_allclose(found.variance, rows.var(axis=0, ddof=1), atol=1e-12)
    np.testing.assert_allclose(Marginals.of(rows).variance, found.variance, atol=1e-12)


def test_a_vector_is_one_column() -> None:
    found = Moments.of(np.array([1.0, 2.0, 4.0]))
    assert found.mean.shape == (1,)
    assert found.variance[0] == pytest.approx(7 / 3)


def test_a_large_mean_costs_no_digits_of_the_variance() -> None:
    """Raw sums of squares would return 0 or less here."""
    rows = 1e9 + np.random.default_rng(1).normal(size=(4000, 1))
    found = merged(Moments.of(piece) for piece in np.split(rows, 40))
    assert found.covariance[0, 0] == pytest.approx(float(np.var(rows - 1e9, ddof=1)), rel=1e-6)


def test_what_has_no_moments_says_so() -> None:
    with pytest.raises(UndefinedError, match="two rows"):
        _ = Moments.of(np.ones((1, 2))).covariance
    with pytest.raises(UndefinedError, match="two rows"):
        _ = Marginals.of(np.ones((1, 2))).variance
    with pytest.raises(UndefinedError, match="not finite"):
        Moments.of(np.array([1.0, np.nan]))
    with pytest.raises(ValueError, match="do not merge"):
        Moments.of(np.ones((2, 2))).merge(Moments.of(np.ones((2, 3))))
