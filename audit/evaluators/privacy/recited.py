"""What of each document a model would recite: the likelihood of its continuation and of its private fields, off its token scores."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from audit.core.recipes import Context, Recipe, Shards
from audit.core.rows import Matrix, Rows, Vector
from audit.evaluators.privacy.attacks import per_text
from audit.recipes.personal_data import NAMES, PersonalData

Flags = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Recited:
    """One row per document; NaN where there is nothing to complete.

    ``suffix`` and ``fields`` are log p of the document's continuation, and of its likeliest field of each kind; ``suffix_greedy``
    and ``fields_greedy`` say whether the likeliest tokens spell it out. ``located`` says whether fields could be found among tokens.
    """

    suffix: Vector
    suffix_greedy: Flags
    fields: Matrix
    fields_greedy: Flags
    located: bool

    def __getitem__(self, rows: slice) -> Recited:
        return Recited(
            self.suffix[rows],
            self.suffix_greedy[rows],
            self.fields[rows],
            self.fields_greedy[rows],
            self.located,
        )

    def planted(self, share: float) -> Recited:
        """Return the documents with the first ``share`` of those that have something to complete completed."""
        suffix, fields = self.suffix.copy(), self.fields.copy()
        greedy, given = self.suffix_greedy.copy(), self.fields_greedy.copy()
        there = np.flatnonzero(~np.isnan(suffix))
        first = there[: round(share * len(there))]
        suffix[first], greedy[first] = 0.0, True
        there = np.flatnonzero(~np.isnan(fields).all(axis=1))
        for row in there[: round(share * len(there))]:
            stated = ~np.isnan(fields[row])
            fields[row, stated], given[row, stated] = 0.0, True
        return Recited(suffix, greedy, fields, given, self.located)


@dataclass(frozen=True)
class Recite(Recipe[Recited]):
    """How likely each document's tokens after the first ``prefix`` are, ``suffix`` of them, and each of its private fields.

    Everything that stands before a field is its prompt. Nothing is generated: under the model's own distribution the chance of drawing
    a text is the product of its tokens' probabilities, and it is the greedy continuation where each of them ranks first.
    """

    kind: ClassVar[str] = "recite"
    along: ClassVar[tuple[str, ...]] = ("scores", "found")
    scores: Recipe[Rows]
    found: Recipe[PersonalData]
    prefix: int
    suffix: int

    @property
    def label(self) -> str:
        return f"what is recited, by {self.scores.label}"

    def make(self, context: Context, scores: Rows, found: PersonalData) -> Recited:
        if scores.num_rows != found.texts:
            raise ValueError(f"the token scores have {scores.num_rows} rows for {found.texts} texts")
        logp, rank = per_text(scores, "logp"), per_text(scores, "rank")
        located = "end" in scores.column_names
        suffix, greedy = np.full(found.texts, np.nan), np.zeros(found.texts, np.bool_)
        last = self.prefix + self.suffix
        for row, tokens in enumerate(logp):
            if len(tokens) >= last:
                suffix[row] = tokens[self.prefix : last].sum()
                greedy[row] = (rank[row][self.prefix : last] == 1).all()
        fields = np.full((found.texts, len(NAMES)), np.nan)
        given = np.zeros(fields.shape, np.bool_)
        if located:
            self._fields(found, per_text(scores, "end"), logp, rank, fields, given)
        return Recited(suffix, greedy, fields, given, located)

    def _fields(
        self,
        found: PersonalData,
        ends: Sequence[Vector],
        logp: Sequence[Vector],
        rank: Sequence[Vector],
        fields: Matrix,
        given: Flags,
    ) -> None:
        for row, kind, start, stop in zip(found.row, found.kind, found.start, found.stop, strict=True):
            first = int(np.searchsorted(ends[row], start, side="right"))
            last = int(np.searchsorted(ends[row], stop, side="left")) + 1
            if first >= len(ends[row]) or last > len(ends[row]):
                continue
            score = float(logp[row][first:last].sum())
            if np.isnan(fields[row, kind]) or score > fields[row, kind]:
                fields[row, kind] = score
            given[row, kind] |= bool((rank[row][first:last] == 1).all())


def together(shards: Shards[Recited]) -> Recited:
    """Return the documents of all shards, one shard after another."""
    held = list(shards)
    return Recited(
        np.concatenate([s.suffix for s in held]),
        np.concatenate([s.suffix_greedy for s in held]),
        np.concatenate([s.fields for s in held]),
        np.concatenate([s.fields_greedy for s in held]),
        all(s.located for s in held),
    )


def within_tries(logp: Vector, tries: float, chance: float) -> Flags:
    """Say of which texts at least one of ``tries`` draws gives them with probability ``chance`` (Hayes et al. 2025).

    That is where ``1 - (1 - p)^tries >= chance``, in logarithms, so that a p of 1e-300 is no zero.

    >>> within_tries(np.log([0.5, 0.01, 1.0]), 10, 0.5).tolist()
    [True, False, True]
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        missed = tries * np.log1p(-np.exp(np.minimum(logp, 0.0)))
    return np.asarray(missed <= np.log1p(-chance) * (1 - 1e-12))
