"""Samples with a planted defect: some of them are documents, word for word."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from audit.core.recipes import Context, Recipe, Shards
from audit.core.rows import Rows, text_rows
from audit.recipes.personal_data import PersonalData


@dataclass(frozen=True)
class ReplacedSamples(Recipe[Rows]):
    """Samples of which a share ``dose``, drawn at random, are replaced by ``documents``: by any, or by those in which data were ``found``."""

    kind: ClassVar[str] = "replaced-samples"
    samples: Recipe[Rows]
    documents: Recipe[Rows]
    dose: float
    seed: int
    found: Recipe[PersonalData] | None = None

    @property
    def label(self) -> str:
        return f"{self.samples.label} with {self.documents.label} among them"

    def examples(self, shard: int) -> int:
        return sum(self.samples.examples(i) for i in range(self.samples.shards))

    def make(
        self,
        context: Context,
        samples: Shards[Rows],
        documents: Shards[Rows],
        found: Shards[PersonalData] | None = None,
    ) -> Rows:
        rng = context.rng()
        texts = [text for rows in samples for text in rows.column("text").to_pylist()]
        chosen: list[str] = []
        for number, rows in enumerate(documents):
            column = rows.column("text")
            kept = column if found is None else column.take(np.unique(found[number].row))
            chosen += kept.to_pylist()
        for place in rng.permutation(len(texts))[: round(self.dose * len(texts))] if chosen else ():
            texts[int(place)] = chosen[int(rng.integers(len(chosen)))]
        return text_rows(texts)
