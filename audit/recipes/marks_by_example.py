"""Whether a mark is found in each of some examples, and whether unmarked ones are accused: what groups are compared by."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from audit.core.recipes import Context, Recipe, Shards
from audit.core.references import ModelRef
from audit.core.rows import PREFIX, Rows, images_of, text_rows, texts_of
from audit.marks.image.attacks import jpeg
from audit.marks.image.catalogue import image_mark
from audit.marks.text.catalogue import TEXT_MARKS
from audit.recipes.labelled import Attribute, Attributes
from audit.recipes.marked_images import side_of

QUALITY = 50
_WORDS = 8
"""Words of a text that the model is given to go on from."""


@dataclass(frozen=True)
class PicturesByMark(Recipe[Rows]):
    """For each picture the p-values of its marked version after JPEG (``found``) and of itself (``accused``); none for pictures too small."""

    kind: ClassVar[str] = "pictures-by-mark"
    along: ClassVar[tuple[str, ...]] = ("rows",)
    rows: Recipe[Rows]
    mark: str
    mark_key: int

    @property
    def label(self) -> str:
        return f"{self.mark} in {self.rows.label}"

    def make(self, context: Context, rows: Rows) -> Rows:
        images = images_of(rows)
        side = side_of(images)
        if not side:
            return _table([], [])
        mark = image_mark(self.mark)(self.mark_key, side)
        after = [jpeg(image, QUALITY) for image in mark.embed(images)]
        found = [mark.detect(image[None])[0].p_value for image in after]
        return _table(found, [d.p_value for d in mark.detect(images)])


@dataclass(frozen=True)
class TextsByMark(Recipe[Rows]):
    """For each text the p-values of what the model writes with a mark from its first words on (``found``), and of itself (``accused``)."""

    kind: ClassVar[str] = "texts-by-mark"
    version: ClassVar[int] = 2
    along: ClassVar[tuple[str, ...]] = ("rows", "scores")
    rows: Recipe[Rows]
    scores: Recipe[Rows]
    model: ModelRef
    mark: str
    mark_key: int
    most: int

    @property
    def label(self) -> str:
        return f"{self.mark} in {self.rows.label}"

    def make(self, context: Context, rows: Rows, scores: Rows) -> Rows:
        model = context.model(self.model)
        mark = TEXT_MARKS[self.mark](self.mark_key, int(model.vocabulary))
        beginnings = [" ".join(text.split()[:_WORDS]) for text in texts_of(rows)]
        prompts = text_rows(beginnings, **{PREFIX: beginnings})
        written = model.marked_sample(len(beginnings), context.rng(), prompts, mark.processor, self.most)
        found = _p(mark, written.column("tokens").to_pylist())
        return _table(found, _p(mark, scores.column("token").to_pylist()))


def _p(mark: Any, texts: Sequence[Sequence[int]]) -> list[float]:
    return [found.p_value for found in mark.detect_each([[np.array(text, np.int64)] for text in texts])]


def _table(found: list[float], accused: list[float]) -> Rows:
    import pyarrow as pa

    return pa.table({"found": pa.array(found, pa.float64()), "accused": pa.array(accused, pa.float64())})


@dataclass(frozen=True)
class ShuffledGroups(Recipe[Attributes]):
    """Every group column in a random order: whatever depends on the groups is gone."""

    kind: ClassVar[str] = "shuffled-attributes"
    labels: Recipe[Attributes]
    seed: int

    def make(self, context: Context, labels: Shards[Attributes]) -> Attributes:
        return Attributes(tuple(_shuffled(column, context.rng()) for column in _columns(labels)))


def _columns(labels: Shards[Attributes]) -> Iterator[Attribute]:
    for shard in labels:
        yield from shard.columns


def _shuffled(column: Attribute, rng: np.random.Generator) -> Attribute:
    return Attribute(column.name, column.kinds, rng.permutation(column.codes), column.left_out)
