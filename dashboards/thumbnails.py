"""Pictures of evidence as small PNGs, whatever their size and channels."""

from __future__ import annotations

import io
import math

import numpy as np

from audit.core.rows import Images

LEAST_SIDE, MOST_SIDE = 96, 384
"""Pixels: the shorter side has at least so many, as far as a whole factor leaves the longer one at most so many."""
MOST_PIXELS = 40_000_000
"""A picture with more is not drawn."""


def thumbnail(pixels: Images, least: int = LEAST_SIDE) -> bytes:
    """Return a picture, shape (height, width, channels), dtype uint8, as a PNG; ValueError where it has too many pixels.

    One whose longer side is below ``least`` is enlarged by a whole factor until it is not. Enlarged pixels stay squares. Channels beyond red, green, blue and alpha are left out. What it costs depends on the
    thumbnail's size: of a large picture most pixels are skipped before any is averaged.
    """
    from PIL import Image

    height, width, channels = pixels.shape
    if height * width > MOST_PIXELS:
        raise ValueError(
            f"a picture of {width:,}×{height:,} pixels is not drawn; at most {MOST_PIXELS:,} are"
        )
    skip = max(1, max(height, width) // (4 * MOST_SIDE))
    kept = pixels[::skip, ::skip]
    kept = kept[:, :, 0] if channels in (1, 2) else kept[:, :, :4] if channels == 4 else kept[:, :, :3]
    image = Image.fromarray(np.ascontiguousarray(kept))
    factor = min(math.ceil(least / min(image.size)), MOST_SIDE // max(image.size))
    if factor > 1:
        image = image.resize((image.width * factor, image.height * factor), Image.Resampling.NEAREST)
    else:
        image.thumbnail((MOST_SIDE, MOST_SIDE), Image.Resampling.BOX)
    buffer = io.BytesIO()
    image.save(buffer, format="PNG")
    return buffer.getvalue()


def width_of(png: bytes) -> int:
    """Return how many pixels wide a thumbnail is."""
    return int.from_bytes(png[16:20], "big")  # of the header, which comes first (PNG specification, 11.2.2)
