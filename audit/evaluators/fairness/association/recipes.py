"""Recipes of attribute associations: everything counted and drawn, and a planted defect."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import combinations
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from audit.core.errors import UndefinedError
from audit.core.recipes import Context, Recipe, Shards
from audit.core.references import Attribute
from audit.core.rows import Rows
from audit.recipes.attributes import Readings, inverses_of, joined, unlike_anything
from audit.stats.associations import (
    Amplified,
    Cells,
    Pair,
    Tables,
    amplification,
    cells,
    log_odds,
)

Floats = NDArray[np.float64]

MOST_UNREAD = 0.2
LEAST_SHOWN = 10
"""A value counts as shown where so many rows have it; an attribute with fewer than two such values has no association."""


@dataclass(frozen=True, slots=True)
class Found:
    """Everything of the associations of two samples; ``reason`` says why there is nothing, and is empty otherwise.

    ``pairs`` has the numbers of both attributes of each pair, shape (pairs, 2); ``left_out`` sentences about attributes
    that are in none. ``strange`` is the share of samples that look like nothing that the classifier was tried on.
    """

    reason: str
    rows: int
    strange: float
    pairs: NDArray[np.int64]
    amplified: Amplified | None
    cells: Cells | None
    left_out: tuple[str, ...]


@dataclass(frozen=True)
class Associations(Recipe[Found]):
    """How much stronger each association of two attributes is among ``samples`` than among ``real`` rows."""

    kind: ClassVar[str] = "attribute-associations"
    samples: Recipe[Readings]
    real: Recipe[Readings]
    attributes: tuple[Attribute, ...]
    chosen: tuple[int, ...]
    level: float

    @property
    def label(self) -> str:
        return f"associations in {self.samples.label}"

    def make(self, context: Context, samples: Shards[Readings], real: Shards[Readings]) -> Found:
        ours, theirs = joined(samples), joined(real)
        strange, rng = ours.strange(theirs), context.rng()

        def nothing(reason: str, left_out: tuple[str, ...] = ()) -> Found:
            return Found(reason, len(ours.sure), strange, np.zeros((0, 2), np.int64), None, None, left_out)

        if reason := unlike_anything(strange):
            return nothing(reason)
        unread: list[str] = []
        try:
            ours, theirs = (
                _read(side, self.chosen, which, unread)
                for side, which in ((ours, "samples"), (theirs, "real examples"))
            )
            tables = [
                Tables.of(r.codes, tuple(len(a.values) for a in self.attributes)) for r in (ours, theirs)
            ]
        except UndefinedError as error:
            return nothing(str(error))
        inverses: dict[int, list[Floats]] = {}
        left_out = unread
        for number in self.chosen:
            attribute = self.attributes[number]
            try:
                found = inverses_of(attribute, rng)
                _refuse_unseen(attribute, found[0], *(t.shown(number) for t in tables))
                inverses[number] = found
            except UndefinedError as error:
                left_out.append(f"'{attribute.name}' is left out: {error}.")
        pairs = self._pairs(inverses)
        if not pairs:
            return nothing(" ".join(left_out) or "an association needs two attributes", tuple(left_out))
        both = [(tables[0].pair(i, j), tables[1].pair(i, j)) for i, j in pairs]
        read = [Pair.of(*one) for one in both]
        corrected = [
            Pair.of(*one, (inverses[i], inverses[j])) for one, (i, j) in zip(both, pairs, strict=True)
        ]
        try:
            listed = cells(read)
        except UndefinedError:
            listed = None
        amplified = amplification(read, corrected, rng, self.level)
        return Found("", len(ours.sure), strange, np.array(pairs), amplified, listed, tuple(left_out))

    def _pairs(self, attributes: Iterable[int]) -> list[tuple[int, int]]:
        """Return the pairs to look at."""
        return list(combinations(attributes, 2))


@dataclass(frozen=True)
class AskedAssociations(Associations):
    """The same of a model that was ``asked`` for one attribute: only pairs with it are looked at."""

    kind: ClassVar[str] = "asked-associations"
    asked: int = 0

    def _pairs(self, attributes: Iterable[int]) -> list[tuple[int, int]]:
        return [pair for pair in combinations(attributes, 2) if self.asked in pair]


@dataclass(frozen=True)
class Known(Recipe[Readings]):
    """Readings in which one attribute is not read but known: what the model was asked for, or what the data's label says.

    ``rows`` have it in the ``column``; a value that is not among ``values`` counts as not read.
    """

    kind: ClassVar[str] = "known-attribute"
    along: ClassVar[tuple[str, ...]] = ("readings", "rows")
    readings: Recipe[Readings]
    rows: Recipe[Rows]
    column: str
    place: int
    values: tuple[str, ...]

    @property
    def label(self) -> str:
        return f"{self.readings.label}, {self.column} known"

    def make(self, context: Context, readings: Readings, rows: Rows) -> Readings:
        known = {value: code for code, value in enumerate(self.values)}
        codes = readings.codes.copy()
        codes[:, self.place] = [known.get(str(value), -1) for value in rows.column(self.column).to_pylist()]
        return Readings(codes, readings.sure)


def _read(side: Readings, chosen: tuple[int, ...], which: str, said: list[str]) -> Readings:
    """Return the rows in which every chosen attribute was read; a sentence says how many were not.

    Raises UndefinedError where that is more than one row in five: who they are is not known.
    """
    read = (side.codes[:, chosen] >= 0).all(axis=1)
    if (without := 1 - float(read.mean())) > MOST_UNREAD:
        raise UndefinedError(f"in {without:.0%} of the {which} some attribute could not be read")
    if without:
        said.append(
            f"Rows in which some attribute could not be read are left out: {without:.1%} of the {which}."
        )
    return Readings(np.maximum(side.codes[read], 0), side.sure[read])


def _refuse_unseen(attribute: Attribute, correction: Floats, *shown: Floats) -> None:
    """Raise UndefinedError where fewer than two values are shown in more rows than misreadings explain."""
    for which, counts in zip(("samples", "real examples"), shown, strict=True):
        least = np.maximum(LEAST_SHOWN, 3 * np.sqrt(counts))
        seen = [v for v, n in zip(attribute.values, correction.T @ counts >= least, strict=True) if n]
        if len(seen) < 2:
            only = f"only '{seen[0]}'" if seen else "no value"
            raise UndefinedError(f"{only} is surely shown in {LEAST_SHOWN} or more of the {which}")


@dataclass(frozen=True)
class Strengthened(Recipe[Readings]):
    """Readings in which one association was made (1 + ``dose``) times as strong: a planted defect.

    Of the pairs of ``chosen`` attributes it is the one whose root mean square log odds is nearest to one half; the second attribute
    is drawn anew from ``p(b | a)^(1 + dose) / p(b)^dose``, so that log odds grow by that factor. Every row stays.
    """

    kind: ClassVar[str] = "strengthened-association"
    readings: Recipe[Readings]
    widths: tuple[int, ...]
    chosen: tuple[int, ...]
    dose: float

    @property
    def label(self) -> str:
        return f"{self.readings.label}, one association stronger by {self.dose:.0%}"

    def examples(self, shard: int) -> int:
        return sum(self.readings.examples(i) for i in range(self.readings.shards))

    def make(self, context: Context, readings: Shards[Readings]) -> Readings:
        held, rng = joined(readings), context.rng()
        read = (held.codes[:, self.chosen] >= 0).all(axis=1)
        tables = Tables.of(np.maximum(held.codes[read], 0), self.widths)
        first, second = self._pair(tables)
        joint = tables.pair(first, second)[0]
        given = joint / np.maximum(joint.sum(axis=1, keepdims=True), 1.0)
        overall = np.maximum(joint.sum(axis=0) / joint.sum(), 1e-9)
        tilted = given ** (1 + self.dose) / overall**self.dose
        ends = np.cumsum(tilted / np.maximum(tilted.sum(axis=1, keepdims=True), 1e-300), axis=1)
        codes = held.codes.copy()
        places = rng.random(len(codes))[:, None] >= ends[codes[:, first]]
        drawn = np.minimum(places.sum(axis=1), self.widths[second] - 1)
        codes[:, second] = np.where(read, drawn, codes[:, second])
        return Readings(codes, held.sure)

    def _pair(self, tables: Tables) -> tuple[int, int]:
        """Return the pair that is strengthened."""
        pairs = combinations(self.chosen, 2)
        return min(pairs, key=lambda pair: abs(_strength(tables.pair(*pair)[0]) - 0.5))


@dataclass(frozen=True)
class AskedStrengthened(Strengthened):
    """The same of the strongest pair with the attribute that a model was ``asked`` for."""

    kind: ClassVar[str] = "asked-strengthened-association"
    asked: int = 0

    def _pair(self, tables: Tables) -> tuple[int, int]:
        pairs = (pair for pair in combinations(self.chosen, 2) if self.asked in pair)
        return max(pairs, key=lambda pair: _strength(tables.pair(*pair)[0]))


def _strength(table: Floats) -> float:
    values, variance = log_odds(table)
    weights = 1 / variance
    return float(np.sqrt((weights * values**2).sum() / weights.sum()))
