"""Likelihood divergence of whole samples: a copying model, a poor one, an honest one, and what cannot be asked."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from audit.core.cases import CaseKind
from audit.core.errors import InputError, UndefinedError
from audit.core.identity import Digest
from audit.core.references import ExtractorRef
from audit.evaluators.quality.likelihood_divergence import FeatureLikelihood
from audit.testing.evaluators import check_planted
from audit.testing.memory import HandedOut, Kitchen
from tests.evaluators.test_kid import as_rows, subject

WIDTH = 6
NAME = "quality.likelihood_divergence"
case = replace(
    subject(samples=250, holdout=500, train=600),
    extractors=(("features", ExtractorRef("columns", Digest("2" * 40), WIDTH, "table")),),
)


def world(rng: np.random.Generator, n: int) -> np.ndarray:
    return 4 * np.eye(WIDTH)[rng.integers(0, 4, n)] + rng.normal(size=(n, WIDTH))


def splits() -> dict[str, Any]:
    rng = np.random.default_rng(5)
    return {"holdout": as_rows(world(rng, 500)), "train": as_rows(world(rng, 600))}


def features(rows: Any) -> Any:
    return np.column_stack([rows.column(f"c{i}").to_numpy() for i in range(WIDTH)])


class Draws:
    """Draws from the world with more noise, or gives training rows back."""

    def __init__(self, noise: float = 0.0, copies: float = 0.0) -> None:
        self.noise, self.copies = noise, copies

    def sample(self, n: int, rng: np.random.Generator, condition: Any = None) -> Any:
        rows = world(rng, n) + self.noise * rng.normal(size=(n, WIDTH))
        count = round(self.copies * n)
        known = features(splits()["train"])
        rows[:count] = known[rng.choice(len(known), count, replace=False)]
        return as_rows(rows)


def numbers(ask: Any, model: Draws, **more: Any) -> dict[str, Any]:
    found = ask(FeatureLikelihood(), replace(case, **more), model=model, splits=splits(), extractor=features)
    return {o.metric.removeprefix(NAME).strip("."): o for o in found.outcomes}


def test_copies_noise_and_an_honest_model_are_told_apart(ask: Any) -> None:
    honest, noisy, copying = (numbers(ask, m) for m in (Draws(), Draws(noise=1.5), Draws(copies=0.4)))
    assert honest[""].uncertainty.low < 0 < honest[""].uncertainty.high
    assert honest["gap"].uncertainty.low < 0 < honest["gap"].uncertainty.high
    assert noisy[""].uncertainty.low > honest[""].noise_floor > 0
    assert copying["gap"].uncertainty.low > honest["gap"].noise_floor
    assert not copying["gap"].void
    share = float(copying["gap"].notes[0].partition("%")[0])
    assert share == pytest.approx(100 * 0.4 * 500 / 600, abs=4), "500 of the 600 training rows are looked at"
    assert "0.0% of the samples" in honest["gap"].notes[0]


def test_each_planted_defect_is_found_by_its_metric(ask: Any) -> None:
    found = ask(
        FeatureLikelihood(), replace(case, doses=(0.4,)), model=Draws(), splits=splits(), extractor=features
    )
    planted = [c for c in found.controls if c.kind is CaseKind.PLANTED]
    assert {(c.metric, c.defect) for c in planted} == {(NAME, "dropped mode"), (f"{NAME}.gap", "copied rows")}
    assert all(c.right for c in planted)
    assert all(c.right for c in found.controls if c.kind is CaseKind.NULL)
    assert check_planted(
        FeatureLikelihood(), case, 0.4, Kitchen(bench=HandedOut(Draws(), splits(), features))
    )


def test_what_cannot_be_asked_is_said(ask: Any) -> None:
    (unmet,) = FeatureLikelihood(reference="train").unmet(case)
    assert "holdout" in unmet.remedy
    few = replace(case, data_card=replace(case.data_card, splits=(("holdout", 500), ("train", 50))))
    assert "train" in FeatureLikelihood().about.needs.unmet(few)[0].need
    with pytest.raises(InputError, match="max_rows"):
        FeatureLikelihood(max_rows=10)
    flat = {name: as_rows(np.ones((len(features(rows)), WIDTH))) for name, rows in splits().items()}
    with pytest.raises(UndefinedError):
        ask(FeatureLikelihood(), case, model=Draws(), splits=flat, extractor=features)


def test_rows_of_a_split_in_order_of_kind_are_no_trouble(ask: Any) -> None:
    """Halves of sorted training rows would be of different kinds."""
    ordered, plain = {}, splits()
    for name, rows in plain.items():
        values = features(rows)
        ordered[name] = as_rows(values[np.argsort(values[:, :4].argmax(axis=1), kind="stable")])
    found = ask(FeatureLikelihood(), case, model=Draws(), splits=ordered, extractor=features)
    assert found.outcomes[0].uncertainty.low < 0 < found.outcomes[0].uncertainty.high
