"""The pictures that a model needs the most and the fewest bits for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from audit.core.recipes import Context, Recipe, Shards
from audit.core.rows import Matrix, Rows, Vector
from audit.recipes.shown import presentable, rows_at


@dataclass(frozen=True)
class ByLikelihood(Recipe[Rows]):
    """The ``count`` pictures that a model finds the least likely, or with ``likeliest`` the most; ``scores`` in nats, of draws or one each."""

    kind: ClassVar[str] = "by-likelihood"
    source: Recipe[Rows]
    scores: Recipe[Matrix] | Recipe[Vector]
    count: int
    likeliest: bool = False

    @property
    def label(self) -> str:
        return f"{self.source.label} by likelihood"

    def make(self, context: Context, source: Shards[Rows], scores: Shards[Matrix]) -> Rows:
        import pyarrow as pa

        nats = log_mean(np.concatenate(list(scores)))
        order = np.argsort(-nats if self.likeliest else nats, kind="stable")[: self.count]
        rows = presentable(rows_at(self.source, source, order), ())
        return rows.append_column("nats", pa.array(nats[order], pa.float64()))


def log_mean(weights: Matrix, block: int | None = None) -> Vector:
    """Return the log of the mean weight of each row, from log weights (rows, draws); one column needs no mean.

    With ``block``, the mean over disjoint blocks of so many draws of the log of each block's mean: the bound with ``block`` draws.
    """
    if weights.ndim == 1:
        return np.asarray(weights)
    size = weights.shape[1] if block is None else block
    whole = weights[:, : weights.shape[1] // size * size].reshape(len(weights), -1, size)
    peak = whole.max(axis=2, keepdims=True)
    safe = np.where(np.isfinite(peak), peak, 0.0)
    with np.errstate(divide="ignore"):
        bounds = np.log(np.exp(whole - safe).mean(axis=2)) + safe[:, :, 0]
    return np.asarray(bounds.mean(axis=1))
