"""Run recipes and evaluators in memory: what a plugin's tests need of the engine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from audit.core.evaluators import Evaluator
from audit.core.identity import Digest, Key, digest_of
from audit.core.measurements import Outcome
from audit.core.recipes import Recipe
from audit.core.subjects import Subject
from audit.engine.worker import Workbench
from audit.store import codec


@dataclass
class MemoryBlobs:
    """A blob store that forgets."""

    kept: dict[Digest, bytes] = field(default_factory=dict)

    def put(self, data: bytes) -> Digest:
        digest = digest_of(data)
        self.kept[digest] = data
        return digest

    def get(self, digest: Digest) -> bytes:
        return self.kept[digest]

    def has(self, digest: Digest) -> bool:
        return digest in self.kept


@dataclass
class Kitchen:
    """Makes recipes piece by piece, each through the codec, as an executor would."""

    bench: Workbench = field(default_factory=Workbench)
    made: dict[Key, list[Any]] = field(default_factory=dict)
    digests: dict[Key, list[Digest]] = field(default_factory=dict)

    def pieces(self, recipe: Recipe[Any]) -> Sequence[Any]:
        """Return every piece of a recipe, making it and its parents if need be."""
        if recipe.key not in self.made:
            parents = [(parent, self.pieces(parent)) for parent in recipe.parents]
            data = [
                codec.encode(
                    recipe.make(
                        self.bench,
                        shard,
                        [[made[i] for i in recipe.needs(parent, shard)] for parent, made in parents],
                    )
                )
                for shard in range(recipe.shards)
            ]
            self.digests[recipe.key] = [digest_of(piece) for piece in data]
            self.made[recipe.key] = [codec.decode(recipe.piece, piece) for piece in data]
        return self.made[recipe.key]

    def measure(self, evaluator: Evaluator, subject: Subject) -> list[Outcome]:
        """Return an evaluator's outcomes on a subject that meets its needs."""
        inputs = evaluator.inputs(subject)
        return list(evaluator.measure(**{name: self.pieces(recipe) for name, recipe in inputs.items()}))
