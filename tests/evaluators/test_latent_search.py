"""Latent search: a generator that can make its training pictures gives them away, one that makes others does not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from audit.core.capabilities import Capability
from audit.core.identity import Digest
from audit.core.measurements import Interval, Measurement
from audit.core.references import DataRef, ModelRef
from audit.core.rows import image_rows
from audit.core.subjects import DataCard, ModelCard, Subject
from audit.evaluators.privacy.latent_search import as_vectors, nearest_made
from audit.evaluators.privacy.membership import MembershipInference

N = 60
ASKED = MembershipInference(permutations=199, examples=0, extra=("latent_search",))


def pictures(seed: int, n: int) -> Any:
    return np.random.default_rng(seed).integers(0, 256, (n, 4, 4, 1)).astype(np.uint8)


class Generator:
    """Blends remembered pictures by a softmax of its latent vector: a large number at one place gives that picture back."""

    def __init__(self, remembered: Any) -> None:
        self.remembered = remembered.reshape(len(remembered), -1).astype(float)

    def draw_latents(self, n: int, rng: np.random.Generator) -> Any:
        return rng.standard_normal((n, len(self.remembered)))

    def decode(self, latents: Any, rng: Any) -> Any:
        weights = np.exp(4 * (latents - latents.max(axis=1, keepdims=True)))
        blend = weights @ self.remembered / weights.sum(axis=1, keepdims=True)
        return image_rows(np.clip(blend, 0, 255).astype(np.uint8).reshape(-1, 4, 4, 1))


def subject(*offers: Capability, modality: str = "image") -> Subject:
    return Subject(
        model=ModelRef("fake", Digest("0" * 40)),
        card=ModelCard("fake", modality, 1),
        offers=frozenset({Capability.SAMPLE, *offers}),
        data=DataRef("fake", Digest("1" * 40)),
        data_card=DataCard(modality, (("train", N), ("holdout", N)), randomised=True),
        extractors=(),
        sample_size=10,
        seed=0,
        shard_size=40,
    )


def found(score: Any, model: Any, seed: int = 0) -> dict[str, Any]:
    made = pictures(seed, 2 * N)
    splits = {"train": image_rows(made[:N]), "holdout": image_rows(made[N:])}
    given = subject(Capability.DECODE, Capability.DRAW_LATENTS)
    outcomes = score(ASKED, given, model=model, splits=splits)
    return {o.metric.removeprefix("privacy.membership."): o for o in outcomes}


def interval(outcome: Any) -> Interval:
    assert isinstance(outcome, Measurement), outcome
    assert isinstance(outcome.uncertainty, Interval)
    return outcome.uncertainty


def test_a_generator_that_remembers_is_found_without_a_critic(score: Any) -> None:
    outcomes = found(score, Generator(pictures(0, 2 * N)[:N]))
    assert interval(outcomes["auc"]).low > 0.8
    assert any("Attack chosen beforehand: latent_search" in note for note in outcomes["auc"].notes)


def test_a_generator_of_other_pictures_is_at_chance(score: Any) -> None:
    held = 0
    for i in range(12):
        span = interval(found(score, Generator(pictures(300 + i, N)), 100 + i)["auc"])
        held += span.low <= 0.5 <= span.high
    assert held >= 9  # P(fewer | 95 % coverage) is about 0.0002


def test_the_search_brings_images_nearer_than_the_candidates_do() -> None:
    made = pictures(0, 20)
    model, targets = (
        Generator(made),
        as_vectors(image_rows(made[:10] // 2 + made[10:] // 2)),
    )  # blends of two
    error = nearest_made(model, targets, np.random.default_rng(0), np.random.default_rng(1))
    candidates = as_vectors(model.decode(model.draw_latents(2000, np.random.default_rng(0)), None))
    first = ((targets[:, None] - candidates[None]) ** 2).mean(axis=2).min(axis=1)
    assert (error <= first + 1e-6).all()
    assert np.median(error / first) < 0.3, (error, first)
    with pytest.raises(ValueError, match="decoded images have 16 values, the examples 12"):
        nearest_made(model, targets[:, :12], np.random.default_rng(0), np.random.default_rng(1))


def test_a_model_that_gives_no_number_says_that_it_can_be_searched() -> None:
    given = subject(Capability.DECODE, Capability.DRAW_LATENTS)
    (gap,) = MembershipInference().unmet(given)
    assert 'extra = ["latent_search"]' in gap.remedy
    assert ASKED.unmet(given) == ()
    assert MembershipInference().unmet(subject(Capability.REALNESS)) == ()
