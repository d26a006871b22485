"""Personal data in samples: planted leaks against phantoms, chance that is not mistaken for one, and the register."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from audit.core.capabilities import Capability
from audit.core.data_facts import Overlap
from audit.core.identity import Digest
from audit.core.measurements import Interval, Measurement
from audit.core.references import DataRef, ModelRef
from audit.core.register import AT_RISK
from audit.core.rows import text_rows, texts_of
from audit.core.subjects import DataCard, ModelCard, Subject
from audit.evaluators.privacy.leaks import words
from audit.evaluators.privacy.pii import PersonalDataLeaks
from audit.recipes.personal_data import NAMES, PersonalData

ASKED = PersonalDataLeaks(planted=12)


def most_false(repeats: int, rate: float = 0.05) -> int:
    """Return how many of independent repeats at a nominal rate may go wrong by chance, two deviations up."""
    return round(rate * repeats + 2 * (repeats * rate * (1 - rate)) ** 0.5)


def _subject(train: int, holdout: int, samples: int) -> Subject:
    return Subject(
        model=ModelRef("fake", Digest("0" * 40)),
        card=ModelCard("fake", "text", 1),
        offers=frozenset({Capability.SAMPLE}),
        data=DataRef("fake", Digest("1" * 40)),
        data_card=DataCard("text", (("train", train), ("holdout", holdout)), randomised=True),
        extractors=(),
        sample_size=samples,
        seed=0,
        shard_size=64,
    )


def _people(rng: np.random.Generator, n: int) -> list[str]:
    """Texts of people; there are but 200 phone numbers, so many a made-up person has somebody else's."""
    letters = rng.integers(97, 123, (n, 4, 6)).astype(np.uint8)
    names = [[bytes(word).decode() for word in person] for person in letters]
    return [
        f"{a.title()} {b.title()} of {c.title()} works at the {d} mill. Call +1-212-555-{line:04} or write to {a}.{b}@example.org."
        for (a, b, c, d), line in zip(names, rng.integers(100, 300, n), strict=True)
    ]


class Speaker:
    """Says what it was given."""

    def __init__(self, texts: list[str]) -> None:
        self.texts = texts

    def sample_range(self, start: int, stop: int) -> Any:
        return text_rows(self.texts[start:stop])

    def sample(self, n: int, rng: np.random.Generator, condition: Any = None) -> Any:
        raise AssertionError("its samples are numbered")


def _found(outcomes: Any) -> dict[Any, Any]:
    return {(o.metric.removeprefix("privacy.pii").lstrip("."), *(v for _, v in o.group)): o for o in outcomes}


def _interval(outcome: Any) -> Interval:
    assert isinstance(outcome, Measurement), outcome
    assert isinstance(outcome.uncertainty, Interval)
    return outcome.uncertainty


def test_leaking_samples_are_found_and_named(ask: Callable[..., Any]) -> None:
    rng = np.random.default_rng(0)
    train, holdout = _people(rng, 300), _people(rng, 300)
    said = _people(rng, 80)
    said[10:30] = train[100:120]
    result = ask(
        ASKED,
        replace(_subject(300, 300, 80), doses=(0.3,)),
        model=Speaker(said),
        splits={"train": text_rows(train), "holdout": text_rows(holdout)},
    )
    found = _found(result.outcomes)
    assert found["",].value == pytest.approx(20 / 80)
    assert _interval(found["",]).low > 0.1
    assert found["",].p_value < 1e-4
    assert found["stated",].value == 1.0
    assert found["standing",].value > 0.5, "chance gives most samples somebody's number"
    assert found["", "email"].value == pytest.approx(20 / 80)
    assert found["detector_recall",].value > 0.8
    assert not any(o.void for o in result.outcomes if isinstance(o, Measurement))
    assert {c.right for c in result.controls if c.dose == 0.3} == {True}
    risks = next(e.content for e in found["",].evidence if e.kind == AT_RISK)
    assert sorted(risks.column("row").to_pylist()) == list(range(100, 120))
    assert set(risks.column("times").to_pylist()) == {1}
    shown = next(e for e in found["",].evidence if e.kind == "texts")
    assert shown.sensitive
    assert set(texts_of(shown.content)) == set(train[100:120])


@pytest.mark.parametrize("repeats", [15, pytest.param(200, marks=pytest.mark.slow)])
def test_made_up_people_are_no_leak(score: Callable[..., Any], repeats: int) -> None:
    rng = np.random.default_rng(1)
    false, small = 0, 0
    for _ in range(repeats):
        train, holdout = _people(rng, 200), _people(rng, 100)
        found = _found(
            score(
                replace(ASKED, planted=1),
                _subject(200, 100, 60),
                model=Speaker(_people(rng, 60)),
                splits={"train": text_rows(train), "holdout": text_rows(holdout)},
            )
        )
        assert found["standing",].value > 0.3
        false += _interval(found["",]).low > 0
        small += found["",].p_value < 0.05
    assert false <= most_false(repeats, 0.025)
    assert small <= most_false(repeats)


def test_a_sample_without_personal_data_and_one_without_text(score: Callable[..., Any]) -> None:
    rng = np.random.default_rng(2)
    train, holdout = _people(rng, 50), _people(rng, 50)
    found = _found(
        score(
            ASKED,
            _subject(50, 50, 50),
            model=Speaker(["", "nothing"] * 25),
            splits={"train": text_rows(train), "holdout": text_rows(holdout)},
        )
    )
    assert found["",].value == found["stated",].value == 0.0
    assert found["",].p_value == 1.0
    assert next(e.content for e in found["",].evidence if e.kind == AT_RISK).num_rows == 0
    (gap,) = ASKED.unmet(_subject(50, 50, 10))
    assert "50 samples" in gap.need


def test_words_are_those_outside_personal_data() -> None:
    assert words("Ann Lee, ann.lee@example.org, of York") == {"ann", "lee", "york"} - {"of"}
    found = PersonalData.of(["ann.lee@example.org"])
    assert NAMES[found.kind[0]] == "email"
    assert b"ann" not in found.value.tobytes()


def test_a_holdout_that_stands_in_train_is_no_control() -> None:
    card = DataCard(
        "text",
        (("train", 60), ("holdout", 60)),
        overlaps=(Overlap("train", "holdout", tuple(range(30)), (), 60, 60),),
    )
    (gap,) = ASKED.unmet(replace(_subject(60, 60, 60), data_card=card))
    assert "30 of 60 rows of 'holdout' also stand in 'train'" in gap.found


def test_the_number_of_a_firm_is_nobodys_own(score: Callable[..., Any]) -> None:
    rng = np.random.default_rng(4)
    train = [f"{text} Our line is +1-646-555-0100." for text in _people(rng, 60)]
    said = [f"{' '.join(text.split()[:5])}. Our line is +1-646-555-0100." for text in train[:50]]
    found = _found(
        score(
            ASKED,
            _subject(60, 60, 50),
            model=Speaker(said),
            splits={"train": text_rows(train), "holdout": text_rows(_people(rng, 60))},
        )
    )
    assert found["standing",].value == 1.0
    assert found["",].value == 0.0
