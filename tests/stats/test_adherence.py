"""Corrected rates of what was asked for: closed forms, the edges, coverage."""

from __future__ import annotations

import numpy as np
import pytest

from audit.core.errors import UndefinedError
from audit.stats.adherence import Requests, adherence, read_rate
from audit.stats.proportions import wilson

SURE = np.diag([100_000, 100_000, 100_000])


def test_a_classifier_that_never_errs_gives_wilsons_interval() -> None:
    one = Requests(np.array([[3.0, 36.0, 1.0]]), np.array([1]))
    found, by_hand = adherence(one, SURE, one), wilson(36, 40)
    assert found.value == found.read == 0.9
    assert (found.interval.low, found.interval.high) == pytest.approx((by_hand.low, by_hand.high), abs=2e-5)
    assert (found.read_interval.low, found.read_interval.high) == (by_hand.low, by_hand.high)
    sure = Requests(np.array([[0.0, 40.0, 0.0]]), np.array([1]))
    assert adherence(sure, SURE, sure).interval.low == pytest.approx(wilson(40, 40).low, abs=2e-5)
    assert adherence(sure, SURE, sure).interval.high == 1.0


def test_two_values_are_corrected_as_by_rogan_and_gladen() -> None:
    """``(q + Sp - 1) / (Se + Sp - 1)`` of a request for the first of two values."""
    one = Requests(np.array([[70.0, 30.0]]), np.array([0]))
    found = adherence(one, [[180, 20], [40, 160]], one)
    assert found.unbounded == pytest.approx((0.7 + 0.8 - 1) / (0.9 + 0.8 - 1))
    # The usual variance of the same, in both ends' mean.
    q = 0.7 * 0.3 / 100
    p = found.value
    errors = (q + p**2 * 0.9 * 0.1 / 200 + (1 - p) ** 2 * 0.8 * 0.2 / 200) ** 0.5 / 0.7
    assert found.interval.half_width == pytest.approx(1.96 * errors, rel=0.05)


def test_outputs_that_ignore_the_request_are_the_baseline() -> None:
    table = np.array([[30.0, 6.0, 4.0]] * 3)
    every = Requests(table, np.arange(3))
    found = adherence(every, SURE, every)
    assert found.value == pytest.approx(1 / 3)
    assert found.ignoring == pytest.approx(1 / 3)
    assert adherence(every.only(0), SURE, every).ignoring == pytest.approx(0.75, abs=1e-4)


def test_more_right_than_any_rate_explains_is_said_and_widens_the_interval() -> None:
    """The classifier misses a fifth of the labelled examples and none of 400 outputs: it errs differently on them."""
    one = Requests(np.array([[380.0, 20.0]]), np.array([0]))
    found = adherence(one, [[160, 40], [1, 199]], one)
    assert found.misfit
    assert found.value == 1.0
    assert found.unbounded > 1.1
    assert found.interval.low == pytest.approx(wilson(380, 400).low)


def test_what_says_nothing_is_refused() -> None:
    one = Requests(np.array([[20.0, 20.0]]), np.array([0]))
    with pytest.raises(UndefinedError, match="condition number"):
        adherence(one, [[50, 50], [49, 51]], one)
    with pytest.raises(UndefinedError, match="no labelled example"):
        adherence(one, [[50, 50], [0, 0]], one)
    with pytest.raises(ValueError, match="go together"):
        Requests(np.array([[0.0, 0.0]]), np.array([0]))
    with pytest.raises(ValueError, match="nobody reads"):
        Requests(np.array([[1.0, 0.0]]), np.array([2]))


def covered(k: int, accuracy: float, labels: int, n: int, rate: float, repeats: int) -> tuple[float, float]:
    """Return how often the intervals of the mean and of the first request hold the truth."""
    rng = np.random.default_rng(k)
    off = rng.dirichlet(np.ones(k - 1), k) * (1 - accuracy)
    matrix = np.array([np.insert(row, i, accuracy) for i, row in enumerate(off)])
    own = np.clip(rate + (rate < 1) * np.linspace(-0.015, 0.015, k), 0, 1)
    shares = np.tile((1 - own)[:, None] / max(k - 1, 1), k)
    np.fill_diagonal(shares, own)
    held = np.zeros(2)
    for _ in range(repeats):
        confusion = np.array([rng.multinomial(labels, row) for row in matrix])
        every = Requests(np.array([rng.multinomial(n, row @ matrix) for row in shares], float), np.arange(k))
        for place, (requests, truth) in enumerate(((every, own.mean()), (every.only(0), own[0]))):
            interval = adherence(requests, confusion, every).interval
            held[place] += interval.low - 1e-9 <= truth <= interval.high + 1e-9
    return tuple(held / repeats)


@pytest.mark.parametrize("case", [(2, 0.9, 100, 100, 0.5), (5, 0.85, 100, 40, 0.8), (3, 0.95, 30, 100, 1.0)])
def test_intervals_cover(case: tuple[int, float, int, int, float]) -> None:
    """Measured with 400 repeats: .947, .955 and .970 of all requests, .945 to .970 of one."""
    assert min(covered(*case, repeats=60)) >= 0.86


@pytest.mark.slow
@pytest.mark.parametrize(
    "case",
    [
        (2, 0.95, 100, 100, 1.0),
        (2, 0.9, 100, 100, 0.5),
        (3, 0.9, 60, 40, 0.95),
        (5, 0.85, 100, 40, 0.8),
        (10, 0.93, 1000, 40, 0.9),
        (11, 0.999, 800, 40, 0.97),
        (5, 0.8, 100, 30, 0.2),
    ],
)
def test_intervals_cover_thoroughly(case: tuple[int, float, int, int, float]) -> None:
    assert min(covered(*case, repeats=1000)) >= 0.93


def test_uneven_requests_weigh_alike() -> None:
    every = Requests(np.array([[90.0, 10.0], [10.0, 10.0]]), np.arange(2))
    value, interval = read_rate(every, 0.95)
    assert value == pytest.approx(0.7)
    assert interval.low < 0.7 < interval.high
