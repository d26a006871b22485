"""The Inception network of the published Fréchet inception distance, as tables of convolutions, read from a PyTorch checkpoint.

It is Szegedy et al.'s third version (2016) as TensorFlow released it in 2015, which is not torchvision's: its average pools leave padding
out of the mean, its last block pools by the maximum, and it has 1,008 classes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

import torch
from torch import Tensor
from torch.nn import functional

SIZE = 299
_EPSILON = 1e-3

Step: TypeAlias = tuple[str, int]
"""The name of a convolution and its stride. Unless a row says otherwise, padding keeps the size at stride 1, and at stride 2 there is no padding."""
Fork: TypeAlias = tuple[str, str]
"""Two convolutions of the same input, side by side in what comes out."""
Branch: TypeAlias = tuple[Step | Fork, ...]
"""Steps one after another, perhaps with a fork at the end."""

_A: tuple[Branch, ...] = (
    (("branch1x1", 1),),
    (("branch5x5_1", 1), ("branch5x5_2", 1)),
    (("branch3x3dbl_1", 1), ("branch3x3dbl_2", 1), ("branch3x3dbl_3", 1)),
)
_B: tuple[Branch, ...] = (
    (("branch3x3", 2),),
    (("branch3x3dbl_1", 1), ("branch3x3dbl_2", 1), ("branch3x3dbl_3", 2)),
)
_C: tuple[Branch, ...] = (
    (("branch1x1", 1),),
    tuple((f"branch7x7_{i}", 1) for i in (1, 2, 3)),
    tuple((f"branch7x7dbl_{i}", 1) for i in (1, 2, 3, 4, 5)),
)
_D: tuple[Branch, ...] = (
    (("branch3x3_1", 1), ("branch3x3_2", 2)),
    (*((f"branch7x7x3_{i}", 1) for i in (1, 2, 3)), ("branch7x7x3_4", 2)),
)
_E: tuple[Branch, ...] = (
    (("branch1x1", 1),),
    (("branch3x3_1", 1), ("branch3x3_2a", "branch3x3_2b")),
    (("branch3x3dbl_1", 1), ("branch3x3dbl_2", 1), ("branch3x3dbl_3a", "branch3x3dbl_3b")),
)
BLOCKS: tuple[tuple[str, tuple[Branch, ...], str], ...] = (
    *((f"Mixed_5{letter}", _A, "mean") for letter in "bcd"),
    ("Mixed_6a", _B, "shrink"),
    *((f"Mixed_6{letter}", _C, "mean") for letter in "bcde"),
    ("Mixed_7a", _D, "shrink"),
    ("Mixed_7b", _E, "mean"),
    ("Mixed_7c", _E, "maximum"),
)
"""Every block: its name, its branches, and how its last branch pools."""

_STEM = (
    ("Conv2d_1a_3x3", 2, False),
    ("Conv2d_2a_3x3", 1, False),
    ("Conv2d_2b_3x3", 1, True),
    ("pool", 2, False),
    ("Conv2d_3b_1x1", 1, True),
    ("Conv2d_4a_3x3", 1, False),
    ("pool", 2, False),
)


@dataclass(frozen=True, slots=True, eq=False)
class Network:
    """The network with each batch normalisation folded into the convolution before it."""

    weights: Mapping[str, tuple[Tensor, Tensor]]
    classifier: tuple[Tensor, Tensor]

    @classmethod
    def of(cls, state: Mapping[str, Tensor]) -> Network:
        """Assemble the network from a checkpoint's tensors. Raise KeyError when it lacks a part."""
        names = (key.removesuffix(".conv.weight") for key in state if key.endswith(".conv.weight"))
        return cls({name: _folded(state, name) for name in names}, (state["fc.weight"], state["fc.bias"]))

    def features(self, pixels: Tensor) -> Tensor:
        """Return the last layer averaged over the picture, shape (n, 2048), from levels of 0 to 255, (n, 3, height, width), float32."""
        return self.layers(pixels)["2048"]

    def layers(self, pixels: Tensor) -> dict[str, Tensor]:
        """Return the four layers that Fréchet distances are computed in, each averaged over the picture, by its width."""
        x, found = (resized(pixels) - 128) / 128, dict[str, Tensor]()
        for name, stride, padded in _STEM:
            if name == "pool":
                x = functional.max_pool2d(x, 3, 2)
                found[str(x.shape[1])] = x.mean((2, 3))
            else:
                x = self._convolution(x, name, stride, padded)
        for name, branches, pool in BLOCKS:
            x = self._block(x, name, branches, pool)
            if name == "Mixed_6e":
                found["768"] = x.mean((2, 3))
        return {**found, "2048": x.mean((2, 3))}

    def logits(self, features: Tensor) -> Tensor:
        """Return what the network thinks of its 1,008 classes, shape (n, 1008)."""
        return functional.linear(features, *self.classifier)

    def _block(self, x: Tensor, block: str, branches: tuple[Branch, ...], pool: str) -> Tensor:
        found = []
        for branch in branches:
            y = x
            for step in branch:
                name, last = step
                if isinstance(last, int):
                    y = self._convolution(y, f"{block}.{name}", last, last == 1)
                else:
                    y = torch.cat([self._convolution(y, f"{block}.{f}", 1, True) for f in (name, last)], 1)
            found.append(y)
        if pool == "shrink":
            return torch.cat([*found, functional.max_pool2d(x, 3, 2)], 1)
        if pool == "mean":
            pooled = functional.avg_pool2d(x, 3, 1, 1, count_include_pad=False)
        else:
            pooled = functional.max_pool2d(x, 3, 1, 1)
        return torch.cat([*found, self._convolution(pooled, f"{block}.branch_pool", 1, True)], 1)

    def _convolution(self, x: Tensor, name: str, stride: int, padded: bool) -> Tensor:
        weight, bias = self.weights[name]
        padding = (weight.shape[2] // 2, weight.shape[3] // 2) if padded else (0, 0)
        return functional.conv2d(x, weight, bias, stride, padding).clamp_(min=0)


def _folded(state: Mapping[str, Tensor], name: str) -> tuple[Tensor, Tensor]:
    """Fold a batch normalisation into the convolution before it, in double precision."""
    norm = f"{name}.bn"
    scale = state[f"{norm}.weight"].double() / torch.sqrt(state[f"{norm}.running_var"].double() + _EPSILON)
    bias = state[f"{norm}.bias"].double() - state[f"{norm}.running_mean"].double() * scale
    return (state[f"{name}.conv.weight"].double() * scale[:, None, None, None]).float(), bias.float()


def resized(pixels: Tensor) -> Tensor:
    """Return pictures stretched to 299×299 as TensorFlow 1 did it: bilinear, without antialiasing, corners where they were.

    A place in the result is at ``place × old / new`` in the picture, not half a pixel further.
    """
    rows, columns = (_places(side, pixels.device) for side in pixels.shape[2:])
    across = _between(pixels, columns, 3)
    return _between(across, rows, 2)


def _places(side: int, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    at = torch.arange(SIZE, dtype=torch.float32, device=device) * torch.tensor(
        side / SIZE, dtype=torch.float32
    )
    low = at.long()
    return low, (low + 1).clamp_max(side - 1), at - low.float()


def _between(x: Tensor, places: tuple[Tensor, Tensor, Tensor], axis: int) -> Tensor:
    low, high, share = places
    share = share[:, None] if axis == 2 else share
    first = x.index_select(axis, low)
    return first + (x.index_select(axis, high) - first) * share
