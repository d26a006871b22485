"""Marks by group: pictures in which a mark cannot be put, a language whose words one key favours, and groups that are alike."""

from __future__ import annotations

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
from audit.core.rows import image_rows, text_rows, texts_of
from audit.core.subjects import DataCard, ModelCard, Subject
from audit.evaluators.provenance.mark_groups import MarkGroups
from audit.marks.text import unigram

V, N = 64, 120


def _subject(modality: str, groups: tuple[str, ...] = ("kind",), n: int = N) -> Subject:
    offers = frozenset({Capability.SAMPLE, Capability.MARKED_SAMPLE, Capability.TOKEN_SCORES})
    model, data = ModelRef("fake", Digest("0" * 40)), DataRef("fake", Digest("1" * 40))
    card = DataCard(modality, (("holdout", n),), groups)
    return Subject(model, ModelCard("fake", modality, 1), offers, data, card, (), 10, 0, 50, (0.6,))


def _named(outcomes: Any) -> dict[tuple[str, str], Any]:
    return {(o.metric.rpartition(".")[2], o.group[-1][1]): o for o in outcomes}


def _pictures(harsh: bool) -> Any:
    """Half of the pictures are of each kind; harsh ones are black and white dots, and every change is cut off on one side."""
    rng = np.random.default_rng(0)
    images = np.clip(rng.normal(128, 25, (N, 64, 64, 3)), 0, 255).astype(np.uint8)
    kinds = ["bright" if i % 2 else "dark" for i in range(N)]
    if harsh:
        images[::2] = 255 * rng.integers(0, 2, images[::2].shape, dtype=np.uint8)
    return image_rows(images, kind=kinds, single=["same"] * N)


def test_pictures_in_which_the_mark_does_not_hold_are_a_gap(ask: Any) -> None:
    splits = {"holdout": _pictures(harsh=True)}
    subject = _subject("image", ("kind", "single"))
    answer = ask(MarkGroups(max_rows=N), subject, splits=splits)
    found = _named(answer.outcomes)
    assert found["found", "bright"].value > 0.9
    assert found["found", "dark"].value < found["found", "bright"].value - 0.5
    assert found["gap", "kind"].uncertainty.low > 0.3
    assert found["accused_gap", "kind"].uncertainty.low == 0.0
    assert isinstance(found["gap", "single"], Undefined)
    assert "Bonferroni over 2 groups" in found["found", "bright"].uncertainty.method
    nulls = [c for c in answer.controls if c.kind is CaseKind.NULL and c.value is not None]
    assert all(c.right for c in nulls if c.metric.endswith("gap"))
    planted = [c for c in answer.controls if c.kind is CaseKind.PLANTED and c.metric.endswith(".gap")]
    assert planted


def test_groups_that_are_alike_have_no_gap_and_a_planted_one_is_seen(ask: Any) -> None:
    answer = ask(MarkGroups(max_rows=N), _subject("image"), splits={"holdout": _pictures(harsh=False)})
    found = _named(answer.outcomes)
    assert found["gap", "kind"].uncertainty.low == 0.0
    (planted,) = [c for c in answer.controls if c.kind is CaseKind.PLANTED and c.metric.endswith(".gap")]
    assert planted.value == pytest.approx(0.6, abs=0.1)


class Speaker:
    """Writes words of the language of its prompt: even numbers or odd ones."""

    vocabulary = V

    def marked_sample(self, n: int, rng: Any, condition: Any, mark: Any, most: int) -> Any:
        odd = torch.tensor([int(text.split()[0]) % 2 for text in texts_of(condition, "prefix")])
        allowed = (torch.arange(V)[None] % 2) == odd[:, None]
        ids, processor = torch.ones((n, 1), dtype=torch.int64), mark("cpu")
        for _ in range(most):
            scores = torch.where(allowed, 0.0, float("-inf")).float()
            p = torch.softmax(processor(ids, scores).double(), 1)
            ids = torch.cat(
                [
                    ids,
                    torch.multinomial(
                        p, 1, generator=torch.Generator().manual_seed(int(rng.integers(1 << 30)))
                    ),
                ],
                1,
            )
        return pa.table({"tokens": ids[:, 1:].tolist()})

    def token_scores(self, rows: Any) -> Any:
        return pa.table({"token": [[int(w) for w in t.split()] for t in texts_of(rows)]})


def test_a_key_that_favours_the_words_of_one_language_accuses_its_speakers(
    ask: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unigram.Unigram, "green", np.arange(V) % 2 == 1)
    rng = np.random.default_rng(0)
    texts = [" ".join(str(2 * w + i % 2) for w in rng.integers(0, V // 2, 60)) for i in range(N)]
    rows = text_rows(texts, language=["odd" if i % 2 else "even" for i in range(N)])
    evaluator = MarkGroups(max_rows=N, text_marks=("unigram",), most=40)
    answer = ask(evaluator, _subject("text", ("language",)), Speaker(), {"holdout": rows})
    found = _named(answer.outcomes)
    assert found["accused", "odd"].value == 1.0
    assert found["accused", "even"].value == 0.0
    assert found["accused_gap", "language"].uncertainty.low > 0.8
    assert found["gap", "language"].value == 1.0  # nothing of the even language can be made green


def test_what_is_lacking_is_said() -> None:
    subject = _subject("text")
    for evaluator, seen, said in (
        (MarkGroups(reference="test"), subject, "a split 'test'"),
        (MarkGroups(columns=("age",)), subject, "a group column 'age'"),
        (MarkGroups(), replace(subject, offers=frozenset({Capability.SAMPLE})), "can write with a mark"),
    ):
        (unmet,) = evaluator.unmet(seen)
        assert said in unmet.need
    assert MarkGroups().unmet(subject) == ()
    for settings, message in (
        ({"marks": ("dtw_dct",)}, "Did you mean 'dwt_dct'"),
        ({"text_marks": ("kgv",)}, "Did you mean 'kgw'"),
        ({"max_rows": 10}, "at least 40"),
    ):
        with pytest.raises(InputError, match=message):
            MarkGroups(**settings)


def test_pictures_too_small_for_a_mark_say_so(ask: Any) -> None:
    rows = image_rows(np.zeros((N, 8, 8, 3), np.uint8), kind=["a" if i % 2 else "b" for i in range(N)])
    outcomes = ask(MarkGroups(max_rows=N), _subject("image"), splits={"holdout": rows}).outcomes
    assert outcomes
    assert all(isinstance(o, Undefined) and "fewer than 16 pixels" in o.reason for o in outcomes)


@pytest.mark.slow
def test_all_intervals_of_a_column_hold_at_once() -> None:
    from audit.evaluators.provenance.mark_groups import _together

    rng, truth, sizes = np.random.default_rng(5), np.array([0.1, 0.5, 0.9, 0.95]), (25, 40, 80, 200)
    held = 0
    for _ in range(2000):
        counts = [rng.binomial(n, t) for n, t in zip(sizes, truth, strict=True)]
        ends = [_together(int(c), n, 4) for c, n in zip(counts, sizes, strict=True)]
        held += all(e.low <= t <= e.high for e, t in zip(ends, truth, strict=True))
    assert held / 2000 >= 0.94
