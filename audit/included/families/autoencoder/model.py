"""The included image autoencoders as an audit sees them, plain and variational."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np

from audit.core.references import ModelRef
from audit.core.rows import Matrix, Rng, Rows, Vector
from audit.formats.arithmetic import exactly
from audit.included.model import IncludedModel, filled
from audit.included.training.recipe import TrainingRecipe, recorded

if TYPE_CHECKING:
    from torch import Tensor

    from audit.included.families.autoencoder.density import Density
    from audit.included.training.loop import Learner

_CHUNK = 200
_DRAWS = 16


class ImageAutoencoder(IncludedModel):
    """What both kinds share: codes from images and images from codes."""

    sources: ClassVar[tuple[str, ...]] = (
        "families/autoencoder/model.py",
        "families/autoencoder/network.py",
        "families/autoencoder/density.py",
        "families/frames.py",
        "families/pictures.py",
    )

    def __init__(self, network: Any, device: str) -> None:
        self._network, self._device = network, device

    @classmethod
    def build(cls, recipe: TrainingRecipe, tensors: Mapping[str, Tensor], ref: ModelRef, device: str) -> Self:
        from audit.included.families.autoencoder.network import Autoencoder

        return cls(filled(Autoencoder(**recipe.sizes), tensors, device), device)

    @classmethod
    def learner(cls, recipe: TrainingRecipe, rows: Rows, begin: Mapping[str, Tensor] | None) -> Learner:
        from audit.included.families.autoencoder.learner import AutoencoderLearner

        return AutoencoderLearner(recipe, rows)

    @classmethod
    def shape(cls) -> tuple[int, int, int]:
        """Height, width and channels of its images."""
        sizes = recorded(cls.name).sizes
        return sizes["size"], sizes["size"], sizes["channels"]

    def decode(self, latents: Matrix, rng: Rng) -> Rows:
        """Return the image that the decoder expects for each latent vector; no random number is used."""
        from audit.included.families.pictures import latents_in_parts, painted

        network = self._network
        parts = latents_in_parts(latents, network.latent, _CHUNK, self.name, self._device)
        return painted(self.shape(), (network.decode(codes)[:, : network.channels] for codes in parts))

    def encode(self, rows: Rows) -> Matrix:
        """Return the code of each image, or the mean of its posterior, shape (n, latent)."""

        own = self._network.latent
        with exactly():
            codes = [self._network.encode(images)[:, :own].double() for images in self._images(rows, _CHUNK)]
        return np.concatenate([np.empty((0, own)), *(code.cpu().numpy() for code in codes)])

    def reconstruct(self, rows: Rows, rng: Rng) -> Rows:
        """Return each image through its code and back; no random number is used."""
        return self.decode(self.encode(rows), rng)

    def _images(self, rows: Rows, chunk: int) -> Iterator[Tensor]:
        from audit.included.families.pictures import pixels_of, signed

        for part in pixels_of(rows, self.shape(), self.name).split(chunk):
            if len(part):
                yield signed(part.to(self._device))


class PortraitsAE(ImageAutoencoder):
    """A plain autoencoder of portraits. It has no prior: samples come from a mixture of normals fitted to the codes."""

    name: ClassVar[str] = "portraits-ae"
    family: ClassVar[str] = "autoencoder"

    _density: Density

    @classmethod
    def build(cls, recipe: TrainingRecipe, tensors: Mapping[str, Tensor], ref: ModelRef, device: str) -> Self:
        from audit.included.families.autoencoder.density import PREFIX, Density

        own = {name: value for name, value in tensors.items() if not name.startswith(PREFIX)}
        opened = super().build(recipe, own, ref, device)
        opened._density = Density.of(tensors, opened._network.latent)
        return opened

    @classmethod
    def notes(cls, ref: ModelRef) -> tuple[str, ...]:
        parts = recorded(cls.name).terms["density_parts"]
        return (
            f"Samples are decoded from a mixture of {parts} normals that was fitted to the codes of the training images "
            "after training (Ghosh et al. 2020): the autoencoder itself defines no distribution.",
        )

    def sample(self, n: int, rng: Rng, condition: Rows | None = None) -> Rows:
        """Draw codes from the fitted density and decode them."""
        if condition is not None:
            raise ValueError(f"'{self.name}' draws freely and takes no condition")
        return self.decode(self._density.draw(n, rng), rng)


class ImageVAE(ImageAutoencoder):
    """A variational autoencoder (Kingma, Welling 2014) with a discretised logistic likelihood."""

    family: ClassVar[str] = "variational autoencoder"

    @classmethod
    def notes(cls, ref: ModelRef) -> tuple[str, ...]:
        height, width, channels = cls.shape()
        return (
            "Samples are the decoder's means for latent vectors from the prior; the likelihood's noise is left out of them.",
            f"The likelihood bound is importance-weighted with {_DRAWS} draws, in nats per image of "
            f"{height * width * channels:,} bytes: a bound on the probability of discrete data.",
        )

    def sample(self, n: int, rng: Rng, condition: Rows | None = None) -> Rows:
        """Draw latent vectors from the standard normal prior and decode them."""
        if condition is not None:
            raise ValueError(f"'{self.name}' draws freely and takes no condition")
        return self.decode(rng.standard_normal((n, self._network.latent)), rng)

    def likelihood_bound(self, rows: Rows, rng: Rng) -> Vector:
        """Return the importance-weighted bound (Burda, Grosse, Salakhutdinov 2016) with 16 draws, in nats."""
        with exactly():
            bounds = [
                (weights.double().logsumexp(0) - np.log(_DRAWS)).cpu().numpy()
                for weights in self._weights(rows, rng, _DRAWS)
            ]
        return np.concatenate([np.empty(0), *bounds])

    def log_importance_weights(self, rows: Rows, rng: Rng, draws: int) -> Matrix:
        """Return ``log p(x, z) - log q(z | x)`` of draws from each image's posterior, shape (n, draws)."""
        with exactly():
            found = [weights.double().T.cpu().numpy() for weights in self._weights(rows, rng, draws)]
        return np.concatenate([np.empty((0, draws)), *found])

    def posterior(self, rows: Rows) -> Matrix:
        """Return mean and log variance of each image's posterior, shape (n, 2, latent)."""
        own = self._network.latent
        with exactly():
            found = [
                self._network.encode(images).double().unflatten(1, (2, own)).cpu().numpy()
                for images in self._images(rows, _CHUNK)
            ]
        return np.concatenate([np.empty((0, 2, own)), *found])

    def _weights(self, rows: Rows, rng: Rng, draws: int) -> Iterator[Tensor]:
        """Yield log importance weights in chunks of images, shape (draws, chunk)."""
        import torch

        from audit.included.families.autoencoder.network import log_probability

        for images in self._images(rows, _CHUNK // 4):
            mean, log_variance = self._network.encode(images).chunk(2, dim=1)
            weights = []
            for _ in range(draws):
                drawn = rng.standard_normal(mean.shape, dtype=np.float32)
                noise = torch.from_numpy(drawn).to(self._device)
                z = mean + (0.5 * log_variance).exp() * noise
                log_prior_ratio = 0.5 * (noise**2 + log_variance - z**2).sum(-1)
                weights.append(log_probability(images, self._network.decode(z)) + log_prior_ratio)
            yield torch.stack(weights)


class PortraitsVAE(ImageVAE):
    """A variational autoencoder of portraits."""

    name: ClassVar[str] = "portraits-vae"


class PortraitsVAEOverfit(ImageVAE):
    """The defective twin that has memorised 200 people."""

    name: ClassVar[str] = "portraits-vae-overfit"
    defect: ClassVar[str] = "has memorised its 200 members"


class FashionVAE(ImageVAE):
    """A variational autoencoder of Fashion-MNIST."""

    name: ClassVar[str] = "fashion-vae"
