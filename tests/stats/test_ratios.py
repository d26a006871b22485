"""The ratio of sums: closed forms, an inverse by hand, and coverage where a few documents weigh most."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from scipy import stats

from audit.core.errors import UndefinedError
from audit.core.measurements import Interval, Unquantified
from audit.stats.ratios import ratio_of_sums


def test_with_equal_denominators_it_is_the_mean() -> None:
    values = np.array([1.0, 4.0, 2.5, 5.5, 7.0, 1.0, 7.0])  # symmetric around 4
    found = ratio_of_sums(values, np.full(7, 2.0))
    assert found.value == pytest.approx(values.mean() / 2)
    assert found.standard_error == pytest.approx(values.std(ddof=1) / math.sqrt(7) / 2)
    assert found.effective == pytest.approx(7)
    assert found.degrees == pytest.approx(6)
    low, high = stats.t.interval(0.9, 6, loc=values.mean() / 2, scale=found.standard_error)
    interval = found.interval(0.9)
    assert (interval.low, interval.high) == (pytest.approx(low), pytest.approx(high))
    assert found.reach(0.9) == pytest.approx(high - found.value)


def test_skewed_residuals_solve_halls_cubic() -> None:
    A = np.array([1.0, 1, 1, 1, 2, 9])
    found = ratio_of_sums(A, np.ones(6))
    e = A - A.mean()
    g = (e**3).sum() / (e**2).sum() ** 1.5
    interval = found.interval()
    for end, t in ((interval.low, stats.t.ppf(0.975, 5)), (interval.high, stats.t.ppf(0.025, 5))):
        u = (found.value - end) / found.standard_error
        assert u + g * u**2 / 3 + g**2 * u**3 / 27 + g / 6 == pytest.approx(t, rel=1e-9)
    assert interval.high - found.value > found.value - interval.low  # long tail above, truth more often above


def test_degrees_of_freedom_are_satterthwaites() -> None:
    B = np.random.default_rng(0).lognormal(0, 1.5, 40)
    h = B / B.sum()
    project = np.eye(40) - np.outer(h, np.ones(40))
    C, a = project @ np.diag(h**2) @ project.T, 1 / (1 - h)
    wanted = (a * np.diag(C)).sum() ** 2 / (a[:, None] * a * C**2).sum()
    assert ratio_of_sums(B, B).degrees == pytest.approx(wanted, rel=1e-9)


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


def test_one_long_document_shows_in_the_effective_number_and_gets_no_interval() -> None:
    found = ratio_of_sums(np.ones(100), np.array([1e6, *np.ones(99)]))
    assert found.effective == pytest.approx(1, rel=1e-3)
    none = found.uncertainty()
    assert isinstance(none, Unquantified)
    assert "two or three of 100 units" in none.reason
    few = ratio_of_sums(np.ones(19), np.ones(19)).uncertainty()
    assert isinstance(few, Unquantified)
    assert "19 units" in few.reason
    assert isinstance(ratio_of_sums(np.arange(20.0), np.ones(20)).uncertainty(), Interval)


def test_a_unit_that_holds_everything_does_not_divide_by_nothing() -> None:
    found = ratio_of_sums([3.0, 0.0], [2.0, 0.0])
    assert (found.value, found.standard_error) == (1.5, 0.0)
    assert isinstance(found.uncertainty(), Unquantified)


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


LENGTHS = {
    "even": lambda rng, shape: rng.lognormal(7, 0.6, shape),
    "uneven": lambda rng, shape: rng.lognormal(7, 1.0, shape),
    "very uneven": lambda rng, shape: rng.lognormal(7, 1.5, shape),
    "giants": lambda rng, shape: (
        rng.lognormal(7, 0.6, shape) * np.where(rng.uniform(size=shape) < 0.02, 100, 1)
    ),
}


def rates(lengths: Any, fall: float) -> Any:
    """Bits per byte of a document on average; ``fall`` per unit of log length, or the cost of a start."""
    if math.isinf(fall):
        return 1.2 + 300 / (lengths + 50)
    return np.maximum(0.2, 1.2 - fall * (np.log(lengths) - 7))


def coverage(replicates: int, documents: int, kind: str = "even", fall: float = 0.05) -> float:
    rng = np.random.default_rng(1)
    lengths = np.maximum(1, LENGTHS[kind](rng, (replicates, documents)).round())
    bits = lengths * (rates(lengths, fall) + rng.normal(0, 0.25, lengths.shape))
    weights = expected = 0.0
    for _ in range(10):
        many = np.maximum(1, LENGTHS[kind](rng, 1_000_000).round())
        weights, expected = weights + many.sum(), expected + (many * rates(many, fall)).sum()
    truth, inside = expected / weights, 0
    for A, B in zip(bits, lengths, strict=True):
        interval = ratio_of_sums(A, B).interval()
        inside += interval.low <= truth <= interval.high
    return inside / replicates


def test_the_interval_covers_at_the_gate() -> None:
    assert 0.91 <= coverage(400, 100) <= 0.985


@pytest.mark.slow
@pytest.mark.parametrize("documents", [20, 100, 300, 1000])
@pytest.mark.parametrize("fall", [0.0, 0.05, 0.1, math.inf])
@pytest.mark.parametrize("kind", ["even", "uneven", "very uneven"])
def test_the_interval_covers_uneven_documents(kind: str, fall: float, documents: int) -> None:
    assert 0.92 <= coverage(4000, documents, kind, fall) <= 0.975


@pytest.mark.slow
@pytest.mark.parametrize("documents", [300, 1000])
@pytest.mark.parametrize("fall", [0.0, 0.1])
def test_the_interval_covers_a_few_giants(fall: float, documents: int) -> None:
    assert 0.92 <= coverage(4000, documents, "giants", fall) <= 0.98


@pytest.mark.slow
def test_it_covers_when_documents_are_copied() -> None:
    rng, truth, inside = np.random.default_rng(2), 1.2, 0
    for _ in range(2000):
        copies = rng.choice([1, 1, 1, 3, 20], size=100)
        B = np.repeat(rng.lognormal(7, 0.8, 100), copies)
        A = B * np.repeat(rng.normal(1.2, 0.25, 100), copies)
        interval = ratio_of_sums(A, B, clusters=np.repeat(np.arange(100), copies)).interval()
        inside += interval.low <= truth <= interval.high
    assert 0.93 <= inside / 2000 <= 0.985
