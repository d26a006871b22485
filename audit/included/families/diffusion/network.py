"""The network of the included diffusion models: a U-Net of the diffusers library over patches of 2×2 pixels."""

from __future__ import annotations

import torch
from diffusers import DDPMScheduler, UNet2DModel
from torch import Tensor, nn
from torch.nn import functional

from audit.included.families.frames import Frame

LEVELS = 1000
"""Noise levels of the forward process."""


def scheduler() -> DDPMScheduler:
    """Return the forward process: the cosine schedule (Nichol, Dhariwal 2021); the network predicts the velocity
    (Salimans, Ho 2022), which is well scaled at every level."""
    return DDPMScheduler(
        num_train_timesteps=LEVELS,
        beta_schedule="squaredcos_cap_v2",
        prediction_type="v_prediction",
        clip_sample=False,
    )


class PatchUNet(nn.Module):  # type: ignore[misc]  # mypy does not follow torch, whose classes are Any to it
    """Predicts the velocity of noisy images, shape (n, channels, size, size), given a label or none.

    Patches of 2×2 pixels become channels first: the same capacity at a third of the time, measured on a
    processor. Images smaller than ``size`` are padded with the value -1 (black) and cropped again. Labels are
    0 … ``labels``-1; ``labels`` itself means none.
    """

    def __init__(
        self,
        channels: int,
        size: int,
        labels: int,
        widths: tuple[int, ...],
        blocks: int,
        groups: int,
    ) -> None:
        super().__init__()
        self.channels, self.size, self.labels = channels, size, labels
        self.frame = Frame(size)
        self.unet = UNet2DModel(
            sample_size=self.frame.padded // 2,
            in_channels=4 * channels,
            out_channels=4 * channels,
            block_out_channels=tuple(widths),
            layers_per_block=blocks,
            down_block_types=("DownBlock2D",) * len(widths),
            up_block_types=("UpBlock2D",) * len(widths),
            norm_num_groups=groups,
            attention_head_dim=widths[-1],
            num_class_embeds=labels + 1,
        )

    def forward(self, noisy: Tensor, level: Tensor, label: Tensor) -> Tensor:
        """Return the velocity of padded images at levels 0 … 999, both of shape (n,)."""
        patches = functional.pixel_unshuffle(noisy, 2).contiguous(memory_format=torch.channels_last)
        return functional.pixel_shuffle(self.unet(patches, level, class_labels=label).sample, 2)
