"""What must never give a misleading number: no members, members that are the holdout, one record over and over, texts that a model
rules out, and nothing generated. Every privacy evaluator says a reason or ranks them lowest."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from audit.core.capabilities import Capability
from audit.core.data_facts import Copies, Overlap
from audit.core.identity import Digest
from audit.core.measurements import Measurement, Undefined
from audit.core.references import DataRef, ModelRef
from audit.core.rows import text_rows, texts_of
from audit.core.subjects import DataCard, ModelCard, Subject
from audit.registry import catalogue
from audit.testing.memory import HandedOut, Kitchen

N = 120
MEMBERS = (
    "privacy.membership",
    "privacy.dataset_inference",
    "privacy.group_leakage",
    "privacy.extraction",
    "privacy.verbatim",
    "privacy.pii",
)
"""Evaluators that compare a split 'train' with a split 'holdout' of texts."""


def people(start: int, n: int) -> list[str]:
    return [
        f"Person {i} lives in town {i * 7 % 101}, likes colour {i * 13 % 17} and can be called on 555-01{i % 100:02d} or +1 202 555 {i:04d}."
        for i in range(start, start + n)
    ]


class Echo:
    """Scores every token alike, apart from texts that it rules out, and samples what it was given."""

    def __init__(self, ruled_out: Any = (), samples: Any = ("A text.",)) -> None:
        self.ruled_out, self.samples = set(ruled_out), list(samples)

    def token_scores(self, rows: Any) -> Any:
        columns: dict[str, list[Any]] = {
            name: [] for name in ("token", "logp", "rank", "top1", "mean", "variance", "end")
        }
        for text in texts_of(rows):
            ends = [m.end() for m in re.finditer(r"\s?\S+|\s", text or "")]
            n = len(ends)
            rng = np.random.default_rng(sum(map(ord, text or "")))
            logp = -rng.uniform(1, 4, n)
            if text in self.ruled_out:
                logp[n // 2] = -np.inf
            given = (range(n), logp, np.full(n, 9), range(1, n + 1), np.full(n, -4.0), np.ones(n), ends)
            for name, values in zip(columns, given, strict=True):
                columns[name].append(list(values))
        kinds = {
            name: pa.int32() if name in ("token", "rank", "top1", "end") else pa.float64() for name in columns
        }
        return pa.table({name: pa.array(v, pa.list_(kinds[name])) for name, v in columns.items()})

    def sample(self, n: int, rng: Any, condition: Any = None) -> Any:
        return text_rows([self.samples[i % len(self.samples)] for i in range(n)])


def subject(**card: Any) -> Subject:
    return Subject(
        model=ModelRef("fake", Digest("0" * 40)),
        card=ModelCard("fake", "text", 1),
        offers=frozenset({Capability.TOKEN_SCORES, Capability.SAMPLE}),
        data=DataRef("fake", Digest("1" * 40)),
        data_card=DataCard("text", (("train", N), ("holdout", N)), ("half",), randomised=True, **card),
        extractors=(),
        sample_size=60,
        seed=0,
        shard_size=50,
    )


def rows(texts: list[str]) -> Any:
    return text_rows(texts).append_column("half", pa.array([("a", "b")[i % 2] for i in range(len(texts))]))


SPLITS = {"train": rows(people(0, N)), "holdout": rows(people(1000, N))}


def asked(name: str) -> Any:
    return catalogue("evaluators").load(name)()


def outcomes(name: str, given: Subject, model: Any, splits: Any) -> list[Any]:
    evaluator = asked(name)
    assert evaluator.about.needs.unmet(given) == ()
    return Kitchen(bench=HandedOut(model, splits)).measure(evaluator, given)


@pytest.mark.parametrize("name", MEMBERS)
def test_no_members_named_is_a_need_that_is_not_met(name: str) -> None:
    given = subject()
    without = replace(given, data_card=replace(given.data_card, splits=(("holdout", N),)))
    gaps = asked(name).about.needs.unmet(without)
    assert any("(its members)" in gap.need for gap in gaps)
    other = replace(given, card=replace(given.card, trained_on=DataRef("fake", Digest("2" * 40))))
    assert any("other data" in gap.found for gap in asked(name).about.needs.unmet(other))


@pytest.mark.parametrize("name", [*MEMBERS, "privacy.copies"])
def test_members_that_are_the_holdout_are_no_comparison(name: str) -> None:
    both = Overlap("train", "holdout", tuple(range(N)), (), N, N)
    (gap, *_) = asked(name).unmet(subject(overlaps=(both,)))
    assert f"{N} of {N} rows of 'holdout' also stand in 'train'" in gap.found


@pytest.mark.parametrize("name", MEMBERS)
def test_one_record_over_and_over_is_no_training_set(name: str) -> None:
    copies = Copies("train", (tuple(range(N)),), N - 1, N, N)
    given = subject(copies=(copies,))
    splits = {**SPLITS, "train": rows(people(0, 1) * N)}
    gaps = tuple(getattr(asked(name), "unmet", lambda _: ())(given))
    if gaps:
        assert all(gap.remedy for gap in gaps)
        return
    found = outcomes(name, given, Echo(samples=people(0, 1)), splits)
    assert found
    for outcome in found:
        if isinstance(outcome, Measurement):
            assert outcome.n > 1, outcome
            assert name in ("privacy.verbatim", "privacy.pii"), "these count samples, not members"
        else:
            assert isinstance(outcome, Undefined)
            assert outcome.reason


@pytest.mark.parametrize(
    "name", ["privacy.membership", "privacy.dataset_inference", "privacy.group_leakage", "privacy.extraction"]
)
def test_texts_that_a_model_rules_out_count_and_rank_lowest(name: str) -> None:
    """All members are ruled out: no attack may take them for known, nor may they drop out unseen."""
    found = outcomes(name, subject(), Echo(people(0, N)), SPLITS)
    for outcome in found:
        if isinstance(outcome, Measurement) and outcome.metric.endswith((".auc", ".loss", "min_k_plus_plus")):
            assert outcome.value < 0.05, outcome
        if isinstance(outcome, Measurement) and outcome.metric.startswith("privacy.extraction"):
            assert outcome.value <= 0, outcome
    if name == "privacy.membership":
        (auc,) = (o for o in found if o.metric == "privacy.membership.auc")
        assert auc.n == 2 * N
        assert any("rules out" in note and "ranked lowest" in note for note in auc.notes)


@pytest.mark.parametrize("name", ["privacy.verbatim", "privacy.pii"])
@pytest.mark.parametrize("samples", [[""], [" "]])
def test_nothing_generated_is_no_leak_and_said(name: str, samples: list[str]) -> None:
    found = outcomes(name, subject(), Echo(samples=samples), SPLITS)
    for outcome in found:
        if isinstance(outcome, Measurement) and outcome.metric == name:
            assert outcome.value <= 0
        if isinstance(outcome, Undefined):
            assert outcome.reason
