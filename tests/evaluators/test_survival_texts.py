"""Survival of the layers of texts: a sidecar goes with the first copy, a watermark stays until too much is rewritten."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch

from audit.core.capabilities import Capability
from audit.core.cases import CaseKind
from audit.core.errors import InputError
from audit.core.identity import Digest
from audit.core.measurements import Undefined
from audit.core.references import DataRef, ModelRef
from audit.core.subjects import DataCard, ModelCard, Subject
from audit.evaluators.provenance.survival.evaluator import Survival
from audit.evaluators.provenance.survival.texts import TEXT_CHANGES

V = 256


class Chain:
    """Draws each token given the one before; the larger ``spread``, the less it has to choose."""

    vocabulary = V

    def __init__(self, spread: float = 0.5) -> None:
        self._logits = torch.as_tensor(np.random.default_rng(0).standard_normal((V, V)) * spread).float()

    def marked_sample(self, n: int, rng: Any, condition: Any, mark: Callable[[str], Any], most: int) -> Any:
        ids, processor = torch.as_tensor(rng.integers(1, V, (n, 1))), mark("cpu")
        for _ in range(most):
            p = torch.softmax(processor(ids, self._logits[ids[:, -1]]).double(), 1)
            aim = torch.as_tensor(rng.random((n, 1))) * p.sum(1, keepdim=True)
            ids = torch.cat([ids, torch.searchsorted(p.cumsum(1), aim).clamp_(max=V - 1)], 1)
        texts = [" ".join(map(str, row)) for row in ids[:, 1:].tolist()]
        return pa.table({"text": texts, "tokens": ids[:, 1:].tolist()})


def _subject() -> Subject:
    offers = frozenset({Capability.SAMPLE, Capability.MARKED_SAMPLE})
    model, data = ModelRef("fake", Digest("0" * 40)), DataRef("fake", Digest("1" * 40))
    return Subject(model, ModelCard("fake", "text", 1), offers, data, DataCard("text", ()), (), 10, 0, 10)


def _shares(outcomes: Any) -> dict[str, Any]:
    return {next(iter(dict(o.group).values()), ""): o for o in outcomes}


@pytest.fixture(scope="module")
def text_mark() -> str:
    return "unigram"


def test_a_sidecar_goes_with_the_first_copy_and_a_watermark_stays(ask: Any, text_mark: str) -> None:
    answer = ask(Survival(text_mark=text_mark), _subject(), Chain())
    found = _shares(answer.outcomes)
    assert set(found) == {*TEXT_CHANGES, "unmarked", "foreign"}
    assert [found[change].value for change in ("untouched", "copied", "edited")] == [0.0, 0.0, 0.0]
    assert found["rewritten"].value >= found["edited"].value
    assert found["shortened"].value <= 0.5
    assert all(found[whose].value <= 0.05 for whose in ("unmarked", "foreign"))
    _, table = found["untouched"].evidence
    left = {row["change"]: row for row in table.content.to_pylist()}
    credential = {change: row["credential"].split()[0] for change, row in left.items()}
    assert credential == {change: "1.00" if change == "untouched" else "0.00" for change in TEXT_CHANGES}
    nulls = [c for c in answer.controls if c.kind is CaseKind.NULL and c.metric.endswith("none_survives")]
    assert len(nulls) == len(TEXT_CHANGES)
    assert all(c.right for c in nulls)


def test_where_a_model_has_no_choice_nothing_survives_a_copy(ask: Any, text_mark: str) -> None:
    found = _shares(ask(Survival(text_mark=text_mark), _subject(), Chain(60.0)).outcomes)
    assert found["untouched"].value == 0.0  # the credential is there
    assert found["copied"].value >= 0.7


def test_texts_too_short_for_a_passage_say_so(ask: Any) -> None:
    for outcome in ask(Survival(length=100_000), _subject(), Chain()).outcomes:
        assert isinstance(outcome, Undefined)
        assert "no passage of 100000" in outcome.reason


def test_a_model_that_cannot_write_with_a_mark_is_skipped_with_the_reason() -> None:
    plain = replace(_subject(), offers=frozenset({Capability.SAMPLE}))
    (unmet,) = Survival().unmet(plain)
    assert "marked_sample" in unmet.need
    assert Survival().unmet(_subject()) == ()


def test_bad_settings_are_refused() -> None:
    for settings, said in (
        ({"text_mark": "kgv"}, "Did you mean 'kgw'"),
        ({"length": 3}, "at least 16"),
        ({"marks": ("dct",)}, "no mark is called 'dct'"),
    ):
        with pytest.raises(InputError, match=said):
            Survival(**settings)
