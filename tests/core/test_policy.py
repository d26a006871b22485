"""The whole interval decides, and missing evidence never passes."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit.core.errors import InputError
from audit.core.evaluators import Unmet
from audit.core.measurements import Direction, Group, Interval, Measurement, Undefined, Unquantified
from audit.core.metrics import Metric
from audit.core.policy import Criterion, Policy, Verdict, Waiver, overall
from audit.core.policy_check import check_policy


def measured(low: float, high: float, n: int = 100, group: tuple = ()) -> Measurement:
    interval = Interval(low, high, 0.95, "planted")
    return Measurement("m", (low + high) / 2, interval, n, Direction.NEITHER, group)


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [
        (0.1, 0.5, Verdict.PASS),
        (0.1, 0.6, Verdict.PASS),
        (0.5, 0.7, Verdict.INCONCLUSIVE),
        (0.6, 0.7, Verdict.INCONCLUSIVE),
        (0.61, 0.7, Verdict.FAIL),
    ],
)
def test_at_most(low: float, high: float, verdict: Verdict) -> None:
    assert Criterion("m", at_most=0.6).judge(measured(low, high)) is verdict


@given(st.floats(0, 1), st.floats(0, 1), st.floats(0, 1))
def test_at_least_mirrors_at_most(a: float, b: float, bound: float) -> None:
    low, high = sorted((a, b))
    up = Criterion("m", at_most=bound).judge(measured(low, high))
    down = Criterion("m", at_least=-bound).judge(measured(-high, -low))
    assert up is down


def test_a_band_is_judged_on_both_sides() -> None:
    band = Criterion("m", at_least=0.4, at_most=0.6)
    assert band.judge(measured(0.45, 0.55)) is Verdict.PASS
    assert band.judge(measured(0.1, 0.3)) is Verdict.FAIL
    assert band.judge(measured(0.7, 0.9)) is Verdict.FAIL
    assert band.judge(measured(0.3, 0.5)) is Verdict.INCONCLUSIVE


def test_a_number_without_an_interval_never_passes() -> None:
    value = Measurement("m", 0.0, Unquantified("too few"), 5, Direction.NEITHER)
    assert Criterion("m", at_most=1.0).judge(value) is Verdict.NOT_ASSESSED


def test_what_would_decide_is_asked_for_inconclusive_verdicts_alone() -> None:
    policy = Policy("p", "1", (Criterion("m", at_most=0.55, why="w"), Criterion("m", at_most=0.9, why="w")))
    found = policy.judge([measured(0.4, 0.6)], {}, deciding=lambda criterion, m: (7, "seven"))
    assert [(j.verdict, j.n_to_decide, j.to_decide) for j in found] == [
        (Verdict.INCONCLUSIVE, 7, "seven"),
        (Verdict.PASS, None, ""),
    ]


@pytest.mark.parametrize(
    ("direction", "interval", "floor", "verdict"),
    [
        (Direction.LOWER_IS_BETTER, (0.1, 0.24), 0.2, Verdict.PASS),
        (Direction.LOWER_IS_BETTER, (0.1, 0.26), 0.2, Verdict.INCONCLUSIVE),
        (Direction.LOWER_IS_BETTER, (0.26, 0.4), 0.2, Verdict.FAIL),
        (Direction.HIGHER_IS_BETTER, (0.86, 0.9), 0.9, Verdict.PASS),
        (Direction.HIGHER_IS_BETTER, (0.5, 0.84), 0.9, Verdict.FAIL),
        (Direction.HIGHER_IS_BETTER, (0.86, 0.9), None, Verdict.NOT_ASSESSED),
    ],
)
def test_a_bound_relative_to_the_noise_floor(
    direction: Direction, interval: tuple[float, float], floor: float | None, verdict: Verdict
) -> None:
    found = replace(measured(*interval), direction=direction, noise_floor=floor)
    (judgement,) = Policy("p", "1", (Criterion("m", within_floor=0.05),)).judge([found], {})
    assert judgement.verdict is verdict


def test_what_would_decide_sees_the_bound_as_a_number() -> None:
    found = replace(measured(0.1, 0.26), direction=Direction.LOWER_IS_BETTER, noise_floor=0.2)
    policy = Policy("p", "1", (Criterion("m", within_floor=0.05),))
    (judgement,) = policy.judge([found], {}, deciding=lambda criterion, m: (1, criterion.bound))
    assert (judgement.to_decide, judgement.criterion.within_floor) == ("<= 0.25", 0.05)


def test_a_relative_bound_stands_alone_and_needs_a_direction() -> None:
    with pytest.raises(ValueError, match="write two criteria"):
        Criterion("m", at_most=1.0, within_floor=0.1)
    with pytest.raises(ValueError, match="below 0"):
        Criterion("m", within_floor=-0.1)
    declared = {"m": Metric("m", "A metric.", direction=Direction.NEITHER)}
    with pytest.raises(InputError, match="nothing is worse than the noise floor"):
        check_policy(Policy("p", "1", (Criterion("m", within_floor=0.1, why="w"),)), declared)


def test_silence_never_passes() -> None:
    policy = Policy("p", "1", (Criterion("m", at_most=1.0),))
    (unmeasured,) = policy.judge([], {})
    (why,) = policy.judge([], {"m": (Unmet("a", "b", "c"),)})
    (undefined,) = policy.judge([Undefined("m", "too few rows")], {})
    assert {j.verdict for j in (unmeasured, why, undefined)} == {Verdict.NOT_ASSESSED}
    assert why.because == (Unmet("a", "b", "c"),)
    assert undefined.because[0].found == "too few rows"


def test_groups_are_judged_only_when_asked_for() -> None:
    whole, part = measured(0.1, 0.2), measured(0.8, 0.9, group=(("g", "x"),))
    assert overall(Policy("p", "1", (Criterion("m", at_most=0.5),)).judge([whole, part], {})) is Verdict.PASS
    every = Policy("p", "1", (Criterion("m", at_most=0.5, every_group=True),))
    assert overall(every.judge([whole, part], {})) is Verdict.FAIL


def test_a_criterion_about_texts_says_nothing_about_images() -> None:
    policy = Policy(
        "p", "1", (Criterion("m", at_most=1.0, modalities=("text",)), Criterion("n", at_most=1.0))
    )
    assert [j.criterion.metric for j in policy.judge([], {}, "image")] == ["n"]
    assert [j.criterion.metric for j in policy.judge([], {}, "text")] == ["m", "n"]


def test_the_worst_verdict_is_the_verdict() -> None:
    policy = Policy("p", "1", tuple(Criterion("m", at_most=b) for b in (1.0, 0.15, 0.01)))
    assert overall(policy.judge([measured(0.1, 0.2)], {})) is Verdict.FAIL
    assert overall([]) is Verdict.NOT_ASSESSED


def test_a_criterion_needs_a_bound_in_order() -> None:
    with pytest.raises(ValueError, match="needs at_most, at_least, within_floor"):
        Criterion("m")
    with pytest.raises(ValueError, match="is above"):
        Criterion("m", at_least=1, at_most=0)


def test_a_criterion_that_is_not_required_is_left_out_where_its_question_cannot_be_asked() -> None:
    policy = Policy("p", "1", (Criterion("m", at_most=1.0, required=False), Criterion("k", at_most=1.0)))
    needs = {name: (Unmet("canaries", "none", "bring some"),) for name in ("m", "k")}
    assert [j.criterion.metric for j in policy.judge([], needs, skipped=("m", "k"))] == ["k"]
    assert [j.criterion.metric for j in policy.judge([], {})] == ["k"]
    failed = policy.judge([], needs)
    assert [(j.criterion.metric, j.verdict) for j in failed] == [(n, Verdict.NOT_ASSESSED) for n in "mk"]
    assert policy.judge([measured(0.1, 0.2)], {})[0].verdict is Verdict.PASS


def waived(metric: str = "m", **more: Any) -> Waiver:
    return Waiver(metric, "the board", "known since release 1", **{"expires": "2027-01-31", **more})


def outcome(value: float, group: Group = ()) -> Measurement:
    spread = Interval(value - 0.1, value + 0.1, 0.95, "z")
    return Measurement("m", value, spread, 10, Direction.LOWER_IS_BETTER, group=group)


@pytest.mark.parametrize(
    ("day", "verdict", "expired"),
    [("2027-01-31", Verdict.PASS, False), ("2027-02-01", Verdict.FAIL, True), (None, Verdict.PASS, False)],
)
def test_a_waiver_holds_to_the_end_of_its_day(day: str | None, verdict: Verdict, expired: bool) -> None:
    policy = Policy("p", "1", (Criterion("m", at_most=1.0, why="x"),), (waived(),))
    on = None if day is None else date.fromisoformat(day)
    (judgement,) = policy.judge([outcome(2.0)], {}, on=on)
    assert judgement.verdict is Verdict.FAIL, "its own verdict stays what it is"
    assert judgement.expired is expired
    assert overall([judgement]) is verdict
    assert ("expired" if expired else "waived by the board") in judgement.standing


def test_a_waiver_of_one_group_leaves_the_others_alone() -> None:
    criterion = Criterion("m", at_most=1.0, every_group=True, why="x")
    policy = Policy("p", "1", (criterion,), (waived(group=(("sex", "F"),)),))
    groups = [outcome(2.0, (("sex", "F"),)), outcome(2.0, (("sex", "M"),))]
    judged = policy.judge(groups, {})
    assert [j.waived for j in judged] == [True, False]
    assert overall(judged) is Verdict.FAIL
    assert overall(policy.judge(groups[:1], {})) is Verdict.PASS


def test_what_nobody_measured_may_be_waived_and_what_is_met_needs_no_waiver() -> None:
    policy = Policy("p", "1", (Criterion("m", at_most=1.0, why="x"),), (waived(),))
    (absent,) = policy.judge([], {})
    assert absent.waived
    assert overall([absent]) is Verdict.PASS
    (met,) = policy.judge([outcome(0.5)], {})
    assert not met.waived
    assert "not needed" in met.standing


def test_advice_is_judged_and_does_not_decide() -> None:
    advice = Criterion("m", at_most=1.0, why="x", blocking=False)
    policy = Policy("p", "1", (advice, Criterion("n", at_most=1.0, why="x")))
    judged = policy.judge([outcome(2.0), replace(outcome(0.5), metric="n")], {})
    assert [j.verdict for j in judged] == [Verdict.FAIL, Verdict.PASS]
    assert overall(judged) is Verdict.PASS
    assert overall(judged[:1]) is Verdict.NOT_ASSESSED, "advice alone passes nothing"


@pytest.mark.parametrize(
    "wrong", [{"owner": " "}, {"reason": ""}, {"expires": "soon"}, {"expires": "2027-13-01"}]
)
def test_a_waiver_without_owner_reason_or_date_is_refused(wrong: dict[str, str]) -> None:
    with pytest.raises(ValueError, match=r"waiver"):
        Waiver(**{"metric": "m", "owner": "a", "reason": "b", "expires": "2027-01-01", **wrong})


def test_a_waiver_of_what_nobody_asks_for_is_refused() -> None:
    policy = Policy("p", "1", (Criterion("quality.kid", at_most=1.0, why="x"),), (waived("quality.kit"),))
    declared = {"quality.kid": Metric("quality.kid", "A distance.", Direction.LOWER_IS_BETTER)}
    with pytest.raises(InputError, match="none of its criteria asks for"):
        check_policy(policy, declared)


def test_what_decides_nothing_here_is_not_assessed_with_the_reason() -> None:
    policy = Policy("p", "1", (Criterion("m", at_most=0.55, why="w"), Criterion("m", at_most=0.1, why="w")))
    blunt = Unmet("features in which a distance decides something", "the features 'pixels'", "name others")
    judged = policy.judge([measured(0.4, 0.5)], {}, undecided={"m": blunt})
    assert [j.verdict for j in judged] == [Verdict.NOT_ASSESSED] * 2
    assert judged[0].because == (blunt,)
    assert overall(judged) is Verdict.NOT_ASSESSED
    assert [j.verdict for j in policy.judge([measured(0.4, 0.5)], {}, undecided={"other": blunt})] == [
        Verdict.PASS,
        Verdict.FAIL,
    ]


def test_a_bound_over_a_noise_floor_that_is_not_there_says_what_to_write() -> None:
    found = replace(measured(0.1, 0.2), direction=Direction.LOWER_IS_BETTER)
    (judgement,) = Policy("p", "1", (Criterion("m", within_floor=0.05),)).judge([found], {})
    assert judgement.verdict is Verdict.NOT_ASSESSED
    assert judgement.because[0].remedy == "write at_least or at_most in place of within_floor"


def test_the_same_bound_twice_is_refused() -> None:
    declared = {"m": Metric("m", "A metric.", direction=Direction.LOWER_IS_BETTER)}
    twice = Policy("p", "1", tuple(Criterion("m", at_most=0.5, why=why) for why in ("one", "another")))
    with pytest.raises(InputError, match="asks twice for the same bound on 'm'"):
        check_policy(twice, declared)
    check_policy(
        replace(twice, criteria=(*twice.criteria[:1], Criterion("m", at_most=0.7, why="w", blocking=False))),
        declared,
    )
