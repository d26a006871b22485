"""Recipes of quality by group: everything measured in every group, pictures of each, and a planted defect."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from audit.core.errors import UndefinedError
from audit.core.recipes import Context, Recipe, Shards
from audit.core.rows import Matrix, Rng, Rows
from audit.recipes.by_group import grid
from audit.recipes.group_gaps import Column, Parity
from audit.recipes.labelled import Attribute, Attributes
from audit.stats.group_quality import LEAST, MEASURES, measured
from audit.stats.shrinkage import LEAST as FEWEST


@dataclass(frozen=True)
class GroupQuality(Recipe[Parity]):
    """How far samples of each group are from real rows of the same group, at equal numbers of rows, ``max_rows`` at most.

    ``ours`` and ``theirs`` are the groups of samples and of real rows; with ``first`` only the first attribute is looked at.
    """

    kind: ClassVar[str] = "group-quality"
    version: ClassVar[int] = 2
    samples: Recipe[Matrix]
    real: Recipe[Matrix]
    ours: Recipe[Attributes]
    theirs: Recipe[Attributes]
    max_rows: int
    level: float
    first: bool = False

    @property
    def label(self) -> str:
        return f"quality by group of {self.samples.label}"

    def make(
        self,
        context: Context,
        samples: Shards[Matrix],
        real: Shards[Matrix],
        ours: Shards[Attributes],
        theirs: Shards[Attributes],
    ) -> Parity:
        x, y = (np.concatenate(list(side)) for side in (samples, real))
        rng = context.rng()
        pairs, left_out = matched(ours[0], theirs[0])
        pairs = pairs[:1] if self.first else pairs
        level = 1 - (1 - self.level) / max(len(pairs), 1)
        columns = []
        for mine, other in pairs:
            kept, said = _enough(mine, other)
            left_out += said
            if len(kept) >= 2:
                columns.append(self._compared(mine, other, kept, (x, y), rng, level))
        return Parity(tuple(columns), tuple(left_out))

    def _compared(
        self,
        mine: Attribute,
        other: Attribute,
        kept: list[int],
        rows: tuple[Matrix, Matrix],
        rng: Rng,
        level: float,
    ) -> Column:
        members = [[np.flatnonzero(side.codes == place) for side in (mine, other)] for place in kept]
        n = min(self.max_rows, *(len(side) for both in members for side in both))
        sides = [
            tuple(matrix[rng.permutation(side)[:n]] for matrix, side in zip(rows, both, strict=True))
            for both in members
        ]
        gaps, without = [], []
        for measure in MEASURES:
            try:
                gaps.append(measured(measure, [(a, b) for a, b in sides], rng, level))
            except UndefinedError as error:
                without.append((measure, f"'{mine.name}': {error}"))
        kinds = tuple(mine.kinds[place] for place in kept)
        return Column(mine.name, kinds, np.full(len(kept), n), tuple(gaps), tuple(without))


def matched(ours: Attributes, theirs: Attributes) -> tuple[list[tuple[Attribute, Attribute]], list[str]]:
    """Return the attributes that both sides have, with the same kinds in the same order, and sentences about the others."""
    found, left_out = [], []
    known = {column.name: column for column in theirs.columns}
    for column in ours.columns:
        other = known.get(column.name)
        said = column.left_out or (other.left_out if other is not None else "the real rows do not have it")
        if said or other is None:
            left_out.append(f"'{column.name}' is left out: {said}.")
            continue
        kinds = tuple(kind for kind in column.kinds if kind in other.kinds)
        found.append((_among(column, kinds), _among(other, kinds)))
    return found, left_out


def _among(column: Attribute, kinds: tuple[str, ...]) -> Attribute:
    """Return a column with codes that count these kinds alone; a row of any other kind has none."""
    if column.kinds == kinds:
        return column
    place = np.array([kinds.index(kind) if kind in kinds else -1 for kind in column.kinds] + [-1])
    return Attribute(column.name, kinds, place[column.codes])


def _enough(mine: Attribute, other: Attribute) -> tuple[list[int], list[str]]:
    """Return the groups with enough rows on both sides, and a sentence about the others."""
    sizes = np.array([np.bincount(c.codes[c.codes >= 0], minlength=len(c.kinds)) for c in (mine, other)])
    kept = np.flatnonzero((sizes >= LEAST).all(axis=0)).tolist()
    few = [
        f"{kind} ({_said(sizes[0, place])} and {_said(sizes[1, place])})"
        for place, kind in enumerate(mine.kinds)
        if place not in kept
    ]
    if not few:
        return kept, []
    alone = "" if len(kept) >= 2 else ", so no two groups can be compared"
    return kept, [
        f"'{mine.name}': fewer than {LEAST} samples or real rows of {', '.join(few)}; left out{alone}."
    ]


def _said(size: int) -> str:
    return f"fewer than {FEWEST}" if 0 < size < FEWEST else f"{size:,}"


@dataclass(frozen=True)
class WorstGroups(Recipe[Rows]):
    """``each`` samples of every group of the attribute with the surest gap, worst group first."""

    kind: ClassVar[str] = "worst-groups"
    rows: Recipe[Rows]
    groups: Recipe[Attributes]
    parity: Recipe[Parity]
    each: int

    @property
    def label(self) -> str:
        return f"{self.rows.label} by group"

    def make(
        self, context: Context, rows: Shards[Rows], groups: Shards[Attributes], parity: Shards[Parity]
    ) -> Rows:
        column = next((found for m in MEASURES if (found := parity[0].worst(m)) is not None), None)
        if column is None:
            return rows[0].slice(0, 0)
        attribute = next(c for c in groups[0].columns if c.name == column.name)
        gap = column.gaps[0]
        values = gap.values if gap.measure == "coverage" else -gap.values
        order = [attribute.kinds.index(column.kinds[i]) for i in np.argsort(values, kind="stable")]
        return grid(self.rows, rows, attribute, self.each, context.rng(), order)


@dataclass(frozen=True)
class Narrower(Recipe[Matrix]):
    """Features in which the commonest group of the first attribute was moved a share ``dose`` of the way to its mean: lost variety."""

    kind: ClassVar[str] = "narrower-group"
    features: Recipe[Matrix]
    groups: Recipe[Attributes]
    dose: float

    @property
    def label(self) -> str:
        return f"{self.features.label}, one group {self.dose:.0%} narrower"

    def examples(self, shard: int) -> int:
        return sum(self.features.examples(i) for i in range(self.features.shards))

    def make(self, context: Context, features: Shards[Matrix], groups: Shards[Attributes]) -> Matrix:
        rows = np.concatenate(list(features))
        for column in groups[0].columns[:1]:
            counts = np.bincount(column.codes[column.codes >= 0], minlength=1)
            members = column.codes == int(counts.argmax())
            if members.any():
                rows[members] += self.dose * (rows[members].mean(axis=0) - rows[members])
        return rows
