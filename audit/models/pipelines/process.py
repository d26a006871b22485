"""The forward process of a pipeline, and what can be said of a picture by it: loss, bound, and the DDIM path both ways."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from audit.core.rows import Rng, Vector

Predict = Callable[[Tensor, Tensor], Tensor]
"""What a network says of a noisy state (n, channels, height, width) at levels (n,): in the form that its schedule names."""
_EVEN = 0.2
"""Share of the levels drawn evenly, so that none is too rare for its weight."""
_FAINT = 1e-12
"""Signal-to-noise ratio below which a level holds no signal; a schedule may end at 0."""
_BYTES = 256
_NOISE = 20210701
"""Seeds the noise of the denoising loss: the same for every picture of every model."""


@dataclass(frozen=True, slots=True)
class Process:
    """At level t a state x becomes a·x + s·noise, with a and s of shape (levels,); what the network predicts."""

    a: Tensor
    s: Tensor
    prediction: str

    @classmethod
    def of(cls, config: Mapping[str, Any], prediction: str) -> Process:
        """Return the process of a scheduler's settings: all of its kind read the same betas."""
        from diffusers import DDPMScheduler

        schedule = DDPMScheduler.from_config({**config, "variance_type": "fixed_small"})
        kept = schedule.alphas_cumprod.double()
        return cls(kept.sqrt(), (1 - kept).sqrt(), prediction)

    @property
    def levels(self) -> int:
        """How many noise levels there are."""
        return len(self.a)

    def noised(self, clean: Tensor, noise: Tensor, level: Tensor) -> Tensor:
        """Return states at levels (n,)."""
        a, s = self._at(level, clean)
        return a * clean + s * noise

    def clean(self, said: Tensor, noisy: Tensor, level: Tensor) -> Tensor:
        """Return the clean state that a prediction stands for."""
        a, s = self._at(level, noisy)
        match self.prediction:
            case "epsilon":
                return (noisy - s * said) / a
            case "v_prediction":
                return a * noisy - s * said
        return said

    def noise(self, said: Tensor, noisy: Tensor, level: Tensor) -> Tensor:
        """Return the noise that a prediction stands for."""
        a, s = self._at(level, noisy)
        match self.prediction:
            case "epsilon":
                return said
            case "v_prediction":
                return a * said + s * noisy
        return (noisy - a * said) / s

    def _at(self, level: Tensor, like: Tensor) -> tuple[Tensor, Tensor]:
        where = level.cpu()
        a, s = (
            v[where].to(device=like.device, dtype=like.dtype)[:, None, None, None] for v in (self.a, self.s)
        )
        return a, s


def shared_noise(shape: tuple[int, ...], draws: int) -> list[Tensor]:
    """Return noise for one picture, always the same: each draw of an even number is minus the one before.

    Two pictures that are compared by their loss had the same noise, so its luck is no part of the difference.
    """
    found: list[Tensor] = []
    for draw in range(draws):
        if draw % 2:
            found.append(-found[-1])
        else:
            rng = np.random.default_rng((_NOISE, draw))
            found.append(torch.from_numpy(rng.standard_normal(shape, dtype=np.float32)))
    return found


def denoising_loss(process: Process, predict: Predict, states: Tensor, level: int, draws: int) -> Tensor:
    """Return the mean squared error of the predicted noise at one level for each state, over ``draws`` shared noises."""
    levels = torch.full((len(states),), level, device=states.device)
    total = torch.zeros(len(states), dtype=torch.float64, device=states.device)
    for one in shared_noise(tuple(states.shape[1:]), draws):
        noise = one.to(states.device).expand_as(states)
        noisy = process.noised(states, noise, levels)
        found = process.noise(predict(noisy, levels), noisy, levels)
        total += (found - noise).double().square().mean(dim=(1, 2, 3)) / draws
    return total


def bound(process: Process, predict: Predict, images: Tensor, rng: Rng, draws: int) -> Vector:
    """Return an unbiased estimate of the variational bound on the log probability of each picture's bytes, in nats.

    The discrete-time bound of Kingma et al. (2021, "Variational Diffusion Models", eqs. 11 to 15), on levels -1 to 1: what
    is left at the noisiest level, ``draws`` of the steps between, and the bytes given the least noisy level, each byte by
    Bayes' rule from its own noisy value. The variance of each step is the process's own, whatever the network learnt.
    """
    a, s, clean = process.a, process.s, images.double()
    last = ((a[-1] * clean) ** 2 + s[-1] ** 2 - 1 - 2 * s[-1].log()).sum(dim=(1, 2, 3)) / 2
    between = _steps_between(process, predict, images, rng, draws)
    noise = torch.from_numpy(rng.standard_normal(clean.shape)).to(images.device)
    first = _byte_surprisal(clean, a[0] * clean + s[0] * noise, float(a[0]), float(s[0]))
    return np.asarray(-(last + between + first).cpu().numpy())


def _chances(process: Process) -> NDArray[np.float64]:
    """Return how likely each step t to t-1 (entry t-1) is drawn: mostly as the log ratio of signal to noise falls there."""
    ratio = ((process.a / process.s) ** 2).clamp(min=_FAINT)
    fall = -np.diff(ratio.log().numpy())
    return np.asarray((1 - _EVEN) * fall / fall.sum() + _EVEN / len(fall))


def _steps_between(process: Process, predict: Predict, images: Tensor, rng: Rng, draws: int) -> Tensor:
    """Return an unbiased estimate of what the steps between cost, in nats for each picture."""
    n, chances, ratio = len(images), _chances(process), (process.a / process.s) ** 2
    reach = np.cumsum(chances) / chances.sum()
    between = torch.zeros(n, dtype=torch.float64, device=images.device)
    for draw in range(draws):
        where = (draw + rng.random(n)) / draws
        step = torch.from_numpy(
            np.minimum(np.searchsorted(reach, where, side="right") + 1, process.levels - 1)
        )
        noise = torch.from_numpy(rng.standard_normal(images.shape, dtype=np.float32)).to(images.device)
        level = step.to(images.device)
        noisy = process.noised(images, noise, level)
        found = process.clean(predict(noisy, level), noisy, level)
        error = (found - images).double().square().sum(dim=(1, 2, 3))
        weight = 0.5 * (ratio[step - 1] - ratio[step]) / torch.from_numpy(chances)[step - 1]
        between += weight.to(images.device) * error / draws
    return between


def _byte_surprisal(clean: Tensor, noisy: Tensor, a: float, s: float) -> Tensor:
    """Return -log p(bytes | noisy) of each picture: every byte by Bayes' rule, all 256 values equally likely before."""
    values = torch.arange(_BYTES, dtype=clean.dtype, device=clean.device) / 127.5 - 1
    total = torch.zeros(len(clean), dtype=clean.dtype, device=clean.device)
    for i in range(len(clean)):  # 256 candidates for each byte: one picture at a time
        apart = (noisy[i, ..., None] - a * values) / s
        own = (noisy[i] - a * clean[i]) / s
        total[i] = ((-0.5 * apart.square()).logsumexp(-1) + 0.5 * own.square()).sum()
    return total


def along(process: Process, predict: Predict, state: Tensor, steps: int, *, to_noise: bool) -> Tensor:
    """Follow the deterministic DDIM path (Song, Meng, Ermon 2021, eq. 12) from pictures to noise, or back.

    Each step asks the network where it comes from, so the way back ends near the picture and not on it; more steps bring
    it nearer.
    """
    levels = torch.linspace(0, process.levels - 1, steps + 1).round().long()
    levels = levels if to_noise else levels.flip(0)
    for here, there in zip(levels[:-1].tolist(), levels[1:].tolist(), strict=True):
        at, to = (torch.full((len(state),), level, device=state.device) for level in (here, there))
        said = predict(state, at)
        state = process.noised(process.clean(said, state, at), process.noise(said, state, at), to)
    return state
