"""Nearest neighbours of every row, and how two samples meet in the balls around their rows: one exact pass per pair of sets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from audit.core.recipes import Context, Recipe, Shards
from audit.core.rows import Matrix
from audit.core.summaries import merged
from audit.stats.neighbours import Balls, Nearest
from audit.stats.prdc import PARTS, Scores, part_of, scores_of


@dataclass(frozen=True)
class Neighbours(Recipe[Nearest]):
    """The ``k`` nearest rows of ``others`` to each row; when both are the same recipe, no row is its own neighbour.

    Memory holds one shard of each side and one tile of distances.
    """

    kind: ClassVar[str] = "neighbours"
    along: ClassVar[tuple[str, ...]] = ("rows",)
    rows: Recipe[Matrix]
    others: Recipe[Matrix]
    k: int

    @property
    def label(self) -> str:
        among = "" if self.rows == self.others else f" among {self.others.label}"
        return f"neighbours of {self.rows.label}{among}"

    def make(self, context: Context, rows: Matrix, others: Shards[Matrix]) -> Nearest:
        own = context.shard if self.rows == self.others else None
        return Nearest.among(rows, others, self.k, own)


@dataclass(frozen=True)
class Meetings(Recipe[Balls]):
    """In which balls around ``others`` each row is, and in which of the rows' balls the others are; a ball reaches to the k-th neighbour."""

    kind: ClassVar[str] = "meetings"
    along: ClassVar[tuple[str, ...]] = ("rows", "ours")
    rows: Recipe[Matrix]
    others: Recipe[Matrix]
    ours: Recipe[Nearest]
    theirs: Recipe[Nearest]

    @property
    def label(self) -> str:
        return f"meetings of {self.rows.label} with {self.others.label}"

    def make(
        self, context: Context, rows: Matrix, others: Shards[Matrix], ours: Nearest, theirs: Shards[Nearest]
    ) -> Balls:
        return Balls.between(rows, others, merged(theirs).farthest, ours.farthest)


@dataclass(frozen=True)
class ScoresOfParts(Recipe[Scores]):
    """Precision, recall, density and coverage of quarters of both samples, for their spread; one quarter of each a shard."""

    kind: ClassVar[str] = "prdc-of-parts"
    rows: Recipe[Matrix]
    others: Recipe[Matrix]
    k: int

    @property
    def label(self) -> str:
        return f"precision and recall of parts of {self.rows.label}"

    @property
    def shards(self) -> int:
        return PARTS

    def make(self, context: Context, rows: Shards[Matrix], others: Shards[Matrix]) -> Scores:
        x, y = (np.concatenate(list(side)) for side in (rows, others))
        return scores_of(x[part_of(len(x), context.shard)], y[part_of(len(y), context.shard)], self.k)
