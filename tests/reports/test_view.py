"""What a record's view says: sentences, scorecard, order, families and limits."""

from __future__ import annotations

import dataclasses
from dataclasses import replace
from typing import Any

import pytest

from audit.core.measurements import Direction, Interval, Measurement, Undefined
from audit.core.policy import GRAVEST_FIRST, Criterion, Policy, Verdict, Waiver, overall
from audit.core.records import AuditRecord
from reports.judged import Judged
from reports.limits import limits
from reports.sections import families, owners, sections
from reports.verdict_words import headline, sentence
from reports.view import criteria, view


def record_with(
    sample: Any, measurements: tuple[Measurement, ...], *wanted: Criterion, **missing: Any
) -> AuditRecord:
    judgements = Policy("p", "1", wanted).judge(measurements, missing)
    return dataclasses.replace(
        sample.record,
        measurements=measurements,
        undefined=(),
        judgements=judgements,
        verdict=overall(judgements),
    )


def metric(name: str, low: float, high: float, **more: Any) -> Measurement:
    return Measurement(
        name, (low + high) / 2, Interval(low, high, 0.95, "x"), 100, Direction.LOWER_IS_BETTER, **more
    )


@pytest.mark.parametrize(
    ("at_most", "verdict", "beginning"),
    [
        (3.0, Verdict.PASS, "The one judgement passed"),
        (0.5, Verdict.FAIL, "1 of 1 judgement failed: the whole interval of a lies outside"),
        (
            1.5,
            Verdict.INCONCLUSIVE,
            "Nothing failed, but 1 of 1 judgement could not be decided: the interval of a",
        ),
    ],
)
def test_the_sentence_follows_the_verdict(
    sample: Any, at_most: float, verdict: Verdict, beginning: str
) -> None:
    record = record_with(sample, (metric("a", 1.0, 2.0),), Criterion("a", at_most=at_most))
    assert record.verdict is verdict
    assert sentence(record).startswith(beginning)


def test_a_policy_without_criteria_passes_nothing(sample: Any) -> None:
    record = record_with(sample, (metric("a", 1.0, 2.0),))
    shown = view(replace(record, policy={**record.policy, "criteria": []}), sample.read)
    assert shown.headline == "Not fully assessed"
    assert "names no criterion" in shown.sentence
    assert "The policy's 8 criteria could not be asked" in sentence(record)


def test_advice_alone_decides_nothing(sample: Any) -> None:
    record = record_with(sample, (metric("a", 1.0, 2.0),), Criterion("a", at_most=0.5, blocking=False))
    assert sentence(record).startswith("The policy holds advice alone")


def test_what_passes_because_a_criterion_is_waived_says_so(sample: Any) -> None:
    record = record_with(sample, (metric("a", 1.0, 2.0),), Criterion("a", at_most=0.5))
    waiver = Waiver("a", "an owner", "a reason", "2027-01-01")
    judged = tuple(replace(j, waiver=waiver) for j in record.judgements)
    record = replace(record, judgements=judged, verdict=overall(judged))
    assert headline(record) == "Passed but for 1 waived criterion"
    assert sentence(record) == "Nothing but what is waived was asked. 1 criterion is waived."


def test_waived_advice_is_nothing_that_an_audit_passes_in_spite_of(sample: Any) -> None:
    asked = Criterion("a", at_most=3.0), Criterion("b", at_most=0.5, blocking=False)
    record = record_with(sample, (metric("a", 1.0, 2.0), metric("b", 1.0, 2.0)), *asked)
    waiver = Waiver("b", "an owner", "a reason", "2027-01-01")
    judged = tuple(replace(j, waiver=waiver) if j.criterion.metric == "b" else j for j in record.judgements)
    assert headline(replace(record, judgements=judged, verdict=overall(judged))) == "Every criterion passed"


def test_several_metrics_lie_outside_the_bound_for_each(sample: Any) -> None:
    both = metric("a", 1.0, 2.0), metric("b", 1.0, 2.0)
    record = record_with(sample, both, Criterion("a", at_most=0.5), Criterion("b", at_most=0.5))
    assert "the whole interval of a, b lies outside the bound for each of them" in sentence(record)


def test_criteria_about_models_of_another_kind_are_named(sample: Any) -> None:
    record = record_with(sample, (metric("a", 1.0, 2.0),), Criterion("a", at_most=3.0))
    policy = {**record.policy, "criteria": [{"metric": "quality.bits_per_byte", "modalities": ["text"]}]}
    told = limits(replace(record, policy=policy))
    assert (
        "Criteria of the policy about models of another kind were not asked: quality.bits_per_byte." in told
    )


def test_the_gravest_come_first_and_otherwise_in_order(sample: Any) -> None:
    lines = criteria(sample.record)
    order = ["fail", "inconclusive", "not assessed", "pass"]
    positions = [order.index(line.verdict) for line in lines]
    assert positions == sorted(positions)
    passed = [line.metric for line in lines if line.verdict == "pass"]
    assert passed == [
        "quality.frechet",
        "fairness.share",
        "fairness.share",
        "privacy.membership.auc",
        "provenance.validates",
    ]


def test_scorecard_counts_every_judgement_once(sample: Any) -> None:
    shown = view(sample.record, sample.read)
    assert [card.dimension for card in shown.cards] == ["quality", "fairness", "privacy", "provenance"]
    assert sum(t.count for card in shown.cards for t in card.tallies) == len(sample.record.judgements)
    assert sum(card.measurements for card in shown.cards) == len(sample.record.measurements)
    fairness = shown.cards[1]
    assert fairness.verdict == "fail"
    assert [(t.verdict, t.count) for t in fairness.tallies] == [("fail", 1), ("inconclusive", 1), ("pass", 2)]


def test_a_metric_nobody_describes_gets_a_card_and_a_section(sample: Any) -> None:
    record = record_with(sample, (metric("stray", 1.0, 2.0),), Criterion("stray", at_most=3.0))
    shown = view(record, sample.read)
    assert shown.cards[-1].dimension == "other"
    assert [section.name for section in shown.sections] == ["Other measurements"]


def test_a_metric_nobody_measured_belongs_to_the_dimension_its_name_begins_with(sample: Any) -> None:
    record = record_with(sample, (), Criterion("privacy.unheard_of", at_most=3.0))
    shown = view(record, sample.read)
    assert [(card.dimension, card.verdict) for card in shown.cards if card.verdict] == [
        ("privacy", "not assessed")
    ]


def test_lines_are_named_without_what_the_heading_says(sample: Any) -> None:
    section = next(s for s in sections(sample.record, sample.read, False) if s.name == "fairness.pronouns")
    labels = [(line.label, line.nested) for family in section.families for line in family.lines]
    assert labels[:3] == [
        ("gap", False),
        ("log_odds · occupation = nurse", False),
        ("occupation = librarian", True),
    ]


def test_every_measurement_stands_in_exactly_one_line(sample: Any) -> None:
    lines = [
        m
        for section in sections(sample.record, sample.read, False)
        for family in section.families
        for m in family.measured
    ]
    assert sorted(map(repr, lines)) == sorted(map(repr, sample.record.measurements))


def test_metrics_share_an_axis_only_when_all_stay_readable() -> None:
    none = Judged.of(())
    near = [metric("a", 0.4, 0.6), metric("b", 0.5, 0.8)]
    assert [len(family) for family, _ in families(near, none)] == [2]
    far = [metric("a", 0.4, 0.6), metric("b", 500.0, 600.0)]
    assert [len(family) for family, _ in families(far, none)] == [1, 1]
    other_unit = [metric("a", 0.4, 0.6), metric("b", 0.5, 0.8, unit="nats")]
    assert [len(family) for family, _ in families(other_unit, none)] == [1, 1]


def test_groups_of_a_metric_stay_together_after_the_whole() -> None:
    grouped = [
        metric("a", 9.0, 10.0, group=(("sex", "F"),)),
        metric("b", 500.0, 600.0),
        metric("a", 0.0, 0.1),
    ]
    found = [family for family, _ in families(grouped, Judged.of(()))]
    assert [[m.metric for m in family] for family in found] == [["a", "a"], ["b"]]
    assert [bool(m.group) for m in found[0]] == [False, True]


def test_of_several_bounds_on_a_metric_the_tightest_is_drawn(sample: Any) -> None:
    wanted = (Criterion("a", at_most=5.0), Criterion("a", at_most=1.5), Criterion("a", at_least=0.5))
    record = record_with(sample, (metric("a", 1.0, 2.0),), *wanted)
    judged = Judged.of(record.judgements)
    assert judged.bounds(record.measurements[0]).lines == (0.5, 1.5)
    assert judged.verdict(record.measurements[0]) is Verdict.INCONCLUSIVE


def test_an_evaluator_asked_for_under_another_name_has_a_section_of_its_own(sample: Any) -> None:
    first = sample.record.evaluators[0]
    names = {"quality.frechet": "quality.frechet_faces"}
    again = dataclasses.replace(
        first,
        name="quality.frechet_faces",
        parameters={"debias": False},
        metrics={"quality.frechet_faces": "The same in other features."},
        declared={"quality.frechet_faces": {"question": "And for faces?"}},
    )
    more = tuple(
        dataclasses.replace(m, metric=names[m.metric])
        for m in sample.record.measurements
        if m.metric in names
    )
    record = dataclasses.replace(
        sample.record,
        evaluators=(*sample.record.evaluators, again),
        measurements=(*sample.record.measurements, *more),
    )
    found = {section.name: section for section in sections(record, sample.read, False)}
    assert found["quality.frechet"].parameters == (("debias", "yes"), ("ridge", "1e-06"))
    assert found["quality.frechet_faces"].parameters == (("debias", "no"),)
    (line,) = [line for family in found["quality.frechet_faces"].families for line in family.lines]
    assert (line.metric, line.question) == ("quality.frechet_faces", "And for faces?")


def test_controls_stand_with_what_they_guard(sample: Any) -> None:
    section = next(s for s in sections(sample.record, sample.read, False) if s.name == "quality.frechet")
    assert [c.asked for c in section.controls] == [
        "900 rows of 'train' in place of the samples",
        "dropped mode, dose 0.1: 900 rows of 'train', a mode of them dropped",
    ]
    assert {c.right for c in section.controls} == {"as it should be"}
    assert section.caveats == ("Comparable only with values of the same features.",)


def test_limits_count_the_intervals_that_may_miss(sample: Any) -> None:
    record = record_with(sample, tuple(metric(f"m{i}", 0.0, 1.0) for i in range(40)))
    text = " ".join(limits(record))
    assert "Of the 40 intervals in this report, about 2.0 can be expected to miss" in text


def test_limits_name_what_nobody_measured(sample: Any) -> None:
    record = record_with(sample, (sample.record.measurements[0],))
    text = " ".join(limits(record))
    assert "Nothing was measured about fairness, privacy or provenance." in text
    assert "An attack gives a lower bound" not in text


def test_limits_speak_of_features_only_where_something_was_measured_in_them(sample: Any) -> None:
    assert "feature extractor is blind" in " ".join(limits(sample.record))
    without = dataclasses.replace(
        sample.record, artifacts=tuple(a for a in sample.record.artifacts if "features" not in a.label)
    )
    assert "feature extractor is blind" not in " ".join(limits(without))
    imported = dataclasses.replace(sample.record, artifacts=(), settings={"imported": []})
    assert "feature extractor is blind" not in " ".join(limits(imported))


def test_limits_agree_with_how_many_evaluators_were_skipped(sample: Any) -> None:
    (skip,) = sample.record.skipped
    one, two = (
        " ".join(limits(dataclasses.replace(sample.record, skipped=(skip,) * count))) for count in (1, 2)
    )
    assert "1 evaluator could not run on this model and data; what it would have found" in one
    assert "2 evaluators could not run on this model and data; what they would have found" in two


def test_limits_say_that_the_split_was_not_left_to_chance(sample: Any) -> None:
    record = dataclasses.replace(sample.record, data={**sample.record.data, "randomised": False})
    assert "Chance did not decide" in " ".join(limits(record))
    assert "Chance did not decide" not in " ".join(limits(sample.record))


def test_what_has_no_value_stands_with_its_evaluator(sample: Any) -> None:
    record = dataclasses.replace(
        sample.record, measurements=(), undefined=(Undefined("quality.kid", "too few rows"),)
    )
    (section,) = sections(record, sample.read, False)
    assert (section.name, section.undefined) == ("quality.kid", (("quality.kid", "too few rows"),))


def test_what_fails_comes_first_and_what_nobody_asks_for_last(sample: Any) -> None:
    judged = Judged.of(sample.record.judgements)
    shown = sections(sample.record, sample.read, False)
    graves = []
    for section in shown:
        owned = [
            m for m in sample.record.measurements if owners(sample.record)[m.metric].name == section.name
        ]
        verdicts = [v for m in owned if (v := judged.verdict(m)) is not None]
        graves.append(min(map(GRAVEST_FIRST.index, verdicts), default=len(GRAVEST_FIRST)))
    assert len(set(graves)) > 2, "several verdicts, so that there is an order to see"
    dimensions = [section.dimension for section in shown]
    for dimension in set(dimensions):
        own = [grave for grave, place in zip(graves, dimensions, strict=True) if place == dimension]
        assert own == sorted(own)
    worst = [
        min(grave for grave, place in zip(graves, dimensions, strict=True) if place == dimension)
        for dimension in dict.fromkeys(dimensions)
    ]
    assert worst == sorted(worst)
