"""The two networks of the included GANs: a generator and a critic, both residual, both told the person's factors."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from audit.included.training.recipe import TrainingRecipe

SIZE = 32
PEOPLE = "people"
"""Name of the tensor with the factors of the training rows, shape (n, factors): what free samples draw from."""
_SLOPE = 0.2


class _Modulated(nn.Module):  # type: ignore[misc]  # mypy does not follow torch, whose classes are Any to it
    """Normalises groups of channels, then scales and shifts them as the latent vector says (Chen et al. 2019)."""

    def __init__(self, width: int, latent: int, groups: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(groups, width, affine=False)
        self.affine = nn.Linear(latent, 2 * width)
        nn.init.normal_(self.affine.weight, std=0.5 * latent**-0.5)
        nn.init.zeros_(self.affine.bias)

    def forward(self, x: Tensor, style: Tensor) -> Tensor:
        scale, shift = self.affine(style)[..., None, None].chunk(2, dim=1)
        return self.norm(x) * (1 + scale) + shift


class _Up(nn.Module):  # type: ignore[misc]
    """Doubles height and width."""

    def __init__(self, before: int, after: int, latent: int, groups: int) -> None:
        super().__init__()
        self.first, self.second = _Modulated(before, latent, groups), _Modulated(after, latent, groups)
        self.widen = nn.Conv2d(before, after, 3, padding=1)
        self.refine = nn.Conv2d(after, after, 3, padding=1)
        self.skip = nn.Conv2d(before, after, 1, bias=False)

    def forward(self, x: Tensor, style: Tensor) -> Tensor:
        h = functional.interpolate(functional.silu(self.first(x, style)), scale_factor=2)
        h = self.refine(functional.silu(self.second(self.widen(h), style)))
        return h + self.skip(functional.interpolate(x, scale_factor=2))


class Generator(nn.Module):  # type: ignore[misc]
    """Turns a latent vector and the factors of a person into an image of 32×32, values -1 … 1.

    ``shares`` has a column for each value of each factor: ones and zeros for a person, anything between for a blend.
    The last doubling is a rearrangement of channels, which costs a third of a block at full size.
    """

    def __init__(
        self, latent: int, columns: int, widths: tuple[int, ...], channels: int, groups: int
    ) -> None:
        super().__init__()
        self.latent, self.columns, style = latent, columns, 3 * latent
        self.person = nn.Linear(columns, 2 * latent, bias=False)
        nn.init.normal_(self.person.weight, std=0.3)
        self.style = nn.Sequential(nn.Linear(style, style), nn.SiLU(), nn.Linear(style, style), nn.SiLU())
        for layer in (self.style[0], self.style[2]):
            nn.init.kaiming_normal_(layer.weight)
            nn.init.zeros_(layer.bias)
        self.begin = nn.Linear(style, 16 * widths[0])
        self.blocks = nn.ModuleList(_Up(a, b, style, groups) for a, b in pairwise(widths))
        self.last = _Modulated(widths[-1], style, groups)
        self.paint = nn.Conv2d(widths[-1], 4 * channels, 3, padding=1)

    def forward(self, z: Tensor, shares: Tensor) -> Tensor:
        style = self.style(torch.cat([z, self.person(shares)], dim=1))
        h = self.begin(style).unflatten(1, (-1, 4, 4)).contiguous(memory_format=torch.channels_last)
        for block in self.blocks:
            h = block(h, style)
        return torch.tanh(functional.pixel_shuffle(self.paint(functional.silu(self.last(h, style))), 2))


class _Down(nn.Module):  # type: ignore[misc]
    """Refines at full size, then halves height and width."""

    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        self.refine = nn.Conv2d(before, before, 3, padding=1)
        self.widen = nn.Conv2d(before, after, 3, padding=1)
        self.skip = nn.Conv2d(before, after, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        h = self.refine(functional.leaky_relu(x, _SLOPE))
        h = functional.avg_pool2d(self.widen(functional.leaky_relu(h, _SLOPE)), 2)
        return (h + self.skip(functional.avg_pool2d(x, 2))) * 0.7


class Critic(nn.Module):  # type: ignore[misc]
    """Says how real an image of 32×32 looks given the factors of the person, zeros for none: one number each.

    The factors enter as a projection (Miyato, Koyama 2018). Nothing is normalised: the gradient penalty keeps it
    smooth. It also guesses the latent vector of a made image (``guess``), in training alone.
    """

    def __init__(self, latent: int, columns: int, widths: tuple[int, ...], channels: int) -> None:
        super().__init__()
        self.look = nn.Conv2d(4 * channels, widths[0], 3, padding=1)
        self.blocks = nn.ModuleList(_Down(a, b) for a, b in pairwise(widths))
        self.last = nn.Conv2d(widths[-1], widths[-1], 3, padding=1)
        self.weigh = nn.Linear(16 * widths[-1], 256)
        self.judge = nn.Linear(256, 1)
        self.guess = nn.Linear(256, latent)
        self.person = nn.Linear(columns, 256, bias=False)
        nn.init.normal_(self.person.weight, std=0.1)

    def see(self, images: Tensor) -> Tensor:
        """Return what the critic notices about images, shape (n, 256)."""
        h = self.look(functional.pixel_unshuffle(images, 2).contiguous(memory_format=torch.channels_last))
        for block in self.blocks:
            h = block(h)
        h = functional.leaky_relu(self.last(functional.leaky_relu(h, _SLOPE)), _SLOPE)
        return functional.leaky_relu(self.weigh(h.flatten(1)), _SLOPE)

    def weigh_up(self, seen: Tensor, shares: Tensor) -> Tensor:
        """Return how real it finds what it noticed, given the factors."""
        return self.judge(seen)[:, 0] + (seen * self.person(shares)).sum(1) / 16

    def forward(self, images: Tensor, shares: Tensor) -> Tensor:
        return self.weigh_up(self.see(images), shares)


def networks(recipe: TrainingRecipe) -> tuple[Generator, Critic]:
    """Return the two networks of a recipe, untrained."""
    sizes = recipe.sizes
    latent, columns = sizes["latent"], len(sizes["columns"])
    generator = Generator(latent, columns, sizes["generator"], sizes["channels"], sizes["groups"])
    return generator, Critic(latent, columns, sizes["critic"], sizes["channels"])
