"""The network of the included enhancement model: twice the height and width, corrections to a bicubic guess."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional


class _Block(nn.Module):  # type: ignore[misc]  # mypy does not follow torch, whose classes are Any to it
    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(width, width, 3, padding=1)
        self.second = nn.Conv2d(width, width, 3, padding=1)
        nn.init.zeros_(self.second.weight)
        nn.init.zeros_(self.second.bias)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.second(functional.silu(self.first(x)))


class Enhancer(nn.Module):  # type: ignore[misc]
    """Residual blocks at the small size, then one rearrangement of channels (Lim et al. 2017, "EDSR")."""

    def __init__(self, channels: int, width: int, blocks: int) -> None:
        super().__init__()
        self.channels = channels
        self.body = nn.Sequential(
            nn.Conv2d(channels, width, 3, padding=1),
            *(_Block(width) for _ in range(blocks)),
            nn.SiLU(),
            nn.Conv2d(width, 4 * channels, 3, padding=1),
        )

    def forward(self, small: Tensor) -> Tensor:
        """Return images of twice the size from images from -1 to 1, shape (n, channels, height, width)."""
        guess = functional.interpolate(small, scale_factor=2, mode="bicubic", align_corners=False)
        return guess + functional.pixel_shuffle(self.body(small), 2)


def degraded(images: Tensor) -> Tensor:
    """Return bytes (n, channels, height, width) at half the size: the mean of each 2×2 block, rounded half to even."""
    return functional.avg_pool2d(images.float(), 2).round().to(images.dtype)
