"""Rows: one Arrow table for every modality, and the names its columns go by.

===========  ==============================================================
column       holds
===========  ==============================================================
``image``    pixels, a fixed-shape tensor of uint8, height x width x channel
``text``     a string
``prefix``   the string a ``text`` continues: conditioned on, never scored
``file``     the bytes of the file that an ``image`` was decoded from
others       attributes of the example: groups, labels, factors
===========  ==============================================================

pyarrow is imported where it is used: ``audit.core`` itself loads in milliseconds.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    Rows: TypeAlias = Any
else:

    class Rows:
        """A pyarrow.Table. Nothing above the plugins knows which columns it has."""


Vector: TypeAlias = NDArray[np.float64]
Matrix: TypeAlias = NDArray[np.float64]
Images: TypeAlias = NDArray[np.uint8]
Rng: TypeAlias = np.random.Generator

MODALITIES = ("image", "molecule", "music", "table", "text")
"""What a model may make."""

IMAGE, TEXT, PREFIX, FILE = "image", "text", "prefix", "file"
OTHER = "other"
"""The column with a picture to compare that of ``IMAGE`` with."""


def image_rows(images: Images, **columns: Sequence[Any]) -> Rows:
    """Return rows of images, shape (n, height, width, channels), dtype uint8, with further columns beside them."""
    import pyarrow as pa

    return pa.table({IMAGE: image_column(images), **columns})


def image_column(images: Images) -> Any:
    """Return one column of images, shape (n, height, width, channels), dtype uint8."""
    import pyarrow as pa

    if images.ndim != 4 or images.dtype != np.uint8:
        raise ValueError(f"images are (n, height, width, channels) uint8, not {images.shape} {images.dtype}")
    kind = pa.fixed_shape_tensor(pa.uint8(), images.shape[1:])
    flat = pa.array(np.ascontiguousarray(images).reshape(-1))
    width = int(np.prod(images.shape[1:]))
    return pa.ExtensionArray.from_storage(kind, pa.FixedSizeListArray.from_arrays(flat, width))


def images_of(rows: Rows, name: str = IMAGE) -> Images:
    """Return the pixels of a column of images, shape (n, height, width, channels), dtype uint8."""
    import pyarrow as pa

    column = rows.column(name).combine_chunks()
    shape = tuple(column.type.shape)
    if isinstance(column, pa.ChunkedArray):  # an empty column has no chunk to combine
        return np.empty((0, *shape), np.uint8)
    values = column.storage.flatten().to_numpy(zero_copy_only=False)
    return np.asarray(values, dtype=np.uint8).reshape(len(column), *shape)


def images_read_by(
    who: str, rows: Rows, *, shape: tuple[int, int, int] | None = None, channels: tuple[int, ...] = ()
) -> Images:
    """Return the pixels of rows for a reader that takes images of one ``shape``, or of any size with some ``channels``.

    Raise ValueError that says what ``who`` reads and what these rows have.
    """
    if IMAGE not in rows.column_names:
        raise ValueError(f"{who} reads images; these rows have {', '.join(rows.column_names)}")
    images = images_of(rows)
    if shape is not None and images.shape[1:] != shape:
        raise ValueError(f"{who} reads images of shape {shape}, not {images.shape[1:]}")
    if channels and images.shape[3] not in channels:
        wanted = " or ".join(map(str, channels))
        raise ValueError(f"{who} reads images of {wanted} channels, not {images.shape[3]}")
    return images


def text_rows(texts: Sequence[str], **columns: Sequence[Any]) -> Rows:
    """Return rows of texts, with further columns beside them."""
    import pyarrow as pa

    return pa.table({TEXT: pa.array(list(texts), pa.string()), **columns})


def texts_of(rows: Rows, column: str = TEXT) -> list[str]:
    """Return a column of strings."""
    values: list[str] = rows.column(column).to_pylist()
    return values


def concat(parts: Sequence[Rows]) -> Rows:
    """Return the rows of all parts, one part after another."""
    import pyarrow as pa

    return pa.concat_tables(list(parts)).combine_chunks()
