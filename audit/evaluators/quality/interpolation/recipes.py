"""Pairs of codes, the points between them, and how far what they decode to is from real examples."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from audit.core.recipes import Context, Recipe, Shards
from audit.core.references import ModelRef
from audit.core.rows import Images, Matrix, Rows, Vector, image_rows, images_of
from audit.recipes.latents import strips
from audit.recipes.shown import rows_in
from audit.stats.paths import spherical, straight

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class RandomPairs(Recipe[Ints]):
    """Rows in pairs drawn at random, each row once, by their places, shape (pairs, 2)."""

    kind: ClassVar[str] = "random-pairs"
    rows: Recipe[Rows]

    def examples(self, shard: int) -> int:
        return rows_in(self.rows) // 2

    def make(self, context: Context, rows: Shards[Rows]) -> Ints:
        order = context.rng(0).permutation(rows_in(self.rows))
        pairs = len(order) // 2
        return np.stack([order[:pairs], order[pairs : 2 * pairs]], axis=1)


@dataclass(frozen=True)
class StepsBetween(Recipe[Matrix]):
    """Codes on the way from one to another, at a random place and ``epsilon`` and twice ``epsilon`` further on, shape (4 pairs, latent).

    The first point comes twice, so that a decoder that draws noise is noticed. With ``prior`` the ends are standard normal and the
    way is on the sphere (Shoemake 1985), for that is where a model is sampled; else the ends are codes, and the way is straight.
    """

    kind: ClassVar[str] = "steps-between"
    codes: Recipe[Matrix]
    pairs: Recipe[Ints]
    epsilon: float
    prior: bool

    @property
    def label(self) -> str:
        return f"steps between {self.codes.label}"

    def examples(self, shard: int) -> int:
        return 4 * self.pairs.examples(0)

    def make(self, context: Context, codes: Shards[Matrix], pairs: Shards[Ints]) -> Matrix:
        held, rng, places = np.concatenate(list(codes)), context.rng(0), pairs[0]
        first, last = held[places[:, 0]], held[places[:, 1]]
        if self.prior:
            first, last = rng.standard_normal((2, *first.shape))
        start = rng.random(len(first)) * (1 - 2 * self.epsilon)
        between = spherical if self.prior else straight
        steps = (0.0, 0.0, self.epsilon, 2 * self.epsilon)
        return np.concatenate([between(first, last, start + step) for step in steps])


@dataclass(frozen=True)
class Midpoints(Recipe[Matrix]):
    """The mean of the codes of each pair, shape (pairs, latent)."""

    kind: ClassVar[str] = "midpoints"
    codes: Recipe[Matrix]
    pairs: Recipe[Ints]

    @property
    def label(self) -> str:
        return f"midpoints of {self.codes.label}"

    def examples(self, shard: int) -> int:
        return self.pairs.examples(0)

    def make(self, context: Context, codes: Shards[Matrix], pairs: Shards[Ints]) -> Matrix:
        return np.asarray(np.concatenate(list(codes))[pairs[0]].mean(axis=1))


@dataclass(frozen=True)
class Blends(Recipe[Rows]):
    """For each pair one picture: the mean of both pixel by pixel for a share ``dose`` of the pairs, drawn at random, else the first of it.

    A planted defect: a model that fades from one picture to another instead of showing what is between.
    """

    kind: ClassVar[str] = "blends"
    pictures: Recipe[Rows]
    pairs: Recipe[Ints]
    dose: float = 0.0

    @property
    def label(self) -> str:
        return f"blends of {self.pictures.label}"

    def examples(self, shard: int) -> int:
        return self.pairs.examples(0)

    def make(self, context: Context, pictures: Shards[Rows], pairs: Shards[Ints]) -> Rows:
        images = _whole(pictures)
        first, second = (images[pairs[0][:, side]] for side in (0, 1))
        chosen = context.rng(0).permutation(len(first))[: round(self.dose * len(first))]
        mean = (first[chosen].astype(np.float64) + second[chosen]) / 2
        made = first.copy()
        made[chosen] = np.rint(mean).astype(np.uint8)
        return image_rows(made)


@dataclass(frozen=True)
class FarFromReal(Recipe[Matrix]):
    """Distance to the nearest real row of each pair's ``between``, and of what its two rows are reconstructed as, shape (pairs, 3).

    Neither row of the pair counts as a neighbour: ``numbers`` says which rows of the split they are.
    """

    kind: ClassVar[str] = "far-from-real"
    between: Recipe[Matrix]
    own: Recipe[Matrix]
    real: Recipe[Matrix]
    pairs: Recipe[Ints]
    numbers: Recipe[Vector]

    @property
    def label(self) -> str:
        return f"how far {self.between.label} are from real rows"

    def make(
        self,
        context: Context,
        between: Shards[Matrix],
        own: Shards[Matrix],
        real: Shards[Matrix],
        pairs: Shards[Ints],
        numbers: Shards[Vector],
    ) -> Matrix:
        middle, ours, split = (np.concatenate(list(side)) for side in (between, own, real))
        left_out = np.concatenate(list(numbers)).astype(np.int64)[pairs[0]]
        points = [middle, ours[pairs[0][:, 0]], ours[pairs[0][:, 1]]]
        return np.stack([_nearest(rows, split, left_out) for rows in points], axis=1)


@dataclass(frozen=True)
class Strips(Recipe[Rows]):
    """The way from one code to another in ``steps`` pictures, for the first ``count`` pairs."""

    kind: ClassVar[str] = "interpolation-strips"
    codes: Recipe[Matrix]
    pairs: Recipe[Ints]
    model: ModelRef
    count: int
    steps: int = 8

    @property
    def label(self) -> str:
        return f"strips between {self.codes.label}"

    def make(self, context: Context, codes: Shards[Matrix], pairs: Shards[Ints]) -> Rows:
        held, places = np.concatenate(list(codes)), pairs[0][: self.count]
        first, last = held[places[:, 0]], held[places[:, 1]]
        ways = [straight(first, last, np.full(len(first), t)) for t in np.linspace(0, 1, self.steps)]
        points = np.stack(ways, axis=1).reshape(-1, held.shape[1])
        made = context.model(self.model).decode(points, context.rng(0))
        return image_rows(strips(images_of(made), self.steps))


def _whole(pictures: Shards[Rows]) -> Images:
    return np.concatenate([images_of(shard) for shard in pictures])


def _nearest(rows: Matrix, split: Matrix, left_out: Ints) -> Vector:
    """Return the distance of each row to its nearest in the split, but for two of them, compared one by one."""
    squares = np.square(rows).sum(axis=1)[:, None] + np.square(split).sum(axis=1) - 2 * rows @ split.T
    np.put_along_axis(squares, left_out, np.inf, axis=1)
    nearest = split[squares.argmin(axis=1)]
    return np.asarray(np.linalg.norm(rows - nearest, axis=1))
