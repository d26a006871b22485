"""Run tasks one after another in this process."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import replace

from audit.core.facts import Failed, Made, Task
from audit.engine.attempts import ATTEMPTS, OUT_OF_MEMORY
from audit.engine.worker import Workbench, perform


class Inline:
    """The simplest executor: nothing to start, nothing to kill, and no time limit."""

    def __init__(self, *, workers: int = 1, device: str = "cpu", time_limit: float | None = None) -> None:
        self._bench = Workbench(device=device)
        self._waiting: deque[Task] = deque()

    @property
    def slots(self) -> int:
        return 1

    def submit(self, task: Task) -> None:
        self._waiting.append(task)

    def completed(self) -> Iterator[Made | Failed]:
        if self._waiting:
            yield self._perform(self._waiting.popleft())

    def _perform(self, task: Task) -> Made | Failed:
        for attempt in range(ATTEMPTS):
            try:
                return perform(replace(task, attempt=attempt), self._bench)
            except MemoryError:
                continue
        return Failed(task.recipe.key, task.shard, OUT_OF_MEMORY, "", ATTEMPTS)

    def close(self) -> None:
        self._waiting.clear()
