"""Who reads the attributes: labels by hand beside a classifier, classifiers that abstain, and what each does to the numbers."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from audit.core.errors import UndefinedError
from audit.core.identity import Digest
from audit.core.measurements import Measurement, Undefined
from audit.core.references import Attribute, DataRef, ExtractorRef, ModelRef
from audit.core.subjects import Subject
from audit.evaluators.fairness.association.evaluator import AttributeAssociation
from audit.evaluators.fairness.representation.evaluator import AttributeRepresentation
from audit.recipes.attributes import AttributeReadings
from audit.testing.memory import Kitchen
from tests.evaluators.test_representation import ATTRIBUTES, ends, people, reads, splits, subject

CROOKED = Attribute("tone", ("light", "middle", "dark"), ((190, 5, 5), (5, 190, 5), (5, 5, 190)))
"""What a classifier says of its errors that takes half of the dark ones among samples for light."""
HAND = (Attribute("tone", ("dark", "light", "middle")), ATTRIBUTES[1])


class Bench:
    """Samples are marked: the classifier misreads them, and people labelled the first of them."""

    def __init__(self, light: float, labelled: int = 300, abstains: float = 0.0) -> None:
        self.light, self.labelled, self.abstains = light, labelled, abstains
        self.held = splits()

    def model(self, ref: ModelRef) -> Any:
        return self

    def sample(self, n: int, rng: np.random.Generator, condition: Any = None) -> Any:
        return people(rng, n, self.light).append_column("place", pa.array(range(n)))

    def split(self, ref: DataRef, split: str) -> Any:
        return self.held[split]

    def extract(self, ref: ExtractorRef, rows: Any) -> np.ndarray:
        sampled = "place" in rows.column_names
        if ref.name == "by hand":
            tone, look = rows.column("tone").to_numpy(), rows.column("look").to_numpy()
            shown = np.concatenate([np.eye(3)[:, [2, 0, 1]][tone], np.eye(2)[look]], axis=1)
            return np.where((rows.column("place").to_numpy() % 500 < self.labelled / 2)[:, None], shown, 0.0)
        found = reads(rows)
        if sampled:
            rng = np.random.default_rng(rows.num_rows)
            dark = (rows.column("tone").to_numpy() == 2) & (rng.random(rows.num_rows) < 0.5)
            found[dark, :3] = [0.98, 0.01, 0.01]
            found[rng.random(rows.num_rows) < self.abstains, :3] = 0.0
        return found


def case(hand: bool) -> Subject:
    nothing = Digest("2" * 40)
    eyes = ("attributes", ExtractorRef("eyes", nothing, 5, "image", (CROOKED, ATTRIBUTES[1])))
    people = (
        "hand_labels",
        ExtractorRef("by hand", nothing, 5, "image", HAND, notes=("Two annotators differ.",)),
    )
    return replace(subject(), extractors=(eyes, people) if hand else (eyes,))


def tone(bench: Bench, hand: bool) -> Any:
    found = Kitchen(bench=bench).ask(AttributeRepresentation(attributes=("tone",)), case(hand))
    return next(o for o in found.outcomes if o.group)


def test_labels_by_hand_undo_an_error_that_the_confusion_matrix_does_not_know() -> None:
    without, with_hand = tone(Bench(1 / 3), False), tone(Bench(1 / 3), True)
    assert ends(without).low > 0.05, "half of the dark are read as light: a false alarm"
    assert ends(with_hand).low == 0.0
    assert any("PPI++ from 300 labels" in note for note in with_hand.notes)
    assert "Two annotators differ." in with_hand.notes
    (table,) = with_hand.evidence
    for row in table.content.to_pylist():
        assert row["low"] <= 1 / 3 <= row["high"], row
    lost = tone(Bench(0.7), True)
    assert ends(lost).low > 0.2
    assert ends(lost).low <= 0.7 - 1 / 3 <= ends(lost).high


def test_too_few_labels_by_hand_are_said_and_not_used() -> None:
    found = tone(Bench(1 / 3, labelled=40), True)
    assert any("not used: 40 labels" in note for note in found.notes)
    assert ends(found).low > 0.05


def test_labels_of_other_values_are_refused_in_the_plan() -> None:
    odd = (Attribute("tone", ("dark", "pale", "middle")),)
    asked = case(True)
    eyes, people = asked.extractors
    asked = replace(asked, extractors=(eyes, (people[0], replace(people[1], attributes=odd))))
    (unmet,) = AttributeRepresentation().unmet(asked)
    assert "'pale' of 'tone'" in unmet.found


def test_what_a_classifier_does_not_read_widens_the_interval() -> None:
    some = tone(Bench(0.7, abstains=0.1), False)
    assert any("Nothing was read in" in note for note in some.notes)
    whole = tone(Bench(0.7), False)
    assert ends(some).high - ends(some).low > ends(whole).high - ends(whole).low + 0.15
    found = Kitchen(bench=Bench(0.7, abstains=0.6)).ask(
        AttributeRepresentation(attributes=("tone",)), case(False)
    )
    overall = next(o for o in found.outcomes if not o.group)
    assert isinstance(overall, Undefined)
    assert "nothing could be read in" in overall.reason


def test_associations_leave_out_what_was_not_read_and_refuse_a_fifth() -> None:
    outcomes = Kitchen(bench=Bench(0.7, abstains=0.1)).ask(AttributeAssociation(), case(False)).outcomes
    assert any(
        "could not be read" in note for o in outcomes if isinstance(o, Measurement) for note in o.notes
    ) or any(isinstance(o, Undefined) for o in outcomes)
    outcomes = Kitchen(bench=Bench(0.7, abstains=0.4)).ask(AttributeAssociation(), case(False)).outcomes
    assert all(isinstance(o, Undefined) for o in outcomes)
    assert "could not be read" in outcomes[0].reason


def test_a_row_of_zeros_is_no_reading_and_no_doubt(make_shards: Any) -> None:
    from audit.core.artifacts import Given

    def extractor(rows: Any) -> np.ndarray:
        return np.array([[0.0, 0.0, 0.2, 0.8], [0.9, 0.1, 0.0, 0.0]])

    ref = ExtractorRef("eyes", Digest("0" * 40), 4, "image")
    from audit.core.artifacts import Features

    (found,) = make_shards(
        AttributeReadings(Features(Given((("a", ("x", "y")),)), ref), (2, 2)), extractor=extractor
    )
    assert found.codes.tolist() == [[-1, 1], [0, -1]]
    np.testing.assert_allclose(found.sure, np.log([0.8, 0.9]))


def test_shares_need_rows() -> None:
    from audit.stats.shares import Side

    with pytest.raises(UndefinedError):
        Side.of(np.empty(0, np.int64), 2)
