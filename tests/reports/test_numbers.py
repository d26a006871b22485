"""Numbers as they are written: rounding against worked examples, and what no rounding may do."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit.core.measurements import Direction, Interval, Measurement, Unquantified
from reports import numbers

finite = st.floats(-1e12, 1e12, allow_nan=False)


def read(text: str) -> float:
    return float(text.replace(",", "").replace("\N{MINUS SIGN}", "-"))


@pytest.mark.parametrize(
    ("numbers_given", "written"),
    [
        ((12345.678, 12300.0, 12400.0), ("12,346", "12,300", "12,400")),
        ((0.5, 0.4999, 0.5001), ("0.50000", "0.49990", "0.50010")),
        ((-0.02, -0.3, 0.26), ("−0.02", "−0.30", "0.26")),
        ((1e-7, 0.0, 3e-7), ("1.0e−7", "0.0e0", "3.0e−7")),
        ((0.0, -0.004, 0.004), ("0.0000", "−0.0040", "0.0040")),
        ((5e9, 4e9, 6e9), ("5.0e9", "4.0e9", "6.0e9")),
    ],
)
def test_digits_follow_the_interval(
    numbers_given: tuple[float, float, float], written: tuple[str, str, str]
) -> None:
    assert numbers.together(*numbers_given) == written


@given(finite, finite, finite)
def test_rounding_moves_nothing_by_more_than_a_tenth_of_the_half_width(a: float, b: float, c: float) -> None:
    low, value, high = sorted((a, b, c))
    half = (high - low) / 2
    if half < 1e-9 * max(abs(low), abs(high), 1e-3):
        return
    for text, exact in zip(numbers.together(value, low, high), (value, low, high), strict=True):
        assert abs(read(text) - exact) <= 0.1 * half + 1e-12 * abs(exact)


@given(finite)
def test_plain_numbers_keep_four_digits(value: float) -> None:
    assert math.isclose(read(numbers.plain(value)), value, rel_tol=6e-4, abs_tol=1e-300)


@given(finite)
def test_no_negative_zero(value: float) -> None:
    assert numbers.plain(value).strip("−0.") or numbers.plain(value) == "0"


def test_a_measurement_without_an_interval_has_no_interval_text() -> None:
    m = Measurement("m", 0.123456, Unquantified("because"), 3, Direction.NEITHER)
    assert numbers.value_of(m) == "0.1235"
    assert numbers.interval_of(m) == ""
    with_one = Measurement("m", 0.123456, Interval(0.1, 0.15, 0.9, "x"), 3, Direction.NEITHER)
    assert numbers.value_of(with_one) == "0.123"
    assert numbers.interval_of(with_one) == "0.100 to 0.150"


def test_times_that_are_not_times_are_left_alone() -> None:
    assert numbers.moment("yesterday") == "yesterday"
    assert numbers.elapsed("yesterday", "2026-01-01T00:00:00+00:00") is None
    assert numbers.elapsed("2026-01-01T00:00:00+00:00", "2026-01-01T00:00:00") is None  # one without a zone
    assert numbers.elapsed("2026-01-01T00:00:00+00:00", None) is None
    assert numbers.elapsed("2026-01-01T00:00:00+00:00", "2026-01-01T00:01:30+00:00") == 90.0


@pytest.mark.parametrize(
    ("p", "written"), [(0.0, "p < 0.001"), (1e-4, "p < 0.001"), (1 / 300, "p = 0.003"), (1.0, "p = 1.00")]
)
def test_no_p_value_is_written_smaller_than_it_can_be(p: float, written: str) -> None:
    assert numbers.p_value(p) == written
