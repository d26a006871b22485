"""Recipes of pronoun associations: random numbers for intervals, and which occupations the training texts name."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from audit.core.recipes import Context, Recipe, Shards
from audit.core.rows import Rows, Vector, concat, texts_of
from audit.stats.clusters import resamples, shuffles

LEAST_MENTIONS = 5
"""A known occupation is named in so many of the training texts."""


def known(mentions: Vector) -> NDArray[np.bool_]:
    """Return which occupations the training texts name often enough."""
    return np.asarray(mentions >= LEAST_MENTIONS)


@dataclass(frozen=True, slots=True)
class Draws:
    """Which occupations and neutral units each bootstrap draw holds, and random orders of the occupations.

    ``halves`` holds places in either half of the neutral units, for the null case, shape (draws, half); ``items`` the items of each draw.
    """

    occupations: NDArray[np.int64]
    neutral: NDArray[np.int64]
    orders: NDArray[np.int64]
    halves: NDArray[np.int64]
    items: NDArray[np.int64]


@dataclass(frozen=True)
class PronounDraws(Recipe[Draws]):
    """Random numbers for the intervals and the shuffled labels, for the units that were ``asked`` about and are known."""

    kind: ClassVar[str] = "pronoun-draws"
    version: ClassVar[int] = 3
    asked: Recipe[Rows]
    draws: int
    seed: int
    mentions: Recipe[Vector] | None = None

    @property
    def label(self) -> str:
        return "resampled occupations"

    def make(self, context: Context, asked: Shards[Rows], mentions: Shards[Vector] | None = None) -> Draws:
        rows, rng = concat(list(asked)), context.rng()
        n, m = (max(len(units_in(rows, kind)), 2) for kind in ("occupation", "neutral"))
        named = rows.column("item").to_pylist() if "item" in rows.column_names else [""]
        items = len(set(named))
        if mentions is not None:
            n = max(int(known(np.sum(list(mentions), axis=0)).sum()), 2)
        return Draws(
            resamples(n, self.draws, rng).astype(np.int64),
            resamples(m, self.draws, rng).astype(np.int64),
            shuffles(n, self.draws, rng).astype(np.int64),
            resamples(m // 2, self.draws, rng).astype(np.int64),
            resamples(items, self.draws, rng).astype(np.int64),
        )


@dataclass(frozen=True)
class Mentions(Recipe[Vector]):
    """How many texts of ``texts`` name each occupation of ``asked`` as a word of its own, shape (occupations,)."""

    kind: ClassVar[str] = "occupation-mentions"
    along: ClassVar[tuple[str, ...]] = ("texts",)
    texts: Recipe[Rows]
    asked: Recipe[Rows]

    @property
    def label(self) -> str:
        return f"occupations in {self.texts.label}"

    def make(self, context: Context, texts: Rows, asked: Shards[Rows]) -> Vector:
        names = units_in(concat(list(asked)), "occupation")
        counts = dict.fromkeys((name.lower() for name in names), 0)
        words = re.compile(rf"\b({'|'.join(map(re.escape, sorted(counts, key=len, reverse=True)))})\b")
        for text in texts_of(texts):
            for found in set(words.findall((text or "").lower())):
                counts[found] += 1
        return np.array([counts[name.lower()] for name in names], dtype=np.float64)


def units_in(asked: Rows, kind: str) -> list[str]:
    """Return the units of a kind in a set of probes, in the order in which they first occur."""
    if not {"kind", "unit"} <= set(asked.column_names):
        return []
    pairs = zip(asked.column("kind").to_pylist(), asked.column("unit").to_pylist(), strict=True)
    return list(dict.fromkeys(str(unit) for found, unit in pairs if found == kind))
