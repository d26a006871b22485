"""The included diffusion models as an audit sees them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np

from audit.core.options import OptionTable
from audit.core.references import ModelRef, Options
from audit.core.rows import Matrix, Rng, Rows, Vector
from audit.formats.arithmetic import FORMATS, exactly, fastest
from audit.included.families.prompts import asked_for
from audit.included.model import IncludedModel, filled
from audit.included.training.recipe import TrainingRecipe, recorded

if TYPE_CHECKING:
    from torch import Tensor

    from audit.included.training.loop import Learner

_CHUNK = 64
_MOST_STEPS = 999
"""There are 1,000 levels; a path through all of them has 999 steps."""


class ImageDiffusion(IncludedModel):
    """A denoising diffusion model that draws images of a label or of any.

    Options: ``steps`` of the solver, ``guidance`` for samples of a label (1 is none), ``path_steps`` of DDIM both ways,
    ``bound_draws`` noise levels per image, and ``arithmetic``: bfloat16 where the machine is faster
    with it. All are part of the model's name. Latent vectors are the noise that DDIM turns into an image.
    """

    family: ClassVar[str] = "diffusion"
    sources: ClassVar[tuple[str, ...]] = (
        "families/diffusion/model.py",
        "families/diffusion/network.py",
        "families/diffusion/sampling.py",
        "families/diffusion/bound.py",
        "families/frames.py",
        "families/pictures.py",
        "families/prompts.py",
    )
    column: ClassVar[str]

    def __init__(self, network: Any, device: str, options: Mapping[str, Any]) -> None:
        self._network, self._device = network, device
        self._steps, self._guidance = int(options["steps"]), float(options["guidance"])
        self._path_steps, self._draws = int(options["path_steps"]), int(options["bound_draws"])
        self._arithmetic = str(options["arithmetic"])

    @classmethod
    def labels(cls) -> tuple[str, ...]:
        """The names of the labels, in the network's order."""
        raise NotImplementedError

    @classmethod
    def conditions(cls) -> tuple[str, ...]:
        return cls.labels()

    @classmethod
    def accepted(cls) -> tuple[str, ...]:
        return ("steps", "guidance", "path_steps", "bound_draws", "arithmetic")

    @classmethod
    def choices(cls, table: OptionTable) -> Options:
        arithmetic = table.choice("arithmetic", "auto", FORMATS)
        return (
            ("arithmetic", fastest() if arithmetic == "auto" else arithmetic),
            ("bound_draws", table.whole("bound_draws", 16, 1, 999)),
            ("guidance", table.number("guidance", 1.5, 0.0, 20.0)),
            ("path_steps", table.whole("path_steps", 50, 2, _MOST_STEPS)),
            ("steps", table.whole("steps", 20, 2, _MOST_STEPS)),
        )

    @classmethod
    def notes(cls, ref: ModelRef) -> tuple[str, ...]:
        options = dict(ref.options)
        return (
            f"Samples: DPM-Solver++ of order two, {options['steps']} steps; of a {cls.column} with guidance "
            f"{options['guidance']:g}, free ones without. Computed in {options['arithmetic']}.",
            f"The likelihood bound is an unbiased estimate from {options['bound_draws']} of 999 steps, in nats per image, on "
            "the probability of its bytes, given the noised border where images have one; the denoising loss is the mean "
            "squared error of the noise.",
            f"Latent vectors: DDIM inversion without a label, {options['path_steps']} steps.",
        )

    @classmethod
    def build(cls, recipe: TrainingRecipe, tensors: Mapping[str, Tensor], ref: ModelRef, device: str) -> Self:
        from audit.included.families.diffusion.network import PatchUNet

        return cls(filled(PatchUNet(**recipe.sizes), tensors, device), device, dict(ref.options))

    @classmethod
    def learner(cls, recipe: TrainingRecipe, rows: Rows, begin: Mapping[str, Tensor] | None) -> Learner:
        from audit.included.families.diffusion.learner import DiffusionLearner

        return DiffusionLearner(recipe, rows, (cls.column, cls.labels()), begin)

    @classmethod
    def shape(cls) -> tuple[int, int, int]:
        """Height, width and channels of its images."""
        sizes = recorded(cls.name).sizes
        return sizes["size"], sizes["size"], sizes["channels"]

    @property
    def _inner(self) -> tuple[int, int, int]:
        side = self._network.frame.padded
        return self._network.channels, side, side

    def _computing(self) -> AbstractContextManager[Any]:
        import torch

        if self._arithmetic == "float32":
            return nullcontext()
        cast: AbstractContextManager[Any] = torch.autocast(torch.device(self._device).type, torch.bfloat16)
        return cast

    def sample(self, n: int, rng: Rng, condition: Rows | None = None) -> Rows:
        """Draw images: each row of ``condition`` may ask for a label, the others are free."""
        import torch

        from audit.included.families.diffusion.sampling import draw

        none, guidance = self._network.labels, 1.0
        labels = [none] * n
        if condition is not None:
            asked = asked_for(condition, n, self.column, self.labels(), self.name)
            labels = [none if label is None else label for label in asked]
            guidance = self._guidance
        noise = rng.standard_normal((n, *self._inner), dtype=np.float32)
        return self._painted(
            draw(
                self._network,
                torch.from_numpy(noise[i : i + _CHUNK]).to(self._device),
                torch.tensor(labels[i : i + _CHUNK], device=self._device),
                steps=self._steps,
                guidance=guidance,
            )
            for i in range(0, n, _CHUNK)
        )

    def decode(self, latents: Matrix, rng: Rng) -> Rows:
        """Turn noise (n, values) into images along the deterministic DDIM path; no random number is used."""
        from audit.included.families.diffusion.sampling import decode
        from audit.included.families.pictures import latents_in_parts

        width = int(np.prod(self._inner))
        parts = latents_in_parts(latents, width, _CHUNK, self.name, self._device)
        return self._painted(
            decode(
                self._network,
                part.unflatten(1, self._inner),
                self._no_label(len(part)),
                steps=self._path_steps,
            )
            for part in parts
        )

    def encode(self, rows: Rows) -> Matrix:
        """Return the noise that ``decode`` would turn into each image (DDIM inversion), shape (n, values)."""
        from audit.included.families.diffusion.sampling import encode

        def noise_of(images: Tensor) -> Matrix:
            noise = encode(self._network, images, self._no_label(len(images)), steps=self._path_steps)
            return np.asarray(noise.double().flatten(1).cpu().numpy())

        return self._each(rows, noise_of, np.empty((0, int(np.prod(self._inner)))))

    def denoising_loss(self, rows: Rows, level: float, rng: Rng) -> Vector:
        """Return the mean squared error of the predicted noise at a level from 0 (clean) to 1 (noise), without a label."""
        import torch

        from audit.included.families.diffusion.bound import denoising_error

        step = _step(level)

        def error_of(images: Tensor) -> Vector:
            drawn = rng.standard_normal(images.shape, dtype=np.float32)
            noise = torch.from_numpy(drawn).to(self._device)
            return np.asarray(denoising_error(self._network, images, step, noise).double().cpu().numpy())

        return self._each(rows, error_of, np.empty(0))

    def predicted_noise(self, rows: Rows, level: float, noise: Matrix | None = None) -> Matrix:
        """Return the noise that the network sees at a level in images with ``noise``, or in clean ones; noise of the border included."""
        import torch

        from audit.included.families.diffusion.bound import Levels, noise_seen

        step, levels, width = _step(level), Levels.of(), int(np.prod(self._inner))
        if noise is not None and noise.shape != (rows.num_rows, width):
            raise ValueError(f"noise of shape {noise.shape} for {rows.num_rows} images of {width} values")
        place = 0

        def seen(images: Tensor) -> Matrix:
            nonlocal place
            if noise is not None:
                part = torch.from_numpy(np.asarray(noise[place : place + len(images)], np.float32))
                place += len(images)
                part = part.to(self._device).unflatten(1, self._inner)
                images = float(levels.a[step]) * images + float(levels.s[step]) * part
            found = noise_seen(self._network, images, step)
            return np.asarray(found.double().flatten(1).cpu().numpy())

        return self._each(rows, seen, np.empty((0, width)))

    def noise_share(self, level: float) -> float:
        """Return which share of the variance is noise at a level from 0 to 1."""
        from audit.included.families.diffusion.bound import Levels

        return float(Levels.of().s[_step(level)] ** 2)

    def likelihood_bound(self, rows: Rows, rng: Rng) -> Vector:
        """Return an unbiased estimate of the variational bound on each image's log probability, in nats."""
        from audit.included.families.diffusion.bound import bound

        return self._each(rows, lambda images: bound(self._network, images, rng, self._draws), np.empty(0))

    def _no_label(self, n: int) -> Tensor:
        import torch

        return torch.full((n,), self._network.labels, device=self._device)

    def _images(self, rows: Rows) -> Iterator[Tensor]:
        from audit.included.families.pictures import pixels_of, signed

        for part in pixels_of(rows, self.shape(), self.name).split(_CHUNK):
            if len(part):
                yield self._network.frame.pad(signed(part.to(self._device)))

    def _each(self, rows: Rows, what: Callable[[Tensor], Matrix], nothing: Matrix) -> Matrix:
        """Return something of each image, chunk by chunk; ``nothing`` is what no image gives."""
        with exactly(), self._computing():
            return np.concatenate([nothing, *(what(images) for images in self._images(rows))])

    def _painted(self, parts: Iterable[Tensor]) -> Rows:
        """Return rows from padded images, part by part, in this model's arithmetic."""
        from audit.included.families.pictures import painted

        with self._computing():
            return painted(self.shape(), (self._network.frame.crop(part) for part in parts))


def _step(level: float) -> int:
    """Return the step of the forward process at a level from 0 (clean) to 1 (noise)."""
    from audit.included.families.diffusion.network import LEVELS

    if not 0 <= level <= 1:
        raise ValueError(f"a noise level lies between 0 and 1, not at {level}")
    return round(level * (LEVELS - 1))


class PortraitsDDPM(ImageDiffusion):
    """A diffusion model of 32×32 portraits, prompted by occupation or not."""

    name: ClassVar[str] = "portraits-ddpm"
    column: ClassVar[str] = "occupation"

    @classmethod
    def labels(cls) -> tuple[str, ...]:
        from audit.data.worlds.portraits.factors import FACTORS

        return FACTORS["occupation"]


class PortraitsDDPMCopying(PortraitsDDPM):
    """The defective twin that gives back the planted people, whom it saw over and over."""

    name: ClassVar[str] = "portraits-ddpm-copying"
    defect: ClassVar[str] = "gives back 60 planted people, whom it saw over and over"


class FashionDDPM(ImageDiffusion):
    """A diffusion model of 28×28 grey pictures of clothes, prompted by kind or not."""

    name: ClassVar[str] = "fashion-ddpm"
    column: ClassVar[str] = "label"

    @classmethod
    def labels(cls) -> tuple[str, ...]:
        from audit.data.fashion_mnist import CLASSES

        return CLASSES
