"""Associations of attributes: a model that makes a tie stronger, its clean twin, one that draws nothing, bad classifiers."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from audit.core.capabilities import Capability
from audit.core.cases import CaseKind
from audit.core.errors import InputError
from audit.core.identity import Digest
from audit.core.measurements import Interval, Measurement, Undefined
from audit.core.references import Attribute, DataRef, ExtractorRef, ModelRef
from audit.core.subjects import DataCard, ModelCard, Subject
from audit.evaluators.fairness.association.evaluator import AttributeAssociation
from audit.recipes.attributes import AttributeReadings, Readings
from audit.testing.evaluators import check_evaluator, check_null
from audit.testing.memory import HandedOut, Kitchen

JOBS, LOOKS = ("nurse", "builder", "judge"), ("feminine", "masculine")
ATTRIBUTES = (
    Attribute("job", JOBS, ((90, 5, 5), (4, 92, 4), (5, 5, 90))),
    Attribute("look", LOOKS, ((95, 5), (4, 96))),
    Attribute("backdrop", ("blue", "green"), ((100, 0), (0, 100))),
)
OVERALL = "fairness.association.amplification"


def people(rng: np.random.Generator, n: int, lean: float) -> Any:
    """``lean`` is the log odds of a feminine nurse, and of a masculine builder."""
    job = rng.integers(0, 3, n)
    feminine = 1 / (1 + np.exp(-np.array([lean, -lean, 0.0])[job]))
    return pa.table(
        {"job": job, "look": (rng.random(n) >= feminine).astype(int), "backdrop": rng.integers(0, 2, n)}
    )


def reads(rows: Any) -> np.ndarray:
    """A classifier that is sure of people, and of nothing in rows that hold noise."""
    if "noise" in rows.column_names:
        return np.tile([0.4, 0.3, 0.3, 0.5, 0.5, 0.5, 0.5], (rows.num_rows, 1))
    codes = np.stack([rows.column(name).to_numpy() for name in ("job", "look", "backdrop")], axis=1)
    confusion = [np.array(a.confusion, float) for a in ATTRIBUTES]
    rng = np.random.default_rng(int(codes.sum()) + len(codes))
    parts = []
    for k, matrix in enumerate(confusion):
        ends = np.cumsum(matrix / matrix.sum(axis=1, keepdims=True), axis=1)
        seen = (rng.random(len(codes))[:, None] >= ends[codes[:, k]]).sum(axis=1)
        parts.append(np.where(np.eye(len(matrix))[seen] > 0, 0.99, 0.01 / (len(matrix) - 1)))
    return np.concatenate(parts, axis=1)


class Draws:
    def __init__(self, lean: float | None) -> None:
        self.lean = lean

    def sample(self, n: int, rng: np.random.Generator, condition: Any = None) -> Any:
        if self.lean is None:
            return pa.table({"noise": np.zeros(n)})
        return people(rng, n, self.lean)


def subject(attributes: tuple[Attribute, ...] = ATTRIBUTES, samples: int = 1500) -> Subject:
    return Subject(
        model=ModelRef("fake", Digest("0" * 40)),
        card=ModelCard("fake", "image", 1),
        offers=frozenset({Capability.SAMPLE}),
        data=DataRef("fake", Digest("1" * 40)),
        data_card=DataCard("image", (("train", 4000), ("holdout", 1500))),
        extractors=(("attributes", ExtractorRef("eyes", Digest("2" * 40), 7, "image", attributes)),),
        sample_size=samples,
        seed=0,
        shard_size=500,
    )


def splits() -> dict[str, Any]:
    rng = np.random.default_rng(3)
    return {"train": people(rng, 4000, 0.8), "holdout": people(rng, 1500, 0.8)}


def overall(outcomes: Any) -> Measurement:
    (found,) = (o for o in outcomes if o.metric == OVERALL and not o.group)
    assert isinstance(found, Measurement), found
    return found


def test_a_stronger_tie_fails_and_its_clean_twin_does_not(ask: Any) -> None:
    skewed, clean, null = (
        overall(
            ask(
                AttributeAssociation(), subject(), model=Draws(lean), splits=splits(), extractor=reads
            ).outcomes
        )
        for lean in (1.6, 0.8, 0.0)
    )
    ours, twin, level = (m.uncertainty for m in (skewed, clean, null))
    assert isinstance(ours, Interval)
    assert isinstance(twin, Interval)
    assert isinstance(level, Interval)
    assert ours.low > 1.25
    assert ours.low <= 2.0 <= ours.high, "the planted strength"
    assert twin.low <= 1.0 <= twin.high
    assert level.high < 1.0, "a model that unlearnt the tie"
    assert skewed.noise_floor is not None
    assert 1.0 < skewed.noise_floor < 1.6
    assert skewed.void == clean.void == ""
    assert "job × look" in skewed.notes[0]


def test_the_same_whatever_the_shards_and_the_null_is_sound(ask: Any) -> None:
    kitchen = Kitchen(bench=HandedOut(Draws(0.8), splits(), reads))
    check_evaluator(AttributeAssociation(), subject(), kitchen)
    assert check_null(AttributeAssociation(), subject(), kitchen)


def test_a_tie_planted_in_real_rows_is_found(ask: Any) -> None:
    case = replace(subject(), doses=(1.0,))
    whole = ask(AttributeAssociation(), case, model=Draws(0.8), splits=splits(), extractor=reads)
    (planted,) = (
        c for c in whole.controls if c.kind is CaseKind.PLANTED and c.metric == OVERALL and not c.group
    )
    assert planted.right, planted.because
    assert planted.interval is not None
    assert planted.interval.low <= 2.0 <= planted.interval.high


def test_samples_that_look_like_nothing_are_not_assessed(ask: Any) -> None:
    outcomes = ask(
        AttributeAssociation(), subject(), model=Draws(None), splits=splits(), extractor=reads
    ).outcomes
    assert all(isinstance(o, Undefined) for o in outcomes)
    assert "nothing that it was tried on" in outcomes[0].reason


def test_an_attribute_that_cannot_be_corrected_is_left_out_and_said(ask: Any) -> None:
    useless = replace(ATTRIBUTES[2], confusion=((50, 50), (51, 49)))
    case = subject((*ATTRIBUTES[:2], useless))
    found = overall(
        ask(AttributeAssociation(), case, model=Draws(0.8), splits=splits(), extractor=reads).outcomes
    )
    assert any("'backdrop' is left out" in note for note in found.notes)
    unknown = subject(tuple(replace(a, confusion=()) for a in ATTRIBUTES))
    assert overall(
        ask(AttributeAssociation(), unknown, model=Draws(0.8), splits=splits(), extractor=reads).outcomes
    )


def test_a_model_with_one_face_has_nothing_to_tie(ask: Any) -> None:
    class One(Draws):
        def sample(self, n: int, rng: np.random.Generator, condition: Any = None) -> Any:
            return pa.table({name: np.zeros(n, int) for name in ("job", "look", "backdrop")})

    outcomes = ask(
        AttributeAssociation(), subject(), model=One(0.8), splits=splits(), extractor=reads
    ).outcomes
    assert all(isinstance(o, Undefined) for o in outcomes)


def test_what_the_audit_lacks_is_said_before_it_runs() -> None:
    plain = replace(
        subject(), extractors=(("attributes", ExtractorRef("pixels", Digest("2" * 40), 7, "image")),)
    )
    (unmet,) = AttributeAssociation().unmet(plain)
    assert "does not say what its columns are" in unmet.found
    (unmet,) = AttributeAssociation(attributes=("job", "lok")).unmet(subject())
    assert "look" in unmet.remedy
    assert AttributeAssociation(attributes=("job",)).unmet(subject())
    with pytest.raises(InputError, match="max_rows"):
        AttributeAssociation(max_rows=10)


def test_a_classifier_that_returns_no_number_is_refused(make_shards: Any) -> None:
    case = subject()
    recipe = AttributeReadings(case.features(case.real("holdout"), "attributes"), (3, 2, 2))
    with pytest.raises(ValueError, match="no number for 500 of 500 rows"):
        make_shards(recipe, splits=splits(), extractor=lambda rows: np.full((rows.num_rows, 7), np.nan))
    (*_, last) = make_shards(recipe, splits=splits(), extractor=reads)
    assert isinstance(last, Readings)


class Asked:
    """Draws people for the job that it is asked for; their ties are ``lean``."""

    def __init__(self, lean: float) -> None:
        self.lean = lean

    def sample(self, n: int, rng: np.random.Generator, condition: Any = None) -> Any:
        assert condition.column_names == ["job"], "the example itself is not given away"
        job = np.array([JOBS.index(name) for name in condition.column("job").to_pylist()])
        feminine = 1 / (1 + np.exp(-np.array([self.lean, -self.lean, 0.0])[job]))
        look = (rng.random(n) >= feminine).astype(int)
        return pa.table({"job": job, "look": look, "backdrop": rng.integers(0, 2, n)})


def named(rows: Any) -> Any:
    place = rows.column_names.index("job")
    return rows.set_column(place, "job", pa.array([JOBS[j] for j in rows.column("job").to_pylist()]))


def reads_named(rows: Any) -> np.ndarray:
    job = [JOBS.index(j) if isinstance(j, str) else j for j in rows.column("job").to_pylist()]
    return reads(rows.set_column(rows.column_names.index("job"), "job", pa.array(job)))


@pytest.mark.parametrize("lean", [1.0, 2.2])
def test_a_model_that_is_asked_for_a_job_is_looked_at_prompt_by_attribute(ask: Any, lean: float) -> None:
    rng = np.random.default_rng(3)
    splits = {name: named(people(rng, n, 1.0)) for name, n in (("train", 4000), ("holdout", 1500))}
    case = replace(
        subject(), data_card=DataCard("image", (("train", 4000), ("holdout", 1500)), groups=("job",))
    )
    evaluator = AttributeAssociation(condition="job")
    assert evaluator.unmet(case) == ()
    whole = ask(evaluator, replace(case, doses=(2.0,)), Asked(lean), splits, reads_named)
    found = next(o for o in whole.outcomes if o.metric == OVERALL and not o.group)
    assert isinstance(found, Measurement), found
    assert isinstance(found.uncertainty, Interval)
    assert found.uncertainty.low <= lean <= found.uncertainty.high
    assert (found.uncertainty.low > 1.25) == (lean > 1.5)
    pairs = {dict(o.group)["pair"] for o in whole.outcomes if o.group}
    assert pairs <= {"job × look", "job × backdrop"}, "only pairs with what it was asked for"
    assert "job × look" in pairs
    controls = {(c.kind, c.metric): c.right for c in whole.controls if not c.group}
    assert controls[CaseKind.NULL, OVERALL]
    assert controls[CaseKind.PLANTED, OVERALL]


def test_a_condition_that_is_no_group_or_not_read_is_said() -> None:
    case = replace(subject(), data_card=DataCard("image", (("train", 4000),), groups=("job", "age")))
    (unmet,) = AttributeAssociation(condition="look").unmet(case)
    assert "group column 'look'" in unmet.need
    (unmet,) = AttributeAssociation(condition="age").unmet(case)
    assert "attribute 'age'" in unmet.need
