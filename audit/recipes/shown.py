"""Rows chosen to be looked at: drawn at random, and next to the rows of another set that are nearest to them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from audit.core.recipes import Context, Recipe, Shards
from audit.core.rows import IMAGE, PREFIX, TEXT, Images, Rows, concat, image_column, images_of
from audit.core.summaries import merged
from audit.stats.neighbours import Nearest

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
