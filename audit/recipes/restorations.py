"""Restored pictures against what they were restored from: where things lie, and what is left when they are degraded again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from audit.core.recipes import Context, Recipe
from audit.core.references import ModelRef
from audit.core.rows import Images, Matrix, Rows, Vector, image_rows, images_of
from audit.stats.shifts import displacements

FILTERS = ("bicubic", "box")
"""How pictures are made small: Pillow's filters, which average over all pixels that one becomes part of."""

LEAST_SIDE = 16
"""Pixels a side below which the window leaves too little of a picture: at 8, a third of sharp pictures found no displacement."""


@dataclass(frozen=True)
class Displacements(Recipe[Matrix]):
    """How far each picture of ``made`` lies to the right of and below its original, in pixels; NaN where that cannot be told."""

    kind: ClassVar[str] = "displacements"
    along: ClassVar[tuple[str, ...]] = ("made", "rows")
    made: Recipe[Rows]
    rows: Recipe[Rows]

    @property
    def label(self) -> str:
        return f"displacements of {self.made.label}"

    def make(self, context: Context, made: Rows, rows: Rows) -> Matrix:
        before, after = (images_of(side).astype(np.float64).mean(axis=3) for side in (rows, made))
        if min(before.shape[1:]) < LEAST_SIDE:
            return np.full((len(before), 2), np.nan)
        return displacements(before, after)


@dataclass(frozen=True)
class EveryOtherTurned(Recipe[Matrix]):
    """Displacements as they are after every other pair was turned upside down: what is common to all of them cancels."""

    kind: ClassVar[str] = "every-other-turned"
    along: ClassVar[tuple[str, ...]] = ("found",)
    found: Recipe[Matrix]

    def make(self, context: Context, found: Matrix) -> Matrix:
        turned = found.copy()
        turned[1::2] *= -1
        return turned


@dataclass(frozen=True)
class Nudged(Recipe[Rows]):
    """Pictures moved ``dose`` pixels to the right and down, linear between pixels: planted displacement."""

    kind: ClassVar[str] = "nudged"
    along: ClassVar[tuple[str, ...]] = ("made",)
    made: Recipe[Rows]
    dose: float

    @property
    def label(self) -> str:
        return f"{self.made.label}, moved by {self.dose:g} pixels"

    def make(self, context: Context, made: Rows) -> Rows:
        moved = images_of(made).astype(np.float64)
        for axis in (1, 2):
            first = np.take(moved, [0], axis=axis)
            before = np.concatenate([first, np.delete(moved, -1, axis=axis)], axis=axis)
            moved = (1 - self.dose) * moved + self.dose * before
        return image_rows(np.clip(np.rint(moved), 0, 255).astype(np.uint8))


@dataclass(frozen=True)
class Degraded(Recipe[Rows]):
    """What a model that restores pictures would be given of each, as the model itself makes it."""

    kind: ClassVar[str] = "degraded"
    along: ClassVar[tuple[str, ...]] = ("rows",)
    rows: Recipe[Rows]
    model: ModelRef

    @property
    def label(self) -> str:
        return f"{self.rows.label}, degraded"

    def make(self, context: Context, rows: Rows) -> Rows:
        return context.model(self.model).degrade(rows)


@dataclass(frozen=True)
class Shrunk(Recipe[Rows]):
    """Pictures whose sides are ``factor`` times smaller, by a filter of Pillow that averages (antialiasing)."""

    kind: ClassVar[str] = "shrunk"
    along: ClassVar[tuple[str, ...]] = ("rows",)
    rows: Recipe[Rows]
    factor: int
    filter: str

    @property
    def label(self) -> str:
        return f"{self.rows.label}, {self.factor} times smaller"

    def make(self, context: Context, rows: Rows) -> Rows:
        return image_rows(shrunk(images_of(rows), self.factor, self.filter))


@dataclass(frozen=True)
class SquaredErrors(Recipe[Vector]):
    """The mean squared difference of each pair of pictures, on levels from 0 to 1."""

    kind: ClassVar[str] = "squared-errors"
    along: ClassVar[tuple[str, ...]] = ("first", "second")
    first: Recipe[Rows]
    second: Recipe[Rows]

    @property
    def label(self) -> str:
        return f"errors of {self.first.label}"

    def make(self, context: Context, first: Rows, second: Rows) -> Vector:
        ours, theirs = (images_of(side).astype(np.float64) for side in (first, second))
        if ours.shape != theirs.shape:
            raise ValueError(
                f"the model degraded pictures to {ours.shape} and restored ones to {theirs.shape}"
            )
        return np.asarray(np.square(ours - theirs).mean(axis=(1, 2, 3)) / 255**2)


def shrunk(images: Images, factor: int, name: str) -> Images:
    """Return pictures whose sides are ``factor`` times smaller. Raise ValueError when their sides are no multiples of it."""
    from PIL import Image

    height, width, channels = images.shape[1:]
    if height % factor or width % factor:
        raise ValueError(
            f"pictures of {width}×{height} cannot be made {factor} times smaller in whole pixels"
        )
    size = (width // factor, height // factor)
    found = np.empty((len(images), size[1], size[0], channels), np.uint8)
    for at, image in enumerate(images):
        picture = Image.fromarray(image[..., 0] if channels == 1 else image)
        small = np.asarray(picture.resize(size, Image.Resampling[name.upper()]))
        found[at] = small.reshape(size[1], size[0], channels)
    return found
