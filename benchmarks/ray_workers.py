"""What a shard costs under each executor, and what a second Ray worker brings on an audit of a real model.

    python benchmarks/ray_workers.py
    python benchmarks/ray_workers.py --rounds 5 --samples 400

First part: the same cheap shards under inline, pool and Ray, alternating, with the workers already running; wall time over
shards. Second part: `audit run` of the default audit of a model on a part of its data with one and with two Ray workers, alternating, each in a
fresh store; the time from the first shard to the last, so that starting Ray is not in it. The load of the machine is printed: others take from
two workers what they do not take from one. Goal: at least 1.8 times with two.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from audit.core.facts import Executor, Failed, Task
from audit.core.recipes import Context, Recipe
from audit.core.rows import Matrix
from audit.engine.executors.inline import Inline
from audit.engine.executors.pool import Pool

sys.path.append(str(Path(__file__).resolve().parents[1]))  # workers find this file as benchmarks.ray_workers

SPEC = """
name = "two workers"
samples = {samples}
shard_size = {shard_size}
[model]
use = "{model}"
[data]
use = "portraits"
train = 300
holdout = 100
[run]
executor = "ray"
"""


@dataclass(frozen=True)
class Cheap(Recipe[Matrix]):
    """Four random numbers."""

    kind: ClassVar[str] = "benchmarks.ray.cheap"
    number: int
    count: int

    @property
    def shards(self) -> int:
        return self.count

    def make(self, context: Context) -> Matrix:
        return np.asarray(context.rng().standard_normal((2, 2)))


def seconds_a_shard(executor: Executor, recipe: Recipe[Any], folder: str) -> tuple[float, float]:
    """Return the wall seconds of a shard, and the driver's processor seconds, with as many under way as the executor holds."""
    busy = time.process_time()
    began, waiting, flying = time.perf_counter(), list(range(recipe.shards)), 0
    while waiting or flying:
        while waiting and flying < executor.slots:
            executor.submit(Task(recipe, waiting.pop(), (), folder))
            flying += 1
        for fact in executor.completed():
            if isinstance(fact, Failed):
                raise SystemExit(f"a shard failed: {fact.error}")
            flying -= 1
    return (time.perf_counter() - began) / recipe.shards, (time.process_time() - busy) / recipe.shards


def overhead(rounds: int, count: int) -> None:
    from audit.engine.executors.ray import Ray
    from benchmarks.ray_workers import Cheap as Named  # by the name under which workers find it

    executors = {"inline": Inline(), "pool": Pool(workers=1), "ray": Ray(workers=1)}
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in executors}
    with tempfile.TemporaryDirectory() as folder:
        for number in range(rounds + 1):
            for place, (name, executor) in enumerate(executors.items()):
                recipe = Named(number * len(executors) + place, count)
                seconds = seconds_a_shard(executor, recipe, folder)
                if number:  # the first round starts workers and imports
                    found[name].append(seconds)
        for executor in executors.values():
            executor.close()
    for name, all_of_it in found.items():
        wall, busy = (sorted(clock) for clock in zip(*all_of_it, strict=True))
        spread = ", ".join(f"{s * 1e3:.1f}" for s in wall)
        print(
            f"{name}: {statistics.median(wall) * 1e3:.1f} ms a shard, one worker (rounds: {spread}); "
            f"{statistics.median(busy) * 1e3:.2f} ms of the driver's processor time"
        )


def making(spec: Path, workers: int, folder: str) -> float:
    """Run an audit, and return the seconds from the first shard that is begun to the last that is made."""
    log = Path(folder) / "log"
    command = [
        sys.executable,
        "-m",
        "audit",
        "run",
        str(spec),
        "--store",
        f"{folder}/store",
        "--log",
        str(log),
    ]
    said = Path(folder) / "stderr"
    with said.open("wb") as errors:
        process = subprocess.Popen(
            [*command, "--workers", str(workers)], stdout=subprocess.DEVNULL, stderr=errors
        )
    began = ended = 0.0
    seen = 0
    while process.poll() is None:
        lines = log.read_text().split("\n")[:-1] if log.exists() else []  # whole ones
        made = [event for event in map(json.loads, lines[seen:]) if event["event"] == "made"]
        if made:
            # as this loop sees them, which is every fifth of a second
            ended = time.perf_counter()
            began = began or ended - made[0]["seconds"]
        seen = len(lines)
        time.sleep(0.2)
    if process.returncode not in (0, 1, 3):
        raise SystemExit(
            f"the run ended with {process.returncode}: {said.read_text(errors='replace')[-2000:]}"
        )
    return ended - began


def speedup(rounds: int, model: str, samples: int, shard_size: int) -> None:
    ratios = []
    for number in range(rounds):
        taken = {}
        for workers in (1, 2) if number % 2 == 0 else (2, 1):
            with tempfile.TemporaryDirectory() as folder:
                spec = Path(folder) / "spec.toml"
                spec.write_text(SPEC.format(model=model, samples=samples, shard_size=shard_size))
                taken[workers] = making(spec, workers, folder)
        ratios.append(taken[1] / taken[2])
        loads = " ".join(f"{load:.1f}" for load in os.getloadavg())
        print(
            f"round {number + 1}: one worker {taken[1]:.1f} s, two {taken[2]:.1f} s: {ratios[-1]:.2f} times; load {loads}",
            flush=True,
        )
    print(
        f"{model}, {samples} samples in shards of {shard_size}: median {statistics.median(ratios):.2f} times"
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--shards", type=int, default=200, help="cheap shards a round")
    parser.add_argument("--model", default="portraits-ddpm")
    parser.add_argument("--samples", type=int, default=200, help="beside 520 that the audit always draws")
    parser.add_argument("--shard-size", type=int, default=25)
    parser.add_argument("--part", choices=["overhead", "speedup"], help="one part alone")
    options = parser.parse_args()
    loads = " ".join(f"{load:.1f}" for load in os.getloadavg())
    print(f"{os.cpu_count()} cores, load {loads}", flush=True)
    if options.part != "speedup":
        overhead(options.rounds, options.shards)
    if options.part != "overhead":
        speedup(options.rounds, options.model, options.samples, options.shard_size)


if __name__ == "__main__":
    main()
