"""Rows of images to tensors and back, and sheets of them to look at."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from audit.core.rows import Images, Matrix, Rows, image_rows, images_read_by
from audit.formats.arithmetic import exactly


def pixels_of(rows: Rows, shape: tuple[int, int, int], name: str) -> Tensor:
    """Return images as a uint8 tensor (n, channels, height, width). Raise ValueError when they have another shape.

    ``shape`` is height, width, channels; ``name`` is that of the model, for the message.
    """
    images = images_read_by(f"'{name}'", rows, shape=shape)
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


def painted(shape: tuple[int, int, int], parts: Iterable[Tensor]) -> Rows:
    """Return rows of images of ``shape`` (height, width, channels) from tensors of numbers between -1 and 1.

    The parts are asked for one after another, without gradients.
    """
    with exactly():
        images = [np.empty((0, *shape), np.uint8), *(bytes_of(part) for part in parts)]
    return image_rows(np.concatenate(images))


def latents_in_parts(latents: Matrix, width: int, at_once: int, name: str, device: str) -> Iterator[Tensor]:
    """Return latent vectors (n, width) as tensors of at most ``at_once``. Raise ValueError when they have another shape."""
    if latents.ndim != 2 or latents.shape[1] != width:
        raise ValueError(f"latent vectors of '{name}' are (n, {width}), not {latents.shape}")
    return (
        torch.from_numpy(latents[start : start + at_once].astype(np.float32)).to(device)
        for start in range(0, len(latents), at_once)
    )


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
