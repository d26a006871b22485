"""What every executor promises: the same bytes as any other, and failures as facts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from audit.core.facts import Executor, Failed, Made, Task
from audit.core.recipes import Context, Recipe
from audit.core.rows import Matrix
from audit.engine.worker import Workbench, perform


@dataclass(frozen=True)
class Draw(Recipe[Matrix]):
    """Random numbers: the simplest thing that two executors could disagree on."""

    kind: ClassVar[str] = "audit.testing.draw"
    n: int

    @property
    def shards(self) -> int:
        return 4

    def make(self, context: Context) -> Matrix:
        a = context.rng().standard_normal((self.n, self.n))
        return np.asarray(a @ a.T)


@dataclass(frozen=True)
class Raise(Recipe[Matrix]):
    """A recipe that cannot be made."""

    kind: ClassVar[str] = "audit.testing.raise"
    message: str

    def make(self, context: Context) -> Matrix:
        raise RuntimeError(self.message)


def check_executor(start: Callable[[], Executor], blobs: Path) -> None:
    """Check an executor: same digests as one process alone, failures as facts, nothing left over."""
    draw, bad = Draw(65), Raise("as it should")
    executor = start()
    try:
        tasks = [Task(draw, shard, (), str(blobs)) for shard in range(draw.shards)] + [
            Task(bad, 0, (), str(blobs))
        ]
        for task in tasks:
            executor.submit(task)
        outcomes: list[Made | Failed] = []
        while len(outcomes) < len(tasks):
            some = list(executor.completed())
            assert some, "completed() yields at least one outcome while work is under way"
            outcomes += some
        assert list(executor.completed()) == [], "completed() ends when nothing is under way"
    finally:
        executor.close()
    failed = [o for o in outcomes if isinstance(o, Failed)]
    assert [f.key for f in failed] == [bad.key], "what raised is a Failed, and nothing else is"
    assert "as it should" in failed[0].error, "a Failed says what was raised"
    found = {o.shard: o.digest for o in outcomes if isinstance(o, Made)}
    alone = [perform(task, Workbench()) for task in tasks[: draw.shards]]
    assert found == {o.shard: o.digest for o in alone if isinstance(o, Made)}, "the same bytes everywhere"
    assert np.isfinite(draw.n)
