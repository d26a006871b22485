"""Make every shard that is missing, score what can be scored, and report each event as it happens."""

from __future__ import annotations

import errno
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from heapq import heappop, heappush
from typing import Any, TypeAlias

from audit.core.evaluators import Evaluator
from audit.core.facts import Executor, Failed, Made, Needed, Scored, Task
from audit.core.identity import Digest, Key
from audit.core.plan import AuditPlan
from audit.core.recipes import Inputs, Recipe, lineage, recipes_in, replaced
from audit.engine.healing import Place, check_same, discard_damaged, lost_shards, read_in_parts, still_read
from audit.engine.scoring import score, scoring_key, undefined, without_value
from audit.engine.worker import StoredShards, one_thread
from audit.store.runs import Store


@dataclass(frozen=True, slots=True)
class Assessed:
    """An evaluator has the outcomes of one of its cases, or failed to turn its inputs into any.

    ``case`` counts from 0, which is the subject; ``label`` is what the audit calls the evaluator.
    """

    label: str
    case: int
    fact: Scored | Failed


Event: TypeAlias = Needed | Made | Failed | Assessed


@dataclass
class _Ledger:
    """What is known to be made or failed, for the recipes of one plan; read once, then kept up to date."""

    made: dict[Key, dict[int, Made]] = field(default_factory=dict)
    failed: dict[Key, dict[int, Failed]] = field(default_factory=dict)
    whole: dict[Key, tuple[Digest, ...]] = field(default_factory=dict)

    def digests(self, recipe: Recipe[Any], shards: range) -> tuple[Digest, ...]:
        """Return the digests of shards that are made; those of a whole artifact are one tuple, however often it is read."""
        made = self.made[recipe.key]
        if len(shards) < recipe.shards:
            return tuple(made[shard].digest for shard in shards)
        if recipe.key not in self.whole:
            self.whole[recipe.key] = tuple(made[shard].digest for shard in shards)
        return self.whole[recipe.key]

    def note(self, fact: Made | Failed) -> None:
        match fact:
            case Made():
                self.made.setdefault(fact.key, {})[fact.shard] = fact
            case Failed():
                self.failed.setdefault(fact.key, {})[fact.shard] = fact


def run(plan: AuditPlan, run_id: str, store: Store, executor: Executor) -> Iterator[Event]:
    """Make what is missing, recording each shard as it lands, and score each case once its inputs are there.

    The only writer. Progress displays, logs and tests all read this iterator:
    first a ``Needed``, then facts as they happen. There is no resume code:
    a shard with a row is not made again.
    """
    recipes = plan.recipes()
    keys = [recipe.key for recipe in recipes]
    ledger = _Ledger(store.made_of(keys), store.failed_of(keys))
    unscored = _questions(plan)
    lost = lost_shards(recipes, store)
    kept = still_read(lost, recipes, ledger.made)
    by_key = {recipe.key: recipe for recipe in recipes}
    missing = _missing(unscored, ledger, [(by_key[key], shard) for key, shard in lost])
    count = Counter(key for key, _ in missing)
    yield Needed([(r, count[r.key], len(ledger.made[r.key])) for r in recipes])

    queue = _Queue(by_key, missing, ledger)
    flying = 0
    yield from _score_ready(unscored, ledger, run_id, store)
    while queue.ready or flying:
        while queue.ready and flying < executor.slots:
            recipe, shard = queue.take()
            executor.submit(Task(recipe, shard, _reads(recipe, shard, ledger), str(store.blobs.root)))
            flying += 1
        complete = False
        for fact in executor.completed():
            flying -= 1
            place = (fact.key, fact.shard)
            check_same(fact, lost[place] if place in kept else None, by_key[fact.key].label)
            store.record(run_id, fact)
            ledger.note(fact)
            queue.note(fact)
            complete |= len(ledger.made[fact.key]) == by_key[fact.key].shards
            yield fact
        if complete:  # only then may something be scored that could not be before
            yield from _score_ready(unscored, ledger, run_id, store)
    yield from _without_value(unscored, ledger)
    if any(len(made) < len(ledger.made[key]) for key, made in store.made_of(keys).items()):
        raise OSError(
            errno.ESTALE,
            f"Blobs of the store {store.address} were deleted while it was in use. Run the same command again; they are made again.",
        )


class _Queue:
    """The missing shards in order: each is ready once the shards it reads are made, and never if one of them fails."""

    def __init__(self, recipes: Mapping[Key, Recipe[Any]], missing: list[Place], ledger: _Ledger) -> None:
        self._recipes = recipes
        self._order = missing
        self._lacking = [0] * len(missing)
        self._unmade = {key: recipe.shards - len(ledger.made[key]) for key, recipe in recipes.items()}
        self._after_all: dict[Key, list[int]] = {}
        self._after_one: dict[Place, list[int]] = {}
        for number, (key, shard) in enumerate(missing):
            whole, single = read_in_parts(recipes[key], shard)
            for parent in whole:
                if self._unmade[parent]:
                    self._lacking[number] += 1
                    self._after_all.setdefault(parent, []).append(number)
            for place in single:
                if place[1] not in ledger.made[place[0]]:
                    self._lacking[number] += 1
                    self._after_one.setdefault(place, []).append(number)
        self.ready = [number for number, lacking in enumerate(self._lacking) if lacking == 0]

    def take(self) -> tuple[Recipe[Any], int]:
        """Return the first shard that is ready: parents come before children, so related work stays together."""
        key, shard = self._order[heappop(self.ready)]
        return self._recipes[key], shard

    def note(self, fact: Made | Failed) -> None:
        """A shard that was made may make others ready; what rests on a failed one stays where it is."""
        if isinstance(fact, Made):
            self._unmade[fact.key] -= 1
            freed = self._after_one.pop((fact.key, fact.shard), [])
            if self._unmade[fact.key] == 0:
                freed = freed + self._after_all.pop(fact.key, [])
            for number in freed:
                self._lacking[number] -= 1
                if self._lacking[number] == 0:
                    heappush(self.ready, number)


@dataclass(frozen=True, slots=True)
class _Question:
    """One case of one evaluator: what is scored by itself."""

    label: str
    number: int
    evaluator: Evaluator
    inputs: Inputs
    recipes: tuple[Recipe[Any], ...]


def _questions(plan: AuditPlan) -> list[_Question]:
    return [
        _Question(step.about.called, number, step.evaluator, case.inputs, tuple(recipes_in(case.inputs)))
        for step in plan.planned
        for number, case in enumerate(step.cases.all)
    ]


def _missing(
    questions: list[_Question],
    ledger: _Ledger,
    lost: Iterable[tuple[Recipe[Any], int]],
) -> list[Place]:
    """Walk back from what is to be scored and keep the shards that have no row, parents first; then those that are lost."""
    found: dict[Place, None] = {}
    reachable: dict[Place, bool] = {}
    all_reachable: dict[Key, bool] = {}

    def want(recipe: Recipe[Any], shard: int) -> bool:
        """Say whether a shard is there or can be made, and note it if it has to be."""
        place = (recipe.key, shard)
        if place not in reachable:
            if shard in ledger.made[recipe.key] or shard in ledger.failed[recipe.key]:
                reachable[place] = shard in ledger.made[recipe.key]
            else:
                whole, single = read_in_parts(recipe, shard)
                there = [want_all(parent) for parent in whole.values()]  # lists: every one is asked
                there += [want(parent, one) for (_, one), parent in single.items()]
                reachable[place] = all(there)
                if reachable[place]:
                    found[place] = None
        return reachable[place]

    def want_all(recipe: Recipe[Any]) -> bool:
        if recipe.key not in all_reachable:
            there = [want(recipe, shard) for shard in range(recipe.shards)]
            all_reachable[recipe.key] = all(there)
        return all_reachable[recipe.key]

    for question in questions:
        for recipe in question.recipes:
            want_all(recipe)
    for recipe, shard in lost:
        want(recipe, shard)
    return list(found)


def _reads(recipe: Recipe[Any], shard: int, ledger: _Ledger) -> tuple[tuple[Digest, ...], ...]:
    """Return the digests a shard reads, one tuple per link."""
    return tuple(
        ledger.digests(link.parent, recipe.needs(link.field, link.parent, shard)) for link in recipe.links
    )


def forget_failures(plan: AuditPlan, store: Store) -> list[Digest]:
    """Forget what failed for this plan, shards and scorings, and discard what is damaged, so that the next run makes it.

    Returns the digests of the blobs that were damaged.
    """
    recipes = plan.recipes()
    store.forget_failures([recipe.key for recipe in recipes])
    made = store.made_of([recipe.key for recipe in recipes])
    keys = [_key_of(question, made) for question in _questions(plan) if _complete(question, made)]
    store.forget_failures(keys)
    return discard_damaged(made, keys, store)


def _complete(question: _Question, made: Mapping[Key, Mapping[int, Made]]) -> bool:
    return all(len(made[recipe.key]) >= recipe.shards for recipe in question.recipes)


def _digests(recipe: Recipe[Any], made: Mapping[Key, Mapping[int, Made]]) -> tuple[Digest, ...]:
    return tuple(made[recipe.key][shard].digest for shard in range(recipe.shards))


def _key_of(question: _Question, made: Mapping[Key, Mapping[int, Made]]) -> Key:
    return scoring_key(
        question.evaluator, replaced(question.inputs, lambda recipe: {"$shards": _digests(recipe, made)})
    )


def _score_ready(unscored: list[_Question], ledger: _Ledger, run_id: str, store: Store) -> Iterator[Assessed]:
    """Score the cases whose inputs are complete; what was scored before from the same bytes is reused."""
    for question in list(unscored):
        if not _complete(question, ledger.made):
            continue
        unscored.remove(question)
        key = _key_of(question, ledger.made)
        known: Scored | Failed | None = store.scored(key) or store.failed(key).get(0)
        if known is None:
            inputs = replaced(
                question.inputs,
                lambda recipe: StoredShards(recipe, _digests(recipe, ledger.made), store.blobs),
            )
            began = time.perf_counter()
            with one_thread():
                known = score(question.evaluator, key, inputs, store.blobs, began)
            store.record(run_id, known)
        yield Assessed(question.label, question.number, known)


def _without_value(unscored: list[_Question], ledger: _Ledger) -> Iterator[Assessed]:
    """Answer the cases that rest on a statistic without a value, such as a bandwidth of rows that are all alike."""
    reasons = {
        key: reason
        for key, failed in ledger.failed.items()
        for fact in failed.values()
        if (reason := without_value(fact)) is not None
    }
    for question in unscored if reasons else ():
        found = [reasons[recipe.key] for recipe in lineage(question.recipes) if recipe.key in reasons]
        if found:
            yield Assessed(question.label, question.number, undefined(question.evaluator, found[0]))
