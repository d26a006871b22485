"""Diversity beside real examples: the published code's numbers, a lost mode, a blur, equal n, and reasons."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from audit.core.cases import CaseKind, detectable
from audit.core.errors import InputError, UndefinedError
from audit.core.identity import Digest
from audit.core.measurements import Interval, Measurement
from audit.core.references import ExtractorRef
from audit.evaluators.quality.diversity import SamplesDiversity
from audit.stats.diversity import cosine, effective_kinds, score_ratio, vendi, vendi_score
from tests.evaluators.test_kid import as_matrix, as_rows, subject


def by_metric(outcomes: Any) -> dict[str, Measurement]:
    assert all(isinstance(o, Measurement) for o in outcomes)
    return {o.metric.removeprefix("quality.diversity."): o for o in outcomes}


case = replace(subject(), extractors=(("features", ExtractorRef("columns", Digest("2" * 40), 12, "table")),))
ROWS = np.random.default_rng(0).normal(size=(90, 7)), np.random.default_rng(1).random((40, 60))


@pytest.mark.parametrize("rows", ROWS)
def test_it_is_the_definition_from_either_gram_matrix(rows: Any) -> None:
    assert vendi_score(rows).value == pytest.approx(vendi(rows, cosine), rel=1e-9)


@pytest.mark.slow  # the package takes ten seconds to import
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_the_published_code_gives_the_same() -> None:
    from vendi_score import vendi as published

    for rows in ROWS:
        similarity = cosine(rows, rows)
        assert vendi_score(rows).value == pytest.approx(published.score_K(similarity), rel=1e-9)
        assert effective_kinds(rows, cosine).capped == pytest.approx(
            published.score_K(similarity, q=2), rel=1e-9
        )


KINDS = 12


class Kinds:
    """Draws from the first ``kept`` of twelve kinds, a share ``alike`` of the rows equal, all ``spread`` as wide and shifted."""

    def __init__(
        self, kept: int = KINDS, alike: float = 0.0, spread: float = 1.0, shift: float = 0.0
    ) -> None:
        self.kept, self.alike, self.spread, self.shift = kept, alike, spread, shift

    def sample(self, n: int, rng: np.random.Generator, condition: Any = None) -> Any:
        rows = 3 * np.eye(KINDS)[rng.integers(0, self.kept, n)] + rng.normal(size=(n, KINDS))
        rows[rng.random(n) < self.alike] = np.arange(KINDS)
        return as_rows(rows * self.spread + self.shift)


def splits(seed: int = 0) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    return {"holdout": Kinds().sample(600, rng), "train": Kinds().sample(900, rng)}


@pytest.mark.parametrize("defect", [{"kept": 6}, {"alike": 0.2}, {"spread": 0.5}])
def test_lost_kinds_and_a_repeated_sample_are_told_from_the_clean_twin(score: Any, defect: Any) -> None:
    clean, worst = (
        by_metric(score(SamplesDiversity(), case, model=model, splits=splits(), extractor=as_matrix))
        for model in (Kinds(), Kinds(**defect))
    )
    for name in ("vendi", "rke"):
        lost, kept, floor = worst[name].uncertainty, clean[name].uncertainty, clean[name].noise_floor
        assert isinstance(lost, Interval)
        assert isinstance(kept, Interval)
        assert floor is not None
        assert lost.high < floor < 1
        assert kept.low < 1 < kept.high
    assert worst["vendi"].n == 600, "both sides have as many rows as the smaller one"


def test_a_sample_that_lies_elsewhere_is_as_varied(score: Any) -> None:
    near, far = (
        by_metric(
            score(SamplesDiversity(), case, model=Kinds(shift=by), splits=splits(), extractor=as_matrix)
        )
        for by in (0.0, 5.0)
    )
    for name in ("vendi", "rke"):
        assert far[name].value == pytest.approx(near[name].value, rel=1e-6)


def test_a_collapse_planted_in_real_rows_is_found(ask: Any) -> None:
    whole = ask(
        SamplesDiversity(),
        replace(case, doses=(0.01, 0.2)),
        model=Kinds(),
        splits=splits(),
        extractor=as_matrix,
    )
    planted = [c for c in whole.controls if c.kind is CaseKind.PLANTED and c.metric.endswith(".vendi")]
    assert planted[0].value > planted[1].value
    assert detectable(whole.controls)[("quality.diversity.vendi", (), "repeated sample")] <= 0.2


def covered(draw: Any, n: int, draws: int) -> float:
    """Return how often the interval of a ratio of two equal distributions holds 1."""
    kept = 0
    for _ in range(draws):
        interval = score_ratio(vendi_score(draw(n)), vendi_score(draw(n))).interval
        kept += interval.low <= 1 <= interval.high
    return kept / draws


def test_the_interval_covers() -> None:
    rng = np.random.default_rng(5)
    assert covered(lambda n: rng.normal(size=(n, 20)) / np.arange(1, 21), 200, 200) >= 0.91


@pytest.mark.slow
def test_the_interval_covers_in_many_draws_also_with_heavy_tails() -> None:
    rng = np.random.default_rng(6)
    decaying = 1 / np.arange(1, 65)
    for draw in (
        lambda n: rng.normal(size=(n, 64)) * decaying,
        lambda n: rng.standard_t(3, size=(n, 64)) * decaying,
        lambda n: rng.normal(size=(n, 8)) + 4 * np.eye(8)[rng.integers(0, 6, n)],
    ):
        assert 0.93 <= covered(draw, 300, 1000) <= 0.995


def test_what_has_no_diversity_gives_a_reason(score: Any) -> None:
    flat = {split: as_rows(np.ones((n, KINDS))) for split, n in (("holdout", 600), ("train", 900))}
    with pytest.raises(UndefinedError, match="all alike"):
        score(SamplesDiversity(), case, model=Kinds(), splits=flat, extractor=as_matrix)
    with pytest.raises(UndefinedError, match="ten rows"):
        vendi_score(np.eye(4))
    with pytest.raises(ValueError, match="do not compare"):
        score_ratio(vendi_score(np.eye(12)), vendi_score(np.eye(14)))
    with pytest.raises(InputError, match="max_rows"):
        SamplesDiversity(max_rows=10)
