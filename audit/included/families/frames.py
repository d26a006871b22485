"""A black border around images whose size the networks cannot halve."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor
from torch.nn import functional


@dataclass(frozen=True, slots=True)
class Frame:
    """Pads square images of ``size`` pixels to a multiple of 16 with the value -1, and crops them again."""

    size: int

    @property
    def padded(self) -> int:
        return -(-self.size // 16) * 16

    @property
    def margin(self) -> int:
        return (self.padded - self.size) // 2

    def pad(self, images: Tensor) -> Tensor:
        """Return images (…, size, size) with the border."""
        return functional.pad(images, (self.margin,) * 4, value=-1.0) if self.margin else images

    def crop(self, images: Tensor) -> Tensor:
        """Return images without the border."""
        inner = slice(self.margin, self.margin + self.size)
        return images[..., inner, inner] if self.margin else images
