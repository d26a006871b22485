"""Open generation: planted gaps, a classifier with known errors, models that write nothing of use, and the words of the screen."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from audit.core.capabilities import Capability
from audit.core.errors import InputError
from audit.core.identity import Digest
from audit.core.measurements import Interval, Measurement, Undefined
from audit.core.references import Attribute, ExtractorRef
from audit.core.rows import text_rows, texts_of
from audit.evaluators.fairness.generation.evaluator import GroupGeneration
from audit.evaluators.fairness.generation.gaps import Gap, _gap, corrected, two_classes, written_of
from audit.evaluators.fairness.generation.own import COLUMNS, lexicon, own_prompts, read_by_words
from audit.testing.evaluators import check_evaluator, check_planted
from tests.evaluators.conftest import kitchen
from tests.evaluators.fake_language import language_subject

GROUPS = sorted(set(dict(own_prompts(1).columns)["group"]))
SUBJECT = language_subject(offers=frozenset({Capability.SAMPLE}))
GOOD = " was a kind and helpful person who had come to see the mayor about the school."
BAD = " was an idiot and everybody in the room was afraid of the threat that he made."
PLAIN = " sat down at the table and looked at the menu for some time."
SORRY = " I'm sorry, but I can't write about this."


class Writer:
    """Writes good, bad and plain continuations; ``bad`` and ``refuses`` say in which share about some groups."""

    def __init__(
        self,
        bad: dict[str, float] | None = None,
        *,
        refuses: dict[str, float] | None = None,
        base: float = 0.1,
        words: str = "",
    ) -> None:
        self.bad, self.refuses, self.base, self.words = bad or {}, refuses or {}, base, words

    def sample(self, n: int, rng: Any, condition: Any = None) -> Any:
        draws = rng.random((n, 2))
        said = []
        for prompt, (one, two) in zip(condition.column("prefix").to_pylist(), draws, strict=True):
            group = max((g for g in GROUPS if g in prompt), key=len)
            if self.words:
                said.append(self.words)
            elif two < self.refuses.get(group, 0.0):
                said.append(SORRY)
            else:
                bad = self.base + self.bad.get(group, 0.0)
                said.append(BAD if one < bad else GOOD if one < bad + 0.3 else PLAIN)
        return text_rows(said)


def by_metric(outcomes: Any) -> dict[str, Any]:
    return {o.metric.removeprefix("fairness.generation."): o for o in outcomes if not o.group}


def interval(outcome: Any) -> Interval:
    assert isinstance(outcome, Measurement), outcome
    assert isinstance(outcome.uncertainty, Interval)
    return outcome.uncertainty


def test_planted_gaps_are_found_and_named(score: Any) -> None:
    model = Writer({"Muslim man": 0.5}, refuses={"woman": 0.4})
    outcomes = score(GroupGeneration(), SUBJECT, model=model)
    found = by_metric(outcomes)
    assert set(found) == {m.name for m in GroupGeneration.about.metrics}
    toxic = interval(found["toxicity_gap"])
    assert toxic.low > 0.1
    assert toxic.low <= 0.5 <= toxic.high
    assert "religion, Muslim man above" in found["toxicity_gap"].notes[0]
    assert any("a screen only" in note for note in found["toxicity_gap"].notes)
    assert "gender, woman above man" in found["refusal_gap"].notes[0]
    assert interval(found["sentiment_gap"]).low > 0.1
    assert interval(found["refusal_gap"]).low > 0
    categories = {o.group[0][1]: o for o in outcomes if o.group and o.metric.endswith("toxicity_gap")}
    assert set(categories) == {"gender", "religion", "ethnicity"}
    assert interval(categories["ethnicity"]).low == 0.0
    table, texts = found["sentiment_gap"].evidence
    assert table.content.num_rows == len(GROUPS)
    by_group = dict(
        zip(table.content.column("group").to_pylist(), table.content.column("toxic").to_pylist(), strict=True)
    )
    assert by_group["Muslim man"] == max(by_group.values())
    assert set(texts.content.column("text").to_pylist()) == {BAD}
    assert texts.sensitive


def test_equal_treatment_is_cleared_and_a_planted_share_is_found() -> None:
    made = kitchen(Writer())
    outcomes = by_metric(check_evaluator(GroupGeneration(), SUBJECT, made))
    for name in ("sentiment_gap", "toxicity_gap", "length_gap", "refusal_gap"):
        assert interval(outcomes[name]).low == 0.0, name
    assert interval(outcomes["refusal_gap"]).high > 0.1, (
        "that nobody was refused in 12 frames is no certainty"
    )
    assert "Newcombe" not in interval(outcomes["toxicity_gap"]).method
    controls = check_planted(GroupGeneration(), SUBJECT, 0.8, made)
    assert any(c.right for c in controls if c.metric.endswith("toxicity_gap") and not c.group)


@pytest.mark.parametrize(
    ("words", "why"),
    [
        ("xq zzk vrumm olpha brit", "does not write the language"),
        (" no", "1.0 words on average"),
        ("", "0.0 words"),
    ],
)
def test_a_model_that_writes_nothing_of_use_is_not_called_fair(score: Any, words: str, why: str) -> None:
    found = by_metric(score(GroupGeneration(), SUBJECT, model=Writer(words=words or "\n")))
    assert isinstance(found.pop("competence"), Measurement)
    assert len(found) == 5
    assert all(isinstance(o, Undefined) and why in o.reason for o in found.values())


def test_groups_that_the_training_texts_do_not_name_are_left_out(score: Any) -> None:
    def told(*named: str) -> dict[str, Any]:
        splits = {"train": pa.table({"text": [f"A {n}." for n in named for _ in range(5)] + ["."]})}
        subject = language_subject(splits, learnt=True, offers=frozenset({Capability.SAMPLE}))
        outcomes = score(GroupGeneration(), subject, model=Writer(), splits=splits)
        drawn = by_metric(outcomes)["competence"].n
        return {**by_metric(outcomes), "by": {o.group[0][1] for o in outcomes if o.group}, "drawn": drawn}

    some = told("Muslim man", "Jewish man", "woman")
    assert some["by"] == {"religion", "gender"}, "who names a Muslim man names a man"
    assert any(note.startswith("Left out") and "Hindu man" in note for note in some["toxicity_gap"].notes)
    assert some["drawn"] == 4 * 12 * 4, "no text is drawn about those left out"
    nobody = told("table")
    assert "no two groups of a category are left" in nobody["toxicity_gap"].reason
    assert "Hindu man" in nobody["toxicity_gap"].reason
    assert nobody["drawn"] == 24, "each frame once about two groups, for the competence alone"


ERRS = Attribute("toxicity", ("clean", "toxic"), ((270, 30), (60, 240)))


class Misread:
    """A classifier of toxicity that is right nine times in ten on clean texts, and eight in ten on toxic ones."""

    def __init__(self, seed: int = 0) -> None:
        self.rng = np.random.default_rng(seed)

    def __call__(self, rows: Any) -> Any:
        truth = np.array([read_by_words(text)[3] for text in texts_of(rows)])
        draws = self.rng.random(len(truth))
        alarm = np.where(truth == 1, draws < 0.8, draws < 0.1).astype(float)
        return np.column_stack([1 - alarm, alarm])


def test_a_classifier_takes_the_place_of_the_list_and_its_errors_are_taken_off(score: Any) -> None:
    ref = ExtractorRef("misread", Digest("2" * 40), 2, "text", (ERRS,))
    subject = replace(SUBJECT, extractors=(("toxicity", ref),))
    model = Writer({"Muslim man": 0.5}, base=0.05)
    found = by_metric(score(GroupGeneration(per_prompt=20), subject, model=model, extractor=Misread()))
    held = interval(found["toxicity_gap"])
    assert "Rogan-Gladen" in held.method
    assert held.low <= 0.5 <= held.high
    assert abs(found["toxicity_gap"].value - 0.5) < 0.15
    assert not any("screen" in note for note in found["toxicity_gap"].notes)
    assert any("screen" in note for note in found["sentiment_gap"].notes)

    def broken(rows: Any) -> Any:
        return np.full((rows.num_rows, 2), np.nan)

    half = by_metric(score(GroupGeneration(), subject, model=model, extractor=broken))
    for name in ("toxicity_gap", "expected_max_toxicity"):
        assert "gave no number for 480 of 480 continuations" in half[name].reason
    assert interval(half["sentiment_gap"]).low > 0, "the rest goes on"
    moods = replace(SUBJECT, extractors=(("sentiment", ref),))
    other = by_metric(score(GroupGeneration(), moods, model=model, extractor=broken))
    assert "no number" in other["sentiment_gap"].reason
    assert interval(other["toxicity_gap"]).low > 0


def test_what_a_classifier_could_not_grade_is_bounded_by_its_worst_and_best_case(score: Any) -> None:
    ref = ExtractorRef("misread", Digest("2" * 40), 2, "text", (ERRS,))
    subject = replace(SUBJECT, extractors=(("toxicity", replace(ref, attributes=())),))
    model = Writer({"Muslim man": 0.5}, base=0.05)

    def reader(broken: int) -> Any:
        def read(rows: Any) -> Any:
            found = Misread()(rows)
            found[:broken] = np.nan
            return found

        return read

    whole, some = (
        by_metric(score(GroupGeneration(per_prompt=20), subject, model=model, extractor=reader(n)))
        for n in (0, 60)
    )
    for name in ("toxicity_gap", "expected_max_toxicity"):
        assert interval(some[name]).low < interval(whole[name]).low, name
        assert interval(some[name]).high >= interval(whole[name]).high, name
        assert "ungraded either way" in interval(some[name]).method
        assert any("could not be graded" in note for note in some[name].notes)
        assert not any("graded" in note for note in whole[name].notes)
    assert interval(some["sentiment_gap"]) == interval(whole["sentiment_gap"]), "all of it was graded"


def test_the_correction_is_rogan_and_gladens_and_is_refused_where_it_cannot_be_made() -> None:
    gap = Gap("toxicity", "x", 0.35, Interval(0.2, 0.5, 0.95, "m"), "a above b")
    found, refused = corrected(gap, ERRS.confusion)
    assert refused == ""
    assert found.value == pytest.approx(0.35 / 0.7)
    assert found.interval.low < 0.2 / 0.7
    assert found.interval.high > 0.5 / 0.7
    same, refused = corrected(gap, ((60, 40), (55, 45)))
    assert same == gap
    assert "hardly better than a coin" in refused
    assert two_classes((ERRS,)) == ERRS.confusion
    assert two_classes((Attribute("x", ("a", "b", "c"), ((1, 0, 0),) * 3),)) == two_classes(()) == ()


def covered(repeats: int, gap: float) -> float:
    """Return how often the interval of the sentiment gap holds it: frames move all groups, and each group a little by itself."""
    rng, held = np.random.default_rng(4), 0
    groups = np.repeat(["a", "b", "c", "d"], 12 * 6)
    frames = np.tile(np.repeat([str(i) for i in range(12)], 6), 4)
    category = np.array(["x"] * len(groups))
    true = gap * (groups == "d")
    at = np.unique(frames, return_inverse=True)[1]
    for _ in range(repeats):
        own = 0.1 * rng.normal(size=(4, 12))[np.unique(groups, return_inverse=True)[1], at]
        values = true + rng.normal(size=12)[at] + own + 0.7 * rng.normal(size=len(groups))
        outcomes = np.column_stack(
            [
                10 + rng.normal(size=len(groups)),
                rng.random(len(groups)) < 0.2,
                values,
                rng.random(len(groups)) < 0.2,
            ]
        )
        texts = [""] * len(groups)
        found = written_of(
            texts,
            outcomes,
            outcomes[:, 3],
            np.full(len(groups), 0.5) + 0.01 * values,
            [groups, category, frames],
            ["a", "b", "c", "d"],
            rng,
            each=6,
            k=3,
        )
        one = next(g for g in found.gaps if g.outcome == "sentiment").interval
        held += one.low <= gap <= one.high
    return held / repeats


@pytest.mark.slow
def test_the_interval_of_a_gap_covers() -> None:
    assert covered(25, 0.3) >= 0.84


@pytest.mark.slow
def test_false_alarms_of_rare_outcomes_are_rare() -> None:
    """Four groups of 72 continuations, one in ten toxic, in frames that differ: over 200 repeats the gap is above 0 in one of twenty."""
    rng, alarms = np.random.default_rng(12), 0
    groups, at = np.repeat(np.arange(4), 72), np.tile(np.repeat(np.arange(12), 6), 4)
    names, frames = groups.astype(str), at.astype(str)
    for _ in range(200):
        rate = np.clip(0.1 + 0.08 * rng.normal(size=12), 0.01, 0.5)[at]
        values = (rng.random(len(groups)) < rate).astype(float)
        found = _gap("toxicity", "x", values, names, frames, rng, 0.95, 0.95)
        alarms += found.interval.low > 0
    assert alarms <= 17


@pytest.mark.slow
@pytest.mark.parametrize("gap", [0.0, 0.4])
def test_the_interval_of_a_gap_covers_at_its_level(gap: float) -> None:
    assert covered(300, gap) >= 0.93


def test_the_own_prompts_and_words_are_what_they_say() -> None:
    rows = [
        dict(zip(COLUMNS, row, strict=True))
        for row in zip(*(v for _, v in own_prompts(1).columns), strict=True)
    ]
    assert len({r["category"] for r in rows}) >= 3
    assert all("{" not in r["prefix"] and r["group"] in r["prefix"] for r in rows)
    frames = {r["frame"] for r in rows}
    for group in GROUPS:
        assert {r["frame"] for r in rows if r["group"] == group} == frames
    known = lexicon()
    assert not known["positive"] & (known["negative"] | known["toxic"])
    named = {word.lower() for group in GROUPS for word in group.split()}
    assert not named & (known["positive"] | known["negative"] | known["toxic"]), (
        "no group is a good or a bad word"
    )
    assert read_by_words("") == (0.0, 0.0, 0.0, 0.0, 0.0)
    assert read_by_words("これは文です")[2:4] == (0.0, 0.0)
    for bad in ({"per_prompt": 0}, {"k": 7}, {"level": 0.2}):
        with pytest.raises(InputError, match="generation"):
            GroupGeneration(**bad)
