"""How many units would decide: worked examples by the interval's own method, and never more than there are."""

from __future__ import annotations

from dataclasses import replace

import pytest

from audit.core.measurements import Direction, Interval, Measurement, Unquantified
from audit.core.policy import Criterion
from audit.engine.deciding import deciding
from audit.stats.proportions import clopper_pearson

LOWER = Direction.LOWER_IS_BETTER


def of(value: float, interval: Interval, n: int, available: int | None = None) -> Measurement:
    return Measurement("m", value, interval, n, LOWER, available=available)


def test_no_failure_in_eight_takes_72_by_clopper_and_pearson() -> None:
    """One over the square root of n would say 437: 0 of 72 has the upper bound 1 - 0.025^(1/72) = 0.0499."""
    found = of(0.0, clopper_pearson(0, 8), 8)
    assert deciding(Criterion("m", at_most=0.05), found) == (72, "At this estimate 72 units would decide.")
    assert 1 - 0.025 ** (1 / 72) < 0.05 < 1 - 0.025 ** (1 / 71)


def test_no_more_than_there_are() -> None:
    found = of(0.0, clopper_pearson(0, 8), 8, available=40)
    n, said = deciding(Criterion("m", at_most=0.05), found)
    assert n is None
    assert said == "All 40 units there are would not decide; at this estimate it takes about 72."


def test_other_intervals_shrink_with_the_root_of_n() -> None:
    # Half-width 0.1 at n = 100 and 0.05 from the bound: four times the n halves the half-width.
    found = of(0.5, Interval(0.4, 0.6, 0.95, "z"), 100)
    assert deciding(Criterion("m", at_most=0.55), found)[0] == 400
    on_the_bound = deciding(Criterion("m", at_most=0.5), found)
    assert on_the_bound == (None, "The estimate is the bound itself: no number of units would decide.")


def test_a_count_of_nothing_may_still_be_decided_by_more() -> None:
    """None of the kinds is dropped, one may be: with more samples none may be, which an interval of one run cannot foresee."""
    found = of(0.0, Interval(0.0, 1.0, 0.95, "closed testing"), 2000)
    n, said = deciding(Criterion("m", at_most=0.0), found)
    assert n is None
    assert said.startswith("The estimate is the bound itself: more units decide once")


@pytest.mark.parametrize("bound", [0.1, 0.9])
def test_a_decided_verdict_needs_nothing(bound: float) -> None:
    found = of(0.5, Interval(0.4, 0.6, 0.95, "z"), 100)
    assert deciding(Criterion("m", at_most=bound), found) == (None, "")
    assert deciding(Criterion("m", at_most=bound), replace(found, uncertainty=Unquantified("no"))) == (
        None,
        "",
    )


def test_an_excess_below_nothing_is_no_rate() -> None:
    """A difference of shares may be negative: its interval shrinks with the root of n, and nothing stops."""
    found = of(-0.01, Interval(-0.05, 0.04, 0.95, "Clopper-Pearson, difference"), 120)
    n, said = deciding(Criterion("m", at_most=0.03), found)
    assert n is not None
    assert "units would decide" in said
