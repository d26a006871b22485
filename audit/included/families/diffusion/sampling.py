"""Noise to images and back: a fast solver for samples, DDIM for the two-way map."""

from __future__ import annotations

import torch
from diffusers import DPMSolverMultistepScheduler
from torch import Tensor

from audit.included.families.diffusion.network import LEVELS, PatchUNet, scheduler


def draw(network: PatchUNet, noise: Tensor, label: Tensor, *, steps: int, guidance: float) -> Tensor:
    """Return images from noise by DPM-Solver++ of order two (Lu et al. 2022), padded, about -1 … 1.

    ``guidance`` weighs the label (Ho, Salimans 2022): 1 is the model's own conditional distribution
    and costs one evaluation a step, anything else costs two.
    """
    solver = DPMSolverMultistepScheduler.from_config(
        scheduler().config, final_sigmas_type="zero", algorithm_type="dpmsolver++"
    )
    solver.set_timesteps(timesteps=torch.linspace(LEVELS - 1, 0, steps + 1).round()[:-1].long().tolist())
    state, nothing = noise, torch.full_like(label, network.labels)
    for level in solver.timesteps.tolist():
        levels = torch.full_like(label, level)
        found = network(state, levels, label).float()
        if guidance != 1.0:
            free = network(state, levels, nothing).float()
            found = free + guidance * (found - free)
        state = solver.step(found, level, state).prev_sample
    return state.clamp(-1, 1)


def decode(network: PatchUNet, noise: Tensor, label: Tensor, *, steps: int) -> Tensor:
    """Return images from noise along the deterministic DDIM path (Song, Meng, Ermon 2021, eq. 12)."""
    return _along(network, noise, label, _path(steps).flip(0))


def encode(network: PatchUNet, images: Tensor, label: Tensor, *, steps: int) -> Tensor:
    """Return the noise that ``decode`` turns into these images: the same path the other way.

    Each step asks the network where it comes from, not where it goes to, so the way back ends near the image and not on it;
    more steps bring it nearer.
    """
    return _along(network, images, label, _path(steps))


def _path(steps: int) -> Tensor:
    """Return ``steps`` + 1 levels from the least noisy to the noisiest."""
    return torch.linspace(0, LEVELS - 1, steps + 1).round().long()


def _along(network: PatchUNet, state: Tensor, label: Tensor, levels: Tensor) -> Tensor:
    kept = scheduler().alphas_cumprod.double()
    for here, there in zip(levels[:-1].tolist(), levels[1:].tolist(), strict=True):
        a, s = float(kept[here].sqrt()), float((1 - kept[here]).sqrt())
        velocity = network(state, torch.full_like(label, here), label).float()
        clean, noise = a * state - s * velocity, s * state + a * velocity
        state = float(kept[there].sqrt()) * clean + float((1 - kept[there]).sqrt()) * noise
    return state
