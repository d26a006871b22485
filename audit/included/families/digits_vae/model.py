"""The digits VAE as an audit sees it: what it can do, and the bytes it is made of."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np

from audit.core.references import ModelRef
from audit.core.rows import Matrix, Rng, Rows, Vector
from audit.formats.arithmetic import exactly
from audit.included.families.digits_vae.levels import LEVELS, NAME, PIXELS, digits_of, levels_of
from audit.included.model import IncludedModel, filled
from audit.included.training.recipe import TrainingRecipe

if TYPE_CHECKING:
    from torch import Tensor

    from audit.included.training.loop import Learner

_DRAWS = 32
_CHUNK = 2048


class DigitsVAE(IncludedModel):
    """A variational autoencoder of 8×8 handwritten digits, trained on the ``train`` split of the dataset ``digits``.

    Digits have 17 grey levels, stored as ``round(level * 255 / 16)``; a pixel between two of these
    values is read as the nearest. Images of another shape raise ValueError.

    It runs on the processor whatever the device, in chunks of fixed size: it is
    small enough, and its numbers are then the same everywhere.
    """

    name: ClassVar[str] = NAME
    family: ClassVar[str] = "variational autoencoder"
    sources: ClassVar[tuple[str, ...]] = (
        "families/digits_vae/levels.py",
        "families/digits_vae/model.py",
        "families/digits_vae/network.py",
    )

    def __init__(self, network: Any) -> None:
        self._network = network

    @classmethod
    def notes(cls, ref: ModelRef) -> tuple[str, ...]:
        return (
            f"The likelihood bound is importance-weighted with {_DRAWS} draws, in nats per digit of {PIXELS} pixels "
            "with 17 levels each: a bound on the probability of discrete data.",
        )

    @classmethod
    def build(cls, recipe: TrainingRecipe, tensors: Mapping[str, Tensor], ref: ModelRef, device: str) -> Self:
        from audit.included.families.digits_vae.network import Network

        return cls(filled(Network(**recipe.sizes), tensors, "cpu"))

    @classmethod
    def learner(cls, recipe: TrainingRecipe, rows: Rows, begin: Mapping[str, Tensor] | None) -> Learner:
        from audit.included.families.digits_vae.learner import DigitsLearner

        return DigitsLearner(recipe, rows)

    def sample(self, n: int, rng: Rng, condition: Rows | None = None) -> Rows:
        """Draw digits: a latent vector from the standard normal prior, then every pixel from its beta-binomial."""
        if condition is not None:
            raise ValueError(f"'{NAME}' draws digits freely and takes no condition")
        return self.decode(rng.standard_normal((n, self._network.latent)), rng)

    def decode(self, latents: Matrix, rng: Rng) -> Rows:
        """Draw one digit from the likelihood given each latent vector."""
        import torch

        from audit.included.families.digits_vae.network import probabilities

        if latents.ndim != 2 or latents.shape[1] != self._network.latent:
            raise ValueError(f"latent vectors are (n, {self._network.latent}), not {latents.shape}")
        levels = np.empty((len(latents), PIXELS))
        with exactly():
            for start in range(0, len(latents), _CHUNK):
                z = torch.from_numpy(latents[start : start + _CHUNK].astype(np.float32))
                below = probabilities(*self._network.decode(z)).cumsum(-1)[..., :-1]
                drawn = torch.from_numpy(rng.random((len(z), PIXELS, 1), dtype=np.float32))
                levels[start : start + _CHUNK] = (drawn >= below).sum(-1).numpy()
                if not torch.isfinite(below).all():
                    raise ValueError("the network returned probabilities that are not finite")
        return digits_of(levels)

    def encode(self, rows: Rows) -> Matrix:
        """Return the mean of each digit's posterior, shape (n, 12)."""
        with exactly():
            means = [self._network.encode(levels)[0].numpy() for levels in _levels(rows)]
        return np.concatenate([np.empty((0, self._network.latent)), *means])

    def posterior(self, rows: Rows) -> Matrix:
        """Return mean and log variance of each digit's posterior, shape (n, 2, 12)."""
        import torch

        with exactly():
            found = [torch.stack(self._network.encode(levels), dim=1).numpy() for levels in _levels(rows)]
        return np.concatenate([np.empty((0, 2, self._network.latent)), *found])

    def reconstruct(self, rows: Rows, rng: Rng) -> Rows:
        """Return the expected digit at the mean of each posterior; no random number is used."""

        expected = [np.empty((0, PIXELS))]
        with exactly():
            for levels in _levels(rows):
                a, b = self._network.decode(self._network.encode(levels)[0])
                expected.append((LEVELS * a / (a + b)).numpy())
        return digits_of(np.concatenate(expected))

    def likelihood_bound(self, rows: Rows, rng: Rng) -> Vector:
        """Return the importance-weighted bound (Burda, Grosse, Salakhutdinov 2016) with 32 draws, in nats.

        Its expectation lies below the log probability of the digit and above the evidence lower bound.
        """
        with exactly():
            bounds = [
                (weights.logsumexp(0) - np.log(_DRAWS)).numpy()
                for weights in self._weights(rows, rng, _DRAWS)
            ]
        return np.concatenate([np.empty(0), *bounds])

    def log_importance_weights(self, rows: Rows, rng: Rng, draws: int) -> Matrix:
        """Return ``log p(x, z) - log q(z | x)`` of draws from each digit's posterior, shape (n, draws)."""
        with exactly():
            found = [weights.T.numpy() for weights in self._weights(rows, rng, draws)]
        return np.concatenate([np.empty((0, draws)), *found])

    def _weights(self, rows: Rows, rng: Rng, draws: int) -> Iterator[Tensor]:
        """Yield log importance weights in chunks of digits, shape (draws, chunk)."""
        import torch

        from audit.included.families.digits_vae.network import log_probability

        for levels in _levels(rows, max(1, _CHUNK // draws)):
            mean, log_variance = self._network.encode(levels)
            noise = torch.from_numpy(rng.standard_normal((draws, *mean.shape), dtype=np.float32))
            z = mean + (0.5 * log_variance).exp() * noise
            log_prior_ratio = 0.5 * (noise**2 + log_variance - z**2).sum(-1)
            yield log_probability(levels, *self._network.decode(z)) + log_prior_ratio


def _levels(rows: Rows, chunk: int = _CHUNK) -> Iterator[Any]:
    """Yield the grey levels of images in chunks, as tensors."""
    import torch

    levels = levels_of(rows)
    for start in range(0, len(levels), chunk):
        yield torch.from_numpy(levels[start : start + chunk])
