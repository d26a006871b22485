"""A recipe that takes its time, importable by workers on other machines."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from audit.core.recipes import Context, Recipe
from audit.core.rows import Matrix


@dataclass(frozen=True)
class Dawdle(Recipe[Matrix]):
    """Random numbers, after a while."""

    kind: ClassVar[str] = "tests.dawdle"
    count: int
    seconds: float

    @property
    def shards(self) -> int:
        return self.count

    def make(self, context: Context) -> Matrix:
        time.sleep(self.seconds)
        return np.asarray(context.rng().standard_normal((3, 3)))


@dataclass(frozen=True)
class Deadly(Recipe[Matrix]):
    """A recipe that ends the process it is made in."""

    kind: ClassVar[str] = "tests.deadly"

    def make(self, context: Context) -> Matrix:
        os._exit(1)


@dataclass(frozen=True)
class Doubled(Recipe[Matrix]):
    """Twice what another recipe made, shard by shard, after a while."""

    kind: ClassVar[str] = "tests.doubled"
    along: ClassVar[tuple[str, ...]] = ("of",)
    of: Recipe[Matrix]

    def make(self, context: Context, of: Matrix) -> Matrix:
        time.sleep(0.2)
        return of * 2
