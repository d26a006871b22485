"""An audit of 1,000,000 samples in 2,000 shards: seconds to plan it, memory of the driver, seconds to resume after a kill.

    python benchmarks/scale.py
    python benchmarks/scale.py --shards 8000

The recipes cost next to nothing, so that what is left is the engine. They have the shapes of real ones: samples, features of
samples shard by shard, a comparison of each shard with all others (4 million edges), and one total. The run is a process
of its own with the inline executor; it is killed half way with SIGKILL and started again. Planning is all that comes before
the first shard is begun; resuming is the same in the second process, which finds half of the shards made.
Goals: planning and resuming under 10 s each, memory bounded.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from audit.core.evaluators import About
from audit.core.facts import Made, Needed
from audit.core.identity import Digest
from audit.core.measurements import Direction, Outcome, Unquantified
from audit.core.metrics import Metric
from audit.core.plan import plan
from audit.core.policy import Policy
from audit.core.recipes import Context, Inputs, Recipe, Shards
from audit.core.references import DataRef, ModelRef
from audit.core.rows import Matrix, Vector
from audit.core.subjects import DataCard, ModelCard, Subject
from audit.engine.audit import Finished, perform_audit
from audit.engine.executors.inline import Inline
from audit.store.location import resolve
from audit.store.runs import open_store

SAMPLES = 1_000_000


@dataclass(frozen=True)
class Drawn(Recipe[Matrix]):
    """Samples: a few numbers, which stand for as many rows as a shard has."""

    kind: ClassVar[str] = "benchmarks.scale.drawn"
    rows: int
    count: int

    @property
    def shards(self) -> int:
        return self.count

    def examples(self, shard: int) -> int:
        return self.rows // self.count

    def make(self, context: Context) -> Matrix:
        return np.asarray(context.rng().standard_normal((2, 2)))


@dataclass(frozen=True)
class Seen(Recipe[Matrix]):
    """Features of samples, shard by shard."""

    kind: ClassVar[str] = "benchmarks.scale.seen"
    along: ClassVar[tuple[str, ...]] = ("drawn",)
    drawn: Recipe[Matrix]

    def make(self, context: Context, drawn: Matrix) -> Matrix:
        return drawn + 1


@dataclass(frozen=True)
class Compared(Recipe[Vector]):
    """Something of a shard against all shards, as sums over pairs are. It reads one of them, for all would take hours."""

    kind: ClassVar[str] = "benchmarks.scale.compared"
    along: ClassVar[tuple[str, ...]] = ("seen",)
    seen: Recipe[Matrix]
    others: Recipe[Matrix]

    def make(self, context: Context, seen: Matrix, others: Shards[Matrix]) -> Vector:
        return (seen - others[context.shard]).ravel()


@dataclass(frozen=True)
class Total(Recipe[Vector]):
    """One shard from all of another artifact."""

    kind: ClassVar[str] = "benchmarks.scale.total"
    compared: Recipe[Vector]

    def make(self, context: Context, compared: Shards[Vector]) -> Vector:
        return np.sum(list(compared), axis=0)


@dataclass(frozen=True)
class Sum:
    """The evaluator: a number that has to be 0."""

    count: int
    about: ClassVar[About] = About(
        "quality.sum", "A sum.", metrics=(Metric("sum", "A sum of differences", Direction.NEITHER),)
    )

    def inputs(self, subject: Subject) -> Inputs:
        seen = Seen(Drawn(subject.sample_size, self.count))
        return {"total": Total(Compared(seen, seen))}

    def measure(self, total: Shards[Vector]) -> Iterable[Outcome]:
        value = float(np.abs(total[0]).sum())
        yield self.about.measurement("sum", value, Unquantified("it is exact"), 1)


def drive(store: str, shards: int) -> None:
    """Plan and run; print what happens and when, in seconds since the process was asked for."""
    asked = float(os.environ["ASKED"])

    def say(what: str, **more: Any) -> None:
        print(
            json.dumps({"what": what, "at": time.time() - asked, "processor": time.process_time(), **more}),
            flush=True,
        )

    model, data = ModelRef("none", Digest("00" * 20), ()), DataRef("none", Digest("00" * 20), ())
    card, data_card = ModelCard("none", "image", 0), DataCard("image", (("train", 1), ("holdout", 1)))
    size = SAMPLES // shards
    subject = Subject(model, card, frozenset(), data, data_card, (), SAMPLES, 0, size)
    audit = plan("scale", subject, [Sum(shards)], Policy("none", 1, ()))
    opened = open_store(resolve(store))
    made = 0
    for event in perform_audit(audit, opened, Inline(), settings={}, environment={}):
        match event:
            case Needed(recipes=recipes):
                say("planned", missing=sum(missing for _, missing, _ in recipes))
            case Made():
                made += 1
                if made == 1 or made % 200 == 0:
                    say("made", count=made, peak=peak())
            case Finished(record=record):
                say("finished", value=record.measurements[0].value, peak=peak())


def peak() -> float:
    """Return the largest resident memory so far, in MB; that of this program alone, not of the one that it was begun by."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024


def watched(store: str, shards: int, stop_after: int | None) -> list[dict[str, Any]]:
    """Run the driver, kill it once it has made enough, and return what it said."""
    command = [sys.executable, __file__, "--drive", store, "--shards", str(shards)]
    environment = {**os.environ, "ASKED": repr(time.time())}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
    said = []
    assert process.stdout is not None
    for line in process.stdout:
        said.append(json.loads(line))
        if stop_after is not None and said[-1].get("count", 0) >= stop_after:
            process.send_signal(signal.SIGKILL)
            break
    process.wait()
    if stop_after is None and process.returncode:
        raise SystemExit(f"the run ended with {process.returncode}")
    return said


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--shards", type=int, default=2_000)
    parser.add_argument("--drive", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.drive:
        drive(options.drive, options.shards)
        return
    with tempfile.TemporaryDirectory() as folder:
        load = os.getloadavg()[0]
        all_shards = 3 * options.shards + 1
        first = watched(f"{folder}/store", options.shards, all_shards // 2)
        second = watched(f"{folder}/store", options.shards, None)
    for name, said in (("planning", first), ("resuming after SIGKILL", second)):
        begun = next(line for line in said if line["what"] == "made")
        print(
            f"{name}: {begun['at']:.1f} s from the start of the process to the first of {said[0]['missing']:,} missing shards "
            f"({said[0]['at']:.1f} s to their list), {begun['processor']:.1f} s of processor time"
        )
    made = [line for line in second if line["what"] == "made"]
    wall, busy = (
        (made[-1][clock] - made[0][clock]) / (made[-1]["count"] - made[0]["count"]) * 1e3
        for clock in ("at", "processor")
    )
    print(
        f"engine: {wall:.1f} ms a shard, {busy:.1f} of processor time; the sum is {second[-1]['value']:g} (0 is right)"
    )
    print(f"memory of the driver: {max(line.get('peak', 0) for line in [*first, *second]):.0f} MB at most")
    print(
        f"{SAMPLES:,} samples in {options.shards:,} shards; load of the machine {load:.1f} on {os.cpu_count()} cores"
    )


if __name__ == "__main__":
    main()
