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
from audit.evaluators.provenance.text_watermark.edits import EDITS, edited, searched
from audit.evaluators.provenance.text_watermark.evaluator import TextWatermark
from audit.evaluators.provenance.text_watermark.forging import Learnt
from audit.evaluators.provenance.text_watermark.readout import by_entropy, costs
from audit.evaluators.provenance.text_watermark.recipes import passage_means, unmarked, written
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


@pytest.mark.slow
def test_power_is_high_where_the_model_has_a_choice_and_low_where_it_has_none(ask: Any) -> None:
    for spread, least, most in ((0.5, 0.5, 1.0), (60.0, 0.0, 0.3)):
        outcomes = {(o.metric, o.group): o for o in _asked(ask, spread).outcomes}
        for mark in ("unigram", "gumbel"):
            power = outcomes[("provenance.text_watermark.power", (("mark", mark),))]
            assert least <= power.value <= most, (mark, spread)
            alarms = outcomes[("provenance.text_watermark.false_alarms", (("mark", mark),))]
            assert alarms.uncertainty.low <= 1e-3 <= alarms.uncertainty.high
            assert alarms.n >= 900
            curve, lengths, edits, *_ = power.evidence
            assert curve.content.column("x").to_pylist() == [25, 50, 100, 200]
            assert lengths.content.column("tokens").to_pylist() == [
                "25",
                "50",
                "100",
                "200 (the usual length)",
            ]
            assert edits.content.num_rows == len(EDITS)
            found_at = [float(v.split()[0]) for v in edits.content.column("found at 0.001").to_pylist()]
            assert found_at[2] <= found_at[0]  # more tokens replaced, fewer passages found


def test_unmarked_texts_are_the_null_case_and_it_is_right(ask: Any) -> None:
    found = _asked(ask, 0.5)
    nulls = [c for c in found.controls if c.kind is CaseKind.NULL and c.value is not None]
    names = {c.metric.rpartition(".")[2] for c in nulls}
    assert names == {"false_alarms", "surprise", "divergence"}
    assert all(c.right for c in nulls)


def test_a_detector_whose_p_values_are_not_uniform_is_void(ask: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unigram, "hypergeometric_tail", lambda found, *rest: 0.5 ** max(found - 20, 0))
    outcomes = {o.metric: o for o in _asked(ask, 0.5, ("unigram",)).outcomes}
    assert isinstance(outcomes["provenance.text_watermark.power"], Undefined)
    assert "not uniform" in outcomes["provenance.text_watermark.power"].reason
    alarms = outcomes["provenance.text_watermark.false_alarms"]
    assert alarms.void or alarms.uncertainty.low > 1e-3


def test_texts_too_short_for_a_passage_say_so(ask: Any) -> None:
    evaluator = TextWatermark(("unigram",), n=1, most=16, length=200, wrong_keys=1)
    for outcome in ask(evaluator, _subject(), Chain(1.0)).outcomes:
        assert isinstance(outcome, Undefined)
        said = (
            "fewer than two texts"
            if outcome.metric.rpartition(".")[2] in ("surprise", "divergence")
            else "raise 'n'"
        )
        assert said in outcome.reason or outcome.metric.endswith(".present")


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


def _named(outcomes: Any) -> dict[tuple[str, str], Any]:
    return {(o.metric.rpartition(".")[2], dict(o.group).get("mark", "")): o for o in outcomes}


def test_a_mark_of_single_tokens_is_forged_and_one_of_four_tokens_before_is_not(ask: Any) -> None:
    found = _named(_asked(ask, 0.5).outcomes)
    assert found["forged", "unigram"].value >= 0.8
    assert found["forged", "gumbel"].value <= 0.2
    assert found["after_edits", "unigram"].value >= 0.5
    assert found["after_edits", "gumbel"].value <= found["power", "gumbel"].value


def test_what_a_mark_costs_is_measured_and_nothing_without_a_mark(ask: Any) -> None:
    answer = _asked(ask, 0.5)
    found = _named(answer.outcomes)
    assert 0.2 < found["divergence", "unigram"].value < 1.0
    # Gumbel sampling leaves no choice to one key, so what is moved is the model's whole entropy: nearly 8 bits of 256 tokens.
    assert found["divergence", "gumbel"].value > 7
    for mark in ("unigram", "gumbel"):
        assert abs(found["surprise", mark].value) < 0.2
    nulls = {c.metric.rpartition(".")[2]: c for c in answer.controls if c.kind is CaseKind.NULL}
    assert nulls["surprise"].right
    assert nulls["divergence"].value == pytest.approx(0.0, abs=1e-9)


def test_the_costs_by_hand() -> None:
    """Two tokens of probability 3/4 and 1/4; always the second is a surprise of 2 bits, and 0.8113 is the entropy of the choice."""

    class Coin:
        vocabulary = 2

        def marked_sample(self, n: int, rng: Any, condition: Any, mark: Any, most: int) -> Any:
            ids, processor = torch.zeros((n, 1), dtype=torch.int64), mark("cpu")
            for _ in range(most):
                scores = processor(ids, torch.log(torch.tensor([[0.75, 0.25]] * n)))
                ids = torch.cat([ids, scores.argmax(1, keepdim=True)], 1)
            return pa.table({"tokens": ids[:, 1:].tolist()})

    def second(_device: str) -> Any:
        return lambda ids, scores: torch.tensor([[0.0, 1.0]] * len(scores))

    rows = written(Coin(), second, 3, 5, np.random.default_rng(0))
    assert rows.column("tokens").to_pylist() == [[1] * 5] * 3
    assert rows.column("surprisal").to_pylist() == [pytest.approx([np.log(4)] * 4)] * 3
    found = costs([rows])
    assert found["surprise"][::2] == (pytest.approx(2 - 0.811278), 3)
    q = 1 / (1 + np.exp(1.0))
    wanted = q * np.log2(q / 0.75) + (1 - q) * np.log2((1 - q) / 0.25)
    assert found["divergence"][0] == pytest.approx(wanted)


@pytest.mark.slow
def test_the_interval_of_the_cost_covers_nothing_for_texts_without_a_mark() -> None:
    hits, runs = 0, 200
    for seed in range(runs):
        model = Chain(1.0)
        rows = written(model, unmarked, 12, 30, np.random.default_rng(seed))
        _, interval, _ = costs([rows])["surprise"]
        hits += interval.low <= 0 <= interval.high
    assert hits / runs >= 0.91


def test_a_model_that_draws_in_another_order_has_no_cost() -> None:
    class Backwards(Chain):
        def marked_sample(self, *arguments: Any) -> Any:
            rows = super().marked_sample(*arguments)
            return pa.table({"tokens": [text[::-1] for text in rows.column("tokens").to_pylist()]})

    rows = written(Backwards(1.0), unmarked, 4, 8, np.random.default_rng(0))
    assert costs([rows]) == {}


def test_edits_do_what_they_say() -> None:
    rng, text, others = np.random.default_rng(0), np.arange(1000), np.full(50, 7)
    (fewer,) = edited("delete", 0.2, [text], others, rng)
    assert 740 < len(fewer) < 860
    (more,) = edited("insert", 0.2, [text], others, rng)
    assert (more[more != 7] == text[text != 7]).all()
    assert 1140 < len(more) < 1260
    (swapped,) = edited("swap", 0.4, [text], others, rng)
    assert sorted(swapped.tolist()) == text.tolist()
    assert (swapped != text).mean() > 0.4
    (other,) = edited("substitute", 0.4, [text], others, rng)
    assert 0.33 < (other != text).mean() < 0.47
    parts = edited("paste", 0.75, [text], others, rng)
    assert list(map(len, parts))[1] == 250
    assert sum(map(len, parts)) == 1000
    for edit, share in EDITS:  # nothing breaks on the shortest texts
        assert edited(edit, share, [np.arange(1)], others, rng) is not None


def test_a_search_of_windows_keeps_the_rate_of_false_alarms() -> None:
    rng, alarms, least = np.random.default_rng(3), 0, []
    for key in range(600):
        mark = unigram.Unigram(key, V)
        p = searched(mark, [rng.integers(0, V, 120)], 30)
        alarms += p <= 0.05
        least.append(p)
    assert alarms / 600 <= 0.08
    assert min(least) > 0


def test_a_forger_learns_what_marked_texts_prefer() -> None:
    marked, plain = [np.array([1, 2, 5, 1, 2])], [np.array([1, 4, 5, 1, 4])]
    push = Learnt(marked, plain, 6).processor("cpu")(torch.tensor([[1], [3]]), torch.zeros((2, 6)))
    assert push[0].tolist() == pytest.approx([0, 0, 3, 0, -3, 0])  # after 1 comes 2, and never 4
    assert push[1].tolist() == pytest.approx([0, 0, 3, 0, -3, 0])


def test_thirds_of_entropy_and_means_of_passages() -> None:
    texts = [np.arange(5), np.arange(4), np.arange(9)]
    values = [np.ones(4), np.full(4, 3.0), np.zeros(0)]
    assert passage_means(texts, values, 7) == [pytest.approx((4 + 6) / 6), None]
    rows = [
        {"case": "plain", "length": 200, "entropy": i * np.log(2), "p": 0.5 if i < 4 else 1e-9}
        for i in range(12)
    ]
    lines = by_entropy(rows, 200)
    assert [line["bits a token"] for line in lines] == ["0.00 to 3.00", "4.00 to 7.00", "8.00 to 11.00"]
    assert [line["found at 0.001"].split()[0] for line in lines] == ["0.000", "1.000", "1.000"]
    assert by_entropy(rows[:5], 200) == []
