"""What a latent-variable model makes of rows: codes, posteriors, importance weights, and rows decoded from codes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from audit.core.recipes import Context, Recipe
from audit.core.references import ModelRef
from audit.core.rows import Matrix, Rows


@dataclass(frozen=True)
class LogImportanceWeights(Recipe[Matrix]):
    """``log p(x, z) - log q(z | x)`` in nats for ``draws`` latent vectors from each row's posterior, shape (rows, draws)."""

    kind: ClassVar[str] = "log-importance-weights"
    along: ClassVar[tuple[str, ...]] = ("rows",)
    rows: Recipe[Rows]
    model: ModelRef
    draws: int
    seed: int

    @property
    def label(self) -> str:
        return f"importance weights of {self.rows.label}"

    def make(self, context: Context, rows: Rows) -> Matrix:
        found = context.model(self.model).log_importance_weights(rows, context.rng(), self.draws)
        weights = np.asarray(found, dtype=np.float64)
        if weights.shape != (rows.num_rows, self.draws):
            raise ValueError(
                f"the model returned weights of shape {weights.shape}; asked for {self.draws} of each of {rows.num_rows} rows"
            )
        if np.isnan(weights).any() or np.isposinf(weights).any():
            raise ValueError("the model returned log importance weights that are not a number, or infinite")
        return weights
