"""Sums of a kernel along rows: all that a maximum mean discrepancy needs, with no matrix of kernel values kept."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from audit.core.recipes import Context, Recipe, Shards
from audit.core.rows import Matrix
from audit.stats.kernels import RowSums, cubic


@dataclass(frozen=True)
class KernelSums(Recipe[RowSums]):
    """Sums of the cubic kernel between each row of one sample and all of another, or of the same one.

    One shard of ``rows`` meets every shard of ``others``, a block at a time; no row meets itself.
    """

    kind: ClassVar[str] = "kid-row-sums"
    along: ClassVar[tuple[str, ...]] = ("rows",)
    rows: Recipe[Matrix]
    others: Recipe[Matrix]

    @property
    def label(self) -> str:
        against = "within" if self.rows == self.others else f"against {self.others.label}:"
        return f"kernel sums {against} {self.rows.label}"

    def make(self, context: Context, rows: Matrix, others: Shards[Matrix]) -> RowSums:
        own = context.shard if self.rows == self.others else None
        return RowSums.against(rows, others, cubic, own=own)
