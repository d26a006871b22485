"""Features of rows drawn at random: at most so many, the same ones however rows are cut into shards."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from audit.core.recipes import Context, Recipe, Shards, row_uniforms
from audit.core.rows import Matrix
from audit.core.summaries import merged
from audit.stats.kernels import Scale
from audit.stats.moments import Marginals


@dataclass(frozen=True)
class DrawnFeatures(Recipe[Matrix]):
    """At most ``max_rows`` rows of ``features``, drawn without replacement from all of them and in random order within each shard."""

    kind: ClassVar[str] = "drawn-features"
    along: ClassVar[tuple[str, ...]] = ("features",)
    features: Recipe[Matrix]
    max_rows: int

    @property
    def label(self) -> str:
        return f"drawn {self.features.label}"

    def examples(self, shard: int) -> int:
        return int(self._drawn[self.features.rows_of(shard)].sum())

    def make(self, context: Context, features: Matrix) -> Matrix:
        span = self.features.rows_of(context.shard)
        order = np.argsort(context.uniforms(span), kind="stable")
        return np.asarray(features[order[self._drawn[span][order]]])

    @cached_property
    def _drawn(self) -> NDArray[np.bool_]:
        """Which rows are drawn: those with the smallest numbers."""
        total = sum(self.features.examples(i) for i in range(self.features.shards))
        drawn = np.zeros(total, np.bool_)
        place = row_uniforms(self.seed_key, range(total))
        drawn[np.argsort(place, kind="stable")[: self.max_rows]] = True
        return drawn


@dataclass(frozen=True)
class Standardised(Recipe[Matrix]):
    """Features on the scale of a reference: each centred and divided by its deviation there."""

    kind: ClassVar[str] = "standardised"
    along: ClassVar[tuple[str, ...]] = ("features",)
    features: Recipe[Matrix]
    reference: Recipe[Marginals]

    def make(self, context: Context, features: Matrix, reference: Shards[Marginals]) -> Matrix:
        return Scale.of(merged(reference)).apply(features)
