"""What to compute and from what; never where, when or by whom."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any, ClassVar, Generic, Protocol, TypeVar

from audit.core.identity import Key, fields_of, key_of, name_of
from audit.core.references import DataRef, ExtractorRef, ModelRef
from audit.core.rows import Matrix, Rng, Rows

T_co = TypeVar("T_co", covariant=True)


@dataclass(frozen=True, slots=True)
class Resources:
    """What one piece of work asks of a machine."""

    cpus: float = 1
    gpus: float = 0
    memory_mb: int | None = None


class Tools(Protocol):
    """All that a recipe may reach for while it runs."""

    def model(self, ref: ModelRef) -> Any: ...
    def split(self, ref: DataRef, split: str) -> Rows: ...
    def extract(self, ref: ExtractorRef, rows: Rows) -> Matrix: ...
    def rng(self, recipe: Recipe[Any], shard: int) -> Rng:
        """Seed from what is being made, so any worker draws the same numbers."""
        ...


@dataclass(frozen=True)
class Recipe(Generic[T_co]):
    """A frozen dataclass whose fields are its whole identity. Equal recipes share one artifact.

    A field that is a recipe, or a tuple of recipes, is a parent. ``piece``
    names the type that ``make`` returns; the codec reads stored bytes back as
    that type: ``pyarrow.Table`` spelt ``"rows"``, ``"array"`` for a numpy
    array, or a frozen dataclass of arrays, numbers, strings and the like.
    Bump ``version`` when ``make`` changes meaning.
    """

    version: ClassVar[int] = 1
    resources: ClassVar[Resources] = Resources()

    @property
    def piece(self) -> Any:
        """What ``make`` returns: ``"rows"``, ``"array"`` or a dataclass type."""
        raise NotImplementedError(f"{type(self).__name__} does not say what a piece of it is")

    @cached_property
    def key(self) -> Key:
        return key_of(name_of(type(self)), self.version, fields_of(self))

    @property
    def parents(self) -> tuple[Recipe[Any], ...]:
        found: list[Recipe[Any]] = []
        for field in fields(self):
            match getattr(self, field.name):
                case Recipe() as recipe:
                    found.append(recipe)
                case tuple() as several:
                    found.extend(item for item in several if isinstance(item, Recipe))
        return tuple(found)

    @property
    def shards(self) -> int:
        """How many pieces this artifact comes in. Never the number of workers."""
        return 1

    @property
    def title(self) -> str:
        """A few words for a progress display."""
        return type(self).__name__.lower()

    def examples(self, shard: int) -> int:
        """How many examples one piece holds, for a progress display; 0 when the question makes no sense."""
        return 0

    def needs(self, parent: Recipe[Any], shard: int) -> range:
        """Return which pieces of ``parent`` one piece of this artifact reads.

        By default the piece of the same number when both come in as many
        pieces, else all of them.
        """
        return range(shard, shard + 1) if parent.shards == self.shards else range(parent.shards)

    def make(self, tools: Tools, shard: int, pieces: Sequence[Sequence[Any]]) -> T_co:
        """Compute one piece from the pieces of each parent it needs. Pure but for ``tools``.

        ``pieces`` has one sequence per parent, in the order of ``parents``;
        its items are read when asked for, so iterate to hold one at a time.
        """
        raise NotImplementedError


@dataclass(frozen=True)
class PieceByPiece(Recipe[T_co]):
    """A recipe that turns each piece of one parent, its ``source``, into one piece of its own."""

    source: Recipe[Any]

    @property
    def shards(self) -> int:
        return self.source.shards

    def examples(self, shard: int) -> int:
        return self.source.examples(shard)


def shard_range(rows: int, shard_size: int, shard: int) -> range:
    """Return which rows a shard holds.

    >>> shard_range(25, 10, 2)
    range(20, 25)
    """
    return range(shard * shard_size, min(rows, (shard + 1) * shard_size))


def shard_count(rows: int, shard_size: int) -> int:
    """Return how many shards hold ``rows`` rows.

    >>> shard_count(25, 10), shard_count(0, 10)
    (3, 1)
    """
    return max(1, -(-rows // shard_size))
