"""What executors have in common whose workers may die, or may take too long: a shard is given up, or waits again."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections import deque
from typing import Generic, Protocol, TypeVar

from audit.core.facts import Failed, Made, Task
from audit.engine.attempts import after_death, too_long
from audit.engine.executors.answers import Death, understood


class Held(Protocol):
    """A worker, as far as it matters here: the task it is at work on, and since when on the monotonic clock."""

    task: Task | None
    since: float


W = TypeVar("W", bound=Held)


class Retrying(ABC, Generic[W]):
    """Workers, the tasks that wait for one, and the seconds that a shard may take, None for as long as it likes."""

    def __init__(self, time_limit: float | None) -> None:
        self._time_limit = time_limit
        self._workers: list[W] = []
        self._waiting: deque[Task] = deque()

    @abstractmethod
    def _discard(self, worker: W) -> None:
        """End a worker and forget it."""

    def _answered(self, worker: W, said: bytes) -> list[Made | Failed]:
        """Take what a worker said of its task; one that cannot be used any more is discarded."""
        task, worker.task = worker.task, None
        assert task is not None
        match understood(task, said):
            case Death(how=how):
                self._discard(worker)
                return self._died(task, how)
            case outcome:
                return [outcome]

    def _died(self, task: Task, how: str) -> list[Made | Failed]:
        match after_death(task, how):
            case Failed() as failed:
                return [failed]
            case again:
                self._waiting.appendleft(again)
                return []

    def _overdue(self) -> list[Made | Failed]:
        """Discard workers that have been at one task for too long, and return what that makes of their tasks."""
        if self._time_limit is None:
            return []
        late = [w for w in self._workers if w.task and time.monotonic() - w.since > self._time_limit]
        outcomes: list[Made | Failed] = []
        for worker in late:
            assert worker.task is not None
            self._discard(worker)
            outcomes.append(too_long(worker.task, self._time_limit))
        return outcomes
