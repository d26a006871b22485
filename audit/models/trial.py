"""Call a user's code once in a separate process with a time limit, so that a crash there cannot hurt the caller."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
import warnings
from collections.abc import Callable
from select import select

_MOST_BYTES = 1 << 16


def tried(call: Callable[[], str], seconds: float) -> str | None:
    """Return what ``call`` returns when made in a copy of this process, or None when it tells nothing in time.

    The copy prints nowhere, uses one thread, and is killed with its own children when the time is over, so a call that
    hangs, exits or crashes only costs the time.
    """
    ours, theirs = os.pipe()
    sys.stdout.flush()
    sys.stderr.flush()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # that threads are not copied: none is needed
        child = os.fork()
    if child == 0:
        _answer(call, theirs)
    os.close(theirs)
    try:
        return _received(ours, time.monotonic() + seconds)
    finally:
        os.close(ours)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(child, signal.SIGKILL)
        with contextlib.suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def _answer(call: Callable[[], str], pipe: int) -> None:
    """Make the call, send what it returned and end, whatever happens."""
    try:
        os.setsid()
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        nowhere = os.open(os.devnull, os.O_RDWR)
        for descriptor in (0, 1, 2):
            os.dup2(nowhere, descriptor)
        if (torch := sys.modules.get("torch")) is not None:
            torch.set_num_threads(1)  # a copied pool of threads has no threads, and waits for them
        os.write(pipe, b"." + call().encode()[:_MOST_BYTES])
    except BaseException:  # noqa: S110  # nothing to tell: the caller learns it where it counts
        pass
    finally:
        os._exit(0)


def _received(pipe: int, deadline: float) -> str | None:
    data = b""
    while (left := deadline - time.monotonic()) > 0 and select([pipe], [], [], left)[0]:
        part = os.read(pipe, _MOST_BYTES)
        if not part:
            return data[1:].decode(errors="replace") if data else None
        data += part
    return None
