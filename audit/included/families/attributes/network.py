"""The network that reads a portrait's factors: one body, one head per factor."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from audit.included.families.factors import factors_in


class _Block(nn.Module):  # type: ignore[misc]  # mypy does not follow torch, whose classes are Any to it
    """A residual block that may halve height and width."""

    def __init__(self, before: int, after: int, stride: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(before, after, 3, stride=stride, padding=1, bias=False)
        self.second = nn.Conv2d(after, after, 3, padding=1, bias=False)
        self.calm, self.settle = nn.BatchNorm2d(after), nn.BatchNorm2d(after)
        self.skip = (
            nn.Sequential(nn.Conv2d(before, after, 1, stride=stride, bias=False), nn.BatchNorm2d(after))
            if stride > 1 or before != after
            else nn.Identity()
        )

    def forward(self, x: Tensor) -> Tensor:
        h = self.settle(self.second(functional.relu(self.calm(self.first(x)))))
        return functional.relu(h + self.skip(x))


class AttributeNetwork(nn.Module):  # type: ignore[misc]
    """Returns a feature vector and the logits of every factor of 32×32 portraits, values -1 … 1.

    ``columns`` names the values of all factors in order, as ``factor=value``.
    """

    def __init__(self, columns: Sequence[str], widths: tuple[int, ...], features: int) -> None:
        super().__init__()
        self.factors = factors_in(columns)
        self.look = nn.Conv2d(12, widths[0], 3, padding=1)
        strides = (1, *(2 for _ in widths[1:]))
        before = (widths[0], *widths[:-1])
        self.body = nn.Sequential(*(_Block(a, b, s) for a, b, s in zip(before, widths, strides, strict=True)))
        corner = 16 // 2 ** (len(widths) - 1)
        self.narrow = nn.Linear(widths[-1] * corner**2, features)
        self.heads = nn.ModuleDict(
            {name: nn.Linear(features, len(values)) for name, values in self.factors.items()}
        )

    def features(self, images: Tensor) -> Tensor:
        """Return one vector per image, shape (n, features): what all heads read."""
        h = self.look(functional.pixel_unshuffle(images, 2).contiguous(memory_format=torch.channels_last))
        return functional.silu(self.narrow(self.body(functional.relu(h)).flatten(1)))

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Return the logits of each factor, shape (n, values)."""
        seen = self.features(images)
        return {name: head(seen) for name, head in self.heads.items()}
