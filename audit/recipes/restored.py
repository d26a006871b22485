"""Pictures that a model gives back: beside what it was given, with the error, for numbers and to be looked at."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from audit.core.recipes import Context, Recipe, Shards
from audit.core.references import ModelRef
from audit.core.rows import IMAGE, Rows, Vector, image_column, images_of
from audit.recipes.shown import presentable, rows_at

LOUDER = 4
"""The factor by which differences between pictures are multiplied before they are shown."""


@dataclass(frozen=True)
class Restored(Recipe[Rows]):
    """Each picture of ``source`` passed through the model and back."""

    kind: ClassVar[str] = "restored"
    along: ClassVar[tuple[str, ...]] = ("source",)
    source: Recipe[Rows]
    model: ModelRef
    seed: int

    def make(self, context: Context, source: Rows) -> Rows:
        made = context.model(self.model).reconstruct(source, context.rng())
        before, after = images_of(source).shape, images_of(made).shape
        if before != after:
            raise ValueError(f"the model turned pictures of shape {before} into {after} when reconstructing")
        return made


@dataclass(frozen=True)
class SquaredErrors(Recipe[Vector]):
    """The mean squared difference of each picture from its restoration, in squared levels of 255."""

    kind: ClassVar[str] = "squared-errors"
    along: ClassVar[tuple[str, ...]] = ("source", "restored")
    source: Recipe[Rows]
    restored: Recipe[Rows]

    def make(self, context: Context, source: Rows, restored: Rows) -> Vector:
        before, after = (images_of(rows).astype(np.float64) for rows in (source, restored))
        return np.asarray(np.square(before - after).mean(axis=(1, 2, 3)))


@dataclass(frozen=True)
class Triples(Recipe[Rows]):
    """``count`` pictures, each with its restoration and the difference: drawn at random, or those with the largest error."""

    kind: ClassVar[str] = "triples"
    source: Recipe[Rows]
    restored: Recipe[Rows]
    errors: Recipe[Vector]
    count: int
    worst: bool = False

    @property
    def label(self) -> str:
        return f"{self.source.label} beside their restorations"

    def make(
        self, context: Context, source: Shards[Rows], restored: Shards[Rows], errors: Shards[Vector]
    ) -> Rows:
        import pyarrow as pa

        error = np.concatenate(list(errors))
        order = np.argsort(-error, kind="stable") if self.worst else context.rng(0).permutation(len(error))
        chosen = order[: self.count]
        before, after = rows_at(self.source, source, chosen), rows_at(self.restored, restored, chosen)
        gap = np.abs(images_of(before).astype(np.int64) - images_of(after)).max(axis=3, keepdims=True)
        loud = np.minimum(LOUDER * gap, 255).astype(np.uint8)
        columns = {
            IMAGE: presentable(before, ()).column(IMAGE),
            "restored": presentable(after, ()).column(IMAGE),
            f"error ×{LOUDER}": presentable(pa.table({IMAGE: image_column(loud)}), ()).column(IMAGE),
            "root mean square error": pa.array(np.sqrt(error[chosen])),
        }
        return pa.table(columns)
