"""Run a job in a separate process, the only one that loads models, and receive its events.

The command that the user started imports no plugin and opens no model. It
starts one process that does (``audit.cli.jobs``), shows what that says, and
answers from what it finds in the store itself. So a model that ends its
process, crashes it, or writes to the terminal decides nothing.
"""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

import click

from audit.cli.descendants import adopt_orphans, end_descendants, reap
from audit.cli.main import BAD_INPUT, RESUMES, UNFINISHED, JobError
from audit.cli.visible import VisibleLines, say
from audit.core.errors import InputError
from audit.engine.attempts import manner

Event: TypeAlias = dict[str, Any]
"""What a job says: plain values; ``event`` names the kind."""

_LOOK = 0.2
"""Seconds between looks at whether the process is alive, where nothing is heard from it."""
_FAREWELL = 6.0
"""Seconds that the process has to end by itself once its job is done, or once it was told to stop."""
_AFTERWARDS = 0.3
"""Seconds that processes have which end by themselves once that one is gone, such as a tracker of shared memory."""
_BLOCK = 1 << 16
_BEGIN = "import sys; sys.path[:] = {path!r}; from audit.cli.jobs import main; main()"
"""The program of the process: it finds modules where this one does, and nowhere else."""


Aloud: TypeAlias = Callable[[str], None]
"""Given each line that the process, or what it loads, prints: visible, without its end."""


def to_standard_error(line: str) -> None:
    """Print a line where errors go."""
    with contextlib.suppress(OSError):
        say(line, err=True)


class Job(Protocol):
    """A job that has been started."""

    def events(self, aloud: Aloud = to_standard_error) -> Generator[Event, None, None]:
        """Yield what the job says as it happens. Raises JobError when it did not come to its end, whatever ended it."""
        ...


@contextlib.contextmanager
def started(job: str, request: Mapping[str, Any]) -> Iterator[Job]:
    """Start a job and yield it; leaving ends it, and every process that it left behind.

    Where commands are run without :func:`audit.cli.main.main`, as tests do, the job is done in this process.
    Raises InputError where the current folder was deleted: native libraries end the process there.
    """
    try:
        os.getcwd()  # noqa: PTH109 - asked for what it raises
    except FileNotFoundError:
        raise InputError("The current folder is gone. Go to another, and run the command again.") from None
    if not click.get_current_context().obj:
        yield _Here(job, request)
        return
    other = _Other(job, request)
    try:
        with _suspended_with(other.pid):
            yield other
    finally:
        other.end()


@dataclass
class _Here:
    """A job done in this process."""

    job: str
    request: Mapping[str, Any]

    def events(self, aloud: Aloud = to_standard_error) -> Generator[Event, None, None]:
        from audit.cli.jobs import JOBS

        with contextlib.redirect_stdout(sys.stderr):
            yield from JOBS[self.job](self.request)


class _Other:
    """The process that does a job, and the two pipes from it: what the job says, and what is printed there."""

    def __init__(self, job: str, request: Mapping[str, Any]) -> None:
        adopt_orphans()
        self._aloud: Aloud = to_standard_error
        self._said, channel = os.pipe()
        self._printed, output = os.pipe()
        self._process = subprocess.Popen(  # noqa: S603 - our own interpreter and module, no shell
            [sys.executable, "-P", "-c", _BEGIN.format(path=sys.path)],
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=output,
            pass_fds=(channel,),
            start_new_session=True,  # it has no terminal to write to, and a signal to its own group stays there
            env={**os.environ, "PYTHONIOENCODING": "utf-8:backslashreplace"},
        )
        os.close(channel)
        os.close(output)
        self._selector = selectors.DefaultSelector()
        for pipe in (self._said, self._printed):
            self._selector.register(pipe, selectors.EVENT_READ)
        self._begun, self._lines = bytearray(), VisibleLines()
        self._events: deque[Event] = deque()
        self._done = False
        # Its standard input is the request; that it stays open afterwards tells it that this process lives.
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # it died already, which is seen below
            self._process.stdin.write(
                json.dumps({"job": job, "channel": channel, **request}).encode() + b"\n"
            )
            self._process.stdin.flush()

    @property
    def pid(self) -> int:
        return self._process.pid

    def events(self, aloud: Aloud = to_standard_error) -> Generator[Event, None, None]:
        self._aloud = aloud
        try:
            while True:
                alive = self._process.poll() is None
                more = self._hear()
                while self._events:
                    match self._events.popleft():
                        case {"event": "done"}:
                            self._done = True
                            return
                        case {"event": "ended", "code": int(code), "message": str(message)}:
                            self._done = True
                            raise JobError(code if code == BAD_INPUT else UNFINISHED, message)
                        case event:
                            yield event
                if not alive and not more:
                    how = manner(self._process.returncode)
                    raise JobError(
                        UNFINISHED,
                        f"the process that loads the model {how} before its work was done; {RESUMES}",
                    )
                reap(spare=self.pid)
        finally:
            self._aloud = to_standard_error

    def end(self) -> None:
        """See that the process and all it left behind are gone; unless it is told to stop, its last lines are shown."""
        try:
            if not self._done and self._process.poll() is None:
                self._process.terminate()
                self._aloud = lambda _: None  # what is said on being told to stop is of no interest
            deadline = time.monotonic() + _FAREWELL
            while self._process.poll() is None and time.monotonic() < deadline:
                self._hear()
        finally:
            _to_group(self.pid, signal.SIGKILL)
            self._process.wait()
            end_descendants(_AFTERWARDS)
        while self._hear():
            continue
        for line in self._lines.rest():
            self._aloud(line)

    def _hear(self) -> bool:
        """Wait a little for something to be said or printed, show or keep it, and say whether there was anything."""
        if not self._selector.get_map():
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(_LOOK)
            return False
        ready = self._selector.select(_LOOK)
        for key, _ in ready:
            pipe = key.fd
            chunk = os.read(pipe, _BLOCK)
            if not chunk:
                self._selector.unregister(pipe)
                os.close(pipe)
            elif pipe == self._said:
                self._understand(chunk)
            else:
                for line in self._lines.of(chunk):
                    self._aloud(line)
        return bool(ready)

    def _understand(self, chunk: bytes) -> None:
        """Keep the events whose lines end in this chunk; a line that is no event of ours is no reason to stop."""
        self._begun += chunk
        if b"\n" in chunk:
            *whole, self._begun = self._begun.split(b"\n")
            for line in whole:
                with contextlib.suppress(ValueError):
                    event = json.loads(line)
                    if isinstance(event, dict):
                        self._events.append(event)


@contextlib.contextmanager
def _suspended_with(session: int) -> Iterator[None]:
    """Have Ctrl-Z suspend a session too, which has no terminal to be told by."""

    if signal.getsignal(signal.SIGTSTP) is not signal.SIG_DFL:
        yield
        return

    def suspend(_number: int, _frame: object) -> None:
        _to_group(session, signal.SIGSTOP)
        os.kill(os.getpid(), signal.SIGSTOP)
        _to_group(session, signal.SIGCONT)

    signal.signal(signal.SIGTSTP, suspend)
    try:
        yield
    finally:
        signal.signal(signal.SIGTSTP, signal.SIG_DFL)


def _to_group(group: int, sign: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(group, sign)
