"""Features on the scale of a reference, shuffled: the input of kernels that have no scale of their own."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from typing import ClassVar

from audit.core.recipes import Context, Recipe, Shards
from audit.core.rows import Matrix
from audit.core.summaries import merged
from audit.stats.kernels import Scale
from audit.stats.moments import Marginals


@dataclass(frozen=True)
class Standardised(Recipe[Matrix]):
    """Features on the scale of the reference, shuffled within each shard; at most ``most`` rows, spread over all shards."""

    kind: ClassVar[str] = "kid-standardised"
    along: ClassVar[tuple[str, ...]] = ("features",)
    features: Recipe[Matrix]
    reference: Recipe[Marginals]
    most: int

    @property
    def label(self) -> str:
        return f"standardised {self.features.label}"

    def examples(self, shard: int) -> int:
        return len(self._kept(shard))

    def make(self, context: Context, features: Matrix, reference: Shards[Marginals]) -> Matrix:
        order = context.rng().permutation(len(features))[: self.examples(context.shard)]
        return Scale.of(merged(reference)).apply(features[order])

    def _kept(self, shard: int) -> range:
        """Return this shard's part of the first ``most`` places, were they dealt evenly to all rows."""
        before, after, total = self._ends[shard], self._ends[shard + 1], self._ends[-1]
        if total <= self.most:
            return range(before, after)
        return range(before * self.most // total, after * self.most // total)

    @cached_property
    def _ends(self) -> list[int]:
        """Where each shard of the features ends; a plan of many shards asks for every one."""
        return list(accumulate((self.features.examples(i) for i in range(self.features.shards)), initial=0))
