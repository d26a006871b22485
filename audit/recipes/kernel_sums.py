"""Sums of a kernel along rows: all that a maximum mean discrepancy needs, with no matrix of kernel values kept."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from audit.core.recipes import Context, Recipe, Shards
from audit.core.rows import Matrix
from audit.stats.equality import Aggregated, aggregated_mmd, median_distance
from audit.stats.kernel_values import cubic, gaussian
from audit.stats.kernels import RowSums


@dataclass(frozen=True, slots=True)
class Bandwidth:
    """The width of a Gaussian kernel, in the units of the features."""

    value: float


@dataclass(frozen=True)
class MedianDistance(Recipe[Bandwidth]):
    """The median distance between rows of a sample, of at most a thousand of them."""

    kind: ClassVar[str] = "median-distance"
    rows: Recipe[Matrix]

    def make(self, context: Context, rows: Shards[Matrix]) -> Bandwidth:
        held = np.concatenate(list(rows))
        return Bandwidth(median_distance(held, held[:0], context.rng()))


@dataclass(frozen=True)
class KernelSums(Recipe[RowSums]):
    """Sums of a kernel between each row of one sample and all of another, or of the same one; no row meets itself.

    One shard of ``rows`` meets every shard of ``others``, a block at a time. The kernel is KID's cubic one, or
    the Gaussian one of a ``bandwidth``.
    """

    kind: ClassVar[str] = "kernel-sums"
    version: ClassVar[int] = 2
    along: ClassVar[tuple[str, ...]] = ("rows",)
    rows: Recipe[Matrix]
    others: Recipe[Matrix]
    bandwidth: Recipe[Bandwidth] | None = None

    @property
    def label(self) -> str:
        against = "within" if self.rows == self.others else f"against {self.others.label}:"
        return f"kernel sums {against} {self.rows.label}"

    def make(
        self,
        context: Context,
        rows: Matrix,
        others: Shards[Matrix],
        bandwidth: Shards[Bandwidth] | None = None,
    ) -> RowSums:
        own = context.shard if self.rows == self.others else None
        kernel = cubic if bandwidth is None else gaussian(bandwidth[0].value)
        n, m = (sum(map(side.examples, range(side.shards))) for side in (self.rows, self.others))
        return RowSums.against(rows, others, kernel, own=own, pairs=n * m)


@dataclass(frozen=True)
class EqualityTests(Recipe[Aggregated]):
    """The permutation test that two samples have one distribution, over Gaussian kernels of five bandwidths."""

    kind: ClassVar[str] = "equality-tests"
    rows: Recipe[Matrix]
    others: Recipe[Matrix]
    draws: int

    @property
    def label(self) -> str:
        return f"equality of {self.rows.label} and {self.others.label}"

    def make(self, context: Context, rows: Shards[Matrix], others: Shards[Matrix]) -> Aggregated:
        x, y = (np.concatenate(list(side)) for side in (rows, others))
        return aggregated_mmd(x, y, context.rng(), draws=self.draws)
