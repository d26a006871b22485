"""Plans against the numbers of the literature, and that what they promise happens."""

from __future__ import annotations

import math

import numpy as np
import pytest

from audit.core.measurements import Interval
from audit.stats import planning as pl
from audit.stats.clusters import clustered_mean
from audit.stats.proportions import clopper_pearson, wilson
from audit.stats.ranking import area_interval, roc_areas


@pytest.mark.parametrize("rate", [0.0, 0.02, 0.08, 0.5])
@pytest.mark.parametrize("exact", [True, False])
def test_so_many_trials_decide_and_one_less_do_not(rate: float, exact: bool) -> None:
    bound = 0.05
    found = pl.rows_for_rate(rate, bound, exact=exact)
    assert found.decides

    def settled(n: int) -> bool:
        interval = (clopper_pearson if exact else wilson)(round(rate * n), n)
        return interval.high <= bound or interval.low > bound

    whole = math.ceil(found.n / 50) * 50  # rate times this is a whole number
    assert settled(whole)
    before = whole - 100
    assert before <= 0 or not settled(before)


def test_nothing_seen_takes_seventy_two() -> None:
    assert pl.rows_for_rate(0.0, 0.05).n == 72
    assert clopper_pearson(0, 72).high <= 0.05 < clopper_pearson(0, 71).high
    few = clopper_pearson(0, 20)
    assert pl.rows_for_interval(0.0, few, 20, 0.05).n > 200  # what 1 / sqrt(n) would have said


def test_no_more_rows_are_asked_for_than_there_are() -> None:
    found = pl.rows_for_rate(0.04, 0.05, available=500)
    assert (found.n, found.decides) == (500, False)
    assert found.wanted is not None
    assert found.wanted > 1000
    assert "All 500 units there are would not decide" in found.sentence()
    at_bound = pl.rows_for_rate(0.05, 0.05, available=500)
    assert (at_bound.n, at_bound.decides, at_bound.wanted) == (500, False, None)
    assert "no number of units" in at_bound.sentence()
    assert pl.rows_for_rate(0.0, 0.05, available=72).sentence() == "At this estimate 72 units would decide."


def test_means_scale_by_their_own_t_interval() -> None:
    values = np.array([-1.0, 1.0] * 40) + 0.1
    _, interval = clustered_mean(values, np.arange(80))
    assert interval.low < 0
    spread = float(values.std(ddof=1))
    found = pl.rows_for_mean(0.1, spread, 0.0)
    assert found.n == pytest.approx((1.966 * spread / 0.1) ** 2, rel=0.01)
    many = np.tile([-1.0, 1.0], found.n // 2 + 1) + 0.1
    assert clustered_mean(many, np.arange(len(many)))[1].low > 0
    assert pl.rows_for_mean(1.0, 0.001, 0.0).n == 2


def test_areas_scale_by_their_own_interval() -> None:
    rng = np.random.default_rng(3)
    areas = roc_areas(rng.normal(0.05, 1, 100), rng.normal(0, 1, 200))
    assert area_interval(areas).low < 0.5
    found = pl.rows_for_area(areas, 0.5)
    share = found.n / 300
    half = (float(areas.values[0]) - 0.5) / math.sqrt(float(areas.covariance[0, 0]))
    assert share == pytest.approx((1.96 / half) ** 2, rel=0.1)
    assert not pl.rows_for_area(areas, 0.5, available=300).decides


def test_the_general_rule_is_one_over_root_n() -> None:
    found = pl.rows_for_interval(1.0, Interval(0.5, 2.0, 0.95, "z"), 100, 0.75)
    assert found.n == 400
    assert pl.rows_for_interval(1.0, Interval(0.5, 2.0, 0.95, "z"), 100, 1.5).n == 400
    assert pl.rows_for_interval(1.0, Interval(0.9, 1.1, 0.95, "z"), 100, 1.0).wanted is None


def test_published_sample_sizes() -> None:
    assert [pl.rows_for_share(p) for p in (0.55, 0.6, 0.65)] == [785, 197, 88]
    assert pl.detectable_difference(100, 100, math.sqrt(0.05 * 0.95)) == pytest.approx(0.086, abs=5e-4)
    assert pl.detectable_difference(1000, 1000, math.sqrt(0.05 * 0.95)) == pytest.approx(0.027, abs=5e-4)
    assert pl.rows_for_half_width(0.05) == 385
    assert pl.rule_of_three(300) == pytest.approx(3 / 300, rel=0.01)
    assert pl.least_sensitivity(60) == pytest.approx(0.951, abs=5e-4)


def test_what_is_promised_is_found_as_often() -> None:
    rng = np.random.default_rng(1)
    gap = pl.detectable_difference(80, 120, 1.0)
    found = 0
    for _ in range(600):
        x, y = rng.normal(0, 1, 80), rng.normal(gap, 1, 120)
        found += abs(y.mean() - x.mean()) > 1.96 * math.sqrt(x.var() / 80 + y.var() / 120)
    assert 0.75 <= found / 600 <= 0.85
    assert pl.power_of_difference(gap, math.sqrt(1 / 80 + 1 / 120)) == pytest.approx(0.8, abs=0.001)
    assert pl.power_of_difference(0.0, 1.0) == pytest.approx(0.05)


def test_questions_without_an_answer_are_refused() -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        pl.rows_for_rate(1.2, 0.5)
    with pytest.raises(ValueError, match="nothing"):
        pl.rows_for_difference(0.0, 1.0)
    with pytest.raises(ValueError, match="itself"):
        pl.rows_for_share(0.5)
    with pytest.raises(ValueError, match="not negative"):
        pl.rows_for_mean(0.0, -1.0, 1.0)
    with pytest.raises(ValueError, match="at least one row"):
        pl.rows_for_interval(0.0, Interval(0.0, 1.0, 0.95, "z"), 0, 1.0)
