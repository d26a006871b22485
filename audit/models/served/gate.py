"""Limits on requests that all workers of an audit keep together: how many at once, and how many a minute."""

from __future__ import annotations

import fcntl
import os
import stat
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from audit.core.errors import InputError
from audit.core.identity import digest_of

_POLL = 0.02
_LONGEST_AHEAD = 3600.0
"""A turn further ahead than this (seconds) was written by a clock that has been put back since."""


class Gate:
    """Lets ``concurrency`` requests through at once and ``per_minute`` of them a minute (0: any number).

    The limits hold for all threads and processes of a user on this machine that speak to the same ``url``: each request
    holds the lock on one of ``concurrency`` files, which the system frees when a process dies.
    """

    def __init__(self, url: str, concurrency: int, per_minute: float) -> None:
        self._concurrency = concurrency
        self._interval = 60.0 / per_minute if per_minute else 0.0
        folder = Path(tempfile.gettempdir()) / f"generative-audit-{os.getuid()}"
        folder.mkdir(mode=0o700, exist_ok=True)
        found = folder.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
            raise InputError(
                f"The folder {folder} is somebody else's. Remove it, or set TMPDIR to a folder of yours."
            )
        self._folder = folder / digest_of(url.encode())[:16]
        self._folder.mkdir(mode=0o700, exist_ok=True)

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Wait until a request may be made, and count it until the end of the block."""
        slot = self._slot()
        try:
            time.sleep(self._pace(self._interval, 0.0))
            yield
        finally:
            os.close(slot)

    def pause(self, seconds: float) -> None:
        """Have all requests wait that long from now: the server asked for it."""
        self._pace(0.0, seconds)

    def _slot(self) -> int:
        while True:
            for number in range(self._concurrency):
                slot = self._opened(f"slot-{number}")
                try:
                    fcntl.flock(slot, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    os.close(slot)
                else:
                    return slot
            time.sleep(_POLL)

    def _pace(self, interval: float, pause: float) -> float:
        """Return how many seconds to wait for a turn, and note when the next one is."""
        pace = self._opened("pace")
        try:
            fcntl.flock(pace, fcntl.LOCK_EX)
            now = time.time()
            noted = os.pread(pace, 64, 0).decode("ascii", "replace")
            try:
                turn = float(noted or 0.0)
            except ValueError:
                turn = 0.0
            if not now <= turn <= now + _LONGEST_AHEAD:
                turn = now
            after = max(turn, now + pause) if pause else turn + interval
            os.ftruncate(pace, 0)
            os.pwrite(pace, repr(after).encode(), 0)
        finally:
            os.close(pace)
        return turn - now

    def _opened(self, name: str) -> int:
        return os.open(self._folder / name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
