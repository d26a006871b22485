"""The network of the digits VAE and its likelihood: sixteen cells of paper under each pixel, inked or not."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from audit.included.families.digits_vae.levels import LEVELS, PIXELS

_FLOOR = 1e-3
"""Least pseudo-count of a beta distribution. It bounds the price of ink where the training digits have none."""


class Network(nn.Module):  # type: ignore[misc]  # mypy does not follow torch, whose classes are Any to it
    """A variational autoencoder (Kingma, Welling 2014) with two hidden layers on each side.

    The likelihood is beta-binomial: given the latent vector, a pixel counts the
    successes among 16 trials whose common probability is itself Beta(a, b). The
    data are such counts, so the bound is on the probability of the digits
    themselves, with no dequantisation and no noise level to choose.
    """

    def __init__(self, latent: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.latent, self.dropout = latent, dropout
        self.read = nn.Linear(PIXELS, hidden)
        self.digest = nn.Linear(hidden, hidden)
        self.posterior = nn.Linear(hidden, 2 * latent)
        self.unfold = nn.Linear(latent, hidden)
        self.draw = nn.Linear(hidden, hidden)
        self.ink = nn.Linear(hidden, 2 * PIXELS)

    def encode(self, levels: Tensor, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
        """Return mean and log variance of the posterior of each row of levels, shape (n, latent) each.

        With a generator, units are dropped at random (training).
        """
        x = levels / (LEVELS / 2) - 1
        x = self._drop(nn.functional.silu(self.read(x)), generator)
        x = self._drop(nn.functional.silu(self.digest(x)), generator)
        mean, log_variance = self.posterior(x).chunk(2, dim=-1)
        return mean, log_variance.clamp(-10, 5)

    def decode(self, latents: Tensor, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
        """Return the two pseudo-counts of every pixel, shape (n, 64) each."""
        x = self._drop(nn.functional.silu(self.unfold(latents)), generator)
        x = self._drop(nn.functional.silu(self.draw(x)), generator)
        share, certainty = self.ink(x).chunk(2, dim=-1)
        total = nn.functional.softplus(certainty + 2) + 2 * _FLOOR
        inked = torch.sigmoid(share) * (total - 2 * _FLOOR) + _FLOOR
        return inked, total - inked

    def _drop(self, x: Tensor, generator: torch.Generator | None) -> Tensor:
        if generator is None or self.dropout == 0:
            return x
        kept = torch.rand(x.shape, generator=generator) >= self.dropout
        return x * kept / (1 - self.dropout)


def log_probability(levels: Tensor, a: Tensor, b: Tensor) -> Tensor:
    """Return the log probability of each image in nats: independent BetaBinomial(16, a, b) pixels, summed.

    ``levels``, ``a`` and ``b`` broadcast to shape (…, 64); the sum is over the last axis.
    """
    ways = _log_beta(levels + 1, LEVELS - levels + 1) + math.log(LEVELS + 1)
    return (_log_beta(levels + a, LEVELS - levels + b) - _log_beta(a, b) - ways).sum(-1)


def probabilities(a: Tensor, b: Tensor) -> Tensor:
    """Return the probability of each level 0 … 16 of each pixel, shape (…, 17).

    From P(k+1) / P(k) = (16-k)/(k+1) · (k+a)/(15-k+b), which needs no special function.
    """
    k = torch.arange(LEVELS, dtype=a.dtype)
    ratios = (LEVELS - k) / (k + 1) * (k + a[..., None]) / (LEVELS - 1 - k + b[..., None])
    relative = torch.cat([torch.zeros_like(a)[..., None], ratios.log().cumsum(-1)], dim=-1)
    return relative.softmax(-1)


def divergence(mean: Tensor, log_variance: Tensor) -> Tensor:
    """Return KL(posterior || standard normal) of each row in nats, shape (n,)."""
    return 0.5 * (mean**2 + log_variance.exp() - 1 - log_variance).sum(-1)


def _log_beta(a: Tensor, b: Tensor) -> Tensor:
    return torch.lgamma(a) + torch.lgamma(b) - torch.lgamma(a + b)
