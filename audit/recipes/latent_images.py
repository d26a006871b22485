"""Pictures that a model makes of marked noise, and what detectors say of the noise that its inversion gives back."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from audit.core.recipes import Context, Recipe, Shards
from audit.core.references import ModelRef
from audit.core.rows import IMAGE, Images, Rng, Rows, image_column, image_rows, images_of
from audit.marks.image.attacks import ATTACKS, psnr
from audit.marks.image.latent import LATENT_MARKS, LatentMark
from audit.marks.text.detection import Detection
from audit.recipes.marked_images import MARKED, WRONG, Test, as_rows, by_averaging

INVERTED = "forged by inversion"
UNMARKED = "unmarked"
TRIED = (("jpeg", 50), ("crop", 90), ("noise", 15))
"""Attacks of the suite, each with its strength: every one costs an inversion of all pictures."""
KEPT = 0.8
"""How much of a forger's noise is what inversion gives back of a marked picture: the correlation of both."""
NO_FORM = "the model's latent vectors have no form of at least 16 by 16 pixels, in which rings could lie"


@dataclass(frozen=True)
class LatentPictures(Recipe[Rows]):
    """``n`` pictures of marked noise (``image``), each beside one of the same noise without the mark; no rows where noise cannot hold it."""

    kind: ClassVar[str] = "latent-pictures"
    model: ModelRef
    mark: str
    mark_key: int
    n: int
    seed: int

    @property
    def label(self) -> str:
        return f"pictures of noise marked by {self.mark}"

    def make(self, context: Context) -> Rows:
        model, rng = context.model(self.model), context.rng()
        first = model.sample(1, rng)
        mark = mark_for(self.mark, self.mark_key, model, first)
        if mark is None:
            nothing = images_of(first)[:0]
            return image_rows(nothing, **{UNMARKED: image_column(nothing)})
        noise = rng.standard_normal((self.n, _width(model, first)))
        plain, marked = (images_of(model.decode(z, rng)) for z in (noise, mark.mark(noise, rng)))
        return image_rows(marked, **{UNMARKED: image_column(plain)})


def _width(model: Any, rows: Rows) -> int:
    return int(model.encode(rows).shape[1])


def mark_for(name: str, key: int, model: Any, rows: Rows) -> LatentMark | None:
    """Return a mark for a model's noise, whose size is that of what it gives back of ``rows``; None where the mark needs another form."""
    values, channels = _width(model, rows), images_of(rows).shape[3]
    side = math.isqrt(values // channels)
    return LATENT_MARKS[name](key, values, (channels, side, side) if channels * side**2 == values else None)


@dataclass(frozen=True)
class LatentDetections(Recipe[Rows]):
    """A row per test of marked pictures, as ``ImageDetections`` has them; without ``marked`` the unmarked ones are read."""

    kind: ClassVar[str] = "latent-detections"
    version: ClassVar[int] = 2
    source: Recipe[Rows]
    model: ModelRef
    mark: str
    mark_key: int
    wrong_keys: int
    marked: bool = True

    @property
    def label(self) -> str:
        return f"detections in {self.source.label}"

    def make(self, context: Context, source: Shards[Rows]) -> Rows:
        model, rng = context.model(self.model), context.rng()
        rows = [shard for shard in source if shard.num_rows]
        if not rows:
            return as_rows([], rng)
        plain, marked = (np.concatenate([images_of(r, column) for r in rows]) for column in (UNMARKED, IMAGE))
        mark = mark_for(self.mark, self.mark_key, model, image_rows(marked[:1]))
        assert mark is not None, "pictures were made with it"
        reader = Reader(model, mark)
        shown = marked if self.marked else plain
        found = list(reader.tests(shown, self.wrong_keys, rng))
        if self.marked:
            found += _attacked(reader, plain, marked, rng)
        return as_rows(found, rng)


@dataclass(frozen=True)
class OwnLatentDetections(Recipe[Rows]):
    """What a detector with a mark's key, and with wrong ones, says of a model's own outputs."""

    kind: ClassVar[str] = "own-latent-detections"
    along: ClassVar[tuple[str, ...]] = ("source",)
    source: Recipe[Rows]
    model: ModelRef
    mark: str
    mark_key: int
    wrong_keys: int

    @property
    def label(self) -> str:
        return f"{self.mark} in {self.source.label}"

    def make(self, context: Context, source: Rows) -> Rows:
        model, rng, images = context.model(self.model), context.rng(), images_of(source)
        mark = mark_for(self.mark, self.mark_key, model, image_rows(images[:1])) if len(images) else None
        found = [] if mark is None else list(Reader(model, mark).tests(images, self.wrong_keys, rng))
        return as_rows(found, rng)


class Reader:
    """Reads a mark out of pictures: scaled to the model's size where they have another, then inverted by the model."""

    def __init__(self, model: Any, mark: LatentMark) -> None:
        self.model, self.mark = model, mark

    def noise(self, images: Images) -> NDArray[np.float64]:
        """Return the noise that the model's inversion gives back."""
        return np.asarray(self.model.encode(image_rows(images)), np.float64)

    def detect(self, images: Images) -> list[Detection]:
        return self.mark.detect(self.noise(images))

    def tests(self, images: Images, wrong_keys: int, rng: Rng) -> Iterator[Test]:
        """Yield what the right key says of each picture, and wrong ones: keys of its own for each."""
        noise = self.noise(images)
        for found in self.mark.detect(noise):
            yield MARKED, 0, found, 0.0
        for row in noise:
            for key in rng.integers(1 << 20, 1 << 31, wrong_keys).tolist():
                yield WRONG, 0, self.mark.rekeyed(int(key)).detect(row[None])[0], 0.0


def _attacked(reader: Reader, plain: Images, marked: Images, rng: Rng) -> Iterator[Test]:
    for name, strength in TRIED:
        after = np.stack([_fitted(ATTACKS[name][0](image, strength, rng), marked) for image in marked])
        yield from ((name, strength, found, 0.0) for found in reader.detect(after))
    if len(marked) >= 8:
        yield from by_averaging(plain, marked, reader)
    noise = reader.noise(marked)
    noise /= np.maximum(noise.std(axis=1, keepdims=True), 1e-9)
    other = rng.standard_normal(noise.shape)
    forged = images_of(reader.model.decode(KEPT * noise + math.sqrt(1 - KEPT**2) * other, rng))
    for before, after, found in zip(marked, forged, reader.detect(forged), strict=True):
        yield INVERTED, 0, found, psnr(before, after)


def _fitted(image: Images, like: Images) -> Images:
    """Return one picture scaled to the size of others (bicubic)."""
    height, width, channels = like.shape[1:]
    if image.shape == (height, width, channels):
        return image
    from PIL import Image

    flat = Image.fromarray(np.ascontiguousarray(image[..., 0] if channels == 1 else image))
    return np.asarray(flat.resize((width, height), Image.Resampling.BICUBIC), np.uint8).reshape(
        like.shape[1:]
    )


CASES = {"power": (MARKED, 0), "after_jpeg": ("jpeg", 50), "forged": (INVERTED, 0)}
"""The case and strength that each share is of."""
