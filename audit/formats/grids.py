"""Images averaged over a coarse grid of cells: an exact box filter, so nothing aliases."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from audit.core.rows import Images

_BLOCK = 4_000_000
"""Values held as float64 at a time: 32 MB."""


def averaged(images: Images, cells: int) -> NDArray[np.float64]:
    """Average images, shape (n, height, width, channels), over ``cells`` × ``cells`` cells of equal area.

    A pixel that a cell's border cuts counts by its share. An image smaller
    than the grid has its pixels repeated in proportion. Returns float64 in
    0 … 255, shape (n, cells, cells, channels). n = 0 is allowed.
    """
    n, height, width, channels = images.shape
    if (height, width) == (cells, cells):
        return images.astype(np.float64)
    down, across = _shares(height, cells), _shares(width, cells)
    result = np.empty((n, cells, cells, channels))
    step = max(1, _BLOCK // (height * width * channels))
    for start in range(0, n, step):
        block = images[start : start + step].astype(np.float64)
        result[start : start + step] = np.einsum("ih,nhwc,jw->nijc", down, block, across, optimize=True)
    return result


def _shares(size: int, cells: int) -> NDArray[np.float64]:
    """Return the (cells, size) matrix whose row i holds the share of each pixel in cell i; rows sum to 1."""
    edges = np.linspace(0, size, cells + 1)
    pixels = np.arange(size)
    overlap = np.minimum(edges[1:, None], pixels + 1) - np.maximum(edges[:-1, None], pixels)
    covered = np.clip(overlap, 0, None)
    return np.asarray(covered / covered.sum(axis=1, keepdims=True))
