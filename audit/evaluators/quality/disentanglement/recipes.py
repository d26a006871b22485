"""Codes against the factors that their rows are labelled with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from audit.core.errors import UndefinedError
from audit.core.recipes import Context, Recipe, Shards
from audit.core.rows import Matrix
from audit.recipes.labelled import Attributes
from audit.stats.disentanglement import GROUPS, Gap, Importances, dci, information_gap


@dataclass(frozen=True, slots=True)
class FactorGap:
    """The gap of one factor by name, and how many examples it is of."""

    name: str
    kinds: int
    gap: Gap
    examples: int


@dataclass(frozen=True, slots=True)
class Factors:
    """Every factor's gap, DCI of all of them together, and the columns left out with reasons."""

    gaps: tuple[FactorGap, ...]
    scores: Importances | None
    left_out: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class FactorScores(Recipe[Factors]):
    """The mutual information gap of every factor, and with ``importances`` the DCI scores."""

    kind: ClassVar[str] = "factor-scores"
    codes: Recipe[Matrix]
    attributes: Recipe[Attributes]
    importances: bool = True

    @property
    def label(self) -> str:
        return f"factors in {self.codes.label}"

    def make(self, context: Context, codes: Shards[Matrix], attributes: Shards[Attributes]) -> Factors:
        x, rng = np.concatenate(list(codes)), context.rng(0)
        groups = rng.permutation(len(x)) % GROUPS
        gaps, left_out, used = [], [], []
        for column in attributes[0].columns:
            known = column.codes >= 0
            k = len(column.kinds)
            if k < 2:
                left_out.append((column.name, column.left_out))
                continue
            try:
                gap = information_gap(x[known], column.codes[known], groups[known])
            except UndefinedError as error:
                left_out.append((column.name, str(error)))
                continue
            gaps.append(FactorGap(column.name, k, gap, int(known.sum())))
            used.append(column.codes)
        scores = dci(x, used, rng) if used and self.importances else None
        return Factors(tuple(gaps), scores, tuple(left_out))
