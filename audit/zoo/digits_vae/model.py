"""The digits VAE as an audit sees it: what it can do, and the bytes it is made of."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np

from audit.core.capabilities import Capability, implemented
from audit.core.errors import InputError
from audit.core.identity import Digest, digest_file, digest_files
from audit.core.options import OptionTable
from audit.core.references import DataRef, ModelRef
from audit.core.rows import IMAGE, Matrix, Rng, Rows, Vector, image_rows, images_of
from audit.core.subjects import ModelCard
from audit.zoo.digits_vae.recipe import recorded
from audit.zoo.progress import Progress

NAME = "digits-vae"
SHIPPED = Digest("fc68f4cdb569f2314f054249e466feb2d726e219")
"""Digest of the weights in the package; its card states how they were made."""
_LEVELS = 16
_PIXELS = 64
_DRAWS = 32
_CHUNK = 2048
_HERE = Path(str(files("audit.zoo.digits_vae")))
_WEIGHTS = _HERE.parent / "weights" / f"{NAME}.safetensors"


class DigitsVAE:
    """A variational autoencoder of 8×8 handwritten digits, trained on the ``train`` split of the dataset ``digits``.

    Digits have 17 grey levels, stored as ``round(level * 255 / 16)``; a pixel between two of these
    values is read as the nearest. Images of another shape raise ValueError.

    It runs on the processor whatever the device, in chunks of fixed size: it is
    small enough, and its numbers are then the same everywhere.
    """

    def __init__(self, network: Any) -> None:
        self._network = network

    @classmethod
    def refer(cls, options: dict[str, Any]) -> ModelRef:
        """Name the shipped weights, or those in ``weights``: a file that ``audit train digits-vae`` made."""
        table = OptionTable.of(f"The included model '{NAME}'", options, ("weights",))
        weights = table.path("weights") or _WEIGHTS
        try:
            digest = digest_file(weights)
        except OSError as error:
            raise InputError(f"{weights} cannot be read: {error.strerror}.") from error
        if weights == _WEIGHTS and digest != SHIPPED:
            raise InputError(
                f"The weights of '{NAME}' in this installation are damaged: digest {digest}, expected {SHIPPED}. "
                "Reinstall generative-audit."
            )
        code = digest_files({name: _HERE / name for name in ("model.py", "network.py")})
        return ModelRef("included", digest, (("code", code),), str(weights))

    @classmethod
    def describe(cls, ref: ModelRef) -> tuple[ModelCard, frozenset[Capability]]:
        recipe = recorded()
        notes = [
            f"Trained on the split 'train' of the dataset '{recipe.use}' with seed {recipe.data_seed} and "
            f"{recipe.train:,} digits (content {recipe.content}); with other options the splits say nothing about it.",
            f"The likelihood bound is importance-weighted with {_DRAWS} draws, in nats per digit of {_PIXELS} pixels "
            "with 17 levels each: a bound on the probability of discrete data.",
        ]
        if ref.weights != SHIPPED:
            notes.insert(0, "These weights are not the ones that ship with the package.")
        trained_on = DataRef(
            recipe.use, recipe.content, (("seed", recipe.data_seed), ("train", recipe.train))
        )
        card = ModelCard(
            "variational autoencoder", "image", _parameters(), notes=tuple(notes), trained_on=trained_on
        )
        return card, implemented(cls)

    @classmethod
    def open(cls, ref: ModelRef, device: str) -> DigitsVAE:
        from safetensors import SafetensorError
        from safetensors.torch import load

        from audit.core.identity import digest_of
        from audit.zoo.digits_vae.network import Network

        path, recipe = Path(ref.location), recorded()
        try:
            data = path.read_bytes()
        except OSError as error:
            raise InputError(f"{path} cannot be read: {error.strerror}.") from error
        if digest_of(data) != ref.weights:
            raise InputError(
                f"{path} has changed since the audit was planned. Restore it, or plan the audit again."
            )
        network = Network(recipe.latent, recipe.hidden, recipe.dropout)
        try:
            network.load_state_dict(load(data))
        except (SafetensorError, RuntimeError) as error:
            raise InputError(f"{path} does not hold the weights of '{NAME}': {error}") from error
        return cls(network.eval())

    @classmethod
    def train(cls, out: Path, *, resume: bool = True) -> Iterator[Progress]:
        """Train by the recorded recipe into ``out``, yielding progress; the last message says what came out."""
        from audit.zoo.digits_vae import training

        recipe = recorded()
        yield from training.train(recipe, out, resume=resume)
        made = out / training.WEIGHTS
        model = cls.open(cls.refer({"weights": str(made)}), "cpu")
        bounds = {
            split: model.likelihood_bound(training.split_of(recipe, split), np.random.default_rng(0))
            for split in ("train", "holdout")
        }
        means = " and ".join(f"{bound.mean():.2f} on {split}" for split, bound in bounds.items())
        yield Progress(
            recipe.steps,
            recipe.steps,
            float(-bounds["train"].mean()),
            f"{made}: digest {digest_file(made)}; likelihood bound in nats per digit {means}",
        )

    def sample(self, n: int, rng: Rng, condition: Rows | None = None) -> Rows:
        """Draw digits: a latent vector from the standard normal prior, then every pixel from its beta-binomial."""
        if condition is not None:
            raise ValueError(f"'{NAME}' draws digits freely and takes no condition")
        return self.decode(rng.standard_normal((n, self._network.latent)), rng)

    def decode(self, latents: Matrix, rng: Rng) -> Rows:
        """Draw one digit from the likelihood given each latent vector."""
        import torch

        from audit.zoo.digits_vae.network import probabilities

        if latents.ndim != 2 or latents.shape[1] != self._network.latent:
            raise ValueError(f"latent vectors are (n, {self._network.latent}), not {latents.shape}")
        levels = np.empty((len(latents), _PIXELS))
        with torch.inference_mode():
            for start in range(0, len(latents), _CHUNK):
                z = torch.from_numpy(latents[start : start + _CHUNK].astype(np.float32))
                below = probabilities(*self._network.decode(z)).cumsum(-1)[..., :-1]
                drawn = torch.from_numpy(rng.random((len(z), _PIXELS, 1), dtype=np.float32))
                levels[start : start + _CHUNK] = (drawn >= below).sum(-1).numpy()
        return _digits(levels)

    def encode(self, rows: Rows) -> Matrix:
        """Return the mean of each digit's posterior, shape (n, 12)."""
        import torch

        with torch.inference_mode():
            means = [self._network.encode(levels)[0].numpy() for levels in _levels(rows)]
        return np.concatenate([np.empty((0, self._network.latent)), *means])

    def reconstruct(self, rows: Rows, rng: Rng) -> Rows:
        """Return the expected digit at the mean of each posterior; no random number is used."""
        import torch

        expected = [np.empty((0, _PIXELS))]
        with torch.inference_mode():
            for levels in _levels(rows):
                a, b = self._network.decode(self._network.encode(levels)[0])
                expected.append((_LEVELS * a / (a + b)).numpy())
        return _digits(np.concatenate(expected))

    def likelihood_bound(self, rows: Rows, rng: Rng) -> Vector:
        """Return the importance-weighted bound (Burda, Grosse, Salakhutdinov 2016) with 32 draws, in nats.

        Its expectation lies below the log probability of the digit and above the evidence lower bound.
        """
        import torch

        from audit.zoo.digits_vae.network import log_probability

        bounds = [np.empty(0)]
        with torch.inference_mode():
            for levels in _levels(rows, _CHUNK // _DRAWS):
                mean, log_variance = self._network.encode(levels)
                noise = torch.from_numpy(rng.standard_normal((_DRAWS, *mean.shape), dtype=np.float32))
                z = mean + (0.5 * log_variance).exp() * noise
                log_prior_ratio = 0.5 * (noise**2 + log_variance - z**2).sum(-1)
                weights = log_probability(levels, *self._network.decode(z)) + log_prior_ratio
                bounds.append((weights.logsumexp(0) - np.log(_DRAWS)).numpy())
        return np.concatenate(bounds)


def _levels(rows: Rows, chunk: int = _CHUNK) -> Iterator[Any]:
    """Yield the grey levels 0 … 16 of images in chunks, as tensors of shape (n, 64)."""
    import torch

    if IMAGE not in rows.column_names:
        raise ValueError(f"'{NAME}' reads images; these rows have {', '.join(rows.column_names)}")
    images = images_of(rows)
    if images.shape[1:] != (8, 8, 1):
        raise ValueError(f"'{NAME}' reads images of shape (8, 8, 1), not {images.shape[1:]}")
    levels = np.rint(images.reshape(-1, _PIXELS) * (_LEVELS / 255)).astype(np.float32)
    for start in range(0, len(levels), chunk):
        yield torch.from_numpy(levels[start : start + chunk])


def _digits(levels: Matrix) -> Rows:
    return image_rows(np.rint(levels * (255 / _LEVELS)).astype(np.uint8).reshape(-1, 8, 8, 1))


def _parameters() -> int:
    """Return the number of weights of the recorded network, from its sizes."""
    recipe = recorded()
    widths = (
        (_PIXELS, recipe.hidden),
        (recipe.hidden, recipe.hidden),
        (recipe.hidden, 2 * recipe.latent),
        (recipe.latent, recipe.hidden),
        (recipe.hidden, recipe.hidden),
        (recipe.hidden, 2 * _PIXELS),
    )
    return sum((inputs + 1) * outputs for inputs, outputs in widths)
