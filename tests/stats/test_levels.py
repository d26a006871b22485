"""An interval at another level is the one that its method gives there, and p-values are where it lets go of a bound."""

from __future__ import annotations

import math

import pytest
from scipy import stats

from audit.core.measurements import Interval
from audit.stats.clusters import clustered_mean, clustered_rate
from audit.stats.levels import at_level, p_value_against
from audit.stats.proportions import clopper_pearson, wilson


@pytest.mark.parametrize("successes", [0, 1, 7, 50, 100])
@pytest.mark.parametrize("of", [clopper_pearson, wilson])
def test_a_share_is_carried_to_another_level_exactly(of: object, successes: int) -> None:
    found = at_level(successes / 100, of(successes, 100), 100, 0.995)  # type: ignore[operator]
    wanted = of(successes, 100, 0.995)  # type: ignore[operator]
    assert (found.low, found.high) == pytest.approx((wanted.low, wanted.high), abs=1e-9)
    assert found.level == 0.995


def test_the_effective_trials_of_clustered_rates_are_found_again() -> None:
    values, clusters = [0, 1, 1, 0, 0, 0, 1, 0, 0, 0] * 8, [i // 4 for i in range(80)]
    rate, interval = clustered_rate(values, clusters)
    _, wanted = clustered_rate(values, clusters, 0.95)
    trials = float(interval.method.split()[1])
    wide = at_level(rate, wanted, 80, 0.99)
    low, high = (
        stats.beta.ppf(0.005, rate * trials, trials - rate * trials + 1),
        stats.beta.ppf(0.995, rate * trials + 1, trials - rate * trials),
    )
    assert (wide.low, wide.high) == pytest.approx((low, high), abs=1e-3)


def test_few_degrees_of_freedom_widen_more_than_a_normal_interval() -> None:
    values = [0.2, 0.5, 0.1, 0.4, 0.3, 0.6]
    value, interval = clustered_mean(values, range(6))
    wide = at_level(value, interval, 6, 0.99)
    scale = stats.t.ppf(0.995, 5) / stats.t.ppf(0.975, 5)
    assert wide.high - value == pytest.approx((interval.high - value) * scale, rel=1e-2)


def test_the_p_value_of_a_normal_interval_is_the_z_test() -> None:
    interval = Interval(0.1 - 1.959964 * 0.04, 0.1 + 1.959964 * 0.04, 0.95, "z")
    assert p_value_against(0.1, interval, 10, 0.0) == pytest.approx(2 * stats.norm.sf(2.5), rel=1e-5)
    assert p_value_against(0.1, interval, 10, 0.1) == 1.0


def test_the_p_value_of_an_exact_interval_is_twice_the_binomial_tail() -> None:
    nothing = p_value_against(0.0, clopper_pearson(0, 60), 60, 0.1)
    assert nothing == pytest.approx(2 * 0.9**60, rel=1e-6)
    some = p_value_against(0.25, clopper_pearson(15, 60), 60, 0.1)
    assert some == pytest.approx(2 * stats.binom.sf(14, 60, 0.1), rel=1e-6)


def test_at_the_level_of_its_p_value_an_interval_ends_at_the_bound() -> None:
    for value, interval, bound in (
        (0.0, clopper_pearson(0, 40), 0.2),
        (0.3, wilson(12, 40), 0.5),
        (2.0, Interval(1.5, 3.0, 0.9, "bootstrap"), 3.5),
        (2.0, Interval(1.5, 3.0, 0.9, "bootstrap"), 0.8),
    ):
        p = p_value_against(value, interval, 40, bound)
        found = at_level(value, interval, 40, 1 - p)
        assert min(abs(found.low - bound), abs(found.high - bound)) == pytest.approx(0, abs=1e-6)


def test_a_value_outside_its_own_interval_is_taken_from_the_middle() -> None:
    assert p_value_against(5.0, Interval(1.0, 3.0, 0.95, "shrunk"), 9, 0.0) == pytest.approx(
        2 * stats.norm.sf(2 * stats.norm.ppf(0.975)), rel=1e-6
    )
    assert math.isclose(at_level(5.0, Interval(1.0, 3.0, 0.95, "shrunk"), 9, 0.95).high, 3.0)
