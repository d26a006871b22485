"""What happens to pictures on their way, and what somebody does who wants a watermark gone. All arithmetic is in floats."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping

import numpy as np

from audit.core.rows import Rng
from audit.marks.image.blocks import Pixels


def _image(pixels: Pixels) -> object:
    from PIL import Image

    return Image.fromarray(np.ascontiguousarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels))


def _pixels(image: object, channels: int) -> Pixels:
    values = np.asarray(image, np.uint8)
    return values[..., None] if channels == 1 and values.ndim == 2 else values


def jpeg(pixels: Pixels, quality: int, _rng: Rng | None = None) -> Pixels:
    """Save as JPEG of this quality and open again; transparency is dropped."""
    from PIL import Image

    file = io.BytesIO()
    shown: Pixels = pixels[..., :3] if pixels.shape[2] >= 3 else pixels[..., :1]
    _image(shown).save(file, "JPEG", quality=quality)  # type: ignore[attr-defined]
    file.seek(0)
    return _pixels(Image.open(file), shown.shape[2])


def resize(pixels: Pixels, percent: int, _rng: Rng | None = None) -> Pixels:
    """Scale to so many percent of the side (bicubic)."""
    from PIL import Image

    height, width, channels = pixels.shape
    size = (max(1, width * percent // 100), max(1, height * percent // 100))
    small: object = _image(pixels).resize(size, Image.Resampling.BICUBIC)  # type: ignore[attr-defined]
    return _pixels(small, channels)


def crop(pixels: Pixels, percent: int, rng: Rng) -> Pixels:
    """Keep a square of so many percent of the side, anywhere."""
    height, width = (max(1, side * percent // 100) for side in pixels.shape[:2])
    top, left = (int(rng.integers(s - k + 1)) for s, k in zip(pixels.shape[:2], (height, width), strict=True))
    return np.ascontiguousarray(pixels[top : top + height, left : left + width])


def noise(pixels: Pixels, deviation: int, rng: Rng) -> Pixels:
    """Add Gaussian noise; what leaves 0 to 255 is cut off, never wrapped round."""
    noisy = pixels.astype(np.float32) + deviation * rng.standard_normal(pixels.shape, dtype=np.float32)
    return np.asarray(np.rint(np.clip(noisy, 0, 255)), np.uint8)


def screenshot(pixels: Pixels, border: int, _rng: Rng | None = None) -> Pixels:
    """Show at twice the size on a grey page with a border of so many pixels."""
    big = pixels.repeat(2, axis=0).repeat(2, axis=1)
    page = np.full((big.shape[0] + 2 * border, big.shape[1] + 2 * border, big.shape[2]), 96, np.uint8)
    page[border : border + big.shape[0], border : border + big.shape[1]] = big
    return page


ATTACKS: Mapping[str, tuple[Callable[[Pixels, int, Rng], Pixels], tuple[int, ...]]] = {
    "jpeg": (jpeg, (90, 70, 50, 30)),
    "resize": (resize, (75, 50)),
    "crop": (crop, (90, 50)),
    "noise": (noise, (5, 15)),
    "screenshot": (screenshot, (0, 8)),
}
"""Each attack and the strengths at which it is tried, mild ones first."""


def psnr(before: Pixels, after: Pixels) -> float:
    """Return the peak signal-to-noise ratio of one image in dB; infinite for equal ones.

    >>> round(psnr(np.zeros((2, 2, 1), np.uint8), np.ones((2, 2, 1), np.uint8)), 2)
    48.13
    """
    error = float(np.mean((before.astype(np.float64) - after.astype(np.float64)) ** 2))
    return float("inf") if error == 0 else 10 * float(np.log10(255**2 / error))
