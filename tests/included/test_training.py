"""Training: killed and resumed, it ends with the same bytes; what does not belong to it is refused."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from audit.core.errors import InputError
from audit.core.identity import Digest, digest_file
from audit.included.families.digits_vae.learner import DigitsLearner
from audit.included.training.loop import train as train_learner
from audit.included.training.origin import rows_of
from audit.included.training.progress import Progress
from audit.included.training.recipe import TrainingRecipe, recorded

CHECKPOINT, WEIGHTS = "digits-vae.checkpoint.safetensors", "digits-vae.safetensors"


def scheduled(recipe: TrainingRecipe, **changes: Any) -> TrainingRecipe:
    """Return the recipe with another schedule."""
    return dataclasses.replace(recipe, schedule=dataclasses.replace(recipe.schedule, **changes))


SHORT = scheduled(
    dataclasses.replace(
        recorded("digits-vae"), network=tuple(sorted({**recorded("digits-vae").sizes, "hidden": 16}.items()))
    ),
    steps=40,
    checkpoint_every=10,
)


def train(recipe: TrainingRecipe, out: Path, *, resume: bool = True) -> Iterator[Progress]:
    return train_learner(recipe, DigitsLearner(recipe, rows_of(recipe.data)), out, resume=resume)


def digest_after(recipe: TrainingRecipe, out: Path) -> Digest:
    for _ in train(recipe, out):
        pass
    return digest_file(out / WEIGHTS)


def test_killed_at_any_step_it_ends_with_the_same_bytes(tmp_path: Path) -> None:
    whole = digest_after(SHORT, tmp_path / "whole")
    for stop in (5, 23, 40):
        out = tmp_path / str(stop)
        for progress in train(SHORT, out):
            if progress.step == stop:
                break
        assert not (out / WEIGHTS).exists()
        told = [progress.message for progress in train(SHORT, out)]
        assert told[:1] == {5: [""], 23: ["resumed after step 20"], 40: []}[stop]
        (out / WEIGHTS).unlink()
        assert digest_after(SHORT, out) == whole
        assert not list(out.glob(".*"))


def test_the_loss_falls_and_every_step_is_told(tmp_path: Path) -> None:
    told = list(train(scheduled(SHORT, steps=200), tmp_path))
    assert [p.step for p in told] == list(range(1, 201))
    assert told[-1].loss < told[0].loss - 20


def test_another_seed_is_another_model(tmp_path: Path) -> None:
    other = scheduled(SHORT, seed=1)
    assert digest_after(SHORT, tmp_path / "a") != digest_after(other, tmp_path / "b")


def test_a_foreign_or_damaged_checkpoint_is_refused(tmp_path: Path) -> None:
    digest_after(SHORT, tmp_path)
    with pytest.raises(InputError, match="belongs to another recipe"):
        next(train(scheduled(SHORT, steps=41), tmp_path))
    file = tmp_path / CHECKPOINT
    file.write_bytes(file.read_bytes()[:-5])
    with pytest.raises(InputError, match="cannot be read"):
        next(train(SHORT, tmp_path))
    assert next(train(SHORT, tmp_path, resume=False)).step == 1


def test_other_data_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="the recipe was recorded with 0000"):
        next(
            train(
                dataclasses.replace(SHORT, data=dataclasses.replace(SHORT.data, content=Digest("0000"))),
                tmp_path,
            )
        )


@pytest.mark.slow
def test_the_recipe_makes_a_model_as_good_as_the_shipped_one(tmp_path: Path) -> None:
    """Bytes differ between processors and versions of torch; what they are worth does not."""
    from audit.included.families.digits_vae.model import DigitsVAE

    *_, last = DigitsVAE.train(tmp_path)
    assert last.message == f"wrote {tmp_path / 'CARD.md'}"
    model = DigitsVAE.open(DigitsVAE.refer({"weights": str(tmp_path / WEIGHTS)}), "cpu")
    bound = model.likelihood_bound(rows_of(recorded("digits-vae").data), np.random.default_rng(0))
    assert -bound.mean() == pytest.approx(79.4, abs=1.0)
