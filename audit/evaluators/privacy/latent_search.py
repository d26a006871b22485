"""Membership by latent search: how near to an example can the generator be brought? Its training examples should be the easiest to make.

Asks the generator alone, from outside: no gradient, no critic (Chen et al., 2020, GAN-Leaks, partial black box).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from audit.core.recipes import Context, Recipe
from audit.core.references import ModelRef
from audit.core.rows import Matrix, Rng, Rows, Vector, images_of
from audit.evaluators.privacy.attacks import AttackScores
from audit.evaluators.privacy.reference_attacks import calibrated

CANDIDATES = 2000
"""Latent vectors that are tried for every example, the same for all."""
STEPS = 100
"""Steps of the search that begins at the nearest of them."""
FIRST, GROWS, SHRINKS = 0.5, 1.5, 0.9
"""Length of the first step in the latent vectors' own spread, and what it is multiplied by after a step that brought the example
nearer, and after one that did not: about one in five then does (Rechenberg, 1973)."""


@dataclass(frozen=True)
class LatentSearch(Recipe[AttackScores]):
    """Minus the squared error of the nearest image found, and the same less that of reference models where there are some."""

    kind: ClassVar[str] = "latent-search"
    along: ClassVar[tuple[str, ...]] = ("rows",)
    rows: Recipe[Rows]
    model: ModelRef
    references: tuple[ModelRef, ...]
    seed: int

    @property
    def label(self) -> str:
        return f"latent search for {self.rows.label}"

    def make(self, context: Context, rows: Rows) -> AttackScores:
        targets = as_vectors(rows)
        own, *others = (
            # Candidates are seeded by the audit alone: members and others must meet the same ones.
            nearest_made(context.model(ref), targets, np.random.default_rng(self.seed), context.rng())
            for ref in (self.model, *self.references)
        )
        columns = {"latent_search": -own}
        if others:
            columns[calibrated("latent_search")] = np.mean(others, axis=0) - own
        return AttackScores(
            names=tuple(columns),
            values=np.column_stack(list(columns.values())),
            ties=context.uniforms(),
            access="looks for the latent vector whose image is nearest to an example",
        )


def as_vectors(rows: Rows) -> Matrix:
    """Return images as vectors of values from 0 to 1, shape (n, values)."""
    images = images_of(rows)
    return (images.reshape(len(images), -1) / np.float32(255)).astype(np.float32)


def nearest_made(model: Any, targets: Matrix, first: Rng, then: Rng) -> Vector:
    """Return the mean squared error of the nearest image that was found for each target, shape (n,).

    The best of ``CANDIDATES`` latent vectors from ``first``, then ``STEPS`` random steps from ``then``, each kept where it brings the
    image nearer.
    """
    latents = np.asarray(model.draw_latents(CANDIDATES, first), np.float64)
    made = as_vectors(model.decode(latents, first))
    if made.shape != (len(latents), targets.shape[1]):
        raise ValueError(f"decoded images have {made.shape[1]} values, the examples {targets.shape[1]}")
    apart = (made**2).sum(axis=1) - 2 * targets @ made.T
    nearest = apart.argmin(axis=1)
    best, spread = latents[nearest], latents.std(axis=0)
    error = np.square(targets - made[nearest], dtype=np.float64).mean(axis=1)
    step = np.full(len(targets), FIRST)
    for _ in range(STEPS if len(targets) else 0):
        tried = best + step[:, None] * spread * then.standard_normal(best.shape)
        found = np.square(targets - as_vectors(model.decode(tried, then)), dtype=np.float64).mean(axis=1)
        nearer = found < error
        best[nearer], error[nearer] = tried[nearer], found[nearer]
        step *= np.where(nearer, GROWS, SHRINKS)
    return np.asarray(error)
