"""The recipes that evaluators share: samples, real rows, features, ledgers, signals, summaries."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Generic

from audit.core.capabilities import Capability
from audit.core.identity import identity
from audit.core.recipes import PieceByPiece, Recipe, Tools, shard_count, shard_range
from audit.core.references import DataRef, ExtractorRef, ModelRef
from audit.core.rows import Matrix, Rows, Vector
from audit.core.signals import familiarity
from audit.core.summaries import S


@dataclass(frozen=True)
class Samples(Recipe[Rows]):
    """Examples drawn from a model: ``n`` free ones, or one per row of ``condition``."""

    kind: ClassVar[str] = "samples"
    model: ModelRef
    n: int
    seed: int
    shard_size: int
    condition: Recipe[Rows] | None = None

    @property
    def piece(self) -> Any:
        return "rows"

    @property
    def title(self) -> str:
        return "samples" if self.condition is None else "prompted samples"

    @property
    def shards(self) -> int:
        return shard_count(self.n, self.shard_size) if self.condition is None else self.condition.shards

    def examples(self, shard: int) -> int:
        if self.condition is not None:
            return self.condition.examples(shard)
        return len(shard_range(self.n, self.shard_size, shard))

    def make(self, tools: Tools, shard: int, pieces: Sequence[Sequence[Any]]) -> Rows:
        condition = pieces[0][0] if pieces else None
        n = self.examples(shard) if condition is None else condition.num_rows
        model = tools.model(self.model)
        if condition is None and hasattr(model, "sample_range"):
            span = shard_range(self.n, self.shard_size, shard)
            drawn = model.sample_range(span.start, span.stop)
        else:
            drawn = model.sample(n, tools.rng(self, shard), condition)
        if drawn.num_rows != n:
            raise ValueError(f"the model was asked for {n} samples and returned {drawn.num_rows}")
        return drawn


@dataclass(frozen=True)
class Real(Recipe[Rows]):
    """The first ``rows`` rows of one split of a dataset."""

    kind: ClassVar[str] = "real"
    data: DataRef
    split: str
    rows: int
    shard_size: int

    @property
    def piece(self) -> Any:
        return "rows"

    @property
    def title(self) -> str:
        return f"real rows ({self.split})"

    @property
    def shards(self) -> int:
        return shard_count(self.rows, self.shard_size)

    def examples(self, shard: int) -> int:
        return len(shard_range(self.rows, self.shard_size, shard))

    def make(self, tools: Tools, shard: int, pieces: Sequence[Sequence[Any]]) -> Rows:
        span = shard_range(self.rows, self.shard_size, shard)
        piece = tools.split(self.data, self.split).slice(span.start, len(span))
        if piece.num_rows != len(span):
            raise ValueError(f"split '{self.split}' has fewer rows than it was described with")
        return piece


@dataclass(frozen=True)
class Given(Recipe[Rows]):
    """Texts that an evaluator brings itself, such as templates or prompts."""

    kind: ClassVar[str] = "given"
    columns: tuple[tuple[str, tuple[str, ...]], ...]
    shard_size: int = 1000
    what: str = identity("texts")

    @property
    def piece(self) -> Any:
        return "rows"

    @property
    def title(self) -> str:
        return self.what

    @property
    def shards(self) -> int:
        return shard_count(len(self.columns[0][1]), self.shard_size)

    def examples(self, shard: int) -> int:
        return len(shard_range(len(self.columns[0][1]), self.shard_size, shard))

    def make(self, tools: Tools, shard: int, pieces: Sequence[Sequence[Any]]) -> Rows:
        import pyarrow as pa

        span = shard_range(len(self.columns[0][1]), self.shard_size, shard)
        return pa.table({name: list(values[span.start : span.stop]) for name, values in self.columns})


@dataclass(frozen=True)
class Features(PieceByPiece[Matrix]):
    """Rows through a feature extractor, shape (rows, dimensions)."""

    kind: ClassVar[str] = "features"
    source: Recipe[Rows]
    extractor: ExtractorRef

    @property
    def piece(self) -> Any:
        return "array"

    @property
    def title(self) -> str:
        return f"{self.extractor.name} features of {self.source.title}"

    def make(self, tools: Tools, shard: int, pieces: Sequence[Sequence[Any]]) -> Matrix:
        rows = pieces[0][0]
        features = tools.extract(self.extractor, rows)
        if features.shape != (rows.num_rows, self.extractor.dimensions):
            raise ValueError(f"extractor {self.extractor.name} returned shape {features.shape}")
        return features


@dataclass(frozen=True)
class TokenLedger(PieceByPiece[Rows]):
    """Every scored token of the texts of ``source`` under a language model."""

    kind: ClassVar[str] = "token-ledger"
    source: Recipe[Rows]
    model: ModelRef

    @property
    def piece(self) -> Any:
        return "rows"

    @property
    def title(self) -> str:
        return f"token ledger of {self.source.title}"

    def make(self, tools: Tools, shard: int, pieces: Sequence[Sequence[Any]]) -> Rows:
        rows = pieces[0][0]
        ledger = tools.model(self.model).token_ledger(rows)
        if ledger.num_rows != rows.num_rows:
            raise ValueError(f"the model scored {ledger.num_rows} of {rows.num_rows} texts")
        return ledger


@dataclass(frozen=True)
class Signal(PieceByPiece[Vector]):
    """One number per example saying how familiar the model finds it; higher is more familiar."""

    kind: ClassVar[str] = "signal"
    source: Recipe[Rows]
    model: ModelRef
    capability: Capability
    seed: int

    @property
    def piece(self) -> Any:
        return "array"

    @property
    def title(self) -> str:
        return f"{self.capability.value.replace('_', ' ')} of {self.source.title}"

    def make(self, tools: Tools, shard: int, pieces: Sequence[Sequence[Any]]) -> Vector:
        return familiarity(self.capability, tools.model(self.model), pieces[0][0], tools.rng(self, shard))


@dataclass(frozen=True)
class Pieces(PieceByPiece[S], Generic[S]):
    """A summary of each piece of ``source``, to be merged in shard order."""

    kind: ClassVar[str] = "pieces"
    source: Recipe[Any]
    summary: type[S]

    @property
    def piece(self) -> Any:
        return self.summary

    @property
    def title(self) -> str:
        return f"{self.summary.__name__.lower()} of {self.source.title}"

    def make(self, tools: Tools, shard: int, pieces: Sequence[Sequence[Any]]) -> S:
        return self.summary.of(pieces[0][0])
