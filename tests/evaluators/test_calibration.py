"""Calibration of models whose probabilities are known to be right, too sharp or too flat, and of models that do not say."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from audit.core.cases import CaseKind
from audit.core.errors import InputError
from audit.core.measurements import Interval, Measurement, Undefined, Unquantified
from audit.core.rows import Rows, text_rows, texts_of
from audit.evaluators.quality.calibration.evaluator import NextTokenCalibration
from audit.evaluators.quality.calibration.recipes import Guesses
from audit.testing.summaries import check_summary
from tests.evaluators.test_bits_per_byte import subject

WORDS = 12


@dataclass
class Tempered:
    """Scores texts of letters that were drawn by known probabilities, with these at another temperature.

    Below 1 it is over-confident. The place in the text and the letter before decide the distribution.
    """

    temperature: float = 1.0
    silent: bool = False

    def logits(self, before: int, place: int) -> Any:
        rng = np.random.default_rng([before, place % 7])
        return rng.normal(size=WORDS) * 2.0

    def token_scores(self, rows: Rows) -> Rows:
        columns: dict[str, list[list[float]]] = {
            n: [] for n in ("logp", "token", "top1", "best", "entropy", "variance")
        }
        for text in texts_of(rows):
            letters = [ord(c) - 97 for c in text]
            for column in columns.values():
                column.append([])
            for place, letter in enumerate(letters):
                y = self.logits(letters[place - 1] if place else 0, place) / self.temperature
                logp = y - np.log(np.exp(y).sum())
                p = np.exp(logp)
                mean = float(p @ logp)
                for name, value in (
                    ("logp", logp[letter]),
                    ("token", letter),
                    ("top1", int(p.argmax())),
                    ("best", logp.max()),
                    ("entropy", -mean),
                    ("variance", float(p @ (logp - mean) ** 2)),
                ):
                    columns[name][-1].append(value)
        if self.silent:
            del columns["best"]
        sizes = [len(t) for t in texts_of(rows)]
        return pa.table({**columns, "bytes": sizes})


def written(documents: int, seed: int) -> list[str]:
    """Return texts drawn by the probabilities of ``Tempered(1.0)``."""
    rng, model, texts = np.random.default_rng(seed), Tempered(), []
    tables = {
        (b, m): np.exp(y - np.log(np.exp(y).sum()))
        for b in range(WORDS)
        for m in range(7)
        for y in [model.logits(b, m)]
    }
    for length in rng.integers(10, 50, documents):
        letters: list[int] = []
        for place in range(length):
            p = tables[letters[-1] if letters else 0, place % 7]
            letters.append(int(rng.choice(WORDS, p=p)))
        texts.append("".join(chr(97 + letter) for letter in letters))
    return texts


def asked(ask: Any, model: Any, texts: list[str], doses: tuple[float, ...] = (), **options: Any) -> Any:
    case = replace(subject(len(texts)), doses=doses)
    return ask(NextTokenCalibration(**options), case, model=model, splits={"holdout": text_rows(texts)})


def by_name(found: Any) -> dict[str, Any]:
    return {o.metric.removeprefix("quality.calibration."): o for o in found.outcomes}


def test_the_true_probabilities_are_calibrated_and_a_temperature_is_found(ask: Any) -> None:
    texts = written(150, 0)
    true, sharp, flat = (by_name(asked(ask, Tempered(t), texts)) for t in (1.0, 0.6, 1.6))
    for name in ("ece", "overconfidence", "entropy_gap"):
        assert true[name].uncertainty.low <= 0 <= true[name].uncertainty.high, name
    assert abs(true["ece"].value) < 0.01
    assert true["ece"].p_value > 0.05
    for distorted, sign in ((sharp, 1), (flat, -1)):
        assert distorted["ece"].uncertainty.low > distorted["ece"].noise_floor > 0
        assert distorted["ece"].p_value < 0.01
        for name in ("overconfidence", "entropy_gap"):
            interval = distorted[name].uncertainty
            assert min(sign * interval.low, sign * interval.high) > 0, name
    assert not any(o.void for o in (*true.values(), *sharp.values(), *flat.values()))


def test_the_usual_estimate_is_what_the_field_computes(ask: Any) -> None:
    """Against torchmetrics' definition by hand: equal-mass bins, shares times |accuracy - confidence|."""
    texts = written(120, 1)
    found = by_name(asked(ask, Tempered(0.7), texts))["ece"]
    scores = Tempered(0.7).token_scores(text_rows(texts))
    p = np.exp(np.concatenate(scores.column("best").to_pylist()))
    right = np.concatenate(scores.column("token").to_pylist()) == np.concatenate(
        scores.column("top1").to_pylist()
    )
    place = np.searchsorted(np.unique(np.quantile(p, np.arange(1, 15) / 15)), p, side="right")
    plain = sum(
        abs(right[place == b].mean() - p[place == b].mean()) * (place == b).mean() for b in np.unique(place)
    )
    assert f"usual estimate is {plain:.4f};" in found.notes[0]
    assert found.value == pytest.approx(plain, abs=0.01)
    (diagram,) = found.evidence
    assert diagram.kind == "curve"
    assert sum(diagram.content.column("tokens").to_pylist()) == len(p)
    assert diagram.content.column("reference") == diagram.content.column("x")


def test_planted_overconfidence_is_found_and_the_null_is_calibrated(ask: Any) -> None:
    found = asked(ask, Tempered(0.8), written(200, 2), doses=(0.1, 0.8))
    controls = [c for c in found.controls if c.metric == "quality.calibration.ece"]
    null, small, large = controls
    assert null.kind is CaseKind.NULL
    assert null.right
    assert small.value < large.value
    assert large.right
    others = [c for c in found.controls if c.kind is CaseKind.NULL]
    assert len(others) == 3
    assert all(c.right for c in others)


def test_a_model_that_does_not_tell_has_no_calibration_error(ask: Any) -> None:
    found = by_name(asked(ask, Tempered(silent=True), written(60, 3)))
    assert isinstance(found["ece"], Undefined)
    assert "`best`" in found["ece"].reason
    assert isinstance(found["overconfidence"], Undefined)
    assert isinstance(found["entropy_gap"], Measurement)


def test_few_documents_have_no_interval_and_few_tokens_no_value(ask: Any) -> None:
    few = by_name(asked(ask, Tempered(), written(15, 4)))
    assert all(isinstance(o.uncertainty, Unquantified) for o in few.values())
    none = by_name(asked(ask, Tempered(), ["abc", "", "a"]))
    assert all(isinstance(o, Undefined) for o in none.values())
    assert "100" in none["ece"].reason
    empty = by_name(asked(ask, Tempered(), ["", ""]))
    assert all(isinstance(o, Undefined) for o in empty.values())


def test_a_certain_model_that_is_right_is_calibrated(ask: Any) -> None:
    class Certain(Tempered):
        def token_scores(self, rows: Rows) -> Rows:
            n = [len(t) for t in texts_of(rows)]
            zero = [[0.0] * k for k in n]
            return pa.table(dict.fromkeys(("logp", "token", "top1", "best", "entropy", "variance"), zero))

    found = by_name(asked(ask, Certain(), written(40, 5)))
    assert found["ece"].value == found["ece"].uncertainty.high == 0


def test_guesses_merge_to_the_whole() -> None:
    scores = Tempered().token_scores(text_rows([*written(9, 6), ""]))
    parts = [scores.slice(0, 4), scores.slice(4, 1), scores.slice(5)]
    check_summary(Guesses, parts, scores)


def test_what_it_refuses() -> None:
    for options in ({"max_rows": 1}, {"bins": 0}, {"level": 0.4}):
        with pytest.raises(InputError, match="max_rows"):
            NextTokenCalibration(**options)
    (gap,) = NextTokenCalibration().unmet(subject(50, "train"))
    assert "holdout" in gap.need


def test_the_included_language_model_says_how_sure_it_is(ask: Any) -> None:
    from audit.data.worlds.biographies.world import Biographies
    from audit.models.included import Included

    model = Included.open(Included.refer({"use": "biographies-lm"}), "cpu")
    texts = texts_of(Biographies.load(Biographies.refer({}), "holdout").slice(0, 30))
    found = by_name(asked(ask, model, texts))
    assert isinstance(found["ece"].uncertainty, Interval)
    assert found["ece"].uncertainty.low < 0.03
    assert abs(found["overconfidence"].value) < 0.05
