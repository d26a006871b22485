"""What an attacker infers about people: read off their codes, or asked of a language model in the middle of their texts.

Every attack makes a table of guesses, shape (rows, columns): 1 is right, 0 wrong, -1 not asked.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import ClassVar, TypeVar

import numpy as np
from numpy.typing import NDArray

from audit.core.errors import UndefinedError
from audit.core.recipes import Context, Recipe, Shards
from audit.core.references import ModelRef
from audit.core.rows import Matrix, Rows, text_rows, texts_of
from audit.recipes.labelled import Attribute, Attributes
from audit.stats.discriminant import Discriminant
from audit.stats.permutation import p_value
from audit.stats.probes import AreaGap, Readable, area_gap, readable

Guesses = NDArray[np.int64]
Found = TypeVar("Found")

CANDIDATES = 8
"""At most so many values are put to a language model: the right one and others drawn at random."""


@dataclass(frozen=True, slots=True)
class Probe:
    """Reads one column off codes: the kinds by name, and a linear discriminant."""

    name: str
    kinds: tuple[str, ...]
    reader: Discriminant


@dataclass(frozen=True, slots=True)
class Probes:
    """A probe for each column that could be learnt, and the others with reasons."""

    columns: tuple[Probe, ...]
    left_out: tuple[tuple[str, str], ...]


def _of_columns(
    attributes: Attributes, find: Callable[[Attribute, NDArray[np.bool_]], Found]
) -> tuple[tuple[Found, ...], tuple[tuple[str, str], ...]]:
    """Return what ``find`` makes of each column and of which rows it is known for, and the columns left out with reasons."""
    columns, left_out = [], []
    for column in attributes.columns:
        if len(column.kinds) < 2:
            left_out.append((column.name, column.left_out))
            continue
        try:
            columns.append(find(column, column.codes >= 0))
        except UndefinedError as error:
            left_out.append((column.name, str(error)))
    return tuple(columns), tuple(left_out)


@dataclass(frozen=True)
class FittedProbes(Recipe[Probes]):
    """Linear discriminants of every column, fitted on codes of rows whose attributes the attacker knows."""

    kind: ClassVar[str] = "fitted-probes"
    codes: Recipe[Matrix]
    attributes: Recipe[Attributes]

    @property
    def label(self) -> str:
        return f"probes of {self.codes.label}"

    def make(self, context: Context, codes: Shards[Matrix], attributes: Shards[Attributes]) -> Probes:
        x = np.concatenate(list(codes))

        def fitted(column: Attribute, known: NDArray[np.bool_]) -> Probe:
            reader = Discriminant.fitted(x[known], column.codes[known], len(column.kinds))
            return Probe(column.name, column.kinds, reader)

        return Probes(*_of_columns(attributes[0], fitted))


@dataclass(frozen=True)
class CodeGuesses(Recipe[Guesses]):
    """Whether the probes read each row's attributes off its code."""

    kind: ClassVar[str] = "code-guesses"
    rows: Recipe[Rows]
    codes: Recipe[Matrix]
    probes: Recipe[Probes]

    @property
    def label(self) -> str:
        return f"guesses from {self.codes.label}"

    def make(
        self, context: Context, rows: Shards[Rows], codes: Shards[Matrix], probes: Shards[Probes]
    ) -> Guesses:
        x, found = np.concatenate(list(codes)), []
        for column in probes[0].columns:
            truth = np.array(
                [
                    _place(value, column.kinds)
                    for shard in rows
                    for value in shard.column(column.name).to_pylist()
                ]
            )
            guess = column.reader.read(x)
            found.append(np.where(truth < 0, -1, guess == truth))
        return np.stack(found, axis=1).astype(np.int64) if found else np.empty((len(x), 0), np.int64)


def _place(value: object, kinds: tuple[str, ...]) -> int:
    return kinds.index(str(value)) if value is not None and str(value) in kinds else -1


@dataclass(frozen=True)
class TextGuesses(Recipe[Guesses]):
    """Whether a language model finds each row's own value likelier than others where the text first names it, given what stands before.

    ``attributes`` says which values there are. A text that does not name its value is not asked about; a draw counts as wrong.
    """

    kind: ClassVar[str] = "text-guesses"
    along: ClassVar[tuple[str, ...]] = ("rows",)
    rows: Recipe[Rows]
    attributes: Recipe[Attributes]
    model: ModelRef

    @property
    def label(self) -> str:
        return f"guesses in {self.rows.label}"

    def make(self, context: Context, rows: Rows, attributes: Shards[Attributes]) -> Guesses:
        columns = attributes[0].columns
        guesses = np.full((rows.num_rows, len(columns)), -1, np.int64)
        asked = [
            question
            for place, column in enumerate(columns)
            if len(column.kinds) > 1
            for question in _questions(rows, place, column.name, column.kinds, context.rng())
        ]
        if not asked:
            return guesses
        given = [(before, value) for _, _, before, values in asked for value in values]
        prompts, answers = zip(*given, strict=True)
        scores = context.model(self.model).log_likelihood(text_rows(answers, prefix=list(prompts)))
        scores = np.asarray(scores, dtype=np.float64)
        if scores.shape != (len(given),) or np.isnan(scores).any():
            raise ValueError(
                f"the model was asked for {len(given)} log-likelihoods and did not give a number for each"
            )
        start = 0
        for row, place, _, values in asked:
            own = scores[start : start + len(values)]
            guesses[row, place] = int(own[0] > own[1:].max())
            start += len(values)
        return guesses


def _questions(
    rows: Rows, place: int, name: str, kinds: tuple[str, ...], rng: np.random.Generator
) -> Iterator[tuple[int, int, str, tuple[str, ...]]]:
    """Yield (row, column, what stands before the value, the right value and others) for each text that names its value."""
    for row, (text, value) in enumerate(zip(texts_of(rows), rows.column(name).to_pylist(), strict=True)):
        own = str(value)
        if value is None or own not in kinds or not text:
            continue
        match = re.search(rf"(?<!\w){re.escape(own)}(?!\w)", text)
        others = [kind for kind in kinds if kind != own]
        drawn = rng.permutation(len(others))[: CANDIDATES - 1]
        if match is not None and match.start() > 0:
            before = text[: match.start()]
            space = " " if before.endswith(" ") else ""  # a word's space is part of its first token
            options = tuple(space + word for word in (own, *(others[i] for i in drawn)))
            yield row, place, before.removesuffix(" ") if space else before, options


@dataclass(frozen=True)
class HalfOfGuesses(Recipe[Guesses]):
    """Every other row of guesses from ``which`` on.

    With ``blind`` each is right in one case of four, by chance, and a share ``known`` of the rows, drawn at random, is right: planted memory,
    which a probe that is nearly always right would hide.
    """

    kind: ClassVar[str] = "half-of-guesses"
    guesses: Recipe[Guesses]
    which: int
    blind: bool = False
    known: float = 0.0

    @property
    def label(self) -> str:
        return f"half of {self.guesses.label}"

    def make(self, context: Context, guesses: Shards[Guesses]) -> Guesses:
        held = np.concatenate(list(guesses))[self.which :: 2].copy()
        if self.blind:
            rng = context.rng(0)
            told = (rng.integers(0, 4, held.shape) == 0).astype(np.int64)
            told[rng.permutation(len(held))[: round(self.known * len(held))]] = 1
            held = np.where(held >= 0, told, -1)
        return held


@dataclass(frozen=True, slots=True)
class ReadColumn:
    """How much of one column a probe reads off codes."""

    name: str
    read: Readable


@dataclass(frozen=True, slots=True)
class ReadColumns:
    """Every column, the chance that the best of them reads as well as it does if none can be read, and columns left out."""

    columns: tuple[ReadColumn, ...]
    p_value: float
    left_out: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class ReadOffCodes(Recipe[ReadColumns]):
    """How much of every column a cross-fitted linear probe reads off codes, against ``draws`` shuffles of the labels."""

    kind: ClassVar[str] = "read-off-codes"
    codes: Recipe[Matrix]
    attributes: Recipe[Attributes]
    draws: int

    @property
    def label(self) -> str:
        return f"attributes in {self.codes.label}"

    def make(self, context: Context, codes: Shards[Matrix], attributes: Shards[Attributes]) -> ReadColumns:
        x, rng = np.concatenate(list(codes)), context.rng(0)

        def read(column: Attribute, known: NDArray[np.bool_]) -> ReadColumn:
            return ReadColumn(column.name, readable(x[known], column.codes[known], rng, self.draws))

        columns, left_out = _of_columns(attributes[0], read)
        return ReadColumns(columns, _of_the_best([c.read for c in columns]), left_out)


def _of_the_best(found: list[Readable]) -> float:
    """Return the p-value that no column can be read, by the largest standardised score.

    Each column was shuffled by itself, so the largest of the shuffles is that of independent columns: no smaller, on the
    whole, than that of columns that depend on one another.
    """
    if not found:
        return 1.0
    values = np.array([read.value for read in found])
    draws = np.stack([read.shuffled for read in found], axis=1)
    spread = np.maximum(draws.std(axis=0), 1e-12)
    largest = ((draws - draws.mean(axis=0)) / spread).max(axis=1)
    return p_value(float(((values - draws.mean(axis=0)) / spread).max()), largest)


@dataclass(frozen=True, slots=True)
class RankedColumns:
    """How much better codes rank each column than features do, and the columns left out with reasons."""

    columns: tuple[tuple[str, AreaGap], ...]
    left_out: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class RankedByBoth(Recipe[RankedColumns]):
    """Cross-fitted linear probes of every column on codes and on features of the same rows; ``draws`` shuffles for the error."""

    kind: ClassVar[str] = "ranked-by-both"
    codes: Recipe[Matrix]
    features: Recipe[Matrix]
    attributes: Recipe[Attributes]
    draws: int

    @property
    def label(self) -> str:
        return f"attributes in {self.codes.label} and in {self.features.label}"

    def make(
        self,
        context: Context,
        codes: Shards[Matrix],
        features: Shards[Matrix],
        attributes: Shards[Attributes],
    ) -> RankedColumns:
        ours, theirs, rng = np.concatenate(list(codes)), np.concatenate(list(features)), context.rng(0)

        def ranked(column: Attribute, known: NDArray[np.bool_]) -> tuple[str, AreaGap]:
            gap = area_gap(ours[known], theirs[known], column.codes[known], rng, self.draws)
            return column.name, gap

        return RankedColumns(*_of_columns(attributes[0], ranked))
