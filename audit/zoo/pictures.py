"""Rows of images to tensors and back, and sheets of them to look at."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from audit.core.rows import IMAGE, Images, Rows, image_rows, images_of


def pixels_of(rows: Rows, shape: tuple[int, int, int], name: str) -> Tensor:
    """Return images as a uint8 tensor (n, channels, height, width). Raise ValueError when they have another shape.

    ``shape`` is height, width, channels; ``name`` is that of the model, for the message.
    """
    if IMAGE not in rows.column_names:
        raise ValueError(f"'{name}' reads images; these rows have {', '.join(rows.column_names)}")
    images = images_of(rows)
    if images.shape[1:] != shape:
        raise ValueError(f"'{name}' reads images of shape {shape}, not {images.shape[1:]}")
    return torch.from_numpy(images.transpose(0, 3, 1, 2).copy())


def signed(pixels: Tensor) -> Tensor:
    """Return bytes 0 … 255 as numbers from -1 to 1."""
    return pixels.float() / 127.5 - 1


def bytes_of(values: Tensor) -> Images:
    """Return numbers from -1 to 1 (n, channels, height, width) as bytes (n, height, width, channels).

    Raise ValueError for numbers that are not finite: they have no grey level.
    """
    if not bool(torch.isfinite(values).all()):
        raise ValueError("the network returned pixels that are not finite")
    rounded = ((values.float() + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)
    return np.ascontiguousarray(rounded.permute(0, 2, 3, 1).cpu().numpy())


def picture_rows(values: Tensor, **columns: Any) -> Rows:
    """Return rows of images from numbers between -1 and 1."""
    return image_rows(bytes_of(values), **columns)


def sheet(images: Images, path: Path, *, columns: int = 16, zoom: int = 2) -> None:
    """Write images (n, height, width, channels) as one PNG, row by row."""
    from PIL import Image

    rows = -(-len(images) // columns)
    height, width, channels = images.shape[1:]
    paper = np.full((rows * columns, height, width, channels), 255, np.uint8)
    paper[: len(images)] = images
    flat = (
        paper.reshape(rows, columns, height, width, channels)
        .transpose(0, 2, 1, 3, 4)
        .reshape(rows * height, columns * width, channels)
    )
    drawn = Image.fromarray(flat[..., 0] if channels == 1 else flat)
    drawn.resize((drawn.width * zoom, drawn.height * zoom), Image.Resampling.NEAREST).save(
        path, optimize=True
    )
