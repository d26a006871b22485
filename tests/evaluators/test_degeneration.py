"""Language models that say the same again: loops, lost words and one text over and over, beside a clean twin."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from audit.core.cases import CaseKind
from audit.core.errors import InputError
from audit.core.rows import text_rows
from audit.evaluators.quality.degeneration import Degeneration
from tests.evaluators.test_kid import subject
from tests.stats.test_ngrams import texts

CASE = replace(
    subject(samples=200, holdout=200, train=200),
    card=replace(subject().card, modality="text"),
    data_card=replace(subject().data_card, modality="text", splits=(("holdout", 200), ("train", 200))),
)


class Writes:
    def __init__(self, words: int = 400, loops: float = 0.0) -> None:
        self.words, self.loops = words, loops

    def sample(self, n: int, rng: np.random.Generator, condition: Any = None) -> Any:
        written = texts(rng, n, self.words)
        return text_rows([f"{t} {t}" if rng.random() < self.loops else t for t in written])


def splits() -> dict[str, Any]:
    rng = np.random.default_rng(5)
    return {"holdout": text_rows(texts(rng, 200)), "train": text_rows(texts(rng, 200))}


def by_metric(outcomes: Any) -> dict[str, Any]:
    return {o.metric.removeprefix("quality.degeneration."): o for o in outcomes}


@pytest.mark.parametrize(("model", "metric"), [(Writes(100), "distinct"), (Writes(400, 0.5), "repetition")])
def test_lost_words_and_loops_are_told_from_the_clean_twin(score: Any, model: Any, metric: str) -> None:
    clean, worst = (
        by_metric(score(Degeneration(), CASE, model=m, splits=splits()))[metric] for m in (Writes(), model)
    )
    ok, bad = clean.uncertainty, worst.uncertainty
    if metric == "distinct":
        assert bad.high < worst.noise_floor < 1
        assert ok.low < 1 < ok.high
    else:
        assert bad.low > worst.noise_floor
        assert ok.low <= 0 <= ok.high
        assert worst.value == pytest.approx(0.25, abs=0.06), "half of the texts are said twice"


def test_a_text_planted_again_and_again_is_found(ask: Any) -> None:
    whole = ask(Degeneration(), replace(CASE, doses=(0.02, 0.4)), model=Writes(), splits=splits())
    planted = [c for c in whole.controls if c.kind is CaseKind.PLANTED and c.metric.endswith(".distinct")]
    assert planted[0].value > planted[1].value
    assert planted[1].right


def test_one_text_in_many_variants_is_homogeneous(ask: Any) -> None:
    class Template:
        def sample(self, n: int, rng: np.random.Generator, condition: Any = None) -> Any:
            frame = texts(np.random.default_rng(9), 1)[0].split()
            return text_rows(
                [
                    " ".join(w if rng.random() < 0.7 else f"w{rng.integers(400)}" for w in frame)
                    for _ in range(n)
                ]
            )

    clean, variants = (ask(Degeneration(), CASE, model=m, splits=splits()) for m in (Writes(), Template()))
    ok, bad = (by_metric(found.outcomes)["homogeneity"] for found in (clean, variants))
    assert ok.uncertainty.low <= 0 <= ok.uncertainty.high
    assert bad.uncertainty.low > bad.noise_floor > 0
    planted = ask(Degeneration(), replace(CASE, doses=(0.3,)), model=Writes(), splits=splits())
    (control,) = (c for c in planted.controls if c.dose and c.metric.endswith("homogeneity"))
    assert control.right


def test_texts_without_words_give_reasons(score: Any) -> None:
    class Silent:
        def sample(self, n: int, rng: np.random.Generator, condition: Any = None) -> Any:
            return text_rows([""] * n)

    found = by_metric(score(Degeneration(), CASE, model=Silent(), splits=splits()))
    assert "too short" in found["distinct"].reason
    assert "0 samples and 200 real texts have 4 words" in found["repetition"].reason
    assert "0 texts have n-grams" in found["homogeneity"].reason
    with pytest.raises(InputError, match="'longer'"):
        Degeneration(longer=0)
