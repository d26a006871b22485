"""Rows chosen to be looked at: drawn at random, and next to the rows of another set that are nearest to them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from audit.core.identity import layout
from audit.core.recipes import Context, Recipe, Shards, shard_count, shard_range
from audit.core.references import DataRef
from audit.core.rows import IMAGE, PREFIX, TEXT, Images, Matrix, Rows, concat, image_column, images_of
from audit.core.summaries import merged
from audit.stats.neighbours import Nearest

EDGE = 8
SIDE = 128
"""Pixels of the longer side of a picture that is kept to be looked at; a larger one is made smaller."""
CHARACTERS = 2_000
"""Characters of a text that is kept to be looked at."""


@dataclass(frozen=True)
class Picked(Recipe[Rows]):
    """``count`` rows of ``source`` drawn at random, small enough to look at, with the ``columns`` that say what they are."""

    kind: ClassVar[str] = "picked"
    source: Recipe[Rows]
    count: int
    columns: tuple[str, ...] = ()

    @property
    def label(self) -> str:
        return f"{self.source.label} to look at"

    def examples(self, shard: int) -> int:
        return min(self.count, rows_in(self.source))

    def make(self, context: Context, source: Shards[Rows]) -> Rows:
        chosen = context.rng(0).permutation(rows_in(self.source))[: self.count]
        return presentable(rows_at(self.source, source, chosen), self.columns)


@dataclass(frozen=True)
class Matched(Recipe[Rows]):
    """``count`` images of ``source``, each with the image of ``others`` nearest to it and their distance.

    Of all rows in order of distance, the ``pool`` nearest (with ``farthest``, the farthest) are eligible and ``count`` of
    them are drawn; a ``pool`` of 0 stands for all rows. With ``scale`` a distance is counted in the distance from the row to
    its farthest neighbour there, so that rows that are far from everything do not come first. ``beside`` names the second picture.
    """

    kind: ClassVar[str] = "matched"
    version: ClassVar[int] = 2
    source: Recipe[Rows]
    others: Recipe[Rows]
    nearest: Recipe[Nearest]
    count: int
    pool: int = 0
    farthest: bool = False
    columns: tuple[str, ...] = ()
    scale: Recipe[Nearest] | None = None
    beside: str = "nearest"

    @property
    def label(self) -> str:
        return f"{self.source.label} beside {self.others.label}"

    def examples(self, shard: int) -> int:
        return min(self.count, rows_in(self.source))

    def make(
        self,
        context: Context,
        source: Shards[Rows],
        others: Shards[Rows],
        nearest: Shards[Nearest],
        scale: Shards[Nearest] | None = None,
    ) -> Rows:
        import pyarrow as pa

        found = merged(nearest)
        distance = found.distances[:, 0]
        if scale is not None:
            distance = distance / np.maximum(merged(scale).radii, np.finfo(float).tiny)
        order = np.argsort(-distance if self.farthest else distance, kind="stable")
        eligible = order[: self.pool or len(order)]
        drawn = np.sort(context.rng(0).permutation(len(eligible))[: self.count])
        chosen = eligible[drawn]
        rows = presentable(rows_at(self.source, source, chosen), self.columns)
        match = presentable(rows_at(self.others, others, found.indices[chosen, 0]), ())
        rows = rows.add_column(1, self.beside, match.column(IMAGE))
        word = "distance" if self.scale is None else "relative distance"
        return rows.append_column(word, pa.array(distance[chosen], pa.float64()))


@dataclass(frozen=True)
class Thumbnails(Recipe[Matrix]):
    """Each picture in ``EDGE`` by ``EDGE`` coloured pixels: enough to find a copy, without any feature extractor."""

    kind: ClassVar[str] = "thumbnails"
    along: ClassVar[tuple[str, ...]] = ("source",)
    source: Recipe[Rows]

    def make(self, context: Context, source: Rows) -> Matrix:
        return thumbnails(images_of(source))


@dataclass(frozen=True)
class SplitThumbnails(Recipe[Matrix]):
    """The same of the first ``rows`` rows of a split, whose pictures are not kept."""

    kind: ClassVar[str] = "split-thumbnails"
    data: DataRef
    split: str
    rows: int
    shard_size: int = layout()

    @property
    def label(self) -> str:
        return f"thumbnails of {self.split}"

    @property
    def shards(self) -> int:
        return shard_count(self.rows, self.shard_size)

    def examples(self, shard: int) -> int:
        return len(shard_range(self.rows, self.shard_size, shard))

    def make(self, context: Context) -> Matrix:
        span = shard_range(self.rows, self.shard_size, context.shard)
        return thumbnails(images_of(context.split(self.data, self.split).slice(span.start, len(span))))


@dataclass(frozen=True)
class Lookalikes(Recipe[Rows]):
    """The ``count`` images of ``source`` nearest to different examples of a split, beside them, and how far their pixels are apart."""

    kind: ClassVar[str] = "lookalikes"
    version: ClassVar[int] = 2
    source: Recipe[Rows]
    nearest: Recipe[Nearest]
    data: DataRef
    split: str
    count: int
    beside: str = "nearest"

    @property
    def label(self) -> str:
        return f"{self.source.label} beside {self.split}"

    def make(self, context: Context, source: Shards[Rows], nearest: Shards[Nearest]) -> Rows:
        import pyarrow as pa

        found = merged(nearest)
        order = np.argsort(found.distances[:, 0], kind="stable")
        _, first = np.unique(
            found.indices[order, 0], return_index=True
        )  # each example once, however often it was copied
        chosen = order[np.sort(first)][: self.count]
        rows = presentable(rows_at(self.source, source, chosen), ())
        match = context.split(self.data, self.split).take(found.indices[chosen, 0])
        rows = rows.add_column(1, self.beside, presentable(match, ()).column(IMAGE))
        apart = found.distances[chosen, 0] / np.sqrt(3 * EDGE**2)
        return rows.append_column("levels apart", pa.array(apart, pa.float64()))


def thumbnails(images: Images) -> Matrix:
    """Return pictures as vectors of ``EDGE`` by ``EDGE`` by 3 pixels, whatever their size and channels, shape (n, 3 EDGE²)."""
    from PIL import Image

    channels = images.shape[3]
    coloured = np.repeat(images[..., :1], 3, axis=3) if channels < 3 else images[..., :3]
    small = [
        np.asarray(Image.fromarray(image).resize((EDGE, EDGE), Image.Resampling.BOX)).reshape(-1)
        for image in coloured
    ]
    return np.array(small, np.float32).reshape(len(images), 3 * EDGE**2)  # type: ignore[return-value]  # half the bytes


def rows_in(source: Recipe[Any]) -> int:
    """Return how many rows a recipe makes in all its shards."""
    return sum(source.examples(shard) for shard in range(source.shards))


def rows_at(source: Recipe[Rows], shards: Shards[Rows], chosen: NDArray[Any]) -> Rows:
    """Return rows by their places among all, in the order asked for; each shard that holds one is opened once."""
    ends = np.cumsum([source.examples(shard) for shard in range(source.shards)])
    numbers = np.searchsorted(ends, chosen, side="right")
    starts = ends - [source.examples(shard) for shard in range(source.shards)]
    if not len(chosen):
        return shards[0].slice(0, 0)
    parts, places = list[Rows](), np.empty(len(chosen), np.int64)
    filled = 0
    for number in np.unique(numbers):
        here = np.flatnonzero(numbers == number)
        parts.append(shards[int(number)].take(chosen[here] - starts[number]))
        places[here] = np.arange(filled, filled + len(here))
        filled += len(here)
    return concat(parts).take(places)


def presentable(rows: Rows, columns: tuple[str, ...]) -> Rows:
    """Return the example itself and the named columns; large pictures become smaller and long texts shorter."""
    import pyarrow as pa

    kept: dict[str, Any] = {}
    if IMAGE in rows.column_names:
        kept[IMAGE] = image_column(_smaller(images_of(rows)))
    for name in (PREFIX, TEXT):
        if name in rows.column_names:
            kept[name] = pa.array([(text or "")[:CHARACTERS] for text in rows.column(name).to_pylist()])
    if not kept:
        return rows
    kept |= {name: rows.column(name) for name in columns if name in rows.column_names and name not in kept}
    return pa.table(kept)


def _smaller(images: Images) -> Images:
    """Return images of at most ``SIDE`` pixels a side, each pixel the mean of those it stands for."""
    from PIL import Image

    height, width, channels = images.shape[1:]
    if max(height, width) <= SIDE or not len(images):
        return images
    shrink = SIDE / max(height, width)
    size = (max(1, round(width * shrink)), max(1, round(height * shrink)))
    return np.stack(
        [
            np.stack(
                [
                    np.asarray(Image.fromarray(image[:, :, c]).resize(size, Image.Resampling.BOX))
                    for c in range(channels)
                ],
                axis=-1,
            )
            for image in images
        ]
    )
