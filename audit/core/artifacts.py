"""The recipes that a subject's methods make: samples, real rows, features, token scores, signals, summaries."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Generic

import numpy as np
from numpy.typing import NDArray

from audit.core.capabilities import Capability
from audit.core.identity import identity, layout
from audit.core.recipes import Context, Recipe, Shards, generator, shard_count, shard_range
from audit.core.references import DataRef, ExtractorRef, ModelRef
from audit.core.rows import Matrix, Rows, Vector
from audit.core.signals import familiarity
from audit.core.summaries import S


@dataclass(frozen=True)
class Samples(Recipe[Rows]):
    """Examples drawn from a model: ``n`` free ones, or one per row of ``condition``."""

    kind: ClassVar[str] = "samples"
    along: ClassVar[tuple[str, ...]] = ("condition",)
    model: ModelRef
    n: int
    seed: int
    shard_size: int = layout()
    condition: Recipe[Rows] | None = None

    @property
    def label(self) -> str:
        return "samples" if self.condition is None else "prompted samples"

    @property
    def shards(self) -> int:
        return shard_count(self.n, self.shard_size) if self.condition is None else self.condition.shards

    def examples(self, shard: int) -> int:
        if self.condition is not None:
            return self.condition.examples(shard)
        return len(shard_range(self.n, self.shard_size, shard))

    def make(self, context: Context, condition: Rows | None = None) -> Rows:
        n = self.examples(context.shard) if condition is None else condition.num_rows
        model = context.model(self.model)
        if condition is None and hasattr(model, "sample_range"):
            span = shard_range(self.n, self.shard_size, context.shard)
            drawn = model.sample_range(span.start, span.stop)
        elif hasattr(model, "sample_each"):
            first = self.rows_of(context.shard).start
            drawn = model.sample_each([context.rng(f"example/{first + i}") for i in range(n)], condition)
        else:
            drawn = model.sample(n, context.rng(), condition)
        if drawn.num_rows != n:
            raise ValueError(f"the model was asked for {n} samples and returned {drawn.num_rows}")
        return drawn


@dataclass(frozen=True)
class RealRows(Recipe[Rows]):
    """The first ``rows`` rows of one split of a dataset."""

    kind: ClassVar[str] = "real"
    data: DataRef
    split: str
    rows: int
    shard_size: int = layout()

    @property
    def label(self) -> str:
        return f"real rows ({self.split})"

    @property
    def shards(self) -> int:
        return shard_count(self.rows, self.shard_size)

    def examples(self, shard: int) -> int:
        return len(shard_range(self.rows, self.shard_size, shard))

    def numbers(self) -> NDArray[np.int64]:
        """Return which rows of the split these are, in order, shape (rows,)."""
        return np.arange(self.rows)

    def make(self, context: Context) -> Rows:
        span = shard_range(self.rows, self.shard_size, context.shard)
        found = context.split(self.data, self.split).slice(span.start, len(span))
        if found.num_rows != len(span):
            raise ValueError(f"split '{self.split}' has fewer rows than it was described with")
        return found


@dataclass(frozen=True)
class DrawnRows(Recipe[Rows]):
    """``rows`` rows of a split of ``total``, drawn without replacement, in the order of the split; never those ``without``.

    The first rows of a split sorted by class are no sample of it; these are.
    """

    kind: ClassVar[str] = "drawn-rows"
    version: ClassVar[int] = 2
    data: DataRef
    split: str
    rows: int
    total: int
    seed: int
    shard_size: int = layout()
    without: tuple[int, ...] = ()

    @property
    def label(self) -> str:
        return f"drawn rows ({self.split})"

    @property
    def shards(self) -> int:
        return shard_count(self.rows, self.shard_size)

    def examples(self, shard: int) -> int:
        return len(shard_range(self.rows, self.shard_size, shard))

    def numbers(self) -> NDArray[np.int64]:
        """Return which rows of the split these are, in order, shape (rows,)."""
        candidates = np.setdiff1d(np.arange(self.total), np.array(self.without, np.int64))
        return np.asarray(np.sort(generator(self.seed_key, 0).permutation(candidates)[: self.rows]))

    def make(self, context: Context) -> Rows:
        span = shard_range(self.rows, self.shard_size, context.shard)
        return context.split(self.data, self.split).take(self.numbers()[span.start : span.stop])


@dataclass(frozen=True)
class Given(Recipe[Rows]):
    """Texts that an evaluator brings itself, such as templates or prompts."""

    kind: ClassVar[str] = "given"
    columns: tuple[tuple[str, tuple[str, ...]], ...]
    shard_size: int = layout(1000)
    what: str = identity("texts")

    @property
    def label(self) -> str:
        return self.what

    @property
    def shards(self) -> int:
        return shard_count(len(self.columns[0][1]), self.shard_size)

    def examples(self, shard: int) -> int:
        return len(shard_range(len(self.columns[0][1]), self.shard_size, shard))

    def make(self, context: Context) -> Rows:
        import pyarrow as pa

        span = shard_range(len(self.columns[0][1]), self.shard_size, context.shard)
        return pa.table({name: list(values[span.start : span.stop]) for name, values in self.columns})


@dataclass(frozen=True)
class Features(Recipe[Matrix]):
    """Rows through a feature extractor, shape (rows, dimensions)."""

    kind: ClassVar[str] = "features"
    along: ClassVar[tuple[str, ...]] = ("source",)
    source: Recipe[Rows]
    extractor: ExtractorRef

    @property
    def label(self) -> str:
        return f"{self.extractor.name} features of {self.source.label}"

    def make(self, context: Context, source: Rows) -> Matrix:
        features = context.extract(self.extractor, source)
        if features.shape != (source.num_rows, self.extractor.dimensions):
            raise ValueError(f"extractor {self.extractor.name} returned shape {features.shape}")
        return features


@dataclass(frozen=True)
class TokenScores(Recipe[Rows]):
    """Every scored token of the texts of ``source`` under a language model."""

    kind: ClassVar[str] = "token-scores"
    version: ClassVar[int] = 3
    along: ClassVar[tuple[str, ...]] = ("source",)
    source: Recipe[Rows]
    model: ModelRef

    def make(self, context: Context, source: Rows) -> Rows:
        scores = context.model(self.model).token_scores(source)
        if scores.num_rows != source.num_rows:
            raise ValueError(f"the model scored {scores.num_rows} of {source.num_rows} texts")
        return scores


@dataclass(frozen=True)
class Signal(Recipe[Vector]):
    """One number per example saying how familiar the model finds it; higher is more familiar."""

    kind: ClassVar[str] = "signal"
    along: ClassVar[tuple[str, ...]] = ("source",)
    source: Recipe[Rows]
    model: ModelRef
    capability: Capability
    seed: int

    @property
    def label(self) -> str:
        return f"{self.capability.value.replace('_', ' ')} of {self.source.label}"

    def make(self, context: Context, source: Rows) -> Vector:
        return familiarity(self.capability, context.model(self.model), source, context.rng())


@dataclass(frozen=True)
class Summarised(Recipe[S], Generic[S]):
    """A summary of each shard of ``source``, to be merged in shard order."""

    kind: ClassVar[str] = "summarised"
    along: ClassVar[tuple[str, ...]] = ("source",)
    source: Recipe[Any]
    summary: type[S]

    @property
    def value(self) -> Any:
        return self.summary

    @property
    def label(self) -> str:
        return f"{self.summary.__name__.lower()} of {self.source.label}"

    def make(self, context: Context, source: Any) -> S:
        return self.summary.of(source)


@dataclass(frozen=True)
class Truncated(Recipe[Matrix]):
    """Features without the share ``dose`` of the rows that lie farthest along their first principal direction.

    A planted defect: what is left is real, and a part of the distribution is gone. The direction is found by power
    iteration from the rows themselves, so it is the same wherever it is made.
    """

    kind: ClassVar[str] = "truncated"
    features: Recipe[Matrix]
    dose: float

    @property
    def label(self) -> str:
        return f"{self.features.label} without {self.dose:.0%}"

    def examples(self, shard: int) -> int:
        return self._kept(sum(self.features.examples(i) for i in range(self.features.shards)))

    def _kept(self, total: int) -> int:
        return max(1, total - round(self.dose * total))

    def make(self, context: Context, features: Shards[Matrix]) -> Matrix:
        rows = np.concatenate(list(features))
        centred = rows - rows.mean(axis=0)
        direction = centred[np.argmax(np.square(centred).sum(axis=1))]
        for _ in range(50):
            direction = centred.T @ (centred @ direction)
            direction = direction / max(float(np.linalg.norm(direction)), 1e-300)
        order = np.argsort(centred @ direction, kind="stable")[: self._kept(len(rows))]
        return np.asarray(rows[np.sort(order)])
