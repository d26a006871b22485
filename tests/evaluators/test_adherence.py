"""Adherence: a model that listens, one that does not, one that is deaf to a single request, and what cannot be asked."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from audit.core.capabilities import Capability
from audit.core.cases import CaseKind
from audit.core.errors import InputError
from audit.core.identity import Digest
from audit.core.measurements import Interval, Measurement, Undefined
from audit.core.references import Attribute, DataRef, ExtractorRef, ModelRef
from audit.core.rows import image_rows, images_of
from audit.core.subjects import DataCard, ModelCard, Subject
from audit.evaluators.quality.adherence import Adherence

KINDS = ("cat", "dog", "cow", "hen")
CONFUSION = ((180, 10, 5, 5), (10, 185, 5, 0), (0, 5, 190, 5), (2, 3, 5, 190))
ATTRIBUTES = (Attribute("look", ("big", "small")), Attribute("animal", KINDS, CONFUSION))
NAME = "quality.adherence"


def pictures(codes: np.ndarray, rng: np.random.Generator, **columns: Any) -> Any:
    """Return pictures that show their code in the first pixel; the others are noise."""
    images = rng.integers(0, 256, (len(codes), 2, 2, 1), dtype=np.uint8)
    images[:, 0, 0, 0] = codes
    return image_rows(images, **columns)


def reads(rows: Any) -> np.ndarray:
    """Read codes off pictures with the errors that the confusion matrix counts."""
    images = images_of(rows)
    codes = images[:, 0, 0, 0]
    rng = np.random.default_rng(int(images.sum()))
    matrix = np.array(CONFUSION, float)
    ends = np.cumsum(matrix / matrix.sum(axis=1, keepdims=True), axis=1)
    seen = (rng.random(len(codes))[:, None] >= ends[codes]).sum(axis=1)
    animals = np.where(np.eye(4)[seen] > 0, 0.97, 0.01)
    return np.concatenate([np.full((len(codes), 2), 0.5), animals], axis=1)


class Draws:
    """Draws the animal asked for, unless it is ``deaf`` to the request; then any."""

    def __init__(self, deaf: tuple[str, ...] = ()) -> None:
        self.deaf = deaf
        self.asked: list[Any] = []

    def sample(self, n: int, rng: np.random.Generator, condition: Any = None) -> Any:
        self.asked.append(condition)
        wanted = np.array([KINDS.index(v) for v in condition.column("animal").to_pylist()])
        deaf = np.isin(wanted, [KINDS.index(v) for v in self.deaf])
        return pictures(np.where(deaf, rng.integers(0, 4, n), wanted), rng)


def subject(groups: tuple[str, ...] = ("animal",)) -> Subject:
    ref = ExtractorRef("eyes", Digest("2" * 40), 6, "image", ATTRIBUTES)
    return Subject(
        model=ModelRef("fake", Digest("0" * 40)),
        card=ModelCard("fake", "image", 1, conditions=(("animal", KINDS),)),
        offers=frozenset({Capability.SAMPLE}),
        data=DataRef("fake", Digest("1" * 40)),
        data_card=DataCard("image", (("train", 500), ("holdout", 1000)), groups=groups),
        extractors=(("attributes", ref),),
        sample_size=100,
        seed=0,
        shard_size=70,
    )


def splits() -> dict[str, Any]:
    rng = np.random.default_rng(3)
    codes = rng.integers(0, 4, 1000)
    return {"holdout": pictures(codes, rng, animal=[KINDS[c] for c in codes])}


def asked(ask: Any, model: Draws, evaluator: Any = None, case: Any = None) -> tuple[dict[Any, Any], Any]:
    whole = ask(evaluator or Adherence(each=100), case or subject(), model, splits(), reads)
    return {
        (o.metric.removeprefix(NAME).strip("."), dict(o.group).get("animal", "")): o for o in whole.outcomes
    }, whole


def ends(found: Any) -> Interval:
    assert isinstance(found, Measurement), found
    assert isinstance(found.uncertainty, Interval)
    return found.uncertainty


def test_a_model_that_ignores_its_condition_is_found_and_one_that_listens_is_not(ask: Any) -> None:
    listens, _ = asked(ask, Draws())
    ignores, _ = asked(ask, Draws(deaf=KINDS), case=replace(subject(), seed=1))
    assert ends(listens["", ""]).high == 1.0
    assert listens["", ""].value > 0.97 > ends(listens["read", ""]).high, (
        "corrected for the classifier's errors"
    )
    assert ends(ignores["", ""]).low <= 0.25 <= ends(ignores["", ""]).high
    assert ignores["", ""].baseline == pytest.approx(0.25, abs=0.01), "no better than no request at all"
    assert ends(ignores["", ""]).high < ignores["", ""].noise_floor
    assert not ignores["", ""].void


def test_a_request_that_is_not_heard_is_named_and_shown(ask: Any) -> None:
    found, _ = asked(ask, Draws(deaf=("hen",)))
    assert ends(found["", "hen"]).high < 0.5 < 0.9 < ends(found["", "cow"]).low
    assert ends(found["", ""]).low <= (3 + 0.25) / 4 <= ends(found["", ""]).high
    table, misses = found["read", ""].evidence
    cells = {(r["row"], r["column"]): r["value"] for r in table.content.to_pylist()}
    assert cells["hen", "hen"] < 0.5 < cells["cow", "cow"]
    rows = misses.content.to_pylist()
    assert 0 < len(rows) <= 12
    assert all(row["asked for"] != row["read as"] for row in rows)
    assert sum(row["asked for"] == "hen" for row in rows) >= len(rows) / 4
    assert not misses.sensitive


def test_planted_deafness_is_found_and_real_rows_adhere(ask: Any) -> None:
    _, whole = asked(ask, Draws(), case=replace(subject(), doses=(0.05, 0.3)))
    kept = [c for c in whole.controls if c.metric == NAME and not c.group]
    (null,) = (c for c in kept if c.kind is CaseKind.NULL)
    assert null.right
    assert null.value == pytest.approx(1.0, abs=0.02)
    small, large = sorted((c for c in kept if c.kind is CaseKind.PLANTED), key=lambda c: c.dose)
    assert large.right
    assert large.value == pytest.approx(1 - 0.3 * 0.75, abs=0.04)
    assert large.value < small.value < null.value


def test_requests_go_out_as_asked_with_a_prompt_and_some_values(ask: Any) -> None:
    model = Draws()
    found, _ = asked(ask, model, Adherence(values=("dog", "hen"), each=20, prompt="a picture of a {}"))
    rows = [row for condition in model.asked for row in condition.to_pylist()]
    assert len(rows) == 40
    assert {row["text"] for row in rows} == {"a picture of a dog", "a picture of a hen"}
    assert {group for _, group in found} == {"", "dog", "hen"}
    assert found["", ""].n == 40


def test_without_counted_errors_only_the_uncorrected_share_is_given(ask: Any) -> None:
    unknown = replace(
        subject().extractor("attributes"), attributes=(ATTRIBUTES[0], Attribute("animal", KINDS))
    )
    found, _ = asked(ask, Draws(), case=replace(subject(), extractors=(("attributes", unknown),)))
    assert isinstance(found["", ""], Undefined)
    assert "nobody counted" in found["", ""].reason
    assert found["read", ""].value == pytest.approx(0.93, abs=0.03)


def test_outputs_that_look_like_nothing_are_not_read(ask: Any) -> None:
    def unsure(rows: Any) -> np.ndarray:
        found = reads(rows)
        if rows.column_names == ["image"]:  # outputs; real rows have labels
            found[:, 2:] = np.where(found[:, 2:] > 0.5, 0.4, 0.2)
        return found

    whole = ask(Adherence(each=40), subject(()), Draws(), splits(), unsure)
    found = {o.metric: o for o in whole.outcomes if not o.group}
    assert isinstance(found[NAME], Undefined)
    assert "look like nothing" in found[NAME].reason
    assert "less sure of 100%" in found[f"{NAME}.read"].notes[1]
    assert whole.controls[0].because == "the data do not say the animal of their rows"


def test_what_cannot_be_asked_is_skipped_with_the_remedy() -> None:
    (drawn,) = Adherence().unmet(replace(subject(), card=replace(subject().card, most_samples=50)))
    assert "drawn before" in drawn.found
    (silent,) = Adherence().unmet(replace(subject(), card=ModelCard("fake", "image", 1)))
    assert 'attribute = "occupation"' in silent.remedy
    assert Adherence(attribute="animal").unmet(replace(subject(), card=ModelCard("fake", "image", 1))) == ()
    (attribute,) = Adherence(attribute="animals").unmet(subject())
    assert "animal" in attribute.remedy
    (value,) = Adherence(values=("cat", "cwo")).unmet(subject())
    assert "cow" in value.remedy
    (few,) = Adherence(reference="other").unmet(subject())
    assert "100 rows" in few.need
    for bad in ({"each": 3}, {"max_rows": 5}, {"level": 1.0}, {"prompt": "a dog"}):
        with pytest.raises(InputError):
            Adherence(**bad)


def test_included_models_say_what_they_can_be_asked_for() -> None:
    from pathlib import Path

    from audit.config.assemble import assemble
    from audit.config.spec import parse_spec

    def card(name: str) -> ModelCard:
        values = {"name": "t", "samples": 100, "model": {"use": name}}
        return assemble(parse_spec(values, Path())).plan.subject.card

    ((column, labels),) = card("portraits-gan-collapsed").conditions
    assert (column, len(labels)) == ("occupation", 11)
    assert card("portraits-vae").conditions == ()


def test_the_twin_without_six_occupations_gives_five_of_eleven() -> None:
    from pathlib import Path

    from audit.config.assemble import assemble
    from audit.config.spec import parse_spec
    from audit.testing.memory import Kitchen

    found = {}
    for name in ("portraits-gan", "portraits-gan-collapsed"):
        values = {"name": "t", "samples": 100, "shard_size": 1000, "model": {"use": name}}
        case = assemble(parse_spec(values, Path())).plan.subject
        outcomes = Kitchen().measure(Adherence(each=20, max_rows=500), case)
        found[name] = {dict(o.group).get("occupation", ""): o for o in outcomes if o.metric == NAME}
    assert ends(found["portraits-gan"][""]).low > 0.95
    assert (
        ends(found["portraits-gan-collapsed"][""]).low
        <= 5 / 11
        <= ends(found["portraits-gan-collapsed"][""]).high
    )
    assert found["portraits-gan-collapsed"]["judge"].value < 0.05
    assert found["portraits-gan-collapsed"]["office"].value > 0.95
