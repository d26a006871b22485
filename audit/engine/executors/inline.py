"""Run tasks one after another in this process."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace

from audit.core.facts import Failed, Made, Task
from audit.engine.attempts import ATTEMPTS, OUT_OF_MEMORY
from audit.engine.worker import Drafted, Workbench, draft, keep

_CHEAP = 1.0
"""Seconds. What took longer is on the disk and reported before the next shard begins: a kill would cost too much."""


class Inline:
    """The simplest executor: nothing to start, nothing to kill, and no time limit.

    Shards are made one after another; while one is made, a thread waits for the disk that takes the one before.
    """

    def __init__(self, *, workers: int = 1, device: str = "cpu", time_limit: float | None = None) -> None:
        self._bench = Workbench(device=device)
        self._waiting: deque[Task] = deque()
        self._disk = ThreadPoolExecutor(1, "disk")
        self._written: Future[Made] | None = None

    @property
    def slots(self) -> int:
        return 2  # one is made, one is written

    def submit(self, task: Task) -> None:
        self._waiting.append(task)

    def completed(self) -> Iterator[Made | Failed]:
        silent = True
        while self._waiting:
            task = self._waiting.popleft()
            outcome = self._draft(task)
            for fact in self._kept():
                yield fact
                silent = False
            if isinstance(outcome, Failed):
                yield outcome
                silent = False
            else:
                self._written = self._disk.submit(keep, task, outcome)
                if outcome.seconds > _CHEAP:
                    yield from self._kept()
                    silent = False
        if silent:
            yield from self._kept()

    def _kept(self) -> Iterator[Made]:
        """Yield the shard that is being written, once it is."""
        written, self._written = self._written, None
        if written is not None:
            yield written.result()

    def _draft(self, task: Task) -> Drafted | Failed:
        for attempt in range(ATTEMPTS):
            try:
                return draft(replace(task, attempt=attempt), self._bench)
            except MemoryError:
                continue
        return Failed(task.recipe.key, task.shard, OUT_OF_MEMORY, "", ATTEMPTS)

    def close(self) -> None:
        self._waiting.clear()
        self._disk.shutdown()
