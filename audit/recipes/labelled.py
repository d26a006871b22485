"""What kind each row is, by its group columns or, where rows have none, as a linear reader of their features tells."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from audit.core.errors import UndefinedError
from audit.core.recipes import Context, Recipe, Shards
from audit.core.references import Attribute as Known
from audit.core.rows import Matrix, Rows
from audit.recipes.attributes import Readings, joined, unlike_anything
from audit.stats.associations import inverse
from audit.stats.discriminant import Discriminant, confusion
from audit.stats.modes import Kinds, Shares, Variation, corrected, variation

MOST_KINDS = 100
"""A column of more values than this is a number or a name, not a group."""
FEWEST = 20
"""Values of fewer rows than this are left out: a reader cannot learn them, and nobody could tell that they are gone."""


@dataclass(frozen=True, slots=True)
class Attribute:
    """The kinds of one group column, and the kind of each row: its place among ``kinds``, -1 where it has none."""

    name: str
    kinds: tuple[str, ...]
    codes: NDArray[np.int64]
    left_out: str = ""


@dataclass(frozen=True, slots=True)
class Attributes:
    """Every group column of some rows."""

    columns: tuple[Attribute, ...]


@dataclass(frozen=True)
class RowAttributes(Recipe[Attributes]):
    """The group columns of rows as codes. A column of one value or of more than a hundred is left out, with the reason."""

    kind: ClassVar[str] = "row-attributes"
    rows: Recipe[Rows]
    columns: tuple[str, ...]

    @property
    def label(self) -> str:
        return f"groups of {self.rows.label}"

    def make(self, context: Context, rows: Shards[Rows]) -> Attributes:
        held: dict[str, list[str]] = {name: [] for name in self.columns}
        for shard in rows:
            for name in self.columns:
                held[name] += ["" if v is None else str(v) for v in shard.column(name).to_pylist()]
        return Attributes(tuple(_attribute(name, np.array(values)) for name, values in held.items()))


def _attribute(name: str, values: NDArray[np.str_]) -> Attribute:
    found, counts = np.unique(values[values != ""], return_counts=True)
    kept = found[counts >= FEWEST]
    codes = np.full(len(values), -1, np.int64)
    if len(found) > MOST_KINDS or len(kept) < 2:
        many = f"{len(found)} values" + (
            "" if len(found) > MOST_KINDS else f", of which {len(kept)} with {FEWEST} rows"
        )
        return Attribute(name, (), codes, many)
    for place, value in enumerate(kept):
        codes[values == value] = place
    return Attribute(name, tuple(map(str, kept)), codes)


@dataclass(frozen=True)
class Reordered(Recipe[Attributes]):
    """The same labels dealt out to rows at random, all columns together: what codes then say of them is chance."""

    kind: ClassVar[str] = "reordered-attributes"
    attributes: Recipe[Attributes]

    def make(self, context: Context, attributes: Shards[Attributes]) -> Attributes:
        columns = attributes[0].columns
        order = context.rng().permutation(len(columns[0].codes)) if columns else None
        return Attributes(tuple(replace(column, codes=column.codes[order]) for column in columns))


@dataclass(frozen=True, slots=True)
class Readable:
    """A column, the reader that was fitted on half of the labelled rows, and what it made of the other half.

    ``real`` counts all labelled rows by kind, ``confusion[i, j]`` those of the second half of kind i that were read as j. Where an
    attribute classifier read the rows there is no fitted reader; ``places`` are then the places of the kinds among its values.
    """

    name: str
    kinds: tuple[str, ...]
    reader: Discriminant | None
    real: NDArray[np.float64]
    confusion: NDArray[np.float64]
    places: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Reader:
    """A linear reader of every column that has two kinds or more, and the columns left out, with reasons."""

    columns: tuple[Readable, ...]
    left_out: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class FittedReader(Recipe[Reader]):
    """Linear discriminants that read groups off features: fitted on a random half of the rows, tried on the other."""

    kind: ClassVar[str] = "fitted-reader"
    version: ClassVar[int] = 2
    features: Recipe[Matrix]
    attributes: Recipe[Attributes]

    @property
    def label(self) -> str:
        return f"reader of groups off {self.features.label}"

    def make(self, context: Context, features: Shards[Matrix], attributes: Shards[Attributes]) -> Reader:
        rows = np.concatenate(list(features))
        first = np.zeros(len(rows), np.bool_)
        first[context.rng().permutation(len(rows))[: len(rows) // 2]] = True
        columns, left_out = [], []
        for column in attributes[0].columns:
            known = column.codes >= 0
            k = len(column.kinds)
            if k < 2:
                left_out.append((column.name, column.left_out))
                continue
            counts = np.bincount(column.codes[known & ~first], minlength=k)
            if min(np.bincount(column.codes[known & first], minlength=k).min(), counts.min()) < FEWEST // 4:
                left_out.append((column.name, "a value with too few rows to learn it from half of them"))
                continue
            reader = Discriminant.fitted(rows[known & first], column.codes[known & first], k)
            tried = confusion(column.codes[known & ~first], reader.read(rows[known & ~first]), k)
            real = np.bincount(column.codes[known], minlength=k).astype(np.float64)
            columns.append(Readable(column.name, column.kinds, reader, real, tried))
        return Reader(tuple(columns), tuple(left_out))


@dataclass(frozen=True)
class ReadKinds(Recipe[NDArray[np.int64]]):
    """The kind of each row in every column, as a reader tells: shape (rows, columns)."""

    kind: ClassVar[str] = "read-kinds"
    along: ClassVar[tuple[str, ...]] = ("features",)
    features: Recipe[Matrix]
    reader: Recipe[Reader]

    @property
    def label(self) -> str:
        return f"groups read off {self.features.label}"

    def make(self, context: Context, features: Matrix, reader: Shards[Reader]) -> NDArray[np.int64]:
        read = [column.reader.read(features) for column in reader[0].columns if column.reader is not None]
        return np.stack(read, axis=1) if read else np.empty((len(features), 0), np.int64)


@dataclass(frozen=True)
class WithoutKinds(Recipe[NDArray[np.int64]]):
    """What was read of rows, without the first kinds of the first column that hold a share ``dose`` of them: planted lost modes."""

    kind: ClassVar[str] = "without-kinds"
    read: Recipe[NDArray[np.int64]]
    dose: float

    @property
    def label(self) -> str:
        return f"{self.read.label} without {self.dose:.0%}"

    def make(self, context: Context, read: Shards[NDArray[np.int64]]) -> NDArray[np.int64]:
        rows = np.concatenate(list(read))
        if not rows.shape[1]:
            return rows
        rows = rows[rows[:, 0] >= 0]
        shares = np.cumsum(np.bincount(rows[:, 0])) / len(rows)
        lost = min(int(np.searchsorted(shares, self.dose - 1e-9)) + 1, len(shares) - 1)
        return np.asarray(rows[rows[:, 0] >= lost])


@dataclass(frozen=True)
class ClassifiedReader(Recipe[Reader]):
    """What an attribute classifier tells apart, in place of a fitted reader: shares of its values among real rows, and its errors.

    Real rows have no labels here, so their shares are corrected for its errors too, and count as so many rows as leave them as uncertain.
    """

    kind: ClassVar[str] = "classified-reader"
    real: Recipe[Readings]
    attributes: tuple[Known, ...]
    chosen: tuple[int, ...]

    @property
    def label(self) -> str:
        return f"shares in {self.real.label}"

    def make(self, context: Context, real: Shards[Readings]) -> Reader:
        codes = joined(real).codes
        columns, left_out = [], []
        for place in self.chosen:
            try:
                columns.append(_classified(self.attributes[place], codes[:, place]))
            except UndefinedError as error:
                left_out.append((self.attributes[place].name, str(error)))
        return Reader(tuple(columns), tuple(left_out))


@dataclass(frozen=True)
class ClassifiedAttributes(Recipe[Attributes]):
    """The groups of rows without labels, as an attribute classifier reads them, its errors left in."""

    kind: ClassVar[str] = "classified-attributes"
    read: Recipe[Readings]
    attributes: tuple[Known, ...]
    chosen: tuple[int, ...]

    @property
    def label(self) -> str:
        return f"groups of {self.read.label}"

    def make(self, context: Context, read: Shards[Readings]) -> Attributes:
        codes = joined(read).codes
        return Attributes(
            tuple(
                _attribute(self.attributes[i].name, np.array(self.attributes[i].values)[codes[:, i]])
                for i in self.chosen
            )
        )


def _classified(attribute: Known, codes: NDArray[np.int64]) -> Readable:
    """Return an attribute as its classifier reads it in real rows; values of fewer than twenty are left out."""
    counts = np.bincount(codes, minlength=len(attribute.values)).astype(np.float64)
    kept = np.flatnonzero(counts >= FEWEST)
    if len(kept) < 2:
        raise UndefinedError(f"{len(kept)} of its values are read in {FEWEST} real rows")
    n, read = float(counts[kept].sum()), counts[kept] / counts[kept].sum()
    labels = (
        np.array(attribute.confusion, np.float64)
        if attribute.confusion
        else np.diag(np.full(len(counts), 1e9))
    )
    confusion = labels[np.ix_(kept, kept)]
    back = inverse(confusion)
    shares = np.maximum(read @ back, 0.5 / n)
    shares /= shares.sum()
    spread = np.diag(back.T @ (np.diag(read) - np.outer(read, read)) @ back)
    worth = float(np.min(shares * (1 - shares) / np.maximum(spread, 1e-12)))
    names = tuple(attribute.values[i] for i in kept)
    return Readable(
        attribute.name, names, None, n * min(worth, 1.0) * shares, confusion, tuple(map(int, kept))
    )


@dataclass(frozen=True)
class ClassifiedKinds(Recipe[NDArray[np.int64]]):
    """The kind of each row in every column as an attribute classifier tells, -1 for values left out: shape (rows, columns).

    Raises UndefinedError where the rows look like nothing that the classifier was tried on.
    """

    kind: ClassVar[str] = "classified-kinds"
    read: Recipe[Readings]
    real: Recipe[Readings]
    reader: Recipe[Reader]
    attributes: tuple[Known, ...]

    @property
    def label(self) -> str:
        return f"groups of {self.read.label}"

    def make(
        self, context: Context, read: Shards[Readings], real: Shards[Readings], reader: Shards[Reader]
    ) -> NDArray[np.int64]:
        ours = joined(read)
        if reason := unlike_anything(ours.strange(joined(real))):
            raise UndefinedError(reason)
        found = np.full((len(ours.codes), len(reader[0].columns)), -1, np.int64)
        names = [attribute.name for attribute in self.attributes]
        for place, column in enumerate(reader[0].columns):
            values = ours.codes[:, names.index(column.name)]
            for kind, value in enumerate(column.places):
                found[values == value, place] = kind
        return found


@dataclass(frozen=True, slots=True)
class ComparedColumn:
    """One column: its kinds, their corrected shares, how far these are off, and bounds of all ratios at once.

    ``right`` is the share of labelled rows that were read rightly.
    """

    name: str
    kinds: tuple[str, ...]
    shares: Shares
    variation: Variation
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    right: float


@dataclass(frozen=True, slots=True)
class Compared:
    """Every column of some samples beside the real rows, and the columns left out, with reasons."""

    columns: tuple[ComparedColumn, ...]
    left_out: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class ComparedKinds(Recipe[Compared]):
    """Shares of kinds as read off samples, corrected by what the reader made of labelled rows, beside the real shares."""

    kind: ClassVar[str] = "compared-kinds"
    read: Recipe[NDArray[np.int64]]
    reader: Recipe[Reader]
    threshold: float
    level: float

    @property
    def label(self) -> str:
        return f"shares of {self.read.label}"

    def make(self, context: Context, read: Shards[NDArray[np.int64]], reader: Shards[Reader]) -> Compared:
        rows, rng = np.concatenate(list(read)), context.rng()
        columns, left_out = [], list(reader[0].left_out)
        for place, column in enumerate(reader[0].columns):
            codes = rows[:, place]
            counts = np.bincount(codes[codes >= 0], minlength=len(column.kinds)).astype(np.float64)
            right = float(np.trace(column.confusion) / column.confusion.sum())
            try:
                shares = corrected(Kinds(counts, column.real, column.confusion), self.threshold)
            except UndefinedError as error:
                left_out.append((column.name, str(error)))
                continue
            low, high = shares.ratio_bounds(self.level)
            columns.append(
                ComparedColumn(column.name, column.kinds, shares, variation(shares, rng), low, high, right)
            )
        return Compared(tuple(columns), tuple(left_out))
