"""The n-grams of texts, and how many different ones samples have beside real texts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from audit.core.errors import UndefinedError
from audit.core.recipes import Context, Recipe, Shards
from audit.core.rows import Rows, texts_of
from audit.core.summaries import merged
from audit.stats.ngrams import DistinctRatio, Grams, distinct_ratio


@dataclass(frozen=True)
class TextGrams(Recipe[Grams]):
    """The n-grams of each text, and how many of its longer ones repeat."""

    kind: ClassVar[str] = "text-grams"
    along: ClassVar[tuple[str, ...]] = ("rows",)
    rows: Recipe[Rows]
    n: int
    longer: int

    @property
    def label(self) -> str:
        return f"n-grams of {self.rows.label}"

    def make(self, context: Context, rows: Rows) -> Grams:
        return Grams.of((texts_of(rows), self.n, self.longer))


@dataclass(frozen=True, slots=True)
class Distinct:
    """The ratio of distinct n-grams, or the reason why there is none."""

    ratio: DistinctRatio | None
    reason: str = ""


@dataclass(frozen=True)
class DistinctGrams(Recipe[Distinct]):
    """Distinct n-grams of samples over those of real texts at equal size, its error over groups of texts."""

    kind: ClassVar[str] = "distinct-grams"
    ours: Recipe[Grams]
    theirs: Recipe[Grams]

    @property
    def label(self) -> str:
        return f"distinct {self.ours.label}"

    def make(self, context: Context, ours: Shards[Grams], theirs: Shards[Grams]) -> Distinct:
        try:
            return Distinct(distinct_ratio(merged(ours), merged(theirs), context.rng()))
        except UndefinedError as error:
            return Distinct(None, str(error))


@dataclass(frozen=True)
class OneTextAgain(Recipe[Rows]):
    """Texts of which a share ``dose``, drawn at random, are copies of one of them: a planted collapse."""

    kind: ClassVar[str] = "one-text-again"
    rows: Recipe[Rows]
    dose: float

    @property
    def label(self) -> str:
        return f"{self.rows.label} with {self.dose:.0%} alike"

    def examples(self, shard: int) -> int:
        return sum(map(self.rows.examples, range(self.rows.shards)))

    def make(self, context: Context, rows: Shards[Rows]) -> Rows:
        import pyarrow as pa

        texts = np.array([text for shard in rows for text in texts_of(shard)], dtype=object)
        drawn = context.rng().permutation(len(texts))
        texts[drawn[: round(self.dose * len(texts))]] = texts[drawn[-1]]
        return pa.table({"text": texts.tolist()})
