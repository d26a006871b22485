"""Trains an included model by its recipe; killed at any moment, it resumes from the last checkpoint."""

from __future__ import annotations

import csv
import hashlib
import json
import math
import os
import platform
import time
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from threadpoolctl import threadpool_limits
from torch import Tensor

from audit.core.errors import InputError
from audit.formats.arithmetic import fastest
from audit.included.training.checkpoints import read_checkpoint, replace_file, write_checkpoint
from audit.included.training.progress import Progress
from audit.included.training.recipe import Schedule, TrainingRecipe


@dataclass(frozen=True, slots=True)
class Place:
    """Where a training runs and in which arithmetic."""

    device: torch.device
    precision: torch.dtype

    @classmethod
    def of(cls, schedule: Schedule) -> Place:
        gpu = torch.cuda.is_available() if schedule.device == "auto" else schedule.device == "cuda"
        fast = fastest() if schedule.precision == "auto" else schedule.precision
        return cls(torch.device("cuda" if gpu else "cpu"), getattr(torch, fast))

    def cast(self) -> AbstractContextManager[Any]:
        """Compute products in this place's precision inside; weights stay float32."""
        if self.precision == torch.float32:
            return nullcontext()
        cast: AbstractContextManager[Any] = torch.autocast(self.device.type, self.precision)
        return cast


class Learner(Protocol):
    """What learns: networks with their optimisers. One class per family, made from a recipe, rows and a place."""

    def step(self, number: int, rate: float, generator: torch.Generator) -> float:
        """Take step ``number`` with learning rate ``rate``, every random number from ``generator``; return the loss."""
        ...

    def state(self) -> dict[str, Tensor]:
        """Return everything that the next step depends on."""
        ...

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Go back to a state."""
        ...

    def finished(self) -> dict[str, Tensor]:
        """Return the weights that are kept in the end."""
        ...

    def preview(self, out: Path, step: int) -> str:
        """Write samples or reconstructions to look at; return a sentence that says where, or nothing."""
        ...


def rate_at(schedule: Schedule, step: int) -> float:
    """Return the learning rate of a step: up in a line, down along half a cosine."""
    warm = min(1.0, (step + 1) / max(1, schedule.warm_up))
    return schedule.learning_rate * warm * 0.5 * (1 + math.cos(math.pi * step / schedule.steps))


def train(recipe: TrainingRecipe, learner: Learner, out: Path, *, resume: bool = True) -> Iterator[Progress]:
    """Train into ``out``, yielding progress after each step; the weights are there when the iterator ends.

    What is random in a step depends on the seed and the step's number alone, so a checkpoint
    holds the learner's state and the losses so far, and a resumed training repeats the steps that
    the kill undid. With one thread on one machine it ends with the same bytes; with more, or
    elsewhere, within rounding. Also writes ``NAME.losses.csv`` and ``NAME.training.json``. Without
    ``resume``, what an earlier training of this name left there is deleted first.
    Raise InputError when ``out`` holds another recipe's checkpoint.
    """
    schedule = recipe.schedule
    out.mkdir(parents=True, exist_ok=True)
    checkpoint = out / f"{recipe.name}.checkpoint.safetensors"
    facts = out / f"{recipe.name}.training.json"
    weights = out / f"{recipe.name}.safetensors"
    if not resume:  # or a kill before the first checkpoint would bring the old training back
        for path in (checkpoint, facts, weights, out / f"{recipe.name}.losses.csv"):
            path.unlink(missing_ok=True)
    losses = torch.zeros(schedule.steps)
    with _threads(schedule.threads):
        done, seconds, places = 0, 0.0, [_place_of(schedule)]
        if resume and checkpoint.exists():
            done, seconds, before = _restore(recipe, learner, losses, checkpoint)
            places = before if done == schedule.steps else [*before, *(p for p in places if p not in before)]
        began = time.monotonic() - seconds
        for step in range(done, schedule.steps):
            message = f"resumed after step {done:,}" if done and step == done else ""
            loss = learner.step(step, rate_at(schedule, step), _generator(schedule.seed, step))
            if not math.isfinite(loss):
                raise InputError(
                    f"The loss of '{recipe.name}' is not finite at step {step + 1:,}. Lower the learning rate of its recipe."
                )
            losses[step] = loss
            if (step + 1) % schedule.checkpoint_every == 0:
                said = {
                    "step": step + 1,
                    "recipe": recipe.digest,
                    "seconds": time.monotonic() - began,
                    "places": places,
                }
                write_checkpoint(checkpoint, learner.state() | {"losses": losses}, said)
            if schedule.preview_every and (step + 1) % schedule.preview_every == 0:
                message = "; ".join(filter(None, (message, learner.preview(out, step + 1))))
            yield Progress(step + 1, schedule.steps, loss, message)
        kept = learner.finished()
        if not all(torch.isfinite(value).all() for value in kept.values()):
            raise InputError(
                f"Weights of '{recipe.name}' are not finite. Lower the learning rate of its recipe."
            )
        _write_losses(losses, out / f"{recipe.name}.losses.csv")
        if done < schedule.steps or not _written(recipe, facts):
            _write_facts(recipe, time.monotonic() - began, places, facts)
        replace_file(kept, weights)


def _generator(seed: int, step: int) -> torch.Generator:
    drawn = hashlib.blake2b(f"{seed}/{step}".encode(), digest_size=8).digest()
    return torch.Generator().manual_seed(int.from_bytes(drawn, "big") >> 1)


@contextmanager
def _threads(number: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        with threadpool_limits(number):
            yield
    finally:
        torch.set_num_threads(before)


def _restore(
    recipe: TrainingRecipe, learner: Learner, losses: Tensor, path: Path
) -> tuple[int, float, list[dict[str, str]]]:
    tensors, said = read_checkpoint(path)
    if said.get("recipe") != recipe.digest:
        raise InputError(
            f"The checkpoint {path} belongs to another recipe. Delete it, or choose another folder."
        )
    try:
        losses.copy_(tensors.pop("losses"))
        learner.restore(tensors)
        return int(said["step"]), float(said["seconds"]), list(said.get("places", ()))
    except (KeyError, RuntimeError, ValueError) as error:
        raise InputError(
            f"The checkpoint {path} was made by another version of this program ({error!s:.200}). "
            "Delete it and train again."
        ) from error


def _write_losses(losses: Tensor, path: Path) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(("step", "loss"))
        writer.writerows((step, f"{loss:.6g}") for step, loss in enumerate(losses.tolist(), start=1))


def _place_of(schedule: Schedule) -> dict[str, str]:
    """Return what decides the last bits of a training, and its speed."""
    place = Place.of(schedule)
    gpu = torch.cuda.get_device_name() if place.device.type == "cuda" else ""
    return {
        "device": gpu or f"{schedule.threads} core(s) of {_processor()}",
        "precision": str(place.precision).removeprefix("torch."),
        "torch": torch.__version__,
        "python": platform.python_version(),
    }


def _write_facts(recipe: TrainingRecipe, seconds: float, places: list[dict[str, str]], path: Path) -> None:
    """Write where and how long a training ran; a training that was resumed elsewhere names every place."""
    facts: dict[str, Any] = {
        name: ", then ".join(dict.fromkeys(place[name] for place in places)) for name in places[-1]
    }
    facts |= {
        "recipe": recipe.digest,
        "seconds": round(seconds, 1),
        "finished": time.strftime("%Y-%m-%d", time.gmtime()),
    }
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    partial.write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")
    partial.replace(path)


def _written(recipe: TrainingRecipe, path: Path) -> bool:
    """Return whether the facts of a training by this recipe lie there already."""
    try:
        return bool(json.loads(path.read_text(encoding="utf-8"))["recipe"] == recipe.digest)
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return platform.machine()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
