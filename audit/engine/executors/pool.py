"""Run tasks in worker processes of this machine, with a time limit and a cure for dead workers."""

from __future__ import annotations

import errno
import multiprocessing as mp
import os
import signal
import threading
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any

from audit.core.facts import Failed, Made, Task
from audit.engine.attempts import ATTEMPTS, death

_FAREWELL = 5.0
"""Seconds that a worker whose pipe is closed has to end."""

_LOOK = 0.25
"""Seconds between looks at the clock while tasks run."""


@dataclass
class _Worker:
    process: BaseProcess
    pipe: Connection
    task: Task | None = None
    since: float = 0.0


class Pool:
    """Processes started afresh (not forked: torch and Arrow hold threads), each with its own opened models."""

    def __init__(
        self, *, workers: int | None = None, device: str = "cpu", time_limit: float | None = 3600.0
    ) -> None:
        self._size = workers or max(1, len(os.sched_getaffinity(0)))
        self._device = device
        self._time_limit = time_limit
        self._context = mp.get_context("spawn")
        self._workers: list[_Worker] = []
        self._waiting: deque[Task] = deque()

    @property
    def slots(self) -> int:
        return self._size + 1  # one more than can run, so that no worker waits for the driver

    def submit(self, task: Task) -> None:
        self._waiting.append(task)
        self._hand_out()

    def completed(self) -> Iterator[Made | Failed]:
        """Wait until at least one task has ended, and yield what has."""
        outcomes: list[Made | Failed] = []
        while not outcomes and (self._waiting or any(w.task for w in self._workers)):
            self._hand_out()
            busy = {w.pipe: w for w in self._workers if w.task is not None}
            for ready in wait(list(busy), timeout=_LOOK):
                outcomes += self._receive(busy[ready])  # type: ignore[index]  # wait() returns what it was given
            outcomes += self._overdue()
        self._hand_out()
        yield from outcomes

    def close(self) -> None:
        """End every worker: idle ones by themselves, so that they give back what they hold, busy ones at once."""
        self._waiting.clear()
        for worker in self._workers:
            if worker.task is not None:  # no task leaves anything half done
                worker.process.kill()
            worker.pipe.close()
        for worker in self._workers:
            worker.process.join(_FAREWELL)
            worker.process.kill()
            worker.process.join()
        self._workers.clear()

    def _hand_out(self) -> None:
        idle = [w for w in self._workers if w.task is None]
        while self._waiting and (idle or len(self._workers) < self._size):
            worker = idle.pop() if idle else self._start()
            worker.task, worker.since = self._waiting.popleft(), time.monotonic()
            try:
                worker.pipe.send(worker.task)
            except (BrokenPipeError, OSError):  # it died while idle: its task has not begun
                self._waiting.appendleft(worker.task)
                self._discard(worker)

    def _start(self) -> _Worker:
        ours, theirs = self._context.Pipe()
        process = self._context.Process(target=_serve, args=(theirs, self._device, os.getpid()), daemon=True)
        process.start()
        theirs.close()
        worker = _Worker(process, ours)
        self._workers.append(worker)
        return worker

    def _discard(self, worker: _Worker) -> None:
        worker.process.kill()
        worker.process.join()
        worker.pipe.close()
        self._workers.remove(worker)

    def _receive(self, worker: _Worker) -> list[Made | Failed]:
        task = worker.task
        assert task is not None
        try:
            answer = worker.pipe.recv()
        except (EOFError, OSError):
            worker.process.join(_FAREWELL)  # before it is killed: how it ended by itself is what counts
            exit_code = worker.process.exitcode
            self._discard(worker)
            return self._died(task, -signal.SIGKILL if exit_code is None else exit_code)
        worker.task = None
        match answer:
            case Made() | Failed():
                return [answer]
            case OSError():
                raise answer
            case _:  # it ran out of memory and said so
                self._discard(worker)
                return self._died(task, None)

    def _died(self, task: Task, exit_code: int | None) -> list[Made | Failed]:
        if task.attempt + 1 < ATTEMPTS:
            self._waiting.appendleft(replace(task, attempt=task.attempt + 1))
            return []
        return [Failed(task.recipe.key, task.shard, death(exit_code), "", ATTEMPTS)]

    def _overdue(self) -> list[Made | Failed]:
        if self._time_limit is None:
            return []
        late = [w for w in self._workers if w.task and time.monotonic() - w.since > self._time_limit]
        outcomes: list[Made | Failed] = []
        for worker in late:
            assert worker.task is not None
            self._discard(worker)
            outcomes.append(
                Failed(
                    worker.task.recipe.key,
                    worker.task.shard,
                    f"it took longer than the time limit of {self._time_limit:g} seconds a piece",
                    "Raise time_limit in [run] or make shard_size smaller, then run again with --retry-failed.",
                    worker.task.attempt + 1,
                )
            )
        return outcomes


def _serve(pipe: Connection, device: str, parent: int) -> None:
    """Do tasks until the driver is gone. Ctrl-C is the driver's to handle."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    os.dup2(2, 1)  # what models print is not what the command has to say
    threading.Thread(target=_leave_with, args=(parent,), daemon=True).start()
    from audit.engine.worker import Workbench, perform

    bench = Workbench(device=device)
    while os.getppid() == parent:
        try:
            task = pipe.recv()
        except (EOFError, OSError):
            return
        try:
            pipe.send(_answer(task, bench, perform))
        except OSError:  # the driver died while this was being made; the next run makes it again
            return


def _leave_with(parent: int) -> None:
    """End this process once the driver is gone, in the middle of a task if need be: nobody waits for it."""
    while os.getppid() == parent:
        time.sleep(1.0)
    os._exit(1)


def _answer(task: Task, bench: Any, perform: Any) -> Made | Failed | OSError | None:
    from audit.engine.worker import sentence

    try:
        outcome: Made | Failed = perform(task, bench)
    except MemoryError:
        return None
    except KeyboardInterrupt as error:  # Ctrl-C is ignored here, so the model raised it
        return Failed(task.recipe.key, task.shard, sentence(error), "", task.attempt + 1)
    except OSError as error:
        return OSError(error.errno or errno.EIO, error.strerror or str(error))
    return outcome
