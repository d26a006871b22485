"""Text watermarks in audits: a model that can be marked, one that cannot hold a mark, and detectors that lie."""

from __future__ import annotations

from collections.abc import Callable
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
from audit.evaluators.provenance.text_watermark.evaluator import TextWatermark
from audit.marks.text import unigram

V = 256


class Chain:
    """Draws each token given the one before; the larger ``spread``, the less it has to choose."""

    vocabulary = V

    def __init__(self, spread: float) -> None:
        self._logits = torch.as_tensor(np.random.default_rng(0).standard_normal((V, V)) * spread).float()

    def marked_sample(self, n: int, rng: Any, condition: Any, mark: Callable[[str], Any], most: int) -> Any:
        ids, processor = torch.as_tensor(rng.integers(0, V, (n, 1))), mark("cpu")
        for _ in range(most):
            p = torch.softmax(processor(ids, self._logits[ids[:, -1]]).double(), 1)
            aim = torch.as_tensor(rng.random((n, 1))) * p.sum(1, keepdim=True)
            ids = torch.cat([ids, torch.searchsorted(p.cumsum(1), aim).clamp_(max=V - 1)], 1)
        return pa.table({"text": [""] * n, "tokens": ids[:, 1:].tolist()})


def _subject() -> Subject:
    card, offers = (
        ModelCard("fake", "text", 1),
        frozenset({Capability.SAMPLE, Capability.MARKED_SAMPLE, Capability.TOKEN_SCORES}),
    )
    model, data = ModelRef("fake", Digest("0" * 40)), DataRef("fake", Digest("1" * 40))
    return Subject(model, card, offers, data, DataCard("text", ()), (), 10, 0, 10)


def _asked(ask: Any, spread: float, marks: tuple[str, ...] = ("unigram", "gumbel")) -> Any:
    evaluator = TextWatermark(marks, n=24, most=64, length=200, wrong_keys=80)
    return ask(evaluator, _subject(), Chain(spread))


def test_power_is_high_where_the_model_has_a_choice_and_low_where_it_has_none(ask: Any) -> None:
    for spread, least, most in ((0.5, 0.5, 1.0), (60.0, 0.0, 0.3)):
        outcomes = {(o.metric, o.group): o for o in _asked(ask, spread).outcomes}
        for mark in ("unigram", "gumbel"):
            power = outcomes[("provenance.text_watermark.power", (("mark", mark),))]
            assert least <= power.value <= most, (mark, spread)
            alarms = outcomes[("provenance.text_watermark.false_alarms", (("mark", mark),))]
            assert alarms.uncertainty.low <= 1e-3 <= alarms.uncertainty.high
            assert alarms.n >= 900
            curve, table = power.evidence
            assert curve.content.column("x").to_pylist() == [25, 50, 100, 200]
            rows = table.content.to_pylist()
            assert [(r["tokens"], r["replaced"]) for r in rows[3:]] == [
                (200, f"{e}%") for e in (0, 10, 20, 40)
            ]
            found_at = [float(r["found at 0.001"].split()[0]) for r in rows[3:]]
            assert found_at[3] <= found_at[0]


def test_unmarked_texts_are_the_null_case_and_it_is_right(ask: Any) -> None:
    found = _asked(ask, 0.5)
    nulls = [c for c in found.controls if c.kind is CaseKind.NULL and c.value is not None]
    assert {c.metric for c in nulls} == {"provenance.text_watermark.false_alarms"}
    assert all(c.right for c in nulls)


def test_a_detector_whose_p_values_are_not_uniform_is_void(ask: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unigram, "hypergeometric_tail", lambda found, *rest: 0.5 ** max(found - 20, 0))
    outcomes = {o.metric: o for o in _asked(ask, 0.5, ("unigram",)).outcomes}
    assert isinstance(outcomes["provenance.text_watermark.power"], Undefined)
    assert "not uniform" in outcomes["provenance.text_watermark.power"].reason
    alarms = outcomes["provenance.text_watermark.false_alarms"]
    assert alarms.void or alarms.uncertainty.low > 1e-3


def test_texts_too_short_for_a_passage_say_so(ask: Any) -> None:
    evaluator = TextWatermark(("unigram",), n=2, most=16, length=200, wrong_keys=1)
    for outcome in ask(evaluator, _subject(), Chain(1.0)).outcomes:
        assert isinstance(outcome, Undefined)
        assert "raise 'n'" in outcome.reason or outcome.metric.endswith(".present")


class Provider(Chain):
    """Writes texts with a mark of its own, and scores a text by giving its tokens back."""

    def __init__(self, key: int) -> None:
        super().__init__(0.5)
        self._mark = unigram.Unigram(key, V)

    def sample(self, n: int, rng: Any, condition: Any = None) -> Any:
        rows = self.marked_sample(n, rng, None, self._mark.processor, 120)
        return pa.table({"text": [" ".join(map(str, t)) for t in rows.column("tokens").to_pylist()]})

    def token_scores(self, rows: Any) -> Any:
        return pa.table(
            {"token": [[int(t) for t in text.split()] for text in rows.column("text").to_pylist()]}
        )


@pytest.mark.parametrize(("key", "least", "most"), [(99, 0.8, 1.0), (98, 0.0, 0.1)])
def test_the_providers_own_mark_is_found_in_its_texts_and_one_with_another_key_is_not(
    ask: Any, key: int, least: float, most: float
) -> None:
    evaluator = TextWatermark((), n=16, wrong_keys=70, own=(f"unigram:{key}",))
    found = ask(evaluator, _subject(), Provider(99))
    (present,) = found.outcomes
    assert present.metric == "provenance.text_watermark.present"
    assert least <= present.value <= most
    (null,) = [c for c in found.controls if c.kind is CaseKind.NULL]
    assert null.value <= 0.1


def test_unknown_marks_and_models_that_cannot_be_marked_are_refused_with_the_reason() -> None:
    with pytest.raises(InputError, match="no mark is called 'kgv'"):
        TextWatermark(("kgv",))
    with pytest.raises(InputError, match="at least"):
        TextWatermark(n=0)
    from dataclasses import replace

    unmet, _ = TextWatermark.about.needs.unmet(replace(_subject(), offers=frozenset({Capability.SAMPLE})))
    assert "marked_sample" in unmet.need
