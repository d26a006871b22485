"""Trains the digits VAE by its recipe; killed at any moment, it goes on from the last checkpoint to the same weights."""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from audit.core.errors import InputError
from audit.core.rows import Rows, images_of
from audit.zoo.digits_vae.network import LEVELS, PIXELS, Network, divergence, log_probability
from audit.zoo.digits_vae.recipe import TrainingRecipe
from audit.zoo.progress import Progress

CHECKPOINT = "digits-vae.checkpoint.safetensors"
WEIGHTS = "digits-vae.safetensors"
_WARM_UP = 100


def train(recipe: TrainingRecipe, out: Path, *, resume: bool = True) -> Iterator[Progress]:
    """Train into ``out`` and yield progress after each step; the weights are there when the iterator ends.

    What is random in a step depends on the seed and the step's number alone, so a
    checkpoint holds the network and the optimiser's moments and nothing else, and a resumed
    training ends with the same bytes (on the same machine and version of torch).
    Raise InputError when the data differ from the recipe's or ``out`` holds another recipe's checkpoint.
    """
    levels = _levels(split_of(recipe, recipe.split))
    out.mkdir(parents=True, exist_ok=True)
    checkpoint = out / CHECKPOINT
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # as fast as two for so small a network, and sums keep their order
    try:
        state = _begin(recipe)
        done = _restore(state, recipe, checkpoint) if resume and checkpoint.exists() else 0
        for step in range(done, recipe.steps):
            loss = _step(state, recipe, levels, step)
            if (step + 1) % recipe.checkpoint_every == 0:
                _save(state, recipe, step + 1, checkpoint)
            message = f"resumed after step {done:,}" if done and step == done else ""
            yield Progress(step + 1, recipe.steps, loss, message)
        replace_file(state.network.state_dict(), out / WEIGHTS)
    finally:
        torch.set_num_threads(threads)


def split_of(recipe: TrainingRecipe, split: str) -> Rows:
    """Return a split of the recipe's data. Raise InputError when its bytes are not those of the recipe."""
    (entry,) = entry_points(group="audit.datasets", name=recipe.use)
    dataset = entry.load()
    ref = dataset.refer(recipe.data_options)
    if ref.content != recipe.content:
        raise InputError(
            f"The dataset '{recipe.use}' here has the digest {ref.content}, the recipe was recorded with "
            f"{recipe.content}. Install the scikit-learn that constraints.txt names."
        )
    return dataset.load(ref, split)


@dataclass(frozen=True, slots=True)
class _State:
    network: Network
    optimiser: torch.optim.AdamW


def _begin(recipe: TrainingRecipe) -> _State:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        network = Network(recipe.latent, recipe.hidden, recipe.dropout)
    optimiser = torch.optim.AdamW(
        network.parameters(), lr=recipe.learning_rate, weight_decay=recipe.weight_decay
    )
    return _State(network, optimiser)


def _step(state: _State, recipe: TrainingRecipe, levels: Tensor, step: int) -> float:
    """Take one step up the evidence lower bound with one posterior draw per digit; return the loss in nats: once warm, minus the bound."""
    generator = _generator(recipe.seed, step)
    warm = min(1.0, (step + 1) / _WARM_UP)
    for group in state.optimiser.param_groups:
        group["lr"] = recipe.learning_rate * warm * 0.5 * (1 + math.cos(math.pi * step / recipe.steps))
    batch = levels[torch.randperm(len(levels), generator=generator)[: recipe.batch]]
    mean, log_variance = state.network.encode(batch, generator)
    noise = torch.randn(mean.shape, generator=generator)
    a, b = state.network.decode(mean + (0.5 * log_variance).exp() * noise, generator)
    counted = min(1.0, (step + 1) / recipe.divergence_warm_up)
    loss = (counted * divergence(mean, log_variance) - log_probability(batch, a, b)).mean()
    if not torch.isfinite(loss):
        raise ValueError(f"the loss is not finite at step {step + 1}: lower the learning rate")
    state.optimiser.zero_grad()
    loss.backward()
    state.optimiser.step()
    return float(loss.detach())


def _generator(seed: int, step: int) -> torch.Generator:
    drawn = hashlib.blake2b(f"{seed}/{step}".encode(), digest_size=8).digest()
    return torch.Generator().manual_seed(int.from_bytes(drawn, "big") >> 1)


def _levels(rows: Rows) -> Tensor:
    pixels = images_of(rows).reshape(-1, PIXELS)
    return torch.from_numpy(np.rint(pixels * (LEVELS / 255)).astype(np.float32))


def _save(state: _State, recipe: TrainingRecipe, step: int, path: Path) -> None:
    tensors = {f"network.{name}": value for name, value in state.network.state_dict().items()}
    for number, moments in state.optimiser.state_dict()["state"].items():
        tensors |= {f"optimiser.{number}.{name}": value for name, value in moments.items()}
    replace_file(tensors, path, {"state": json.dumps({"step": step, "recipe": recipe.digest})})


def _restore(state: _State, recipe: TrainingRecipe, path: Path) -> int:
    """Load a checkpoint into ``state``; return how many steps it has behind it."""
    try:
        with safe_open(path, framework="pt") as file:
            said = json.loads((file.metadata() or {}).get("state", "{}"))
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no mapping
    except (SafetensorError, OSError, ValueError) as error:
        raise InputError(
            f"The checkpoint {path} cannot be read: {error}. Delete it and train again."
        ) from error
    if said.get("recipe") != recipe.digest:
        raise InputError(
            f"The checkpoint {path} belongs to another recipe. Delete it, or choose another folder."
        )
    moments: dict[int, dict[str, Tensor]] = {}
    for name, value in tensors.items():
        kind, _, rest = name.partition(".")
        if kind == "optimiser":
            number, _, moment = rest.partition(".")
            moments.setdefault(int(number), {})[moment] = value
    network = {n.removeprefix("network."): v for n, v in tensors.items() if n.startswith("network.")}
    state.network.load_state_dict(network)
    groups = state.optimiser.state_dict()["param_groups"]
    state.optimiser.load_state_dict({"state": moments, "param_groups": groups})
    return int(said["step"])


def replace_file(tensors: dict[str, Tensor], path: Path, metadata: dict[str, str] | None = None) -> None:
    """Write a safetensors file whole or not at all.

    At most one metadata entry: safetensors writes several in an order that changes from run to run.
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    contiguous: dict[str, Any] = {name: value.detach().contiguous() for name, value in tensors.items()}
    try:
        save_file(contiguous, partial, metadata=metadata)
        with partial.open("rb+") as file:
            os.fsync(file.fileno())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
