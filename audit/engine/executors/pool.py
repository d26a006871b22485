"""Run tasks in worker processes of this machine, with a time limit; workers that die are replaced."""

from __future__ import annotations

import multiprocessing as mp
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from io import TextIOWrapper
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess

from audit.core.facts import Failed, Made, Task
from audit.engine.attempts import death
from audit.engine.executors.answers import answer
from audit.engine.executors.retrying import Retrying
from audit.engine.worker import Workbench

_FAREWELL = 3.0
"""Seconds that workers whose pipes are closed have to end."""

_LONGEST = 1 << 20
"""Bytes of an answer: a digest, or an error and the end of its traceback."""

_LOOK = 0.25
"""Seconds between looks at the clock while tasks run."""


@dataclass
class _Worker:
    process: BaseProcess
    pipe: Connection
    task: Task | None = None
    since: float = 0.0


class Pool(Retrying[_Worker]):
    """Processes started afresh (not forked: torch and Arrow hold threads), each with its own opened models."""

    def __init__(
        self, *, workers: int | None = None, device: str = "cpu", time_limit: float | None = 3600.0
    ) -> None:
        super().__init__(time_limit)
        self._size = workers or max(1, len(os.sched_getaffinity(0)))
        self._device = device
        self._context = mp.get_context("spawn")

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
        deadline = time.monotonic() + _FAREWELL
        for worker in self._workers:
            worker.process.join(max(0.0, deadline - time.monotonic()))
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
            said = worker.pipe.recv_bytes(_LONGEST)
        except (EOFError, OSError):
            worker.process.join(_FAREWELL)  # before it is killed: how it ended by itself is what counts
            exit_code = worker.process.exitcode
            self._discard(worker)
            return self._died(task, death(-signal.SIGKILL if exit_code is None else exit_code))
        return self._answered(worker, said)


def _serve(pipe: Connection, device: str, parent: int) -> None:
    """Do tasks until the driver is gone. Ctrl-C is the driver's to handle."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    os.dup2(2, 1)  # what models print is not what the command has to say
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(line_buffering=True)
    threading.Thread(target=_leave_with, args=(parent,), daemon=True).start()
    bench = Workbench(device=device)
    while os.getppid() == parent:
        try:
            task = pipe.recv()
        except (EOFError, OSError):
            return
        try:
            pipe.send_bytes(answer(task, bench))
        except OSError:  # the driver died while this was being made; the next run makes it again
            return


def _leave_with(parent: int) -> None:
    """End this process once the driver is gone, in the middle of a task if need be: nobody waits for it."""
    while os.getppid() == parent:
        time.sleep(1.0)
    os._exit(1)
