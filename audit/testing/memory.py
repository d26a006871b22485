"""Run recipes and evaluators in memory: what a plugin's tests need of the engine."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from audit.core.cases import CaseKind, Cases, Controlled, controlled
from audit.core.evaluators import Evaluator
from audit.core.identity import Digest, Key, digest_of
from audit.core.measurements import Outcome
from audit.core.recipes import Bench, Recipe, made_from, replaced
from audit.core.references import DataRef, ExtractorRef, ModelRef
from audit.core.rows import Matrix, Rows
from audit.core.subjects import Subject
from audit.engine.worker import ShardContext, Workbench, one_thread
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


@dataclass(frozen=True)
class HandedOut:
    """A bench that knows one model, some splits and one extractor, whatever it is asked for."""

    opened: Any = None
    splits: Mapping[str, Rows] = field(default_factory=dict)
    extractor: Callable[[Rows], Matrix] | None = None

    def model(self, ref: ModelRef) -> Any:
        return self.opened

    def split(self, ref: DataRef, split: str) -> Rows:
        return self.splits[split]

    def extract(self, ref: ExtractorRef, rows: Rows) -> Matrix:
        assert self.extractor is not None, "this kitchen was given no extractor"
        return self.extractor(rows)


@dataclass
class Kitchen:
    """Makes recipes shard by shard, each through the codec, as an executor would.

    By default from the installed plugins; with ``bench=HandedOut(model, splits, extractor)`` from what a test gives.
    """

    bench: Bench = field(default_factory=Workbench)
    made: dict[Key, list[Any]] = field(default_factory=dict)
    digests: dict[Key, list[Digest]] = field(default_factory=dict)

    def shards(self, recipe: Recipe[Any]) -> Sequence[Any]:
        """Return the values of every shard of a recipe, making it and its parents if need be."""
        if recipe.key not in self.made:
            recipe.refuse_unequal_shards()
            parents = [self.shards(parent) for parent in recipe.parents]
            with one_thread():
                data = [codec.encode(self._made(recipe, shard, parents)) for shard in range(recipe.shards)]
            self.digests[recipe.key] = [digest_of(one) for one in data]
            self.made[recipe.key] = [codec.decode(recipe.value, one) for one in data]
        return self.made[recipe.key]

    def _made(self, recipe: Recipe[Any], shard: int, parents: Sequence[Sequence[Any]]) -> Any:
        read = [
            [made[i] for i in recipe.needs(link.field, link.parent, shard)]
            for link, made in zip(recipe.links, parents, strict=True)
        ]
        return made_from(recipe, shard, ShardContext(self.bench, recipe, shard), read)

    def ask(self, evaluator: Evaluator, subject: Subject) -> Controlled:
        """Return an evaluator's outcomes on a subject that meets its needs, with its controls."""
        cases = Cases.of(evaluator.inputs(subject))
        found = [tuple(evaluator.measure(**replaced(case.inputs, self.shards))) for case in cases.all]
        others = list(zip(cases.all[1:], found[1:], strict=True))
        return controlled(found[0], others, evaluator.about.declared, cases.no_null, cases.notes)

    def measure(self, evaluator: Evaluator, subject: Subject) -> list[Outcome]:
        """Return an evaluator's outcomes on a subject that meets its needs."""
        return list(self.ask(evaluator, subject).outcomes)

    def measure_null(self, evaluator: Evaluator, subject: Subject) -> list[Outcome]:
        """Return the outcomes of the null case; empty when there is none."""
        cases = Cases.of(evaluator.inputs(subject)).all
        null = next((case for case in cases if case.kind is CaseKind.NULL), None)
        return [] if null is None else list(evaluator.measure(**replaced(null.inputs, self.shards)))
