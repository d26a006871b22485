"""What the engine costs: everything but recipes and evaluators, as a share of an audit's wall time.

    python benchmarks/engine_overhead.py
    python benchmarks/engine_overhead.py my-gan.toml --rounds 1

Runs an audit in one process, in a fresh store, and times every call of a
recipe's ``make`` and of an evaluator's ``measure``. What is left of the wall
time from the first event to the last is keys, codec, blobs, ledger and display.
It is a few milliseconds for each shard, half of them spent on waiting for the
disk until the shard's bytes are there. So the share is small where shards are
worth keeping, and large in the demo, whose shards take 20 ms.
Goal: under 5 % in an audit of a model that people would audit.
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
from audit.config.spec import parse_spec, read_spec
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


def planned(spec: Path | None) -> Assembled:
    if spec is None:
        text = files("audit").joinpath("demo.toml").read_text(encoding="utf-8")
        return assemble(parse_spec(tomllib.loads(text), Path.cwd()))
    return assemble(read_spec(spec))


def once(assembled: Assembled) -> tuple[float, float, int]:
    """Return wall seconds, seconds inside recipes and evaluators, and the number of shards."""
    watch, shards = Stopwatch(), 0
    bodies = [(kind, "make", kind.make) for kind in {type(r) for r in assembled.plan.recipes()}]
    scores = {type(step.evaluator) for step in assembled.plan.planned}
    bodies += [(kind, "measure", kind.measure) for kind in scores]
    for kind, name, body in bodies:
        setattr(kind, name, watch.around(body))
    with tempfile.TemporaryDirectory() as folder:
        store = open_store(resolve(folder))
        began = time.perf_counter()
        for event in perform_audit(assembled.plan, store, Inline(), settings={}, environment={}):
            shards += isinstance(event, worker.Made)
        wall = time.perf_counter() - began
        store.close()
    for kind, name, body in bodies:
        setattr(kind, name, body)
    return wall, watch.seconds, shards


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("spec", nargs="?", type=Path, help="an audit; the demo's where none is named")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    options = parser.parse_args()
    assembled = planned(options.spec)
    shares = []
    for number in range(options.rounds):
        wall, inside, shards = once(assembled)
        shares.append((wall - inside) / wall)
        print(
            f"round {number + 1}: wall {wall:6.2f} s, in recipes and evaluators {inside:6.2f} s, {shards} shards, "
            f"engine {wall - inside:5.2f} s = {shares[-1]:.1%} ({(wall - inside) / shards * 1e3:.1f} ms a shard)"
        )
    print(f"engine overhead, median of {options.rounds}: {statistics.median(shares):.1%}")


if __name__ == "__main__":
    main()
