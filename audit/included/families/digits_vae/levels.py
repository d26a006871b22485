"""Digits as the network sees them: seventeen grey levels, and the bytes they are stored as."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from audit.core.rows import Matrix, Rows, image_rows, images_read_by

NAME = "digits-vae"
PIXELS = 64
LEVELS = 16
"""A pixel counts the inked cells of a 4×4 block of the scan: 0 … 16."""


def levels_of(rows: Rows) -> NDArray[np.float32]:
    """Return the grey levels 0 … 16 of images, shape (n, 64). Raise ValueError for anything but 8×8 grey images."""
    images = images_read_by(f"'{NAME}'", rows, shape=(8, 8, 1))
    return np.asarray(np.rint(images.reshape(-1, PIXELS) * (LEVELS / 255)), dtype=np.float32)


def digits_of(levels: Matrix) -> Rows:
    """Return rows of 8×8 images from grey levels 0 … 16, shape (n, 64)."""
    if not np.isfinite(levels).all():
        raise ValueError("the network returned pixels that are not finite")
    return image_rows(np.rint(levels * (255 / LEVELS)).astype(np.uint8).reshape(-1, 8, 8, 1))
