"""How many kinds of rows a sample holds: Vendi scores of order 1 and 2 under the cosine of centred features."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from audit.core.errors import UndefinedError
from audit.core.recipes import Context, Recipe, Shards
from audit.core.rows import Matrix
from audit.core.summaries import merged
from audit.stats.diversity import EffectiveKinds, VendiScore, cosine, effective_kinds, vendi_score
from audit.stats.kernels import Scale
from audit.stats.moments import Marginals

ALIKE = 0.25


@dataclass(frozen=True, slots=True)
class Scores:
    """Vendi scores of order 1, of all rows and of a random half of them, and of order 2 (RKE)."""

    vendi: VendiScore
    half: VendiScore
    rke: EffectiveKinds


@dataclass(frozen=True, slots=True)
class Diversity:
    """The diversity of a sample, or the reason why it has none."""

    scores: Scores | None
    reason: str = ""


@dataclass(frozen=True)
class Centred(Recipe[Matrix]):
    """Features about their own mean on the scale of a reference, and one more column that is the same for all rows.

    About its own mean a sample that lies elsewhere is as varied as it was. The further column, a quarter of a typical real row's
    length, makes rows alike that hardly differ from one another: without it their directions alone would count.
    """

    kind: ClassVar[str] = "centred"
    along: ClassVar[tuple[str, ...]] = ("features",)
    features: Recipe[Matrix]
    own: Recipe[Marginals]
    reference: Recipe[Marginals]

    def make(
        self, context: Context, features: Matrix, own: Shards[Marginals], reference: Shards[Marginals]
    ) -> Matrix:
        rows = (features - merged(own).mean) / Scale.of(merged(reference)).deviation
        return np.column_stack([rows, np.full(len(rows), ALIKE * math.sqrt(features.shape[1]))])


@dataclass(frozen=True)
class SampleDiversity(Recipe[Diversity]):
    """The diversity of ``rows``, all shards together. O(n² d) time, or O(n d²) where features are fewer than rows."""

    kind: ClassVar[str] = "sample-diversity"
    rows: Recipe[Matrix]

    @property
    def label(self) -> str:
        return f"diversity of {self.rows.label}"

    def make(self, context: Context, rows: Shards[Matrix]) -> Diversity:
        held = np.concatenate(list(rows))
        half = held[context.rng().permutation(len(held))[: len(held) // 2]]
        try:
            scores = Scores(vendi_score(held), vendi_score(half), effective_kinds(held, cosine))
        except UndefinedError as error:
            return Diversity(None, str(error))
        return Diversity(scores)


@dataclass(frozen=True)
class Repeated(Recipe[Matrix]):
    """Features in which a share ``dose`` of the rows, drawn at random, are copies of one of them: a planted collapse."""

    kind: ClassVar[str] = "repeated-row"
    features: Recipe[Matrix]
    dose: float

    @property
    def label(self) -> str:
        return f"{self.features.label} with {self.dose:.0%} alike"

    def examples(self, shard: int) -> int:
        return sum(map(self.features.examples, range(self.features.shards)))

    def make(self, context: Context, features: Shards[Matrix]) -> Matrix:
        rows = np.concatenate(list(features))
        drawn = context.rng().permutation(len(rows))
        rows[drawn[: round(self.dose * len(rows))]] = rows[drawn[-1]]
        return rows
