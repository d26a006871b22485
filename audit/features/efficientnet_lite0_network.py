"""EfficientNet-Lite0 as a list of convolutions, read from a PyTorch checkpoint."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from safetensors.torch import load, save
from torch import Tensor
from torch.nn import functional

_STEM, _HEAD = 32, 1280
_STAGES = (
    # repeats, kernel, stride, expansion, channels: Table 1 of the paper; "Lite" fixes stem and head
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)
_EPSILON = 1e-3


@dataclass(frozen=True, slots=True, eq=False)
class Convolution:
    """A convolution with its batch normalisation folded into it, clipped to 0 … 6 (ReLU6) or not.

    Padding is TensorFlow's "same": with a stride of 2 and an even size the
    odd pixel is added below and to the right.
    """

    weight: Tensor
    bias: Tensor
    stride: int
    groups: int
    clipped: bool

    def __call__(self, x: Tensor) -> Tensor:
        kernel, padding = self.weight.shape[-1], self.weight.shape[-1] // 2
        if self.stride == 2:
            before, after = (kernel - 2) // 2, (kernel - 1) // 2
            x, padding = functional.pad(x, (before, after, before, after)), 0
        x = functional.conv2d(x, self.weight, self.bias, self.stride, padding, groups=self.groups)
        return x.clamp_(0, 6) if self.clipped else x


@dataclass(frozen=True, slots=True, eq=False)
class Block:
    """An inverted bottleneck (Sandler et al. 2018) without squeeze-and-excitation; ``residual`` adds what came in."""

    convolutions: tuple[Convolution, ...]
    residual: bool

    def __call__(self, x: Tensor) -> Tensor:
        y = x
        for convolution in self.convolutions:
            y = convolution(y)
        return y + x if self.residual else y


@dataclass(frozen=True, slots=True, eq=False)
class Network:
    """The network (Tan, Le 2019, arXiv:1905.11946; the Lite variant of 2020 by the TensorFlow authors).

    The package that first held it for PyTorch, efficientnet-lite-pytorch, has
    had no release since 2020 and prints when it runs; the network is these
    few lines, and the tests compare the two.
    """

    blocks: tuple[Block, ...]
    classifier: tuple[Tensor, Tensor]

    @classmethod
    def load(cls, data: bytes, device: str) -> Network:
        """Read the packaged weights. Raise KeyError when they lack a part."""
        return cls.of({name: tensor.to(device) for name, tensor in load(data).items()})

    @classmethod
    def of(cls, state: Mapping[str, Tensor]) -> Network:
        """Assemble the network from a checkpoint's tensors in any precision, under the names of efficientnet-lite-pytorch."""
        blocks, channels = [Block((_folded(state, "_conv_stem", "_bn0", stride=2),), residual=False)], _STEM
        for repeats, kernel, stride, expansion, width in _STAGES:
            for repeat in range(repeats):
                name = f"_blocks.{len(blocks) - 1}"
                block = _block(state, name, expansion, 1 if repeat else stride, channels == width)
                depthwise = block.convolutions[-2].weight
                assert depthwise.shape == (channels * expansion, 1, kernel, kernel), name
                blocks.append(block)
                channels = width
        blocks.append(Block((_folded(state, "_conv_head", "_bn1"),), residual=False))
        return cls(tuple(blocks), (state["_fc.weight"].float(), state["_fc.bias"].float()))

    def features(self, x: Tensor) -> Tensor:
        """Return the last layer averaged over the picture, shape (n, 1280), from (n, 3, 224, 224), float32."""
        for block in self.blocks:
            x = block(x)
        return x.mean((2, 3))

    def logits(self, features: Tensor) -> Tensor:
        """Return what the network thinks of ImageNet's 1,000 classes, shape (n, 1000)."""
        return functional.linear(features, *self.classifier)


def halved(state: Mapping[str, Tensor]) -> bytes:
    """Return a checkpoint as the package ships it: safetensors, what multiplies in half precision, the rest as it was.

    Features differ from those in single precision by 0.2 to 0.6 % of their length.
    """
    kept = {name: tensor for name, tensor in state.items() if not name.endswith("num_batches_tracked")}
    return bytes(
        save(
            {name: (t.half() if t.ndim > 1 else t.float()).contiguous() for name, t in kept.items()},
            {"format": "pt"},
        )
    )


def _block(state: Mapping[str, Tensor], name: str, expansion: int, stride: int, same_width: bool) -> Block:
    expand = (_folded(state, f"{name}._expand_conv", f"{name}._bn0"),) if expansion > 1 else ()
    depthwise = _folded(state, f"{name}._depthwise_conv", f"{name}._bn1", stride=stride)
    project = _folded(state, f"{name}._project_conv", f"{name}._bn2", clipped=False)
    return Block((*expand, depthwise, project), residual=stride == 1 and same_width)


def _folded(
    state: Mapping[str, Any], convolution: str, norm: str, *, stride: int = 1, clipped: bool = True
) -> Convolution:
    """Fold a batch normalisation into the convolution before it, in double precision."""
    weight = state[f"{convolution}.weight"].double()
    scale = state[f"{norm}.weight"].double() / torch.sqrt(state[f"{norm}.running_var"].double() + _EPSILON)
    bias = state[f"{norm}.bias"].double() - state[f"{norm}.running_mean"].double() * scale
    folded = (weight * scale[:, None, None, None]).float().contiguous(memory_format=torch.channels_last)
    groups = len(weight) if weight.shape[1] == 1 else 1
    return Convolution(folded, bias.float(), stride, groups, clipped)
