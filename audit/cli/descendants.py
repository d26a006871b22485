"""Track every process that this one started, directly or not, and end them when the work is done."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import time
from pathlib import Path

_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36
_PATIENCE = 10.0
"""Seconds after which what cannot be killed (it waits for a device) is left behind."""


def adopt_orphans() -> None:
    """Become the parent of every descendant whose own parent ends.

    A process that forks twice, or begins a session of its own, stays a
    descendant of this one and can be found by :func:`end_descendants`. Where
    the kernel refuses, only such processes can slip away.
    """
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def be_told_of_parents_death(sign: signal.Signals) -> None:
    """Have this process sent a signal once its parent is gone."""
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, int(sign), 0, 0, 0)


def end_descendants(farewell: float = 0.0) -> None:
    """Kill every descendant of this process that does not end by itself within ``farewell`` seconds.

    Whole groups at once: the kernel lets no member of a group fork while it kills
    them, and one that forks without end would outrun a list of processes.
    """
    _wait_until_gone(farewell)
    own, others = os.getpgid(0), set[int]()
    deadline = time.monotonic() + _PATIENCE
    while (found := descendants().keys() - others) and time.monotonic() < deadline:
        for group in set(descendants().values()) - {own}:
            with contextlib.suppress(OSError):
                os.killpg(group, signal.SIGKILL)
        for process in found:
            with contextlib.suppress(ProcessLookupError):
                try:
                    os.kill(process, signal.SIGKILL)
                except PermissionError:  # it runs as another user
                    others.add(process)
        reap()
        time.sleep(0.01)


def end_all() -> None:
    """Kill every descendant of this process, then its own group and itself with it."""
    end_descendants()
    os.killpg(0, signal.SIGKILL)


def descendants(of: int | None = None) -> dict[int, int]:
    """Return the processes below one process, this one by default, each with its group.

    Those that have ended and wait to be reaped are not among them.
    """
    children: dict[int, list[tuple[int, int]]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and (found := _parent_and_group(entry)) is not None:
            children.setdefault(found[0], []).append((int(entry.name), found[1]))
    below: dict[int, int] = {}
    waiting = list(children.get(os.getpid() if of is None else of, ()))
    while waiting:
        process, group = waiting.pop()
        below[process] = group
        waiting += children.get(process, ())
    return below


def reap(spare: int | None = None) -> None:
    """Release what is left of children that have ended, adopted ones too, but for ``spare``."""
    while True:
        try:
            ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except ChildProcessError:
            return
        if ended is None or ended.si_pid == spare:
            return
        with contextlib.suppress(ChildProcessError):
            os.waitpid(ended.si_pid, os.WNOHANG)


def _parent_and_group(entry: Path) -> tuple[int, int] | None:
    """Return the parent and the group of a running process, read from its folder in /proc."""
    try:
        # The name of the program stands in brackets and may hold anything, brackets too.
        state, parent, group = (entry / "stat").read_bytes().rpartition(b")")[2].split()[:3]
    except (OSError, ValueError):
        return None
    return None if state in (b"Z", b"X") else (int(parent), int(group))


def _wait_until_gone(seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and descendants():
        reap()
        time.sleep(0.01)
