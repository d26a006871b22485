"""The training documents that a model completes, for the register and to be looked at."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from audit.core.measurements import Evidence
from audit.core.recipes import Shards
from audit.core.register import AtRisk, register_evidence
from audit.core.rows import Rows, Vector
from audit.evaluators.privacy.recited import Recited
from audit.recipes.personal_data import NAMES, personal_data

_BEFORE = 120
"""Characters before a private field that an excerpt shows."""


@dataclass(frozen=True, slots=True)
class Told:
    """What is completed of training documents: their rows, and where in the split those stand."""

    inside: Recited
    outside: Recited
    rows: Shards[Rows]
    numbers: Shards[Vector]
    examples: int

    def fields(self, kinds: list[int]) -> Iterator[Evidence]:
        """Yield the documents whose field of one of these kinds is completed."""
        stated = ~np.isnan(self.outside.fields)
        hits = (self.outside.fields_greedy & stated).sum(axis=0)
        chance = (1 + hits) / (1 + stated.sum(axis=0))

        def entry(place: int, row: int, text: str) -> AtRisk:
            given = [kind for kind in kinds if self.inside.fields_greedy[place, kind]]
            return AtRisk(
                row=row,
                attack="field completion",
                found=f"{' and '.join(NAMES[k] for k in given)} completed from the text before it",
                score=float(np.nanmax(self.inside.fields[place, given])),
                chance=float(chance[given].max()),
                content=excerpt(text, given),
            )

        hit = self.inside.fields_greedy[:, kinds].any(axis=1)
        yield from self._listed(hit, entry, "Training documents whose private fields the model completes")

    def documents(self, prefix: int) -> Iterator[Evidence]:
        """Yield the documents whose continuation is completed."""
        there = ~np.isnan(self.outside.suffix)
        chance = (1 + int((self.outside.suffix_greedy & there).sum())) / (1 + int(there.sum()))

        def entry(place: int, row: int, text: str) -> AtRisk:
            return AtRisk(
                row=row,
                attack="continuation",
                found=f"continued word for word after {prefix} tokens",
                score=float(self.inside.suffix[place]),
                chance=chance,
                content=text,
            )

        hit = self.inside.suffix_greedy
        yield from self._listed(hit, entry, "Training documents that the model continues word for word")

    def _listed(self, hit: Any, entry: Callable[[int, int, str], AtRisk], caption: str) -> Iterator[Evidence]:
        import pyarrow as pa

        places = np.concatenate(list(self.numbers)).astype(np.int64)
        entries, start = [], 0
        for shard in self.rows:
            within = np.flatnonzero(hit[start : start + shard.num_rows])
            for row, text in zip(within.tolist(), shard.column("text").take(within).to_pylist(), strict=True):
                entries.append(entry(start + row, int(places[start + row]), text))
            start += shard.num_rows
        if entries and self.examples:
            surest = sorted(entries, key=lambda e: -e.score)[: self.examples]
            columns = {"text": [e.content for e in surest], "found": [e.found for e in surest]}
            yield Evidence("texts", caption, pa.table(columns), sensitive=True)
        yield from register_evidence(entries)


def excerpt(text: str, kinds: list[int]) -> str:
    """Return the first private field of some kinds in brackets, with what stands before it."""
    for datum in personal_data(text):
        if datum.kind in kinds:
            begin = max(0, datum.start - _BEFORE)
            return f"{'…' if begin else ''}{text[begin : datum.start]}⟦{text[datum.start : datum.stop]}⟧"
    return ""
