"""A number never travels without its uncertainty, and nothing that is not a number travels as one."""

from __future__ import annotations

import math

import pytest

from audit.core.measurements import Direction, Interval, Measurement, Unquantified


@pytest.mark.parametrize(("low", "high"), [(1.0, 0.0), (math.nan, 1.0), (0.0, math.inf)])
def test_an_interval_is_finite_and_in_order(low: float, high: float) -> None:
    with pytest.raises(ValueError, match="interval"):
        Interval(low, high, 0.95, "m")


@pytest.mark.parametrize("level", [0.0, 1.0, 95])
def test_a_level_is_a_probability(level: float) -> None:
    with pytest.raises(ValueError, match="level"):
        Interval(0.0, 1.0, level, "m")


@pytest.mark.parametrize("field", ["value", "baseline", "noise_floor", "p_value"])
def test_nan_is_no_value(field: str) -> None:
    numbers = {"value": 0.0, field: math.nan}
    with pytest.raises(ValueError, match=field):
        Measurement("m", numbers.pop("value"), Unquantified("x"), 1, Direction.NEITHER, **numbers)
