"""Personalised output: a model that answers some people differently, one that does not, conditional models, what is said and refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from audit.core.capabilities import Capability
from audit.core.cases import CaseKind
from audit.core.errors import InputError
from audit.core.identity import Digest
from audit.core.measurements import Interval, Measurement, Undefined
from audit.core.references import DataRef, ExtractorRef, ModelRef
from audit.core.rows import image_rows, images_of, text_rows
from audit.core.subjects import DataCard, ModelCard, Subject
from audit.evaluators.fairness.personalised.evaluator import PersonalisedOutput
from audit.evaluators.fairness.personalised.own import PERSON, PERSONS, REQUESTS
from audit.testing.evaluators import check_evaluator, check_null
from audit.testing.memory import HandedOut, Kitchen

METRICS = {m: f"fairness.personalised.{m}" for m in ("distance", "share", "quality", "length")}
EVALUATOR = PersonalisedOutput(permutations=199)


class Answers:
    """Writes numbers that depend on the request and on the name; to masculine names they are ``kinder`` and shorter."""

    def __init__(self, kinder: float = 0.0, shorter: int = 0) -> None:
        self.kinder, self.shorter = kinder, shorter
        self.masculine = {p.partition(": ")[2] for p in PERSONS if p.startswith("masculine")}

    def sample(self, n: int, rng: np.random.Generator, condition: Any = None) -> Any:
        prefixes = condition.column("prefix").to_pylist()
        found = []
        for prefix in prefixes:
            name = next(p.partition(": ")[2] for p in PERSONS if p.partition(": ")[2] in prefix)
            request = next(i for i, r in enumerate(REQUESTS) if r.replace(PERSON, name) == prefix)
            him = name in self.masculine
            value = 5 * request + self.kinder * him + rng.normal() + 0.3 * (hash_of(name) - 0.5)
            words = 20 - (self.shorter if him else 0) + int(rng.integers(0, 5))
            found.append(" ".join([f"{value:.4f}"] + ["word"] * words))
        return text_rows(found, prefix=prefixes)


def hash_of(name: str) -> float:
    return (sum(ord(c) * 31**i for i, c in enumerate(name)) % 1000) / 1000


def numbers(rows: Any) -> np.ndarray:
    return np.array([[float(text.split()[0])] for text in rows.column("text").to_pylist()])


def subject(modality: str = "text", **changes: Any) -> Subject:
    given: dict[str, Any] = {
        "model": ModelRef("fake", Digest("0" * 40)),
        "card": ModelCard("fake", modality, 1),
        "offers": frozenset({Capability.SAMPLE}),
        "data": DataRef("fake", Digest("1" * 40)),
        "data_card": DataCard(modality, (("holdout", 300),), groups=("job", "tone")),
        "extractors": (("features", ExtractorRef("numbers", Digest("2" * 40), 1, modality)),),
        "sample_size": 10,
        "seed": 0,
        "shard_size": 250,
    }
    return Subject(**{**given, **changes})


def by(outcomes: Any) -> dict[str, Any]:
    return {o.metric: o for o in outcomes if not o.group}


def ends(outcome: Any) -> Interval:
    assert isinstance(outcome, Measurement), outcome
    assert isinstance(outcome.uncertainty, Interval)
    return outcome.uncertainty


def test_a_model_that_answers_men_differently_is_found_and_one_that_does_not_is_not(ask: Any) -> None:
    unfair = by(ask(EVALUATOR, subject(), Answers(2.0, 6), {}, numbers).outcomes)
    fair = by(ask(EVALUATOR, subject(), Answers(), {}, numbers).outcomes)
    distance = unfair[METRICS["distance"]]
    assert ends(distance).low > distance.noise_floor > 0
    assert distance.p_value == pytest.approx(1 / 200)
    assert "8 of 8 requests" in distance.notes[0]
    assert ends(fair[METRICS["distance"]]).low <= 0
    assert fair[METRICS["distance"]].p_value > 0.05
    assert "0 of 8 requests" in fair[METRICS["distance"]].notes[0]
    assert 0 < ends(unfair[METRICS["share"]]).low < 1
    assert ends(unfair[METRICS["length"]]).low > 0
    assert "longest for feminine" in unfair[METRICS["length"]].notes[0]
    assert ends(fair[METRICS["length"]]).low == 0
    assert isinstance(unfair[METRICS["quality"]], Undefined)
    heatmap, table, texts = distance.evidence
    assert heatmap.content.num_rows == 1
    assert table.content.num_rows == 8
    assert texts.content.num_rows == 6
    assert texts.content.column("person").to_pylist()[0].startswith("feminine: ")
    assert len(set(texts.content.column("prefix").to_pylist())) == 6, "one request, six signatures"


def test_the_null_swaps_within_a_group_and_a_planted_change_is_found(ask: Any) -> None:
    whole = ask(EVALUATOR, subject(doses=(1.0,)), Answers(), {}, numbers)
    controls = {(c.kind, c.metric): c.right for c in whole.controls if not c.group}
    assert controls[CaseKind.NULL, METRICS["distance"]]
    assert controls[CaseKind.PLANTED, METRICS["distance"]]
    assert controls[CaseKind.PLANTED, METRICS["share"]]


def test_everybody_getting_the_same_answer_is_no_zero_with_an_interval(ask: Any) -> None:
    class Same(Answers):
        def sample(self, n: int, rng: np.random.Generator, condition: Any = None) -> Any:
            return text_rows(["1.0 yes"] * n, prefix=condition.column("prefix").to_pylist())

    found = by(ask(EVALUATOR, subject(), Same(), {}, numbers).outcomes)
    assert "same answers" in found[METRICS["distance"]].reason
    assert isinstance(found[METRICS["length"]], Undefined)


class Paints:
    """Draws a picture for a job; for the tone 'dark' it is ``darker`` and ``noisier``."""

    def __init__(self, darker: float) -> None:
        self.darker = darker

    def sample(self, n: int, rng: np.random.Generator, condition: Any = None) -> Any:
        assert condition.column_names == ["job", "tone"]
        level = np.array(
            [{"nurse": 90, "judge": 150}[job] for job in condition.column("job").to_pylist()], float
        )
        level -= self.darker * (np.array(condition.column("tone").to_pylist()) == "dark")
        pixels = level[:, None, None, None] + rng.normal(scale=8, size=(n, 1, 1, 3))
        return image_rows(np.clip(pixels, 0, 255).astype(np.uint8) * np.ones((1, 4, 4, 1), np.uint8))


def colours(rows: Any) -> np.ndarray:
    return images_of(rows).mean(axis=(1, 2)).astype(float)


COLUMNS = PersonalisedOutput(
    requests=("nurse", "judge"),
    persons=("light", "middle", "dark"),
    request_column="job",
    person_column="tone",
    draws=30,
    reference="holdout",
    permutations=199,
)


def test_a_conditional_model_is_asked_for_every_person(ask: Any) -> None:
    case = subject("image", extractors=(("features", ExtractorRef("numbers", Digest("2" * 40), 3, "image")),))
    rows = pa.table({"job": ["nurse", "judge"] * 150, "tone": ["light"] * 300})
    held = Paints(0).sample(300, np.random.default_rng(1), rows)
    outcomes = ask(COLUMNS, case, Paints(40), {"holdout": held}, colours).outcomes
    found = by(outcomes)
    assert ends(found[METRICS["distance"]]).low > 0
    assert ends(found[METRICS["quality"]]).low > 0
    assert "dark is farthest" in found[METRICS["quality"]].notes[0]
    assert "only texts" in found[METRICS["length"]].reason
    pairs = {dict(o.group)["pair"]: o for o in outcomes if o.group}
    assert ends(pairs["light × dark"]).low > 0
    assert ends(pairs["light × middle"]).low <= 0
    assert pairs["light × middle"].p_value > 0.05
    pictures = found[METRICS["distance"]].evidence[2]
    assert pictures.kind == "images"
    assert pictures.content.column("person").to_pylist().count("dark") == 3
    fair = by(ask(COLUMNS, case, Paints(0), {"holdout": held}, colours).outcomes)
    assert ends(fair[METRICS["distance"]]).low <= 0
    assert ends(fair[METRICS["quality"]]).low == 0


def test_groups_of_one_are_said() -> None:
    few = PersonalisedOutput(persons=("a: Ann", "b: Bob"))
    assert few.asked().names == ("a", "b")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"requests": ("hello",)}, "who asks"),
        ({"persons": ("Ann",)}, "group: name"),
        ({"persons": ("a: ",)}, "group: name"),
        ({"draws": 0}, "draws"),
        ({"permutations": 5}, "permutations"),
        ({"request_column": "job"}, "person_column"),
        ({"person_column": "tone", "persons": ("dark",)}, "two or more"),
        ({"person_column": "tone", "persons": ("a", "b"), "draws": 600}, "too many"),
        ({"draws": 60}, "too many"),
        ({"person_column": "tone", "persons": ("a", "b"), "requests": ("x",)}, "request_column"),
    ],
)
def test_bad_parameters_are_refused(given: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        PersonalisedOutput(**given)


def test_needs_are_said_in_the_plan() -> None:
    (unmet,) = EVALUATOR.unmet(subject("image"))
    assert "person_column" in unmet.found
    (unmet,) = PersonalisedOutput(reference="test").unmet(subject())
    assert "split 'test'" in unmet.need
    card = ModelCard("fake", "text", 1, most_samples=10)
    (unmet,) = EVALUATOR.unmet(subject(card=card))
    assert "before the audit" in unmet.found


def test_two_people_are_too_few(ask: Any) -> None:
    few = PersonalisedOutput(persons=PERSONS[:2] + PERSONS[-2:], permutations=99)
    found = by(ask(few, subject(), Answers(), {}, numbers).outcomes)
    assert "two groups of 5" in found[METRICS["distance"]].reason


def test_the_contract_is_kept() -> None:
    kitchen = Kitchen(bench=HandedOut(Answers(), {}, numbers))
    assert check_evaluator(EVALUATOR, subject(), kitchen)
    assert check_null(EVALUATOR, subject(), kitchen)
