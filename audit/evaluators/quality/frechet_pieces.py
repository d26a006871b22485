"""What a Fréchet distance is computed from: quarter moments, distances between halves, influence, noise floor."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from audit.core.recipes import Recipe, Tools
from audit.core.rows import Matrix
from audit.core.summaries import merged
from audit.stats.frechet import (
    Transport,
    debiased,
    effective_rank,
    frechet_distance,
    gate,
    residual_bias,
    second_order_variance,
    unsettled,
)
from audit.stats.moments import Moments

QUARTERS = 4
PARTS = ((0, 1, 2, 3), (0, 1), (2, 3), (0, 2), (1, 3), (0, 3), (1, 2), (0,), (1,), (2,), (3,))
"""Which quarters of both samples each distance is taken over: all, then three disjoint halvings, then each quarter."""


@dataclass(frozen=True)
class Quarters(Recipe[Moments]):
    """Moments of four disjoint quarters of the rows, dealt at random within every shard.

    One piece is one quarter and reads all features, a shard at a time: four matrices are
    kept however many shards there are.
    """

    kind: ClassVar[str] = "frechet-quarters"
    features: Recipe[Matrix]

    @property
    def piece(self) -> Any:
        return Moments

    @property
    def title(self) -> str:
        return f"quarter moments of {self.features.title}"

    @property
    def shards(self) -> int:
        return QUARTERS

    def needs(self, parent: Recipe[Any], shard: int) -> range:
        return range(parent.shards)

    def make(self, tools: Tools, shard: int, pieces: Sequence[Sequence[Any]]) -> Moments:
        return merged(self._dealt(tools, shard, pieces[0]))

    def _dealt(self, tools: Tools, quarter: int, features: Iterable[Matrix]) -> Iterator[Moments]:
        seen = 0
        for index, rows in enumerate(features):
            order = tools.rng(self, index).permutation(len(rows))
            yield Moments.of(rows[order[(quarter - seen) % QUARTERS :: QUARTERS]])
            seen += len(rows)


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
        return cls(whole, debiased(whole, halves), residual_bias(whole, halves, quarters))


@dataclass(frozen=True)
class Distances(Recipe[Distance]):
    """The plug-in distance between whole samples, then between the same halves and quarters of both."""

    kind: ClassVar[str] = "frechet-distances"
    version: ClassVar[int] = 2
    ours: Recipe[Moments]
    theirs: Recipe[Moments]

    @property
    def piece(self) -> Any:
        return Distance

    @property
    def title(self) -> str:
        return "Fréchet distances"

    @property
    def shards(self) -> int:
        return len(PARTS)

    def needs(self, parent: Recipe[Any], shard: int) -> range:
        return range(parent.shards)

    def make(self, tools: Tools, shard: int, pieces: Sequence[Sequence[Any]]) -> Distance:
        ours, theirs = (merged(side[q] for q in PARTS[shard]) for side in pieces)
        return Distance(frechet_distance(ours, theirs))


@dataclass(frozen=True, slots=True)
class Conditions:
    """What decides whether a distance can be debiased, and how uncertain it stays at zero."""

    dimensions: int
    n: int
    m: int
    rank_x: float | None
    rank_y: float | None
    second_order: float
    variance_y: float
    """The total variance of the real rows: the trace of their covariance."""

    @property
    def obstacle(self) -> str | None:
        """Why no interval can be given, or None."""
        for side, rows, rank in (("samples", self.n, self.rank_x), ("real rows", self.m, self.rank_y)):
            reason = gate(rows, self.dimensions, float("inf") if rank is None else rank)
            if reason is not None:
                return f"{side}: {reason}"
        return None


@dataclass(frozen=True)
class Circumstances(Recipe[Conditions]):
    """Sizes, effective ranks and second-order variance of a pair of samples."""

    kind: ClassVar[str] = "frechet-conditions"
    version: ClassVar[int] = 2
    ours: Recipe[Moments]
    theirs: Recipe[Moments]

    @property
    def piece(self) -> Any:
        return Conditions

    @property
    def title(self) -> str:
        return "sizes and effective ranks"

    def make(self, tools: Tools, shard: int, pieces: Sequence[Sequence[Any]]) -> Conditions:
        x, y = (merged(side) for side in pieces)
        ranks = [rank if np.isfinite(rank) else None for rank in (effective_rank(x), effective_rank(y))]
        variance_y = float(np.trace(y.covariance))
        return Conditions(x.dimensions, x.n, y.n, ranks[0], ranks[1], second_order_variance(x, y), variance_y)


@dataclass(frozen=True)
class Maps(Recipe[Transport]):
    """The linear maps between two samples that their influence functions need."""

    kind: ClassVar[str] = "frechet-maps"
    version: ClassVar[int] = 2
    ours: Recipe[Moments]
    theirs: Recipe[Moments]

    @property
    def piece(self) -> Any:
        return Transport

    @property
    def title(self) -> str:
        return "influence maps"

    def make(self, tools: Tools, shard: int, pieces: Sequence[Sequence[Any]]) -> Transport:
        return Transport.between(*(merged(side) for side in pieces))


@dataclass(frozen=True)
class Influence(Recipe[Moments]):
    """Moments of the influence of each row on the distance, by shard."""

    kind: ClassVar[str] = "frechet-influence"
    version: ClassVar[int] = 2
    features: Recipe[Matrix]
    maps: Recipe[Transport]
    ours: bool

    @property
    def piece(self) -> Any:
        return Moments

    @property
    def title(self) -> str:
        return f"influence of {self.features.title}"

    @property
    def shards(self) -> int:
        return self.features.shards

    def examples(self, shard: int) -> int:
        return self.features.examples(shard)

    def make(self, tools: Tools, shard: int, pieces: Sequence[Sequence[Any]]) -> Moments:
        rows, maps = pieces[0][0], pieces[1][0]
        return Moments.of(maps.psi_x(rows) if self.ours else maps.psi_y(rows))


@dataclass(frozen=True, slots=True)
class Floor:
    """The debiased distance between two real samples, or why there is none."""

    value: float | None
    n: int
    m: int
    reason: str


@dataclass(frozen=True)
class RealFloor(Recipe[Floor]):
    """The noise floor; ``pair`` holds its distances and conditions, or nothing where the data has one split."""

    kind: ClassVar[str] = "frechet-floor"
    version: ClassVar[int] = 2
    pair: tuple[Recipe[Any], ...]

    @property
    def piece(self) -> Any:
        return Floor

    @property
    def title(self) -> str:
        return "noise floor of the Fréchet distance"

    def make(self, tools: Tools, shard: int, pieces: Sequence[Sequence[Any]]) -> Floor:
        if not pieces:
            return Floor(None, 0, 0, "the data has no second real split of enough rows")
        found, sizes = Extrapolation.of(pieces[0]), pieces[1][0]
        # between equal distributions the influence functions add about the second-order variance once more
        reason = sizes.obstacle or unsettled(found.residual, math.sqrt(2 * sizes.second_order))
        return Floor(None if reason else found.value, sizes.n, sizes.m, reason or "")
