"""Extraction from token scores: planted recitals and clean twins, private fields among tokens, and what (n, p) means."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from audit.core.capabilities import Capability
from audit.core.identity import Digest
from audit.core.measurements import Interval, Measurement, Undefined
from audit.core.references import DataRef, ModelRef
from audit.core.register import AT_RISK
from audit.core.rows import text_rows, texts_of
from audit.core.subjects import DataCard, ModelCard, Subject
from audit.evaluators.privacy.extraction import Extraction
from audit.evaluators.privacy.recited import within_tries

ASKED = Extraction(prefix=3, suffix=4)


def most_false(repeats: int, rate: float = 0.05) -> int:
    """Return how many of independent repeats at a nominal rate may go wrong by chance, two deviations up."""
    return round(rate * repeats + 2 * (repeats * rate * (1 - rate)) ** 0.5)


def _subject(train: int, holdout: int) -> Subject:
    return Subject(
        model=ModelRef("fake", Digest("0" * 40)),
        card=ModelCard("fake", "text", 1),
        offers=frozenset({Capability.TOKEN_SCORES}),
        data=DataRef("fake", Digest("1" * 40)),
        data_card=DataCard("text", (("train", train), ("holdout", holdout)), randomised=True),
        extractors=(),
        sample_size=10,
        seed=0,
        shard_size=64,
    )


def _people(rng: np.random.Generator, n: int) -> list[str]:
    names = [f"Person{a} Name{b}" for a, b in rng.integers(0, 10**6, (n, 2))]
    return [
        f"{name} of the town has a phone, +1-{a}-555-{b:04}, mail a{c}@example.org and more besides."
        for name, (a, b, c) in zip(names, rng.integers(200, 999, (n, 3)), strict=True)
    ]


class Reciter:
    """Tokens are words and single digits; of the texts it knows each comes first, and of any text the mail address."""

    def __init__(self, known: list[str], located: bool = True) -> None:
        self.known, self.located = set(known), located

    def token_scores(self, rows: Any) -> Any:
        columns: dict[str, list[Any]] = {"logp": [], "rank": [], "end": []}
        for text in texts_of(rows):
            ends = [m.end() for m in re.finditer(r"\d|\s?[^\s\d]+|\s", text)]
            known = np.full(len(ends), text in self.known)
            mail = re.search(r"\S+@\S+", text)
            if mail:
                known |= (np.array(ends) > mail.start()) & (np.array(ends) <= mail.end())
            columns["logp"].append(np.where(known, -0.001, -3.0).tolist())
            columns["rank"].append(np.where(known, 1, 7).tolist())
            columns["end"].append(ends)
        if not self.located:
            del columns["end"]
        return pa.table(columns)


def _interval(outcome: Any) -> Interval:
    assert isinstance(outcome, Measurement), outcome
    assert isinstance(outcome.uncertainty, Interval)
    return outcome.uncertainty


def _short(outcomes: Any) -> dict[Any, Any]:
    return {(o.metric.removeprefix("privacy.extraction."), *(v for _, v in o.group)): o for o in outcomes}


def test_recited_documents_are_found_and_named(score: Callable[..., Any]) -> None:
    rng = np.random.default_rng(0)
    train, holdout = _people(rng, 300), _people(rng, 200)
    known = train[40:70]
    found = _short(
        score(
            ASKED,
            _subject(300, 200),
            model=Reciter(known),
            splits={"train": text_rows(train), "holdout": text_rows(holdout)},
        )
    )
    for name in ("fields", "fields_drawn", "documents", "documents_drawn"):
        assert found[name,].value == pytest.approx(0.1)
        assert _interval(found[name,]).low > 0.06
        assert found[name,].p_value < 1e-4
    assert found["fields", "phone"].value == pytest.approx(0.1)
    assert found["fields", "email"].value == 0.0, "an address that any model gives is no secret"
    risks = [e.content for e in found["fields",].evidence if e.kind == AT_RISK]
    assert sorted(risks[0].column("row").to_pylist()) == list(range(40, 70))
    assert set(risks[0].column("chance").to_pylist()) == {1 / 201}
    shown = next(e for e in found["fields",].evidence if e.kind == "texts")
    assert shown.sensitive
    assert all("⟦+1-" in text for text in texts_of(shown.content))
    public = [e for o in found.values() for e in getattr(o, "evidence", ()) if not e.sensitive]
    assert not any("555" in str(e.content.to_pydict()) + e.caption for e in public)


@pytest.mark.parametrize("repeats", [40, pytest.param(200, marks=pytest.mark.slow)])
def test_a_clean_model_is_not_accused(score: Callable[..., Any], repeats: int) -> None:
    rng = np.random.default_rng(1)
    false, held = 0, 0
    for _ in range(repeats):
        train, holdout = _people(rng, 150), _people(rng, 150)
        lucky = [text for text in train + holdout if rng.random() < 0.1]
        found = _short(
            score(
                replace(ASKED, examples=0),
                _subject(150, 150),
                model=Reciter(lucky),
                splits={"train": text_rows(train), "holdout": text_rows(holdout)},
            )
        )
        false += _interval(found["fields",]).low > 0
        held += _interval(found["fields",]).low <= 0 <= _interval(found["fields",]).high
    assert false <= most_false(repeats, 0.025)
    assert held >= repeats - most_false(repeats)


def test_controls_are_right(ask: Callable[..., Any]) -> None:
    rng = np.random.default_rng(2)
    train, holdout = _people(rng, 100), _people(rng, 400)
    found = ask(
        ASKED,
        replace(_subject(100, 400), doses=(0.1, 0.3)),
        model=Reciter([]),
        splits={"train": text_rows(train), "holdout": text_rows(holdout)},
    )
    assert not any(o.void for o in found.outcomes)
    assert {c.right for c in found.controls if c.dose == 0.3} == {True}


def test_what_is_missing_gives_a_reason(score: Callable[..., Any]) -> None:
    rng = np.random.default_rng(3)
    people, plain = _people(rng, 30), [f"Word {i} is all there is to it here now." for i in range(30)]
    splits = {"train": text_rows(plain), "holdout": text_rows(people)}
    found = _short(score(ASKED, _subject(30, 30), model=Reciter([]), splits=splits))
    assert isinstance(found["fields",], Undefined)
    assert "0 documents with a private field in 'train'" in found["fields",].reason
    assert isinstance(found["documents",], Measurement)
    splits = {"train": text_rows(people[:15] * 2), "holdout": text_rows([*people[15:], *[" "] * 15])}
    found = _short(score(ASKED, _subject(30, 30), model=Reciter([], located=False), splits=splits))
    assert "where in the text its tokens end" in found["fields",].reason
    assert "15 in 'holdout'; it takes 20" in found["documents",].reason


def test_tries_are_counted_exactly() -> None:
    for p in (0.9, 0.5, 1e-3, 1e-9):
        needed = math.log1p(-0.5) / math.log1p(-p)
        assert not within_tries(np.log([p]), needed * 0.999, 0.5)[0]
        assert within_tries(np.log([p]), needed * 1.001, 0.5)[0]
    assert within_tries(np.array([-700.0]), 1e305, 0.5)[0]
    assert not within_tries(np.array([-np.inf]), 1e305, 0.5)[0]
