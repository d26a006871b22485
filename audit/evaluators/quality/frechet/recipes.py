"""What a Fréchet distance is computed from: quarter moments, distances between halves, sizes, and influence."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from audit.core.recipes import Context, Recipe, Shards
from audit.core.rows import Matrix
from audit.core.summaries import merged
from audit.stats.frechet import Conditions, Transport, debiased, frechet_distance, residual_bias
from audit.stats.moments import Moments

QUARTERS = 4
PARTS = ((0, 1, 2, 3), (0, 1), (2, 3), (0, 2), (1, 3), (0, 3), (1, 2), (0,), (1,), (2,), (3,))
"""Which quarters of both samples each distance is taken over: all, then three disjoint halvings, then each quarter."""


@dataclass(frozen=True)
class Quarters(Recipe[Moments]):
    """Moments of four disjoint quarters of the rows, dealt at random and the same however rows are cut into shards.

    One shard is one quarter and reads all features, a shard at a time: four matrices are kept however many
    shards there are.
    """

    kind: ClassVar[str] = "frechet-quarters"
    version: ClassVar[int] = 2
    features: Recipe[Matrix]

    @property
    def shards(self) -> int:
        return QUARTERS

    def make(self, context: Context, features: Shards[Matrix]) -> Moments:
        sizes = [len(rows) for rows in features]
        dealt = np.argsort(context.uniforms(range(sum(sizes))), kind="stable")[context.shard :: QUARTERS]
        parts = np.split(np.sort(dealt), np.searchsorted(np.sort(dealt), np.cumsum(sizes)[:-1]))
        starts = np.cumsum([0, *sizes[:-1]])
        return merged(
            Moments.of(rows[part - start]) for rows, part, start in zip(features, parts, starts, strict=True)
        )


@dataclass(frozen=True, slots=True)
class Distance:
    """One plug-in distance."""

    value: float


@dataclass(frozen=True, slots=True)
class Extrapolation:
    """The distance at the sizes there are, at endless ones, and the bias that may be left."""

    raw: float
    value: float
    residual: float

    @classmethod
    def of(cls, distances: Iterable[Distance]) -> Extrapolation:
        """Read the distances in the order of ``PARTS``."""
        found = [one.value for one in distances]
        whole, halves, quarters = found[0], found[1:7], found[7:]
        floor = max(whole, 0.0)  # no distance is below 0: that is rounding
        return cls(floor, debiased(whole, halves), residual_bias(whole, halves, quarters))


@dataclass(frozen=True)
class Distances(Recipe[Distance]):
    """The plug-in distance between whole samples, then between the same halves and quarters of both."""

    kind: ClassVar[str] = "frechet-distances"
    version: ClassVar[int] = 2
    ours: Recipe[Moments]
    theirs: Recipe[Moments]

    @property
    def shards(self) -> int:
        return len(PARTS)

    def make(self, context: Context, ours: Shards[Moments], theirs: Shards[Moments]) -> Distance:
        x, y = (merged(side[q] for q in PARTS[context.shard]) for side in (ours, theirs))
        return Distance(frechet_distance(x, y))


@dataclass(frozen=True)
class SizesAndRanks(Recipe[Conditions]):
    """Sizes, effective ranks and second-order variance of a pair of samples."""

    kind: ClassVar[str] = "frechet-conditions"
    version: ClassVar[int] = 3
    ours: Recipe[Moments]
    theirs: Recipe[Moments]

    def make(self, context: Context, ours: Shards[Moments], theirs: Shards[Moments]) -> Conditions:
        return Conditions.between(merged(ours), merged(theirs))


@dataclass(frozen=True)
class Maps(Recipe[Transport]):
    """The linear maps between two samples that their influence functions need."""

    kind: ClassVar[str] = "frechet-maps"
    version: ClassVar[int] = 2
    ours: Recipe[Moments]
    theirs: Recipe[Moments]

    def make(self, context: Context, ours: Shards[Moments], theirs: Shards[Moments]) -> Transport:
        return Transport.between(merged(ours), merged(theirs))


@dataclass(frozen=True)
class Influence(Recipe[Moments]):
    """Moments of the influence of each row on the distance, by shard."""

    kind: ClassVar[str] = "frechet-influence"
    version: ClassVar[int] = 2
    along: ClassVar[tuple[str, ...]] = ("features",)
    features: Recipe[Matrix]
    maps: Recipe[Transport]
    ours: bool

    def make(self, context: Context, features: Matrix, maps: Shards[Transport]) -> Moments:
        return Moments.of(maps[0].psi_x(features) if self.ours else maps[0].psi_y(features))
