"""Images as coefficients: brightness, one level of Haar wavelets, and a 4 × 4 cosine transform of the coarse band."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Pixels = NDArray[np.uint8]
"""Images of one size, shape (n, height, width, channels)."""

_LUMA = np.array([0.299, 0.587, 0.114], np.float32)
SIDE = 8
"""Pixels that a block is wide: 4 coefficients of the coarse band, each 2 pixels wide."""


def brightness(images: Pixels) -> Floats:
    """Return ITU-R BT.601 luma, shape (n, height, width), 0 to 255; of transparent images the colour alone."""
    if images.shape[3] < 3:
        return images[..., 0].astype(np.float32)
    red, green, blue = _LUMA
    out = images[..., 0] * red
    out += images[..., 1] * green
    out += images[..., 2] * blue
    return np.asarray(out, np.float32)


def haar(values: Floats) -> tuple[Any, Any, Any, Any]:
    """Return the coarse band and the horizontal, vertical and diagonal details, each half as high and wide."""
    a, b = values[:, 0::2, 0::2], values[:, 0::2, 1::2]
    c, d = values[:, 1::2, 0::2], values[:, 1::2, 1::2]
    return (a + b + c + d) / 2, (a + b - c - d) / 2, (a - b + c - d) / 2, (a - b - c + d) / 2


def unhaar(coarse: Floats, horizontal: Floats, vertical: Floats, diagonal: Floats) -> Floats:
    """Undo ``haar``: the bands in the same order."""
    n, height, width = coarse.shape
    out = np.empty((n, 2 * height, 2 * width), np.float32)
    out[:, 0::2, 0::2] = (coarse + horizontal + vertical + diagonal) / 2
    out[:, 0::2, 1::2] = (coarse + horizontal - vertical - diagonal) / 2
    out[:, 1::2, 0::2] = (coarse - horizontal + vertical - diagonal) / 2
    out[:, 1::2, 1::2] = (coarse - horizontal - vertical + diagonal) / 2
    return out


def _cosines() -> Floats:
    k = np.arange(4)
    basis = np.cos(np.pi * (2 * k[None, :] + 1) * k[:, None] / 8) * np.sqrt(0.5)
    basis[0] *= np.sqrt(0.5)
    return np.asarray(basis, np.float32)


_COSINES = _cosines()


@dataclass(frozen=True, slots=True)
class Places:
    """Which coefficients of each block carry a mark, as (row, column) in the 4 × 4 transform."""

    rows: tuple[int, ...]
    columns: tuple[int, ...]


def coefficients(images: Pixels, places: Places) -> Floats:
    """Return the chosen coefficients of all whole blocks, shape (n, blocks · places)."""
    values = brightness(images)
    n, height, width = values.shape
    whole = values[:, : height // SIDE * SIDE, : width // SIDE * SIDE]
    coarse = (whole[:, 0::2, 0::2] + whole[:, 0::2, 1::2] + whole[:, 1::2, 0::2] + whole[:, 1::2, 1::2]) / 2
    blocks = coarse.reshape(n, height // SIDE, 4, width // SIDE, 4).transpose(0, 1, 3, 2, 4)
    found = _COSINES @ blocks @ _COSINES.T
    return np.asarray(found[..., places.rows, places.columns].reshape(n, -1))


def changed(images: Pixels, places: Places, by: Floats) -> Pixels:
    """Return images whose chosen coefficients are larger ``by`` so much, as nearly as whole brightness allows."""
    n, height, width, channels = images.shape
    down, across = height // SIDE, width // SIDE
    blocks = np.zeros((n, down, across, 4, 4), np.float32)
    blocks[..., places.rows, places.columns] = by.reshape(n, down, across, -1)
    coarse = (_COSINES.T @ blocks @ _COSINES).transpose(0, 1, 3, 2, 4).reshape(n, down * 4, across * 4)
    delta = np.zeros((n, height, width), np.float32)
    delta[:, : down * SIDE, : across * SIDE] = (coarse / 2).repeat(2, axis=1).repeat(2, axis=2)
    colours = min(channels, 3) if channels != 2 else 1
    out = images.copy()
    for colour in range(colours):
        shifted = images[..., colour] + delta
        np.rint(shifted, out=shifted)
        out[..., colour] = np.clip(shifted, 0, 255, out=shifted)
    return out


def resized(images: Pixels, size: int) -> Pixels:
    """Return images of ``size`` × ``size`` (bicubic); those that are so already as they are."""
    if images.shape[1:3] == (size, size):
        return images
    from PIL import Image

    modes = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}
    if images.shape[3] not in modes:
        raise ValueError(f"images have 1 to 4 channels, not {images.shape[3]}")
    out = np.empty((len(images), size, size, images.shape[3]), np.uint8)
    for i, pixels in enumerate(images):
        flat = pixels[..., 0] if pixels.shape[2] == 1 else pixels
        small = Image.fromarray(np.ascontiguousarray(flat)).resize((size, size), Image.Resampling.BICUBIC)
        out[i] = np.asarray(small, np.uint8).reshape(out[i].shape)
    return out
