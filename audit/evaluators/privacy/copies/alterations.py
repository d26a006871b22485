"""Rows altered, mixed and set beside each other: variants of a picture, planted copies, pairs to look at."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from audit.core.recipes import Context, Recipe, Shards
from audit.core.rows import IMAGE, PREFIX, TEXT, Images, Rows, concat, image_rows, images_of

MIRRORED, CROPPED, COMPRESSED = "mirrored", "cropped", "JPEG"
_GAP = 2
"""White pixels between a sample and the training image beside it."""


@dataclass(frozen=True)
class Altered(Recipe[Rows]):
    """The images of ``rows``, each altered in one way, without their other columns."""

    kind: ClassVar[str] = "altered"
    along: ClassVar[tuple[str, ...]] = ("rows",)
    rows: Recipe[Rows]
    how: str

    @property
    def label(self) -> str:
        return f"{self.how} {self.rows.label}"

    def make(self, context: Context, rows: Rows) -> Rows:
        return image_rows(altered(images_of(rows), self.how))


def altered(images: Images, how: str) -> Images:
    """Return images as another picture of the same: mirrored, without a sixteenth of each side, or saved as JPEG."""
    match how:
        case "mirrored":
            return np.ascontiguousarray(images[:, :, ::-1])
        case "cropped":
            return np.stack([_cropped(image) for image in images]) if len(images) else images
        case "JPEG":
            return np.stack([_compressed(image) for image in images]) if len(images) else images
    raise ValueError(f"images are not altered by '{how}'")


def _picture(image: Images) -> Any:
    from PIL import Image

    if image.shape[2] not in (1, 3, 4):
        raise ValueError(f"an image of {image.shape[2]} channels is no picture")
    return Image.fromarray(image[:, :, 0] if image.shape[2] == 1 else image)


def _cropped(image: Images) -> Images:
    height, width, channels = image.shape
    top, left = max(1, height // 16), max(1, width // 16)
    box = (left, top, max(left + 1, width - left), max(top + 1, height - top))
    enlarged = _picture(image).resize((width, height), box=box, resample=2)
    return np.asarray(enlarged, np.uint8).reshape(height, width, channels)


def _compressed(image: Images) -> Images:
    from PIL import Image

    buffer = io.BytesIO()
    _picture(image[:, :, :3]).save(buffer, format="JPEG", quality=75)
    again = np.asarray(Image.open(buffer), np.uint8).reshape(*image.shape[:2], -1)
    return np.concatenate([again, image[:, :, 3:]], axis=2)


@dataclass(frozen=True)
class WithCopies(Recipe[Rows]):
    """Every other row of ``rows``, the share ``dose`` of them replaced by training images: as they are, mirrored and as JPEG in turn.

    A planted defect: outputs that are real, and some of them copies.
    """

    kind: ClassVar[str] = "with-copies"
    along: ClassVar[tuple[str, ...]] = ("rows",)
    rows: Recipe[Rows]
    train: Recipe[Rows]
    dose: float

    @property
    def label(self) -> str:
        return f"half of {self.rows.label} with {self.dose:.1%} copies"

    def examples(self, shard: int) -> int:
        return (self.rows.examples(shard) + 1) // 2

    def needs(self, field: str, parent: Recipe[Any], shard: int) -> range:
        if field == "train":
            return range(shard % parent.shards, shard % parent.shards + 1)
        return super().needs(field, parent, shard)

    def make(self, context: Context, rows: Rows, train: Shards[Rows]) -> Rows:
        kept = rows.take(np.arange(0, rows.num_rows, 2))
        copies = min(round(self.dose * kept.num_rows), train[0].num_rows)
        members = train[0].slice(0, copies)
        if IMAGE not in kept.column_names:
            return concat([members, kept.slice(copies)])
        planted = images_of(members).copy()
        for start, how in ((1, MIRRORED), (2, COMPRESSED)):
            planted[start::3] = altered(planted[start::3], how)
        return image_rows(np.concatenate([planted, images_of(kept)[copies:]]))


def beside(samples: Rows, originals: Rows, columns: Mapping[str, Any]) -> Rows:
    """Return one row for each sample and its original: images next to each other, the original on the right; texts one after the other."""
    import pyarrow as pa

    if not samples.num_rows:
        return samples.slice(0, 0)
    if IMAGE in samples.column_names:
        left = images_of(samples)
        right = _as_large(images_of(originals), left.shape[1:3])
        left, right = (_coloured(side) if left.shape[3] != right.shape[3] else side for side in (left, right))
        gap = np.full((len(left), left.shape[1], _GAP, left.shape[3]), 255, np.uint8)
        return image_rows(np.concatenate([left, gap, right], axis=2), **columns)
    if TEXT in samples.column_names:
        return pa.table({PREFIX: originals.column(TEXT), TEXT: samples.column(TEXT), **columns})
    pairs = {f"sample: {name}": samples.column(name) for name in samples.column_names}
    pairs |= {f"training: {name}": originals.column(name) for name in originals.column_names}
    return pa.table({**columns, **pairs})


def _as_large(images: Images, size: tuple[int, ...]) -> Images:
    """Return images at another size, so that they can stand beside pictures that were made at it."""
    if images.shape[1:3] == size:
        return images
    resized = [np.asarray(_picture(image).resize(size[::-1]), np.uint8) for image in images]
    return np.stack(resized).reshape(len(images), *size, images.shape[3])


def _coloured(images: Images) -> Images:
    """Return images with three channels: grey ones repeated, transparency left out."""
    return np.repeat(images[..., :1], 3, axis=3) if images.shape[3] < 3 else images[..., :3]


def picked(recipe: Recipe[Rows], shards: Shards[Rows], places: Sequence[int] | NDArray[np.int64]) -> Rows:
    """Return rows by their places among all rows, opening only the shards that hold them."""
    ends = np.cumsum([recipe.examples(i) for i in range(recipe.shards)])
    numbers = np.searchsorted(ends, places, side="right")
    opened = {int(n): shards[int(n)] for n in np.unique(numbers)} or {0: shards[0]}
    parts = [
        opened[int(n)].slice(int(place - ends[n] + recipe.examples(int(n))), 1)
        for place, n in zip(places, numbers, strict=True)
    ]
    return concat(parts) if parts else opened[0].slice(0, 0)
