"""Pictures of evidence as small PNGs, whatever their size and channels."""

from __future__ import annotations

import io
import math

import numpy as np

from audit.core.rows import Images

LEAST_SIDE, MOST_SIDE = 96, 384
"""Pixels of the longer side: smaller pictures are enlarged by a whole factor, larger ones made smaller."""
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
    longer = max(image.size)
    if longer < least:
        factor = math.ceil(least / longer)
        image = image.resize((image.width * factor, image.height * factor), Image.Resampling.NEAREST)
    else:
        image.thumbnail((MOST_SIDE, MOST_SIDE), Image.Resampling.BOX)
    buffer = io.BytesIO()
    image.save(buffer, format="PNG")
    return buffer.getvalue()
