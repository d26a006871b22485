"""Make every piece that is missing, score what can be scored, and say so as it happens."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from heapq import heappop, heappush
from typing import Any, TypeAlias

from audit.core.facts import Executor, Failed, Made, Needed, Scored, Task
from audit.core.identity import Digest, Key
from audit.core.plan import AuditPlan, Planned
from audit.core.recipes import Recipe
from audit.engine.record import labels_of
from audit.engine.scoring import score, scoring_key
from audit.engine.worker import StoredPieces, one_thread
from audit.store.runs import Store


@dataclass(frozen=True, slots=True)
class Assessed:
    """An evaluator has its outcomes, or failed to turn its inputs into any."""

    label: str
    fact: Scored | Failed


Event: TypeAlias = Needed | Made | Failed | Assessed

Piece: TypeAlias = tuple[Key, int]


@dataclass
class _Ledger:
    """What is known to be made or failed, for the recipes of one plan; read once, then kept up to date."""

    made: dict[Key, dict[int, Made]] = field(default_factory=dict)
    failed: dict[Key, dict[int, Failed]] = field(default_factory=dict)

    def note(self, fact: Made | Failed) -> None:
        match fact:
            case Made():
                self.made.setdefault(fact.key, {})[fact.shard] = fact
            case Failed():
                self.failed.setdefault(fact.key, {})[fact.shard] = fact


def run(plan: AuditPlan, run_id: str, store: Store, executor: Executor) -> Iterator[Event]:
    """Make what is missing, recording each piece as it lands, and score each evaluator once its inputs are there.

    The only writer. Progress displays, logs and tests all read this iterator:
    first a ``Needed``, then facts as they happen. There is no resume code:
    a piece with a row is not made again.
    """
    recipes = plan.recipes()
    ledger = _Ledger()
    for recipe in recipes:
        ledger.made[recipe.key] = dict(store.made(recipe.key))
        ledger.failed[recipe.key] = dict(store.failed(recipe.key))
    unscored = _labelled(plan)
    missing = _missing(unscored, ledger)
    count = Counter(key for key, _ in missing)
    yield Needed([(r, count[r.key], len(ledger.made[r.key])) for r in recipes])

    queue = _Queue({recipe.key: recipe for recipe in recipes}, missing, ledger)
    flying = 0
    yield from _score_ready(unscored, ledger, run_id, store)
    while queue.ready or flying:
        while queue.ready and flying < executor.slots:
            recipe, shard = queue.take()
            executor.submit(Task(recipe, shard, _reads(recipe, shard, ledger), str(store.blobs.root)))
            flying += 1
        for fact in executor.completed():
            flying -= 1
            store.record(run_id, fact)
            ledger.note(fact)
            queue.note(fact)
            yield fact
        yield from _score_ready(unscored, ledger, run_id, store)


class _Queue:
    """The missing pieces in order: each is ready once the pieces it reads are made, and never if one of them fails."""

    def __init__(self, recipes: Mapping[Key, Recipe[Any]], missing: list[Piece], ledger: _Ledger) -> None:
        self._recipes = recipes
        self._order = missing
        self._lacking = [0] * len(missing)
        self._children: dict[Piece, list[int]] = {}
        for number, (key, shard) in enumerate(missing):
            recipe = recipes[key]
            for parent in recipe.parents:
                for needed in recipe.needs(parent, shard):
                    if needed not in ledger.made[parent.key]:
                        self._lacking[number] += 1
                        self._children.setdefault((parent.key, needed), []).append(number)
        self.ready = [number for number, lacking in enumerate(self._lacking) if lacking == 0]

    def take(self) -> tuple[Recipe[Any], int]:
        """Return the first piece that is ready: parents come before children, so related work stays together."""
        key, shard = self._order[heappop(self.ready)]
        return self._recipes[key], shard

    def note(self, fact: Made | Failed) -> None:
        """A made piece may make others ready; what rests on a failed one stays where it is."""
        if isinstance(fact, Made):
            for number in self._children.pop((fact.key, fact.shard), ()):
                self._lacking[number] -= 1
                if self._lacking[number] == 0:
                    heappush(self.ready, number)


def _labelled(plan: AuditPlan) -> list[tuple[str, Planned]]:
    return [
        (label, step)
        for label, step in zip(labels_of(plan), plan.steps, strict=True)
        if isinstance(step, Planned)
    ]


def _missing(planned: list[tuple[str, Planned]], ledger: _Ledger) -> list[Piece]:
    """Walk back from what is to be scored and keep the pieces that have no row, parents first."""
    found: dict[Piece, None] = {}
    reachable: dict[Piece, bool] = {}

    def want(recipe: Recipe[Any], shard: int) -> bool:
        """Say whether a piece is there or can be made, and note it if it has to be."""
        piece = (recipe.key, shard)
        if piece not in reachable:
            if shard in ledger.made[recipe.key] or shard in ledger.failed[recipe.key]:
                reachable[piece] = shard in ledger.made[recipe.key]
            else:
                wanted = [(parent, i) for parent in recipe.parents for i in recipe.needs(parent, shard)]
                there = [want(parent, i) for parent, i in wanted]  # a list: every one is asked
                reachable[piece] = all(there)
                if reachable[piece]:
                    found[piece] = None
        return reachable[piece]

    for _, step in planned:
        for _, recipe in step.inputs:
            for shard in range(recipe.shards):
                want(recipe, shard)
    return list(found)


def _reads(recipe: Recipe[Any], shard: int, ledger: _Ledger) -> tuple[tuple[Digest, ...], ...]:
    """Return the digests a piece reads, one tuple per parent."""
    return tuple(
        tuple(ledger.made[parent.key][needed].digest for needed in recipe.needs(parent, shard))
        for parent in recipe.parents
    )


def forget_failures(plan: AuditPlan, store: Store) -> None:
    """Forget what failed for this plan, pieces and scorings, so that the next run tries it again."""
    recipes = plan.recipes()
    store.forget_failures([recipe.key for recipe in recipes])
    made = {recipe.key: dict(store.made(recipe.key)) for recipe in recipes}
    keys = [scoring_key(s.evaluator, _digests(s, made)) for s in plan.planned if _complete(s, made)]
    store.forget_failures(keys)


def _complete(step: Planned, made: Mapping[Key, Mapping[int, Made]]) -> bool:
    return all(len(made[recipe.key]) >= recipe.shards for _, recipe in step.inputs)


def _digests(step: Planned, made: Mapping[Key, Mapping[int, Made]]) -> dict[str, tuple[Digest, ...]]:
    return {
        name: tuple(made[recipe.key][shard].digest for shard in range(recipe.shards))
        for name, recipe in step.inputs
    }


def _score_ready(
    unscored: list[tuple[str, Planned]], ledger: _Ledger, run_id: str, store: Store
) -> Iterator[Assessed]:
    """Score the evaluators whose inputs are complete; what was scored before from the same bytes is reused."""
    for label, step in list(unscored):
        if not _complete(step, ledger.made):
            continue
        unscored.remove((label, step))
        digests = _digests(step, ledger.made)
        key = scoring_key(step.evaluator, digests)
        known: Scored | Failed | None = store.scored(key) or store.failed(key).get(0)
        if known is not None:
            yield Assessed(label, known)
            continue
        pieces = {name: StoredPieces(r, digests[name], store.blobs) for name, r in step.inputs}
        began = time.perf_counter()
        with one_thread():
            fact = score(step.evaluator, key, pieces, store.blobs, began)
        store.record(run_id, fact)
        yield Assessed(label, fact)
