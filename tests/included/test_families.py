"""Training of every family: killed and resumed it ends with the same bytes; what does not belong to it is refused."""

from __future__ import annotations

import dataclasses
import errno
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from safetensors import SafetensorError

from audit.core.errors import InputError
from audit.core.identity import Digest, digest_file
from audit.included.training.loop import rate_at, train
from audit.included.training.origin import named, reference_of, rows_of
from audit.included.training.progress import Progress
from audit.included.training.recipe import TrainingRecipe
from tests.included.small import FAMILIES, kind_of, only, small


def training(recipe: TrainingRecipe, out: Path, *, resume: bool = True) -> Iterator[Progress]:
    learner = kind_of(recipe.name).learner(recipe, rows_of(recipe.data), None)
    return train(recipe, learner, out, resume=resume)


def digest_after(recipe: TrainingRecipe, out: Path) -> Digest:
    for _ in training(recipe, out):
        pass
    return digest_file(out / f"{recipe.name}.safetensors")


def losses(recipe: TrainingRecipe, out: Path) -> np.ndarray:
    return np.loadtxt(out / f"{recipe.name}.losses.csv", delimiter=",", skiprows=1)[:, 1]


@pytest.mark.parametrize("name", only(FAMILIES, "portraits-gan", "portraits-vae"))
def test_stopped_at_any_step_it_ends_with_the_same_bytes(name: str, tmp_path: Path) -> None:
    recipe = small(name)
    whole = digest_after(recipe, tmp_path / "whole")
    for stop in (3, 8):
        out = tmp_path / str(stop)
        for progress in training(recipe, out):
            if progress.step == stop:
                break
        assert not (out / f"{name}.safetensors").exists()
        told = [progress.message for progress in training(recipe, out)]
        assert told[0] == {3: "", 8: "resumed after step 5"}[stop]
        assert digest_file(out / f"{name}.safetensors") == whole
        np.testing.assert_array_equal(losses(recipe, out), losses(recipe, tmp_path / "whole"))
        assert not list(out.glob(".*"))


def test_killed_after_its_last_checkpoint_it_still_says_where_and_how_long_it_ran(tmp_path: Path) -> None:
    """The card needs the facts; they are written after the last step."""
    recipe = small("portraits-superres", steps=10)
    for progress in training(recipe, tmp_path):
        if progress.step == 10:
            break
    facts = tmp_path / "portraits-superres.training.json"
    assert not facts.exists()
    assert list(training(recipe, tmp_path)) == []
    said = json.loads(facts.read_text(encoding="utf-8"))
    assert said["recipe"] == recipe.digest
    assert said["device"].startswith("1 core")
    facts.write_text("{", encoding="utf-8")
    assert list(training(recipe, tmp_path)) == []
    assert json.loads(facts.read_text(encoding="utf-8")) == said


def test_a_restart_stays_one_when_it_is_killed(tmp_path: Path) -> None:
    recipe = small("portraits-superres")
    digest_after(recipe, tmp_path)
    for progress in training(recipe, tmp_path, resume=False):
        if progress.step == 3:  # before the first checkpoint
            break
    assert next(training(recipe, tmp_path)).step == 1


def test_what_is_written_can_be_read_by_whom_the_user_lets(tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        digest_after(small("portraits-superres"), tmp_path)
    finally:
        os.umask(before)
    assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o644}


def test_a_full_disk_is_called_that(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise SafetensorError("I/O error: No space left on device (os error 28)")

    monkeypatch.setattr("audit.included.training.checkpoints.save_file", full)
    with pytest.raises(OSError, match="No space left") as caught:
        digest_after(small("portraits-superres"), tmp_path)
    assert caught.value.errno == errno.ENOSPC


@pytest.mark.parametrize(
    "name", only(["portraits-ae", "portraits-attributes", "portraits-ddpm", "portraits-vae"], "portraits-vae")
)
def test_the_loss_falls(name: str, tmp_path: Path) -> None:
    recipe = small(name, steps=60, learning_rate=0.003)
    told = [progress.loss for progress in training(recipe, tmp_path)]
    assert np.mean(told[-10:]) < 0.9 * np.mean(told[:5])


def test_another_seed_is_another_model(tmp_path: Path) -> None:
    recipe = small("portraits-gan", steps=3)
    other = dataclasses.replace(recipe, schedule=dataclasses.replace(recipe.schedule, seed=1))
    assert digest_after(recipe, tmp_path / "a") != digest_after(other, tmp_path / "b")


def test_a_foreign_or_damaged_checkpoint_is_refused(tmp_path: Path) -> None:
    recipe = small("portraits-superres")
    digest_after(recipe, tmp_path)
    other = dataclasses.replace(recipe, schedule=dataclasses.replace(recipe.schedule, steps=13))
    with pytest.raises(InputError, match="belongs to another recipe"):
        next(training(other, tmp_path))
    checkpoint = tmp_path / "portraits-superres.checkpoint.safetensors"
    checkpoint.write_bytes(checkpoint.read_bytes()[:-5])
    with pytest.raises(InputError, match=r"cannot be read: .* Delete it and train again"):
        next(training(recipe, tmp_path))
    assert next(training(recipe, tmp_path, resume=False)).step == 1


def test_other_data_are_refused_and_still_named() -> None:
    recipe = small("portraits-ae")
    data = dataclasses.replace(recipe.data, content=Digest("0000"))
    with pytest.raises(InputError, match="the recipe was recorded with 0000"):
        reference_of(data)
    assert named(data).content == "0000"
    nobody = dataclasses.replace(recipe.data, only=(("occupation", ("astronaut",)),))
    with pytest.raises(InputError, match="leaves no row"):
        rows_of(nobody)


def test_a_filter_keeps_what_it_names() -> None:
    recipe = small("portraits-gan")
    kept = rows_of(dataclasses.replace(recipe.data, only=(("occupation", ("judge", "casual")),)))
    assert set(kept.column("occupation").to_pylist()) == {"judge", "casual"}


def test_the_rate_rises_in_a_line_and_falls_along_a_cosine() -> None:
    schedule = dataclasses.replace(small("portraits-ae").schedule, steps=100, warm_up=10, learning_rate=1.0)
    assert rate_at(schedule, 0) == pytest.approx(0.1)
    assert rate_at(schedule, 4) == pytest.approx(0.5, rel=0.01)
    assert rate_at(schedule, 50) == pytest.approx(0.5)
    assert rate_at(schedule, 99) < 0.001


_VICTIM = """
import sys
from pathlib import Path
from tests.included.small import small
from tests.included.test_families import training
for progress in training(small("portraits-vae", steps=400), Path(sys.argv[1])):
    print(progress.step, flush=True)
"""


@pytest.mark.slow
def test_killed_for_good_it_goes_on_to_the_same_curve(tmp_path: Path) -> None:
    """``kill -9`` in the middle of a step, in a process of its own."""
    root = Path(__file__).parents[2]
    victim = subprocess.Popen(
        [sys.executable, "-c", _VICTIM, str(tmp_path / "killed")],
        stdout=subprocess.PIPE,
        text=True,
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(root)},
    )
    assert victim.stdout is not None
    for line in victim.stdout:
        if int(line) >= 23:
            os.kill(victim.pid, signal.SIGKILL)
            break
    victim.stdout.close()
    assert victim.wait() == -signal.SIGKILL
    recipe = small("portraits-vae", steps=400)
    told = list(training(recipe, tmp_path / "killed"))
    assert told[0].message.startswith("resumed after step ")
    assert digest_after(recipe, tmp_path / "whole") == digest_file(
        tmp_path / "killed" / "portraits-vae.safetensors"
    )
    np.testing.assert_allclose(
        losses(recipe, tmp_path / "killed"), losses(recipe, tmp_path / "whole"), rtol=1e-4
    )


@pytest.mark.slow
@pytest.mark.parametrize("name", FAMILIES)
def test_three_minutes_of_the_real_recipe_learn_something(name: str, tmp_path: Path) -> None:
    """The recorded network and data, cut off by the clock: the loss has fallen well below where it began."""
    from audit.included.training.recipe import recorded

    told, began = [], time.monotonic()
    for progress in training(recorded(name), tmp_path):
        told.append(progress.loss)
        if time.monotonic() - began > 180:
            break
    assert np.isfinite(told).all()
    if name == "portraits-gan":  # the critic's loss says little; that neither side has won says something
        assert 0.05 < np.mean(told[-50:]) < 0.75
    else:
        assert np.mean(told[-20:]) < 0.6 * np.mean(told[:5])
