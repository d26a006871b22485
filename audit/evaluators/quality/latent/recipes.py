"""Codes that are known to be in use, what a swapped code costs, and pictures along single units."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from audit.core.recipes import Context, Recipe, Shards
from audit.core.references import ModelRef
from audit.core.rows import Matrix, Rows, image_rows, images_of
from audit.recipes.latents import strips
from audit.stats.latents import Information, mutual_information


@dataclass(frozen=True)
class PartlyUsed(Recipe[Matrix]):
    """Standard normal codes in place of a model's, of which a share ``collapsed`` of the units never vary: planted collapse."""

    kind: ClassVar[str] = "partly-used-codes"
    along: ClassVar[tuple[str, ...]] = ("codes",)
    codes: Recipe[Matrix]
    collapsed: float = 0.0

    def make(self, context: Context, codes: Matrix) -> Matrix:
        drawn = context.rng().standard_normal(codes.shape)
        drawn[:, : round(self.collapsed * codes.shape[1])] = 0.0
        return np.asarray(drawn)


@dataclass(frozen=True)
class PosteriorInformation(Recipe[Information]):
    """Bounds on how much a draw from each posterior says about which row it is of."""

    kind: ClassVar[str] = "posterior-information"
    posteriors: Recipe[Matrix]

    @property
    def label(self) -> str:
        return f"information in {self.posteriors.label}"

    def make(self, context: Context, posteriors: Shards[Matrix]) -> Information:
        held = np.concatenate(list(posteriors))
        noise = context.rng(0).standard_normal(held[:, 0].shape)
        return mutual_information(held[:, 0], held[:, 1], noise)


@dataclass(frozen=True)
class SwapErrors(Recipe[Matrix]):
    """Mean squared error of each row decoded from its own code and from another's, in levels, shape (rows, 2)."""

    kind: ClassVar[str] = "swap-errors"
    along: ClassVar[tuple[str, ...]] = ("rows", "own", "swapped")
    rows: Recipe[Rows]
    own: Recipe[Rows]
    swapped: Recipe[Rows]

    def make(self, context: Context, rows: Rows, own: Rows, swapped: Rows) -> Matrix:
        truth = images_of(rows).astype(np.float64)
        errors = [np.square(images_of(side) - truth).mean(axis=(1, 2, 3)) for side in (own, swapped)]
        return np.stack(errors, axis=1)


@dataclass(frozen=True)
class Traversals(Recipe[Rows]):
    """A strip for each of the ``units`` that vary most: one row's code with that unit from -2 to +2 deviations, decoded."""

    kind: ClassVar[str] = "traversals"
    codes: Recipe[Matrix]
    model: ModelRef
    units: int
    steps: int = 7

    @property
    def label(self) -> str:
        return f"traversals of {self.codes.label}"

    def make(self, context: Context, codes: Shards[Matrix]) -> Rows:
        held, rng = np.concatenate(list(codes)), context.rng(0)
        deviation = held.std(axis=0)
        chosen = np.argsort(-deviation, kind="stable")[: self.units]
        moved = np.repeat(held[rng.integers(len(held))][None], len(chosen) * self.steps, axis=0)
        moved = moved.reshape(len(chosen), self.steps, -1)
        for place, unit in enumerate(chosen):
            moved[place, :, unit] = held[:, unit].mean() + np.linspace(-2, 2, self.steps) * deviation[unit]
        made = context.model(self.model).decode(moved.reshape(-1, held.shape[1]), rng)
        shown = strips(images_of(made), self.steps)
        return image_rows(shown, unit=chosen.tolist(), deviation=deviation[chosen].tolist())
