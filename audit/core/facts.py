"""The facts that a run records, and the protocols of what makes and keeps them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from audit.core.identity import Digest, Key
from audit.core.measurements import Outcome
from audit.core.recipes import Recipe
from audit.core.usage import Usage


@dataclass(frozen=True, slots=True)
class Made:
    """The fact that a shard of a recipe came out as these bytes."""

    key: Key
    shard: int
    digest: Digest
    seconds: float
    worker: str
    spent: tuple[Usage, ...] = field(default=(), compare=False)
    """What a served model counted for it. How it was made, not what: two that differ in nothing else are equal."""


@dataclass(frozen=True, slots=True)
class Failed:
    """The fact that a shard could not be made. Recorded, so a resume does not repeat it."""

    key: Key
    shard: int
    error: str
    detail: str
    attempts: int
    spent: tuple[Usage, ...] = field(default=(), compare=False)


@dataclass(frozen=True, slots=True)
class Scored:
    """The fact that an evaluator turned its inputs into these outcomes."""

    key: Key
    evaluator: str
    outcomes: tuple[Outcome, ...]
    seconds: float


class BlobStore(Protocol):
    """Bytes by digest. A blob is whole or absent, and never changes."""

    def put(self, data: bytes) -> Digest: ...
    def get(self, digest: Digest) -> bytes: ...
    def has(self, digest: Digest) -> bool: ...


@dataclass(frozen=True, slots=True)
class Task:
    """One shard of one recipe and the digests it reads, one tuple per link. Small, picklable, no data inside.

    ``attempt`` counts from 0; each further attempt runs with half the batch.
    """

    recipe: Recipe[Any]
    shard: int
    reads: tuple[tuple[Digest, ...], ...]
    blobs: str
    attempt: int = 0


class Executor(Protocol):
    """A place to run tasks. Knows nothing about audits. A context manager: leaving it ends its workers."""

    @property
    def slots(self) -> int:
        """How many tasks it can hold before ``submit`` is a waste."""
        ...

    def submit(self, task: Task) -> None: ...
    def completed(self) -> Iterator[Made | Failed]:
        """Yield at least one outcome, in any order. A dead worker is a Failed, not an exception."""
        ...

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Needed:
    """How much of a recipe a run has to make: said once, before the work starts."""

    recipes: Sequence[tuple[Recipe[Any], int, int]]
    """Each recipe with how many of its shards are still to be made, and how many are there."""
