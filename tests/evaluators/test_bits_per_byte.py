"""Bits per byte of models whose answer is known, its gate, its exclusions and its coverage."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from audit.core.capabilities import Capability
from audit.core.errors import InputError
from audit.core.identity import Digest
from audit.core.measurements import Interval, Measurement, Undefined, Unquantified
from audit.core.references import DataRef, ModelRef
from audit.core.rows import Rows, text_rows, texts_of
from audit.core.subjects import DataCard, ModelCard, Subject
from audit.evaluators.quality.bits_per_byte import BitsPerByte, DocumentTotals
from audit.models.transformers import CausalLM
from audit.stats.ratios import LEAST_UNITS


@dataclass
class Chain:
    """A model of bytes: each is the one before with probability ``stay``, else any of the 255 others alike."""

    stay: float
    lossy: tuple[int, ...] = ()

    def token_scores(self, rows: Rows) -> Rows:
        logp = []
        for text in texts_of(rows):
            data = text.encode()
            same = [i > 0 and data[i] == data[i - 1] for i in range(len(data))]
            logp.append([math.log(self.stay if s else (1 - self.stay) / 255) for s in same])
        lossless = [i not in self.lossy for i in range(rows.num_rows)]
        sizes = [len(t.encode()) for t in texts_of(rows)]
        return pa.table(
            {"logp": pa.array(logp, pa.list_(pa.float32())), "bytes": sizes, "lossless": lossless}
        )


def subject(rows: int, split: str = "holdout", shard_size: int = 37) -> Subject:
    return Subject(
        model=ModelRef("chain", Digest("0" * 40)),
        card=ModelCard("transformer", "text", 1),
        offers=frozenset({Capability.TOKEN_SCORES}),
        data=DataRef("memory", Digest("1" * 40)),
        data_card=DataCard("text", ((split, rows),)),
        extractors=(),
        sample_size=10,
        seed=0,
        shard_size=shard_size,
    )


def written(documents: int, seed: int, stay: float = 0.5) -> list[str]:
    """Return documents drawn from the chain over the printable ASCII letters."""
    rng = np.random.default_rng(seed)
    texts = []
    for length in np.maximum(5, rng.lognormal(4, 0.5, documents)).astype(int):
        moved = rng.random(length) >= stay
        state = np.cumsum(np.where(moved, rng.integers(1, 26, length), 0)) % 26
        texts.append(bytes((97 + state).tolist()).decode())
    return texts


Score = Callable[..., list[Any]]


def test_bits_per_byte_is_the_sum_of_bits_over_the_sum_of_bytes(score: Score) -> None:
    texts = [*written(150, 0), "日本語のテキスト", "\n\n  \t"]
    model = Chain(0.5)
    found, perplexity = score(
        BitsPerByte(), subject(len(texts)), model=model, splits={"holdout": text_rows(texts)}
    )
    nats = -sum(sum(row) for row in model.token_scores(text_rows(texts)).column("logp").to_pylist())
    size = sum(len(text.encode()) for text in texts)
    assert found.value == pytest.approx(nats / math.log(2) / size)
    assert perplexity.value == pytest.approx(math.exp(nats / size))
    assert isinstance(found.uncertainty, Interval)
    assert isinstance(perplexity.uncertainty, Interval)
    assert found.uncertainty.low < found.value < found.uncertainty.high
    assert found.n == len(texts)


def test_a_uniform_language_model_needs_the_bits_of_its_vocabulary(tiny_lm: Any, score: Score) -> None:
    model = CausalLM.open(CausalLM.refer({"path": str(tiny_lm), "max_new_tokens": 8}), "cpu")
    model.network.model.get_output_embeddings().weight.data.zero_()
    texts = written(100, 3)
    rows = text_rows(texts)
    found, perplexity = score(BitsPerByte(), subject(len(texts)), model=model, splits={"holdout": rows})
    words = model.network.model.config.vocab_size
    tokens = sum(len(row) for row in model.token_scores(rows).column("token").to_pylist())
    size = sum(len(text.encode()) for text in texts)
    assert found.value == pytest.approx(tokens * math.log2(words) / size, rel=1e-5)
    assert perplexity.value == pytest.approx(words, rel=1e-4)


def test_too_few_documents_give_no_interval(score: Score) -> None:
    texts = written(LEAST_UNITS - 1, 0)
    outcomes = score(
        BitsPerByte(), subject(len(texts)), model=Chain(0.5), splits={"holdout": text_rows(texts)}
    )
    assert all(
        isinstance(o.uncertainty, Unquantified) and "needs 20 or more" in o.uncertainty.reason
        for o in outcomes
    )


def test_nothing_to_score_is_undefined(score: Score) -> None:
    outcomes = score(
        BitsPerByte(), subject(3), model=Chain(0.5), splits={"holdout": text_rows(["", "", "a"])}
    )
    assert [o.metric for o in outcomes if isinstance(o, Undefined)] == [
        "quality.bits_per_byte",
        "quality.bits_per_byte.perplexity",
    ]


def test_documents_that_do_not_come_back_are_left_out_or_the_metric_is(score: Score) -> None:
    texts = written(120, 0)
    splits = {"holdout": text_rows(texts)}
    kept = score(BitsPerByte(), subject(120, shard_size=500), model=Chain(0.5, (3, 5)), splits=splits)[0]
    assert kept.n == 118
    assert any("2 documents are left out" in note for note in kept.notes)
    lost = score(
        BitsPerByte(), subject(120, shard_size=500), model=Chain(0.5, tuple(range(7))), splits=splits
    )
    assert all(isinstance(o, Undefined) and "7 of 120" in o.reason for o in lost)


def test_evidence_shows_the_dearest_and_the_cheapest_documents(score: Score) -> None:
    texts = [*written(100, 0), "a" * 300, "abcdefgh" * 40]
    found: Measurement = score(
        BitsPerByte(split="train"),
        subject(102, "train"),
        model=Chain(0.9),
        splits={"train": text_rows(texts)},
    )[0]
    worst, best, _ = found.evidence
    assert worst.sensitive
    assert best.sensitive
    assert worst.content.column("text")[0].as_py() == texts[101]
    assert best.content.column("text")[0].as_py() == texts[100]
    public = score(BitsPerByte(), subject(102), model=Chain(0.9), splits={"holdout": text_rows(texts)})[0]
    assert not any(evidence.sensitive for evidence in public.evidence)


def test_each_group_has_its_own_number(score: Score) -> None:
    texts = [*written(60, 1, 0.9), *written(60, 2, 0.1), "abc"]
    dialect = ["north"] * 60 + ["south"] * 60 + ["island"]
    plain = subject(len(texts))
    grouped = replace(plain, data_card=replace(plain.data_card, groups=("dialect", "place", "name")))
    rows = text_rows(texts, dialect=dialect, name=[str(i) for i in range(len(texts))])
    model = Chain(0.5)
    found = score(BitsPerByte(), grouped, model=model, splits={"holdout": rows})
    by_group = {dict(o.group).get("dialect"): o for o in found if o.group}
    assert set(by_group) == {"north", "south", "island"}
    assert by_group["north"].uncertainty.high < by_group["south"].uncertainty.low
    alone = score(BitsPerByte(), subject(60), model=model, splits={"holdout": rows.slice(0, 60)})[0]
    assert by_group["north"].value == pytest.approx(alone.value)
    assert by_group["north"].n == 60
    assert isinstance(by_group["island"], Undefined)


def test_only_the_documents_asked_for_are_scored() -> None:
    evaluator = BitsPerByte(max_rows=50)
    assert sum(evaluator.inputs(subject(200))["documents"].examples(i) for i in range(2)) == 50
    with pytest.raises(InputError, match="2 documents"):
        BitsPerByte(max_rows=1)


def test_a_missing_split_is_an_unmet_need() -> None:
    (gap,) = BitsPerByte().unmet(subject(200, "train"))
    assert "holdout" in gap.need
    assert "train" in gap.found


def test_totals_merge_to_the_whole() -> None:
    rows = text_rows([*written(20, 0), ""])
    ledger = Chain(0.3).token_scores(rows)
    whole = DocumentTotals.of(ledger)
    parts = DocumentTotals.of(ledger.slice(0, 6)).merge(DocumentTotals.of(ledger.slice(6)))
    for name in ("nats", "tokens", "bytes", "lossless"):
        np.testing.assert_array_equal(getattr(whole, name), getattr(parts, name))


def coverage(replicates: int) -> float:
    model, inside = Chain(0.5), 0
    truth = 0.5 * 1.0 + 0.5 * math.log2(255 / 0.5)
    for seed in range(replicates):
        texts = written(60, seed)
        # the first byte of a text is never a repetition: score what follows it
        totals = DocumentTotals.of(model.token_scores(text_rows(texts)))
        first = math.log(255 / 0.5)
        totals = replace(totals, nats=totals.nats - first, tokens=totals.tokens - 1, bytes=totals.bytes - 1)
        found = next(iter(BitsPerByte().measure(documents=[text_rows(texts)], totals=[totals], available=60)))
        assert isinstance(found, Measurement)
        assert isinstance(found.uncertainty, Interval)
        inside += found.uncertainty.low <= truth <= found.uncertainty.high
    return inside / replicates


def test_the_interval_covers_the_entropy_of_the_source() -> None:
    assert coverage(80) >= 0.86


@pytest.mark.slow
def test_the_interval_covers_the_entropy_of_the_source_in_many_replicates() -> None:
    assert 0.93 <= coverage(1500) <= 0.97
