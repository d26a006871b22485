"""What a user's function gives of samples and real rows, and of both without some of them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from audit.core.errors import InputError, UndefinedError
from audit.core.recipes import Context, Recipe, Shards
from audit.core.rows import IMAGE, TEXT, Rows, images_of, texts_of
from audit.recipes.user_function import FunctionRef

BLOCKS, DRAWS = 10, 200
LEAST = 30


@dataclass(frozen=True, slots=True)
class Found:
    """The function's value of all rows, and of all but each block of samples and each of real rows, or of each resample."""

    value: float
    again: NDArray[np.float64]
    """Shape (2, blocks) of a jackknife, (1, draws) of a bootstrap."""
    samples: int
    real: int


@dataclass(frozen=True)
class FunctionValue(Recipe[Found]):
    """``function(samples, real)`` over two lists, and again with rows left out (``jackknife``) or drawn anew (``bootstrap``)."""

    kind: ClassVar[str] = "function-value"
    samples: Recipe[Rows]
    real: Recipe[Rows]
    function: FunctionRef
    interval: str

    @property
    def label(self) -> str:
        return f"{self.function.name} of {self.samples.label}"

    def make(self, context: Context, samples: Shards[Rows], real: Shards[Rows]) -> Found:
        call, rng = self.function.opened(), context.rng()
        sides = [[item for shard in shards for item in listed(shard)] for shards in (samples, real)]
        rows = [len(side) for side in sides]
        if min(rows) < LEAST:
            raise UndefinedError(f"{rows[0]} samples and {rows[1]} real rows; it takes {LEAST} of each")

        def value(ours: NDArray[np.int64], theirs: NDArray[np.int64]) -> float:
            return self._called(call, [sides[0][i] for i in ours], [sides[1][i] for i in theirs])

        every = [np.arange(n) for n in rows]
        whole = value(every[0], every[1])
        if self.interval == "bootstrap":
            drawn = [value(*(np.sort(rng.integers(0, n, n)) for n in rows)) for _ in range(DRAWS)]
            return Found(whole, np.array([drawn]), *rows)
        blocks = [
            rng.permutation(np.arange(n) * BLOCKS // n) for n in rows
        ]  # of rows from anywhere in the split
        without = [
            [value(every[0][blocks[0] != b], every[1]) for b in range(BLOCKS)],
            [value(every[0], every[1][blocks[1] != b]) for b in range(BLOCKS)],
        ]
        return Found(whole, np.array(without), *rows)

    def _called(self, call: Any, samples: list[Any], real: list[Any]) -> float:
        """Return one number. Raise UndefinedError where the function returns no finite one, and ValueError with what the function raised."""
        try:
            found = call(samples, real)
        except (InputError, UndefinedError, MemoryError):
            raise
        except (Exception, SystemExit) as error:
            said = f"'{self.function.name}' raised {type(error).__name__}: {str(error)[:300]}"
            raise ValueError(
                f"{said}. It was called as function(samples, real) with lists of {len(samples)} and {len(real)}"
            ) from error
        try:
            number = float(found)
        except (TypeError, ValueError):
            raise UndefinedError(
                f"'{self.function.name}' returned {type(found).__name__}, not one number"
            ) from None
        if not math.isfinite(number):
            raise UndefinedError(
                f"'{self.function.name}' gave {number} for {len(samples)} samples and {len(real)} real rows"
            )
        return number


def listed(rows: Rows) -> list[Any]:
    """Return rows as people have them: uint8 arrays of images (height, width, channels), texts, else a mapping of columns."""
    if IMAGE in rows.column_names:
        return list(images_of(rows))
    if TEXT in rows.column_names:
        return texts_of(rows)
    found: list[Any] = rows.to_pylist()
    return found
