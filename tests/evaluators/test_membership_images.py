"""Membership of image models: several signals and noise levels tested jointly, and single members named for the register."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from audit.core.capabilities import Capability
from audit.core.data_facts import Copies
from audit.core.identity import Digest
from audit.core.measurements import Measurement
from audit.core.references import DataRef, ModelRef
from audit.core.register import AT_RISK
from audit.core.rows import image_rows, images_of
from audit.core.subjects import DataCard, ModelCard, Subject
from audit.evaluators.privacy.membership import MembershipInference

TRAIN, HOLDOUT = 300, 500
QUICK = MembershipInference(permutations=199)


@pytest.fixture(scope="module")
def splits() -> dict[str, Any]:
    pixels = np.random.default_rng(0).integers(0, 256, (TRAIN + HOLDOUT, 4, 4, 1)).astype(np.uint8)
    return {"train": image_rows(pixels[:TRAIN]), "holdout": image_rows(pixels[TRAIN:])}


def subject(*offers: Capability, **card: Any) -> Subject:
    return Subject(
        model=ModelRef("fake", Digest("0" * 40)),
        card=ModelCard("fake", "image", 1),
        offers=frozenset(offers),
        data=DataRef("fake", Digest("1" * 40)),
        data_card=DataCard("image", (("train", TRAIN), ("holdout", HOLDOUT)), randomised=True, **card),
        extractors=(),
        sample_size=10,
        seed=0,
        shard_size=128,
    )


class Knows:
    """Finds some images familiar: by the noise it removes at one level, by its bound and by what it gives back."""

    def __init__(self, known: Any, level: float = 0.2, by: float = 8.0) -> None:
        self.known, self.level, self.by = {image.tobytes() for image in known}, level, by

    def _score(self, rows: Any, rng: np.random.Generator, leak: float) -> Any:
        known = np.array([image.tobytes() in self.known for image in images_of(rows)])
        return rng.normal(size=rows.num_rows) + leak * known

    def denoising_loss(self, rows: Any, level: float, rng: np.random.Generator) -> Any:
        return 10 - self._score(rows, rng, self.by if level == self.level else 0.0)

    def likelihood_bound(self, rows: Any, rng: np.random.Generator) -> Any:
        return self._score(rows, rng, 0.0)

    def reconstruct(self, rows: Any, rng: np.random.Generator) -> Any:
        off = np.clip(20 - self._score(rows, rng, self.by), 0, 60).astype(int)[:, None, None, None]
        images = images_of(rows).astype(int)
        return image_rows(np.where(images > 127, images - off, images + off).astype(np.uint8))


def by_metric(outcomes: Any) -> dict[str, Any]:
    return {o.metric.removeprefix("privacy.membership."): o for o in outcomes}


def named(outcome: Any) -> list[dict[str, Any]]:
    assert isinstance(outcome, Measurement), outcome
    (table,) = (e.content for e in outcome.evidence if e.kind == AT_RISK)
    rows: list[dict[str, Any]] = table.to_pylist()
    return rows


def test_a_loss_that_leaks_at_one_level_is_found_there_and_its_members_are_named(
    score: Any, splits: dict[str, Any]
) -> None:
    model = Knows(images_of(splits["train"])[:40])
    found = by_metric(score(QUICK, subject(Capability.DENOISING_LOSS), model=model, splits=splits))
    leaking = found["auc.denoising_loss_20pct"]
    assert leaking.p_value == pytest.approx(1 / 200)
    assert found["auc.denoising_loss_30pct"].p_value > 0.05, "adjusted for the number of attacks"
    rows = named(found["auc"])
    assert {row["row"] for row in rows} >= set(range(40))
    assert len(rows) <= 46, "at a false discovery rate of 10 %"
    assert [row["attack"] for row in rows].count("denoising_loss_20pct") > 30


def test_every_number_that_a_model_gives_is_an_attack_and_the_first_was_chosen_beforehand(
    score: Any, splits: dict[str, Any]
) -> None:
    model = Knows(images_of(splits["train"]))
    offers = subject(Capability.LIKELIHOOD_BOUND, Capability.RECONSTRUCT)
    found = by_metric(score(QUICK, offers, model=model, splits=splits))
    assert abs(found["auc"].value - 0.5) < 0.1, "the bound gives nothing away, and it is the headline"
    assert found["auc.reconstruct"].value > 0.95
    by = [row["attack"] for row in named(found["auc"])]
    assert by.count("reconstruct") > 0.95 * len(by) > 200


def test_a_model_that_gives_nothing_away_names_nobody(score: Any, splits: dict[str, Any]) -> None:
    found = by_metric(score(QUICK, subject(Capability.DENOISING_LOSS), model=Knows([]), splits=splits))
    assert named(found["auc"]) == []
    assert found["auc"].p_value > 0.01


def test_named_members_are_rows_of_the_split(score: Any, splits: dict[str, Any]) -> None:
    """Copies are left out of what is attacked, so that places among drawn rows are not rows of the split."""
    train = images_of(splits["train"]).copy()
    train[1:101] = train[0]
    copies = Copies("train", (tuple(range(101)),), 100, TRAIN, TRAIN)
    known = [0, *range(150, 200)]
    model = Knows(train[known])
    asked = replace(subject(Capability.DENOISING_LOSS, copies=(copies,)), shard_size=64)
    found = by_metric(score(QUICK, asked, model=model, splits={**splits, "train": image_rows(train)}))
    rows = {row["row"] for row in named(found["auc"])}
    assert rows >= set(known)
    assert not rows & set(range(1, 101))


def test_a_loss_that_is_no_number_is_the_models_fault(score: Any, splits: dict[str, Any]) -> None:
    class Broken(Knows):
        def denoising_loss(self, rows: Any, level: float, rng: np.random.Generator) -> Any:
            return np.full(rows.num_rows, np.nan)

    with pytest.raises(ValueError, match="denoising_loss returned"):
        score(QUICK, subject(Capability.DENOISING_LOSS), model=Broken([]), splits=splits)
