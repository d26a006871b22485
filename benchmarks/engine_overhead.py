"""What the engine costs: everything but the bodies of recipes, as a share of the demo's wall time.

    python benchmarks/engine_overhead.py

Runs the demo's audit in one process, in a fresh store, and times every call of
a recipe's ``make`` and of an evaluator's ``measure``. What is left of the wall
time from the first event to the last is keys, codec, blobs, ledger, planning
and display. Goal: under 5 %.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
import tomllib
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import Any

from audit.config.assemble import Assembled, assemble
from audit.config.spec import parse_spec
from audit.core.recipes import Recipe
from audit.engine import worker
from audit.engine.audit import perform_audit
from audit.engine.executors.inline import Inline
from audit.store.location import resolve
from audit.store.runs import open_store

ROUNDS = 3


class Stopwatch:
    def __init__(self) -> None:
        self.seconds = 0.0

    def around(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def timed(*args: Any, **kwargs: Any) -> Any:
            began = time.perf_counter()
            try:
                return call(*args, **kwargs)
            finally:
                self.seconds += time.perf_counter() - began

        return timed


def demo() -> Assembled:
    text = files("audit").joinpath("demo.toml").read_text(encoding="utf-8")
    return assemble(parse_spec(tomllib.loads(text), Path.cwd()))


def once(assembled: Assembled) -> tuple[float, float, int]:
    """Return wall seconds, seconds inside recipes and the number of shards."""
    watch, shards = Stopwatch(), 0
    kinds: set[type[Recipe[Any]]] = {type(recipe) for recipe in assembled.plan.recipes()}
    bodies = {kind: kind.make for kind in kinds}
    for kind in kinds:
        kind.make = watch.around(bodies[kind])  # type: ignore[method-assign]
    with tempfile.TemporaryDirectory() as folder:
        store = open_store(resolve(folder))
        began = time.perf_counter()
        for event in perform_audit(assembled.plan, store, Inline(), settings={}, environment={}):
            shards += isinstance(event, worker.Made)
        wall = time.perf_counter() - began
        store.close()
    for kind in kinds:
        kind.make = bodies[kind]  # type: ignore[method-assign]
    return wall, watch.seconds, shards


def main() -> None:
    argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    ).parse_args()
    assembled = demo()
    shares = []
    for number in range(ROUNDS):
        wall, inside, shards = once(assembled)
        shares.append((wall - inside) / wall)
        print(
            f"round {number + 1}: wall {wall:6.2f} s, in recipes {inside:6.2f} s, {shards} shards, "
            f"engine {wall - inside:5.2f} s = {shares[-1]:.1%} ({(wall - inside) / shards * 1e3:.1f} ms a shard)"
        )
    print(f"engine overhead, median of {ROUNDS}: {statistics.median(shares):.1%}")


if __name__ == "__main__":
    main()
