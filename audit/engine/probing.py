"""What a plan will cost, by trying: a few examples of each artifact are made and timed, for some seconds and no more."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from audit.core.facts import Made, Task
from audit.core.identity import Digest, Key
from audit.core.plan import AuditPlan
from audit.core.recipes import Recipe
from audit.engine.worker import Workbench, perform

EXAMPLES = 8
"""Examples in a shard of a plan that is probed."""
SECONDS = 5.0
_TRIED = 2
"""Shards of an artifact that are made: the first opens models and loads data, the last is timed."""


@dataclass(frozen=True, slots=True)
class Probed:
    """Seconds for one example of an artifact, by its label; ``cut_short`` names the one that the time ran out on, if it did."""

    each: dict[str, float]
    seconds: float
    cut_short: str = ""

    def cost(self, plan: AuditPlan, made: dict[str, int]) -> dict[str, object]:
        """Return what the missing shards of a plan should take; ``made`` says how many shards are there, by key."""
        found, unknown = 0.0, 0
        for recipe in plan.recipes():
            shards = range(made.get(recipe.key, 0), recipe.shards)
            examples = sum(recipe.examples(shard) for shard in shards)
            if recipe.label in self.each:
                found += self.each[recipe.label] * examples
            else:
                unknown += bool(shards)
        return {
            "seconds": found,
            "unknown": unknown,
            "run": None,
            "probe": round(self.seconds, 1),
            "at_least": bool(self.cut_short),
        }


class _TimeUp(BaseException):
    """The time is over: no failure of what is being made, so nothing that models catch."""


def probe(plan: AuditPlan, blobs: Path, device: str, limit: float = SECONDS) -> Probed:
    """Make the first shards of each artifact of a plan whose shards are small, parents first, until ``limit`` seconds are over.

    What needs a whole artifact that was not made whole is left out. One that the time runs out on counts with the time that it had.
    """
    bench, made = Workbench(device=device), dict[tuple[Key, int], Digest]()
    each: dict[str, float] = {}
    began = since = time.perf_counter()
    recipe: Recipe[object] | None = None
    try:
        with _alarm(limit):
            for recipe in plan.recipes():
                for shard in range(min(_TRIED, recipe.shards)):
                    since = time.perf_counter()
                    reads = _reads(recipe, shard, made)
                    if reads is None or since - began > limit:
                        break
                    fact = perform(Task(recipe, shard, reads, str(blobs)), bench)
                    if not isinstance(fact, Made):
                        break
                    made[recipe.key, shard] = fact.digest
                    if examples := recipe.examples(shard):
                        each[recipe.label] = fact.seconds / examples
    except _TimeUp:
        now = time.perf_counter()
        assert recipe is not None, "the clock began with the first of them"
        examples = max(1, recipe.examples(0))
        each[recipe.label] = max(each.get(recipe.label, 0.0), (now - since) / examples)
        return Probed(each, now - began, recipe.label)
    return Probed(each, time.perf_counter() - began)


def _reads(
    recipe: Recipe[object], shard: int, made: dict[tuple[Key, int], Digest]
) -> tuple[tuple[Digest, ...], ...] | None:
    """Return the digests a shard reads, one tuple per link; None where one of them was not made."""
    found = [
        [made.get((link.parent.key, i)) for i in recipe.needs(link.field, link.parent, shard)]
        for link in recipe.links
    ]
    if any(digest is None for one in found for digest in one):
        return None
    return tuple(tuple(digest for digest in one if digest is not None) for one in found)


@contextmanager
def _alarm(seconds: float) -> Iterator[None]:
    """Raise _TimeUp in this thread after some seconds; elsewhere than in the main thread nothing interrupts what is being made."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def ring(_number: int, _frame: FrameType | None) -> None:
        raise _TimeUp

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
