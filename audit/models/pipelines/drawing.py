"""Noise to pictures by any scheduler: each sample from numbers of its own, whatever else is drawn beside it."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from audit.core.rows import Rng
from audit.models.pipelines.opening import Asked, Opened

Ask = Callable[[Tensor, Tensor, Asked | None], Tensor]
"""What a network says of states at levels, given what is asked for."""
_ADDED = ("text_embeds", "time_ids")
"""What a network reads beside a prompt's words."""


def asking(opened: Opened) -> Ask:
    """Return how this network is asked: by a label, by what was read of a prompt, or by nothing."""
    network = opened.network

    def ask(states: Tensor, levels: Tensor, asked: Asked | None) -> Tensor:
        given: dict[str, Any] = dict(asked or {})
        added = {word: given.pop(word) for word in _ADDED if word in given}
        found: Tensor = network(
            states, timestep=levels, **given, **({"added_cond_kwargs": added} if added else {})
        ).sample
        return found.float()

    return ask


def noise_of(rngs: Sequence[Rng], shape: tuple[int, int, int]) -> tuple[Tensor, list[torch.Generator]]:
    """Return the noise that each sample begins with, and what draws the noise of its further steps."""
    first = np.stack([rng.standard_normal(shape, dtype=np.float32) for rng in rngs])
    later = [torch.Generator().manual_seed(int(rng.integers(1 << 62))) for rng in rngs]
    return torch.from_numpy(first), later


def draw(
    opened: Opened,
    noise: Tensor,
    generators: list[torch.Generator],
    *,
    steps: int,
    guidance: float,
    asked: Asked | None,
    nothing: Asked | None,
) -> Tensor:
    """Return what the network makes of noise, as it sees it: latents, or pictures on -1 to 1.

    ``guidance`` weighs what is asked for against ``nothing`` (Ho, Salimans 2022); 1 asks once a step, anything else twice.
    """
    assert opened.scheduler is not None
    scheduler, ask, channels = opened.scheduler(), asking(opened), noise.shape[1]
    scheduler.set_timesteps(steps, device=noise.device)
    own = {"generator": generators} if "generator" in inspect.signature(scheduler.step).parameters else {}
    learned = opened.learns_variance and str(getattr(scheduler.config, "variance_type", "")).startswith(
        "learned"
    )
    state = noise * scheduler.init_noise_sigma
    for level in scheduler.timesteps:
        seen = scheduler.scale_model_input(state, level)
        said = _guided(ask, seen, level, guidance, asked, nothing)
        state = _stepped(scheduler, said if learned else said[:, :channels], level, state, own)
    return state


def _stepped(scheduler: Any, said: Tensor, level: Tensor, state: Tensor, own: dict[str, Any]) -> Tensor:
    found: Tensor = scheduler.step(said, level, state, **own).prev_sample
    return found


def _guided(
    ask: Ask, seen: Tensor, level: Tensor, guidance: float, asked: Asked | None, nothing: Asked | None
) -> Tensor:
    levels = level.to(seen.device).expand(len(seen))
    if guidance == 1.0 or asked is None or nothing is None:
        return ask(seen, levels, asked)
    both = ask(
        torch.cat([seen, seen]),
        torch.cat([levels, levels]),
        {word: torch.cat([asked[word], nothing[word]]) for word in asked},
    )
    wanted, free = both.chunk(2)
    channels = seen.shape[1]
    found = free[:, :channels] + guidance * (wanted[:, :channels] - free[:, :channels])
    return torch.cat([found, wanted[:, channels:]], dim=1)
