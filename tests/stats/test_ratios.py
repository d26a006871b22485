"""The ratio of sums: closed forms and coverage."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from audit.core.errors import UndefinedError
from audit.stats.ratios import ratio_of_sums


def test_with_equal_denominators_it_is_the_mean() -> None:
    values = np.array([1.0, 4.0, 2.5, 7.0, 3.0])
    found = ratio_of_sums(values, np.full(5, 2.0))
    assert found.value == pytest.approx(values.mean() / 2)
    assert found.standard_error == pytest.approx(values.std(ddof=1) / math.sqrt(5) / 2)
    assert found.effective == pytest.approx(5)
    low, high = stats.t.interval(0.9, 4, loc=values.mean() / 2, scale=found.standard_error)
    interval = found.interval(0.9)
    assert (interval.low, interval.high) == (pytest.approx(low), pytest.approx(high))


def test_it_agrees_with_the_jackknife() -> None:
    rng = np.random.default_rng(0)
    B = rng.gamma(3, 100, 400)
    A = B * rng.normal(2, 0.3, 400)
    found = ratio_of_sums(A, B)
    without = (A.sum() - A) / (B.sum() - B)
    jackknife = math.sqrt(399 / 400 * ((without - without.mean()) ** 2).sum())
    assert found.standard_error == pytest.approx(jackknife, rel=0.02)


def test_the_exponential_keeps_the_ends() -> None:
    found = ratio_of_sums([1.0, 2.0, 4.0], [2.0, 2.0, 2.0])
    plain, raised = found.interval(), found.exponential()
    assert (raised.low, raised.high) == (
        pytest.approx(math.exp(plain.low)),
        pytest.approx(math.exp(plain.high)),
    )


def test_clusters_are_summed_first() -> None:
    A, B = np.array([1.0, 2, 3, 4, 5, 6]), np.array([1.0, 1, 2, 2, 3, 4])
    found = ratio_of_sums(A, B, clusters=["a", "a", "b", "b", "c", "c"])
    assert found == ratio_of_sums([3.0, 7, 11], [2.0, 4, 7])


def test_one_long_document_shows_in_the_effective_number() -> None:
    found = ratio_of_sums(np.ones(100), np.array([1e6, *np.ones(99)]))
    assert found.effective == pytest.approx(1, rel=1e-3)


@pytest.mark.parametrize(("A", "B"), [([1.0], [1.0]), ([], []), ([1.0, 2.0], [0.0, 0.0])])
def test_what_has_no_ratio_is_undefined(A: list[float], B: list[float]) -> None:
    with pytest.raises(UndefinedError):
        ratio_of_sums(A, B)


@pytest.mark.parametrize(
    ("A", "B"), [([1.0, math.nan], [1.0, 1.0]), ([1.0, 1.0], [-1.0, 3.0]), ([1.0, 2], [1.0] * 3)]
)
def test_what_is_no_count_is_refused(A: list[float], B: list[float]) -> None:
    with pytest.raises(ValueError):
        ratio_of_sums(A, B)


def coverage(replicates: int, documents: int) -> float:
    rng = np.random.default_rng(1)
    lengths = np.maximum(1, rng.lognormal(7, 0.6, (replicates, documents)))
    rates = rng.normal(1.2, 0.25, (replicates, documents)) - 0.05 * (np.log(lengths) - 7)
    many = np.maximum(1, rng.lognormal(7, 0.6, 2_000_000))
    truth = 1.2 - 0.05 * float((many * (np.log(many) - 7)).sum() / many.sum())
    inside = 0
    for A, B in zip(lengths * rates, lengths, strict=True):
        interval = ratio_of_sums(A, B).interval()
        inside += interval.low <= truth <= interval.high
    return inside / replicates


def test_the_interval_covers_at_the_gate() -> None:
    assert 0.91 <= coverage(400, 100) <= 0.985


@pytest.mark.slow
def test_the_interval_covers_at_the_gate_in_many_replicates() -> None:
    assert 0.935 <= coverage(4000, 100) <= 0.965
