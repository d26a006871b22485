"""Which rows of their split some rows are: what a register of records needs to name them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from audit.core.artifacts import DrawnRows, RealRows
from audit.core.recipes import Context, Recipe, Shards
from audit.core.rows import Rows, Vector


@dataclass(frozen=True)
class RowNumbers(Recipe[Vector]):
    """Which rows of their split some rows are."""

    kind: ClassVar[str] = "row-numbers"
    rows: Recipe[Rows]

    def make(self, context: Context, rows: Shards[Rows]) -> Vector:
        if isinstance(self.rows, DrawnRows):
            return self.rows.numbers().astype(np.float64)
        assert isinstance(self.rows, RealRows), "the first rows of a split, or drawn ones"
        return np.arange(float(self.rows.rows))
