"""The likelihood bound of a diffusion model and its loss at one level, as estimates from a few noise levels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from audit.core.rows import Rng
from audit.included.families.diffusion.network import LEVELS, PatchUNet, scheduler

_EVEN = 0.2
"""Share of the noise levels drawn evenly, so that none is too rare for its weight."""
_BYTES = 256


@dataclass(frozen=True, slots=True)
class Levels:
    """The forward process: at level t an image x becomes a·x + s·noise, with a and s of shape (1000,)."""

    a: Tensor
    s: Tensor

    @classmethod
    def of(cls) -> Levels:
        kept = scheduler().alphas_cumprod.double()
        return cls(kept.sqrt(), (1 - kept).sqrt())

    @property
    def snr(self) -> Tensor:
        """Signal-to-noise ratio of each level."""
        return (self.a / self.s) ** 2

    def chances(self) -> NDArray[np.float64]:
        """Return how likely each step t → t-1 (entry t-1, t from 1) is drawn: mostly as the log ratio falls there.

        The terms of the bound are about that large, so their sum is estimated with little variance.
        """
        fall = -np.diff(self.snr.log().numpy())
        return np.asarray((1 - _EVEN) * fall / fall.sum() + _EVEN / (LEVELS - 1))


def velocity(network: PatchUNet, noisy: Tensor, level: Tensor) -> Tensor:
    """Return what the network predicts without a label."""
    label = torch.full_like(level, network.labels)
    found: Tensor = network(noisy, level, label).float()
    return found


def noise_seen(network: PatchUNet, noisy: Tensor, level: int) -> Tensor:
    """Return the noise that the network sees in padded noisy images at one level, without a label."""
    levels = Levels.of()
    a, s = float(levels.a[level]), float(levels.s[level])
    return a * velocity(network, noisy, torch.full((len(noisy),), level, device=noisy.device)) + s * noisy


def denoising_error(network: PatchUNet, images: Tensor, level: int, noise: Tensor) -> Tensor:
    """Return the mean squared error of the predicted noise for padded images at one level, shape (n,)."""
    levels = Levels.of()
    a, s = float(levels.a[level]), float(levels.s[level])
    found = noise_seen(network, a * images + s * noise, level)
    return network.frame.crop(found - noise).square().mean(dim=(1, 2, 3))


def bound(network: PatchUNet, images: Tensor, rng: Rng, draws: int) -> NDArray[np.float64]:
    """Return an unbiased estimate of the variational bound on the log probability of each image's bytes, in nats.

    The discrete-time bound of Kingma et al. (2021, "Variational Diffusion Models", eqs. 11 to 15): what is
    left at the noisiest level, ``draws`` of the 999 steps between, and the bytes given the least noisy level,
    each byte by Bayes' rule from its own noisy value. ``images`` are padded; the border is known, so it is
    noised along and not counted.
    """
    levels = Levels.of()
    a, s = levels.a, levels.s
    clean = network.frame.crop(images).double()
    last = ((a[-1] * clean) ** 2 + s[-1] ** 2 - 1 - 2 * s[-1].log()).sum(dim=(1, 2, 3)) / 2
    between = steps_between(network, images, rng, draws)
    noise = torch.from_numpy(rng.standard_normal(clean.shape)).to(images.device)
    first = _byte_surprisal(clean, a[0] * clean + s[0] * noise, float(a[0]), float(s[0]))
    found: NDArray[np.float64] = -(last + between + first).cpu().numpy()
    return found


def steps_between(network: PatchUNet, images: Tensor, rng: Rng, draws: int) -> Tensor:
    """Return an unbiased estimate of what the 999 steps between cost, in nats for each padded image."""
    levels, n = Levels.of(), len(images)
    a, s, snr = levels.a, levels.s, levels.snr
    chances = levels.chances()
    reach = np.cumsum(chances) / chances.sum()
    between = torch.zeros(n, dtype=torch.float64, device=images.device)
    for draw in range(draws):
        where = (draw + rng.random(n)) / draws
        step = torch.from_numpy(np.minimum(np.searchsorted(reach, where, side="right") + 1, LEVELS - 1))
        noise = torch.from_numpy(rng.standard_normal(images.shape, dtype=np.float32)).to(images.device)
        at, st = (v[step].float().to(images.device)[:, None, None, None] for v in (a, s))
        noisy = at * images + st * noise
        v = velocity(network, noisy, step.to(images.device))
        error = network.frame.crop(at * noisy - st * v - images).double().square().sum(dim=(1, 2, 3))
        weight = 0.5 * (snr[step - 1] - snr[step]) / torch.from_numpy(chances)[step - 1]
        between += weight.to(images.device) * error / draws
    return between


def _byte_surprisal(clean: Tensor, noisy: Tensor, a: float, s: float) -> Tensor:
    """Return -log p(bytes | noisy) of each image: every byte by Bayes' rule, all 256 values equally likely before."""
    values = torch.arange(_BYTES, dtype=clean.dtype, device=clean.device) / 127.5 - 1
    total = torch.zeros(len(clean), dtype=clean.dtype, device=clean.device)
    for i in range(len(clean)):  # 256 candidates for each byte: one image at a time
        apart = (noisy[i, ..., None] - a * values) / s
        own = (noisy[i] - a * clean[i]) / s
        total[i] = ((-0.5 * apart.square()).logsumexp(-1) + 0.5 * own.square()).sum()
    return total
