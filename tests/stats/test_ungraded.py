"""Items without a grade bound a number by the worst and the best they could be, and the bound is judged."""

from __future__ import annotations

import numpy as np
import pytest

from audit.core.measurements import Direction, Interval, Measurement, Unquantified
from audit.core.policy import Criterion, Verdict
from audit.stats.proportions import clopper_pearson, wilson
from audit.stats.ungraded import gap_ends, mean_ends, rate_with_ungraded, reaching


def test_eight_of_ten_with_two_more_ungraded_lie_between_8_and_10_of_12() -> None:
    low, high, between = rate_with_ungraded(8, 10, 2)
    assert (low, high) == (8 / 12, 10 / 12)
    assert between.low == clopper_pearson(8, 12).low == pytest.approx(0.3489, abs=1e-4)
    assert between.high == clopper_pearson(10, 12).high == pytest.approx(0.9791, abs=1e-4)
    assert between.low <= clopper_pearson(8, 10).low
    assert "ungraded either way" in between.method


def test_with_every_item_graded_it_is_the_plain_interval() -> None:
    assert rate_with_ungraded(8, 10, 0)[2] == clopper_pearson(8, 10)
    assert rate_with_ungraded(8, 10, 0, exact=False)[2] == wilson(8, 10)


def test_what_is_ungraded_can_take_a_verdict_away_and_never_give_one() -> None:
    """1 of 100 graded failures is at most 5.4 %; with 20 more ungraded it may be 21 of 120."""
    bound = Criterion("m", at_most=0.1)

    def verdict(interval: Interval) -> Verdict:
        return bound.judge(Measurement("m", 0.01, interval, 100, Direction.LOWER_IS_BETTER))

    assert verdict(clopper_pearson(1, 100)) is Verdict.PASS
    assert verdict(rate_with_ungraded(1, 100, 20)[2]) is Verdict.INCONCLUSIVE
    assert verdict(rate_with_ungraded(40, 100, 20)[2]) is Verdict.FAIL, "failing at its best is failing"


@pytest.mark.parametrize("missing", [0.0, 0.1, 0.5])
def test_no_completion_of_what_is_missing_leaves_the_ends(missing: float) -> None:
    rng = np.random.default_rng(0)
    grades = rng.uniform(-1, 1, 200)
    gone = rng.random(200) < missing
    mean = grades[~gone].mean()
    low, high = mean_ends(np.array(mean), np.array(mean), float(gone.mean()), -1.0, 1.0)
    for fill in (-1.0, 0.3, 1.0):
        assert low - 1e-12 <= np.where(gone, fill, grades).mean() <= high + 1e-12
    assert np.where(gone, -1.0, grades).mean() == pytest.approx(float(low)), "and the worst case is reached"


def test_a_gap_moves_by_the_two_largest_shares_at_most() -> None:
    held = gap_ends(Interval(0.2, 0.3, 0.95, "t"), (0.05, 0.0, 0.02), width=2.0)
    assert (held.low, held.high) == (pytest.approx(0.06), pytest.approx(0.44))
    assert gap_ends(Interval(0.2, 0.3, 0.95, "t"), (0.4, 0.4)).low == 0.0
    assert gap_ends(Interval(0.2, 0.3, 0.95, "t"), (0.0, 0.0)).method == "t"


def test_without_the_interval_of_one_end_there_is_none() -> None:
    none = Unquantified("one template")
    assert reaching(Interval(0.2, 0.3, 0.95, "t"), none) is none
