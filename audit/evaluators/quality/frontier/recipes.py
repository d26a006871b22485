"""Samples and real texts in common buckets, the frontier between them, and texts of the buckets that differ most."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from audit.core.errors import UndefinedError
from audit.core.recipes import Context, Recipe, Shards
from audit.core.rows import Matrix, Rows
from audit.recipes.shown import presentable, rows_at
from audit.stats.frontiers import Frontier, divergence_frontier, smoothed


@dataclass(frozen=True, slots=True)
class Compared:
    """The frontier, or the reason why there is none, and which rows it is of: their places among all of each side."""

    frontier: Frontier | None
    ours: NDArray[np.int64]
    theirs: NDArray[np.int64]
    reason: str = ""


@dataclass(frozen=True)
class FrontierOf(Recipe[Compared]):
    """The divergence frontier of at most ``max_rows`` rows a side, drawn at random."""

    kind: ClassVar[str] = "divergence-frontier"
    samples: Recipe[Matrix]
    real: Recipe[Matrix]
    max_rows: int
    draws: int

    @property
    def label(self) -> str:
        return f"frontier of {self.samples.label}"

    def make(self, context: Context, samples: Shards[Matrix], real: Shards[Matrix]) -> Compared:
        rng = context.rng(0)
        x, y = (np.concatenate(list(side)) for side in (samples, real))
        ours, theirs = (np.sort(rng.permutation(len(side))[: self.max_rows]) for side in (x, y))
        try:
            return Compared(divergence_frontier(x[ours], y[theirs], rng, draws=self.draws), ours, theirs)
        except UndefinedError as error:
            return Compared(None, ours, theirs, str(error))


@dataclass(frozen=True)
class BucketExamples(Recipe[Rows]):
    """One text of each of the ``count`` buckets that one side has most beside the other, with the shares of both.

    ``real`` says whose texts these are: real ones of buckets that samples lack, else samples of those that they have too often.
    """

    kind: ClassVar[str] = "bucket-examples"
    source: Recipe[Rows]
    compared: Recipe[Compared]
    count: int
    real: bool

    @property
    def label(self) -> str:
        return f"{self.source.label} of the buckets that differ most"

    def make(self, context: Context, source: Shards[Rows], compared: Shards[Compared]) -> Rows:
        import pyarrow as pa

        held = compared[0]
        if held.frontier is None:
            return presentable(source[0].slice(0, 0), ())
        found = held.frontier
        ours, theirs = smoothed(found.ours), smoothed(found.theirs)
        places = held.theirs if self.real else held.ours
        bucket = found.bucket[found.samples :] if self.real else found.bucket[: found.samples]
        more = (theirs - ours) if self.real else (ours - theirs)
        worst = np.argsort(-more / np.sqrt(ours + theirs), kind="stable")[: self.count]
        rng = context.rng(0)
        chosen = [
            (int(b), int(rng.choice(places[bucket == b])))
            for b in worst
            if more[b] > 0 and (bucket == b).any()
        ]
        rows = presentable(rows_at(self.source, source, np.array([row for _, row in chosen], np.int64)), ())
        for name, counts in (("share of samples", found.ours), ("share of real texts", found.theirs)):
            shares = [float(counts[b]) / int(counts.sum()) for b, _ in chosen]
            rows = rows.append_column(name, pa.array(shares, pa.float64()))
        return rows
