"""What near copies are found with: the closest training row of each row, the tests, and which training rows come back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from audit.core.artifacts import DrawnRows, RealRows
from audit.core.recipes import Context, Recipe, Shards
from audit.core.rows import Matrix, Rows, Vector
from audit.core.summaries import merged
from audit.evaluators.privacy.copies.alterations import beside, picked
from audit.recipes.neighbours import in_blocks
from audit.stats.copying import (
    Attraction,
    DataCopying,
    Returned,
    attraction,
    closeness,
    data_copying,
    regions,
    returned,
)
from audit.stats.neighbours import Nearest

_SEEN = 4096
"""Training rows from which regions are found."""
_ROWS_A_REGION, _MOST_REGIONS = 50, 40


@dataclass(frozen=True, slots=True)
class Closest:
    """The training row that each row is closest to, over all its variants; arrays of shape (n,).

    ``close`` is the distance over that of the neighbourhood, 0 for an exact copy; ``distance`` and ``nearest`` are those of the row as
    it is. ``row`` is the place of the closest training row, and ``variant`` the number of the variant that is so close. ``ties`` are
    uniform numbers that order equal ones.
    """

    close: Vector
    row: NDArray[np.int64]
    variant: NDArray[np.int64]
    distance: Vector
    nearest: NDArray[np.int64]
    ties: Vector

    @classmethod
    def of(cls, batch: tuple[Sequence[Nearest], Vector]) -> Closest:
        """Take the neighbours of each variant, the row as it is first, and the ties."""
        variants, ties = batch
        close = np.stack([closeness(nearest) for nearest in variants])
        row = np.stack([nearest.indices[:, 0] for nearest in variants])
        variant, places = close.argmin(axis=0), np.arange(close.shape[1])
        itself = variants[0]
        return cls(
            close[variant, places],
            row[variant, places],
            variant.astype(np.int64),
            itself.distances[:, 0],
            itself.indices[:, 0],
            ties,
        )

    def merge(self, more: Closest) -> Closest:
        return Closest(*(np.concatenate(pair) for pair in zip(_columns(self), _columns(more), strict=True)))

    def __getitem__(self, rows: slice) -> Closest:
        return Closest(*(column[rows] for column in _columns(self)))


def _columns(one: Closest) -> tuple[NDArray[Any], ...]:
    return (one.close, one.row, one.variant, one.distance, one.nearest, one.ties)


@dataclass(frozen=True)
class ClosestVariant(Recipe[Closest]):
    """Of the variants of each row, the first being the row as it is, the one that is closest to a training row."""

    kind: ClassVar[str] = "closest-variant"
    version: ClassVar[int] = 2
    along: ClassVar[tuple[str, ...]] = ("variants",)
    variants: tuple[Recipe[Nearest], ...]

    @property
    def label(self) -> str:
        return f"closest {self.variants[0].label}"

    def make(self, context: Context, variants: tuple[Nearest, ...]) -> Closest:
        return Closest.of((variants, context.uniforms()))


@dataclass(frozen=True)
class Attracted(Recipe[Attraction]):
    """Whether rows have training rows as their nearest real rows more often than a coin would give."""

    kind: ClassVar[str] = "attracted"
    version: ClassVar[int] = 2
    closest: Recipe[Closest]
    elsewhere: Recipe[Nearest]
    trained: int
    unseen: int
    draws: int

    @property
    def label(self) -> str:
        return "nearest real rows with shuffled splits"

    def make(self, context: Context, closest: Shards[Closest], elsewhere: Shards[Nearest]) -> Attraction:
        ours, theirs = merged(closest), merged(elsewhere)
        nearer = ours.distance < theirs.distances[:, 0]
        places = np.where(nearer, ours.nearest, self.trained + theirs.indices[:, 0])
        hits = np.bincount(places, minlength=self.trained + self.unseen)
        return attraction(hits, self.trained, self.draws, context.rng())


@dataclass(frozen=True)
class CopiedRegions(Recipe[DataCopying]):
    """C_T: distances of samples to training rows against those of unseen rows, region by region."""

    kind: ClassVar[str] = "copied-regions"
    version: ClassVar[int] = 2
    samples: Recipe[Matrix]
    unseen: Recipe[Matrix]
    train: Recipe[Matrix]
    samples_closest: Recipe[Closest]
    unseen_closest: Recipe[Closest]

    @property
    def label(self) -> str:
        return "distances to training rows by region"

    def needs(self, field: str, parent: Recipe[Any], shard: int) -> range:
        if field != "train":
            return range(parent.shards)
        ends = np.cumsum([parent.examples(i) for i in range(parent.shards)])
        return range(min(parent.shards, int(np.searchsorted(ends, _SEEN)) + 1))

    def make(
        self,
        context: Context,
        samples: Shards[Matrix],
        unseen: Shards[Matrix],
        train: Shards[Matrix],
        samples_closest: Shards[Closest],
        unseen_closest: Shards[Closest],
    ) -> DataCopying:
        ours, theirs = merged(samples_closest).distance, merged(unseen_closest).distance
        count = int(np.clip(min(len(ours), len(theirs)) // _ROWS_A_REGION, 1, _MOST_REGIONS))
        centres = regions(np.concatenate(list(train))[:_SEEN], count, context.rng())
        cells = [
            np.concatenate([Nearest.among(shard, centres, 1).indices[:, 0] for shard in side])
            for side in (samples, unseen)
        ]
        return data_copying(ours, theirs, cells[0], cells[1])


@dataclass(frozen=True, slots=True)
class OwnDistances:
    """For some training rows (``rows``, ascending), the distance of each to the nearest other one."""

    rows: NDArray[np.int64]
    distances: Vector

    def of(self, rows: NDArray[np.int64]) -> Vector:
        return np.asarray(self.distances[np.searchsorted(self.rows, rows)])


@dataclass(frozen=True)
class OwnNeighbour(Recipe[OwnDistances]):
    """How far the training rows that anything is nearest to are from their own nearest fellow; the others are not asked."""

    kind: ClassVar[str] = "own-neighbour"
    version: ClassVar[int] = 2
    train: Recipe[Matrix]
    closest: tuple[Recipe[Closest], ...]

    @property
    def label(self) -> str:
        return "training rows' own neighbours"

    def make(
        self, context: Context, train: Shards[Matrix], closest: tuple[Shards[Closest], ...]
    ) -> OwnDistances:
        rows = np.unique(np.concatenate([part.nearest for side in closest for part in side]))
        asked = np.concatenate(
            [
                block[rows[(rows >= start) & (rows < start + len(block))] - start]
                for start, block in in_blocks(train)
            ]
        )
        found = Nearest(np.full((len(rows), 2), np.inf), np.full((len(rows), 2), -1, np.int64))
        for start, block in in_blocks(train):
            found = found.closer(Nearest.among(asked, block, 2, offset=start))
        itself = found.indices == rows[:, None]
        return OwnDistances(rows, np.where(itself, np.inf, found.distances).min(axis=1))


@dataclass(frozen=True, slots=True)
class Found:
    """Which training rows came back, and the numbers (r,) that these rows have in their split."""

    returned: Returned
    numbers: NDArray[np.int64]


@dataclass(frozen=True)
class ReturnedRows(Recipe[Found]):
    """The training rows that samples are copies of, told by how close unseen rows come."""

    kind: ClassVar[str] = "returned-rows"
    version: ClassVar[int] = 3
    closest: Recipe[Closest]
    unseen: Recipe[Closest]
    train: RealRows | DrawnRows

    @property
    def label(self) -> str:
        return "training rows that come back"

    def needs(self, field: str, parent: Recipe[Any], shard: int) -> range:
        return range(0) if field == "train" else range(parent.shards)

    def make(
        self, context: Context, closest: Shards[Closest], unseen: Shards[Closest], train: Shards[Rows]
    ) -> Found:
        ours = merged(closest)
        found = returned(ours.close, ours.row, merged(unseen).close)
        return Found(found, self.train.numbers()[found.rows])


@dataclass(frozen=True)
class CopiedPairs(Recipe[Rows]):
    """Samples beside the training rows that they are copies of: those that come back most often first."""

    kind: ClassVar[str] = "copied-pairs"
    version: ClassVar[int] = 2
    samples: Recipe[Rows]
    train: Recipe[Rows]
    closest: Recipe[Closest]
    found: Recipe[Found]
    variants: tuple[str, ...]
    """What each variant of a sample is called, the first being the sample as it is."""
    most: int

    @property
    def label(self) -> str:
        return "copies beside their originals"

    def make(
        self,
        context: Context,
        samples: Shards[Rows],
        train: Shards[Rows],
        closest: Shards[Closest],
        found: Shards[Found],
    ) -> Rows:
        import pyarrow as pa

        which, kept = found[0].returned, slice(self.most)
        best = which.best[kept]
        columns = {
            "times": pa.array(which.times[kept]),
            "training row": pa.array(found[0].numbers[kept]),
            "closeness": pa.array(which.closest[kept]),
            "unseen as close": pa.array(which.shares[kept]),
            "sample": pa.array(best),
            "sample is": pa.array([self.variants[v] for v in merged(closest).variant[best]], pa.string()),
        }
        return beside(
            picked(self.samples, samples, best), picked(self.train, train, which.rows[kept]), columns
        )
