"""Verbatim overlap: planted copies against other documents, shared phrases that are none, and the register."""

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
from audit.evaluators.privacy.verbatim import VerbatimOverlap

ASKED = VerbatimOverlap(least=110)
PHRASES = ("it is well known that ", "on the other hand ", "as everybody says ", "in the end ")


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


def _texts(rng: np.random.Generator, n: int) -> list[str]:
    words = [
        "".join(chr(97 + c) for c in rng.integers(0, 26, 5)) if rng.random() < 0.4 else PHRASES[k].strip()
        for k in rng.integers(0, 4, 12 * n)
    ]
    return [" ".join(words[12 * i : 12 * i + 12]) + " ü." for i in range(n)]


class Speaker:
    def __init__(self, texts: list[str]) -> None:
        self.texts = texts

    def sample_range(self, start: int, stop: int) -> Any:
        return text_rows(self.texts[start:stop])

    def sample(self, n: int, rng: np.random.Generator, condition: Any = None) -> Any:
        raise AssertionError("its samples are numbered")


def _interval(outcome: Any) -> Interval:
    assert isinstance(outcome, Measurement), outcome
    assert isinstance(outcome.uncertainty, Interval)
    return outcome.uncertainty


def test_copies_are_found_marked_and_named(ask: Callable[..., Any]) -> None:
    rng = np.random.default_rng(0)
    train, holdout, said = _texts(rng, 300), _texts(rng, 150), _texts(rng, 80)
    for row in range(20):
        said[row] = f"zz {train[40 + row]} zz"
    result = ask(
        ASKED,
        replace(_subject(300, 150, 80), doses=(0.3,)),
        model=Speaker(said),
        splits={"train": text_rows(train), "holdout": text_rows(holdout)},
    )
    found = {o.metric: o for o in result.outcomes}
    overlap = found["privacy.verbatim"]
    assert overlap.value == pytest.approx(20 / 80, abs=0.05)
    assert _interval(overlap).low > 0.08
    assert overlap.p_value < 1e-3
    assert overlap.void == ""
    assert {c.right for c in result.controls if c.dose == 0.3} == {True}
    risks = next(e.content for e in overlap.evidence if e.kind == AT_RISK)
    assert set(range(40, 60)) <= set(risks.column("row").to_pylist())
    shown = next(e for e in overlap.evidence if e.kind == "texts")
    assert shown.sensitive
    assert any(f"⟦ {train[40]} ⟧" in text or f"⟦{train[40]}⟧" in text for text in texts_of(shown.content))
    assert _interval(found["privacy.verbatim.longest_median"]).low > 20


@pytest.mark.parametrize("repeats", [15, pytest.param(200, marks=pytest.mark.slow)])
def test_shared_phrases_are_no_copies(score: Callable[..., Any], repeats: int) -> None:
    rng = np.random.default_rng(1)
    false, small = 0, 0
    for _ in range(repeats):
        train, holdout = _texts(rng, 200), _texts(rng, 200)
        overlap = score(
            replace(ASKED, least=45),
            _subject(200, 200, 60),
            model=Speaker(_texts(rng, 60)),
            splits={"train": text_rows(train), "holdout": text_rows(holdout)},
        )[0]
        false += _interval(overlap).low > 0
        small += overlap.p_value < 0.05
    assert false <= most_false(repeats, 0.025)
    assert small <= most_false(repeats)


def test_empty_samples(score: Callable[..., Any]) -> None:
    rng = np.random.default_rng(2)
    found = score(
        ASKED,
        _subject(50, 50, 50),
        model=Speaker([""] * 50),
        splits={"train": text_rows(_texts(rng, 50)), "holdout": text_rows(_texts(rng, 50))},
    )
    assert [o.metric for o in found] == ["privacy.verbatim"]
    assert found[0].reason.startswith("no sample is 110 bytes long")
    assert "50 samples" in ASKED.unmet(_subject(50, 50, 10))[0].need


def test_samples_that_are_too_short_to_repeat_as_much_do_not_count(score: Callable[..., Any]) -> None:
    """Copies of the training file pass nothing where each is shorter than what is looked for."""
    rng = np.random.default_rng(2)
    train, holdout = (text_rows(_texts(rng, 50)) for _ in range(2))
    spoken = [*_texts(rng, 30), *["short"] * 20]
    splits = {"train": train, "holdout": holdout}
    found = score(VerbatimOverlap(least=20), _subject(50, 50, 50), model=Speaker(spoken), splits=splits)
    assert found[0].n == 30
    assert any("20 more samples are shorter than 20 bytes" in note for note in found[0].notes)
    copies = Speaker(texts_of(train))
    (told,) = score(VerbatimOverlap(least=2000), _subject(50, 50, 50), model=copies, splits=splits)
    assert told.reason.startswith("no sample is 2000 bytes long")
    longer = Speaker([text * 20 for text in texts_of(train)])
    (told,) = score(VerbatimOverlap(least=2000), _subject(50, 50, 50), model=longer, splits=splits)
    assert told.reason.startswith("no training document is 2000 bytes long")


def test_a_holdout_that_stands_in_train_is_no_control() -> None:
    card = DataCard(
        "text",
        (("train", 60), ("holdout", 60)),
        overlaps=(Overlap("train", "holdout", tuple(range(30)), (), 60, 60),),
    )
    (gap,) = ASKED.unmet(replace(_subject(60, 60, 60), data_card=card))
    assert "30 of 60 rows of 'holdout' also stand in 'train'" in gap.found
