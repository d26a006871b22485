"""Controls: the noise floor that a null gives, when a null is wrong, and when that makes a number void."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from audit.core.cases import Case, CaseKind, Cases, Control, controlled, detectable
from audit.core.measurements import Interval, Measurement, Undefined, Unquantified
from audit.core.metrics import HIGHER, LOWER, NEITHER, Metric
from audit.core.policy import Criterion, Policy, Verdict

NULL = Case(CaseKind.NULL, {}, "a second real sample")
DISTANCE = Metric("d", "A distance between samples and real rows", LOWER, null=0.0)
SHARE = Metric("s", "A share without a fixed value for equal distributions", HIGHER)


def measured(value: float, half: float, metric: str = "q.d", direction=LOWER) -> Measurement:
    interval = Interval(value - half, value + half, 0.95, "test")
    return Measurement(metric, value, interval, 100, direction)


def only(subject: Measurement, null: Measurement, metric: Metric) -> tuple[Measurement, Control]:
    found = controlled([subject], [(NULL, [null])], {subject.metric: metric})
    (outcome,), (control,) = found.outcomes, found.controls
    assert isinstance(outcome, Measurement)
    return outcome, control


def test_the_noise_floor_is_what_chance_reaches_around_the_known_null() -> None:
    outcome, control = only(measured(1.0, 0.2), measured(0.01, 0.03), DISTANCE)
    assert outcome.noise_floor == pytest.approx(0.03)  # around 0, not around what one null happened to give
    assert control.right is True
    assert outcome.void == ""


def test_without_a_known_null_the_floor_lies_around_what_the_null_gave_on_its_worse_side() -> None:
    outcome, control = only(measured(0.5, 0.1, "q.s", HIGHER), measured(0.9, 0.02, "q.s", HIGHER), SHARE)
    assert outcome.noise_floor == pytest.approx(0.88)
    assert control.right is None


def test_the_floor_holds_the_null_nineteen_times_in_twenty() -> None:
    """Of a metric with standard error 1 around 0, one null in twenty lies beyond the floor that another null gave."""
    rng = np.random.default_rng(0)
    beyond = 0
    for _ in range(2000):
        null, fresh = rng.normal(size=2)
        outcome, _ = only(measured(5.0, 1.96), measured(float(null), 1.96), DISTANCE)
        beyond += abs(fresh) > outcome.noise_floor
    assert 0.04 < beyond / 2000 < 0.06


def test_a_null_that_is_off_and_could_explain_the_number_voids_it() -> None:
    outcome, control = only(measured(0.3, 0.05), measured(0.2, 0.03), DISTANCE)
    assert control.right is False
    assert "it should be 0 and is off by 0.2" in outcome.void
    policy = Policy("p", "1", (Criterion("q.d", at_most=1.0, why="test"),))
    (judgement,) = policy.judge([outcome], {})
    assert judgement.verdict is Verdict.NOT_ASSESSED, "a void number never passes"


def test_a_null_that_is_off_by_little_beside_the_model_is_said_and_voids_nothing() -> None:
    outcome, control = only(measured(2.0, 0.2), measured(0.2, 0.03), DISTANCE)
    assert control.right is True
    assert "cannot explain" in control.because
    assert outcome.void == ""


def test_a_sound_null_is_called_wrong_one_time_in_a_thousand() -> None:
    rng = np.random.default_rng(1)
    wrong = sum(
        only(measured(0.0, 1.96), measured(float(x), 1.96), DISTANCE)[1].right is False
        for x in rng.normal(size=20_000)
    )
    assert 5 <= wrong <= 40


def test_what_has_no_interval_or_no_value_says_why() -> None:
    bare = replace(measured(0.1, 0.1), uncertainty=Unquantified("too few rows"))
    outcome, control = only(measured(1.0, 0.2), bare, DISTANCE)
    assert (control.right, outcome.noise_floor) == (None, None)
    assert "too few rows" in control.because
    found = controlled([measured(1.0, 0.2)], [(NULL, [Undefined("q.d", "no rows")])], {"q.d": DISTANCE})
    assert found.controls[0].because == "no rows"
    failed = controlled([measured(1.0, 0.2)], [(NULL, "it failed: broken")], {"q.d": DISTANCE})
    assert failed.controls[0].because == "it failed: broken"
    none = controlled([measured(1.0, 0.2)], [], {"q.d": DISTANCE}, "the data has no second split")
    assert none.controls[0].because == "the data has no second split"


def planted(dose: float) -> Case:
    return Case(CaseKind.PLANTED, {}, "real rows", "dropped mode", dose)


def test_planted_doses_give_the_smallest_that_is_found_and_the_largest_must_be() -> None:
    null = (NULL, [measured(0.0, 0.1)])
    found = controlled(
        [measured(0.05, 0.02)],
        [
            null,
            (planted(0.1), [measured(0.1, 0.05)]),
            (planted(0.2), [measured(0.4, 0.1)]),
            (planted(0.4), [measured(1, 0.1)]),
        ],
        {"q.d": DISTANCE},
    )
    assert [c.right for c in found.controls if c.kind is CaseKind.PLANTED] == [False, True, True]
    assert detectable(found.controls) == {("q.d", (), "dropped mode"): 0.2}
    assert found.outcomes[0].void == ""  # type: ignore[union-attr]
    missed = controlled(
        [measured(0.05, 0.02)], [null, (planted(0.4), [measured(0.05, 0.1)])], {"q.d": DISTANCE}
    )
    assert "was not found" in missed.outcomes[0].void  # type: ignore[union-attr]
    assert detectable(missed.controls) == {}


def test_a_direction_without_better_is_not_judged_for_planted_defects() -> None:
    neither = replace(DISTANCE, direction=NEITHER)
    subject = measured(0.1, 0.1, direction=NEITHER)
    found = controlled(
        [subject],
        [(NULL, [subject]), (planted(0.5), [measured(3, 0.1, direction=NEITHER)])],
        {"q.d": neither},
    )
    assert [c.right for c in found.controls] == [True, None]


def test_plain_inputs_are_a_question_of_the_subject_alone_and_more_can_be_added_to_all() -> None:
    assert [c.kind for c in Cases.of({"a": 1}).all] == [CaseKind.SUBJECT]
    cases = Cases(
        {"a": 1}, Case(CaseKind.NULL, {"a": 2}), (Case(CaseKind.PLANTED, {"a": 3}, dose=0.1),)
    ).also(b=0)
    assert [c.inputs for c in cases.all] == [{"a": 1, "b": 0}, {"a": 2, "b": 0}, {"a": 3, "b": 0}]
