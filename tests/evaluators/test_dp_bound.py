"""Bounds on epsilon against a mechanism whose epsilon is known, published numbers, and canaries that bound nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from audit.core.capabilities import Capability
from audit.core.identity import Digest
from audit.core.measurements import Interval, Undefined
from audit.core.references import DataRef, ModelRef
from audit.core.rows import text_rows, texts_of
from audit.core.subjects import DataCard, ModelCard, Subject
from audit.evaluators.privacy.dp_bound import UNBOUNDED, PrivacyBound, one_run, split_bound
from audit.stats.privacy_bounds import (
    classic_bound,
    gaussian_bound,
    gaussian_delta,
    gaussian_epsilon,
    one_run_bound,
)

DELTA = 1e-5


@pytest.mark.parametrize(
    ("canaries", "guesses", "correct", "bound"),
    [
        (100, 100, 80, 0.96),
        (1000, 1000, 600, 0.30),
        (1000, 1000, 800, 1.25),
        (1000, 1000, 900, 2.02),
        (1000, 100, 100, 3.47),
        (5000, 200, 180, 1.79),
    ],
)
def test_published_numbers(canaries: int, guesses: int, correct: int, bound: float) -> None:
    assert one_run_bound(canaries, guesses, correct, DELTA) == pytest.approx(bound, abs=0.006)


def test_closed_forms() -> None:
    assert classic_bound(100, 100, 0, 100, 0.0) == pytest.approx(3.28, abs=0.005)
    assert classic_bound(1000, 1000, 0, 1000, 0.0) == pytest.approx(5.60, abs=0.005)
    assert classic_bound(0, 100, 100, 100, 0.0) == 0.0
    assert one_run_bound(10, 0, 0, 0.0) == 0.0
    for mu in (0.3, 1.0, 3.0):
        assert gaussian_delta(mu, gaussian_epsilon(mu, DELTA)) == pytest.approx(DELTA, rel=1e-6)


def _gaussian_mechanism(rng: np.random.Generator, canaries: int, mu: float) -> tuple[Any, Any]:
    """Each record adds 1 or nothing to noise of deviation 1/mu: mu-Gaussian-private, and no attack is better than its score."""
    inside = rng.random(canaries) < 0.5
    return inside + rng.normal(size=canaries) / mu, inside


@pytest.mark.parametrize("mu", [0.0, 0.5, 2.0])
def test_bounds_exceed_a_known_epsilon_once_in_twenty_at_most(mu: float) -> None:
    rng, epsilon = np.random.default_rng(int(10 * mu)), gaussian_epsilon(mu, DELTA)
    over, repeats = np.zeros(3), 100
    for _ in range(repeats):
        score, inside = _gaussian_mechanism(rng, 200, mu) if mu else (rng.random(200), rng.random(200) < 0.5)
        bounds = (
            one_run(score, inside, DELTA)[0],
            split_bound(score, inside, DELTA, classic_bound),
            split_bound(score, inside, DELTA, gaussian_bound),
        )
        over += np.array(bounds) > epsilon
    assert (over <= 0.05 * repeats + 2 * np.sqrt(repeats * 0.05 * 0.95)).all(), over / repeats


def test_the_gaussian_bound_is_near_the_truth_with_many_canaries() -> None:
    rng = np.random.default_rng(5)
    score, inside = _gaussian_mechanism(rng, 2_000, 2.0)
    epsilon = gaussian_epsilon(2.0, DELTA)
    assert 0.6 * epsilon < split_bound(score, inside, DELTA, gaussian_bound) < epsilon
    assert one_run(score, inside, DELTA)[0] > 1.5


def _subject(canaries: int) -> Subject:
    return Subject(
        model=ModelRef("fake", Digest("0" * 40)),
        card=ModelCard("fake", "text", 1),
        offers=frozenset({Capability.TOKEN_SCORES}),
        data=DataRef("fake", Digest("1" * 40)),
        data_card=DataCard("text", (("canaries", canaries),)),
        extractors=(),
        sample_size=10,
        seed=0,
        shard_size=64,
    )


class Rememberer:
    """A secret that was put in is ``learnt`` nats likelier."""

    def __init__(self, canaries: Any, learnt: float, rng: np.random.Generator) -> None:
        self.inside = {r["text"] for r in canaries.to_pylist() if r["included"]}
        self.learnt, self.rng = learnt, rng

    def token_scores(self, rows: Any) -> Any:
        logp = [[-50 + self.rng.normal() + self.learnt * (text in self.inside)] for text in texts_of(rows)]
        return pa.table({"logp": logp, "rank": [[9]] * len(logp)})


def _canaries(rng: np.random.Generator, n: int = 100) -> Any:
    return text_rows(
        [f" {i:08}." for i in range(n)],
        prefix=["Code"] * n,
        dose=[1 + i % 2 for i in range(n)],
        included=(rng.random(n) < 0.5).tolist(),
    )


def test_a_claim_is_refuted_and_a_modest_one_is_not(score: Callable[..., Any]) -> None:
    rng = np.random.default_rng(0)
    canaries = _canaries(rng)
    asked = PrivacyBound(claimed=1.0)
    told = {"model": Rememberer(canaries, 9, rng), "splits": {"canaries": canaries}}
    found = {(o.metric, *(v for _, v in o.group)): o for o in score(asked, _subject(100), **told)}
    bound = found["privacy.dp_bound",]
    assert bound.value > 2
    assert isinstance(bound.uncertainty, Interval)
    assert (bound.uncertainty.low, bound.uncertainty.high) == (bound.value, UNBOUNDED)
    assert bound.p_value < 0.05
    assert any("is refuted" in note for note in bound.notes)
    assert found["privacy.dp_bound", "1"].n == 50
    assert 0 < found["privacy.dp_bound", "1"].value < bound.value
    modest = score(replace(asked, claimed=8.0), _subject(100), **told)[0]
    assert any("not refuted" in note for note in modest.notes)
    clean = score(asked, _subject(100), model=Rememberer(canaries, 0, rng), splits={"canaries": canaries})
    assert clean[0].value < 0.2


def test_coins_that_are_not_fair_and_too_few_canaries(score: Callable[..., Any]) -> None:
    rng = np.random.default_rng(1)
    canaries = _canaries(rng)
    everyone = canaries.set_column(3, "included", pa.array([True] * 99 + [False]))
    for rows, said in ((everyone, "fair coins hardly give"), (canaries.slice(0, 10), "it takes 20")):
        (first, *_) = score(
            PrivacyBound(),
            _subject(rows.num_rows),
            model=Rememberer(rows, 0, rng),
            splits={"canaries": rows},
        )
        assert isinstance(first, Undefined)
        assert said in first.reason
