"""Attacks on diffusion models: each formula against pixels and by hand, a model that remembers its pictures, and one that does not."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from audit.core.capabilities import Capability
from audit.core.identity import Digest
from audit.core.measurements import Interval, Measurement, Undefined
from audit.core.references import DataRef, ModelRef
from audit.core.rows import image_rows, images_of
from audit.core.subjects import DataCard, ModelCard, Subject
from audit.evaluators.privacy.membership import MembershipInference
from audit.evaluators.privacy.noise_attacks import (
    NOISE_ATTACKS,
    PAIRS,
    PIA_LEVEL,
    SECMI_LEVEL,
    SECMI_STEP,
    proximal,
    shared_noise,
    step_error,
)

N, SIDE = 120, 4
EXTRA = ("pia", "secmi", "shared_noise")


def values_of(rows: Any) -> Any:
    return images_of(rows).reshape(rows.num_rows, -1).astype(float) / 127.5 - 1


class Denoiser:
    """Sees the noise that is left once the likeliest remembered picture is taken away: the best guess for a set of pictures."""

    def __init__(self, remembered: Any, spread: float = 0.0) -> None:
        self.remembered, self.spread = values_of(image_rows(remembered)), spread

    def noise_share(self, level: float) -> float:
        return math.sin(math.pi / 2 * (0.01 + 0.98 * level)) ** 2

    def predicted_noise(self, rows: Any, level: float, noise: Any = None) -> Any:
        share, clean = self.noise_share(level), values_of(rows)
        a, s = math.sqrt(1 - share), math.sqrt(share)
        state = clean if noise is None else a * clean + s * np.asarray(noise)
        apart = ((state[:, None] - a * self.remembered[None]) ** 2).sum(axis=2)
        logs = -apart / (2 * (share + (a * self.spread) ** 2))
        weights = np.exp(logs - logs.max(axis=1, keepdims=True))
        guess = weights @ self.remembered / weights.sum(axis=1, keepdims=True)
        pull = (a * self.spread) ** 2 / (share + (a * self.spread) ** 2)
        return (state - a * guess) * (1 - pull) / s

    def denoising_loss(self, rows: Any, level: float, rng: np.random.Generator) -> Any:
        noise = rng.standard_normal(values_of(rows).shape)
        return ((self.predicted_noise(rows, level, noise) - noise) ** 2).mean(axis=1)


def pictures(seed: int, n: int) -> Any:
    return np.random.default_rng(seed).integers(0, 256, (n, SIDE, SIDE, 1)).astype(np.uint8)


def subject(*offers: Capability) -> Subject:
    return Subject(
        model=ModelRef("fake", Digest("0" * 40)),
        card=ModelCard("fake", "image", 1),
        offers=frozenset(offers),
        data=DataRef("fake", Digest("1" * 40)),
        data_card=DataCard("image", (("train", N), ("holdout", N)), randomised=True),
        extractors=(),
        sample_size=10,
        seed=0,
        shard_size=50,
    )


BOTH = (Capability.DENOISING_LOSS, Capability.PREDICTED_NOISE)


def outcomes(score: Any, model: Any, seed: int = 0, permutations: int = 199) -> dict[str, Any]:
    made = pictures(seed, 2 * N)
    splits = {"train": image_rows(made[:N]), "holdout": image_rows(made[N:])}
    evaluator = MembershipInference(permutations=permutations, examples=0, extra=EXTRA)
    found = score(evaluator, subject(*BOTH), model=model, splits=splits)
    return {o.metric.removeprefix("privacy.membership."): o for o in found}


def low(outcome: Any) -> float:
    assert isinstance(outcome, Measurement), outcome
    assert isinstance(outcome.uncertainty, Interval)
    return outcome.uncertainty.low


def test_the_path_of_secmi_is_that_of_ddim_over_pixels() -> None:
    rows, model = image_rows(pictures(1, 5)), Denoiser(pictures(2, 7), 0.5)
    x = values_of(rows)

    def kept(level: float) -> float:
        return 1 - model.noise_share(level)

    def seen(state: Any, level: float) -> Any:
        a, s = math.sqrt(kept(level)), math.sqrt(1 - kept(level))
        return model.predicted_noise(rows, level, (state - a * x) / s)

    def moved(state: Any, noise: Any, here: float, there: float) -> Any:
        clean = (state - math.sqrt(1 - kept(here)) * noise) / math.sqrt(kept(here))
        return math.sqrt(kept(there)) * clean + math.sqrt(1 - kept(there)) * noise

    levels = [round(i * SECMI_STEP, 10) for i in range(round(SECMI_LEVEL / SECMI_STEP) + 1)]
    noise = model.predicted_noise(rows, 0.0)
    state = math.sqrt(kept(levels[1])) * x + math.sqrt(1 - kept(levels[1])) * noise
    for here, there in pairwise(levels[1:]):
        state = moved(state, seen(state, here), here, there)
    top = levels[-1]
    above = moved(state, seen(state, top), top, top + SECMI_STEP)
    back = moved(above, seen(above, top + SECMI_STEP), top + SECMI_STEP, top)
    np.testing.assert_allclose(step_error(model, rows), -((back - state) ** 2).mean(axis=1), rtol=1e-9)


class Halves:
    """Sees twice the picture where it is clean, and half the noise where there is some."""

    def noise_share(self, level: float) -> float:
        return level

    def predicted_noise(self, rows: Any, level: float, noise: Any = None) -> Any:
        return 2 * values_of(rows) if noise is None else np.asarray(noise) / 2


def test_pia_and_the_shared_loss_by_hand() -> None:
    rows = image_rows(pictures(3, 4))
    x = values_of(rows)
    plain, normal = proximal(Halves(), rows)
    np.testing.assert_allclose(plain, -(x**4).sum(axis=1), rtol=1e-6)
    unit = 2 * x / np.abs(2 * x).mean(axis=1, keepdims=True) * math.sqrt(2 / math.pi)
    np.testing.assert_allclose(normal, -((unit / 2) ** 4).sum(axis=1), rtol=1e-6)
    noise = np.random.default_rng(7).standard_normal((PAIRS, x.shape[1]))
    found = shared_noise(Halves(), rows, np.random.default_rng(7))
    np.testing.assert_allclose(found, -((noise / 2) ** 2).mean(), rtol=1e-12)
    assert found.shape == (4, len(NOISE_ATTACKS["shared_noise"]))
    assert 0 < PIA_LEVEL < 1


def test_a_model_that_remembers_its_pictures_is_found_by_every_attack(score: Any) -> None:
    found = outcomes(score, Denoiser(pictures(0, 2 * N)[:N], 0.7))
    for kind in EXTRA:
        for name in NOISE_ATTACKS[kind]:
            assert f"auc.{name}" in found
        assert low(found[f"auc.{kind}"]) > 0.6, kind
        assert found[f"auc.{kind}"].p_value == 1 / 200, kind
    assert found["auc"].value == found["auc.denoising_loss"].value, "the attack chosen beforehand stays"


def test_a_model_that_remembers_other_pictures_is_at_chance(score: Any) -> None:
    """The noise is the same for members and others, so that its luck tells nobody apart."""
    alarms = held = 0
    for replicate in range(20):
        found = outcomes(score, Denoiser(pictures(500 + replicate, N), 0.7), 900 + replicate, 99)
        names = [name for kind in EXTRA for name in NOISE_ATTACKS[kind]]
        alarms += min(found[f"auc.{name}"].p_value for name in names) <= 0.05
        spread = found["auc.shared_noise"].uncertainty
        held += spread.low <= 0.5 <= spread.high
    assert alarms <= 4  # P(more | 5 % for all together) is about 0.003
    assert held >= 16


def test_what_the_model_does_not_offer_is_said(score: Any) -> None:
    made = pictures(4, 2 * N)
    splits = {"train": image_rows(made[:N]), "holdout": image_rows(made[N:])}
    evaluator = MembershipInference(permutations=99, examples=0, extra=("pia", "recall"))
    offers = subject(Capability.DENOISING_LOSS)
    found = {o.metric: o for o in score(evaluator, offers, model=Denoiser(made[:N]), splits=splits)}
    for name, lacks in (("pia", "predicted_noise"), ("recall", "token_scores")):
        outcome = found[f"privacy.membership.auc.{name}"]
        assert isinstance(outcome, Undefined)
        assert outcome.reason == f"the model offers no {lacks}"


def test_noise_that_is_no_number_is_the_models_fault(score: Any) -> None:
    class Broken(Denoiser):
        def predicted_noise(self, rows: Any, level: float, noise: Any = None) -> Any:
            return super().predicted_noise(rows, level, noise) * math.nan

        def denoising_loss(self, rows: Any, level: float, rng: np.random.Generator) -> Any:
            return rng.uniform(size=rows.num_rows)

    with pytest.raises(ValueError, match="predicted_noise returned no number"):
        outcomes(score, Broken(pictures(5, 3)))
