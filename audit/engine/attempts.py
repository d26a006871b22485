"""What happens to a shard whose worker dies: it is made again with half the batch, then given up."""

from __future__ import annotations

import signal
from dataclasses import replace

from audit.core.facts import Failed, Task

ATTEMPTS = 3
"""The first try, and two more with a half and a quarter of the batch: most deaths are from lack of memory."""

OUT_OF_MEMORY = f"it ran out of memory {ATTEMPTS} times, the last with a quarter of the batch"

UNREADABLE = f"what the worker answered could not be read, {ATTEMPTS} times: something in it writes where workers answer"

LOST = (
    f"its worker, or the node that it ran on, was lost {ATTEMPTS} times, the last with a quarter of the batch"
)


def after_death(task: Task, how: str) -> Task | Failed:
    """Return the next attempt at a shard whose worker died, or that it failed: ``how`` says of what."""
    if task.attempt + 1 < ATTEMPTS:
        return replace(task, attempt=task.attempt + 1)
    return Failed(task.recipe.key, task.shard, how, "", ATTEMPTS)


def too_long(task: Task, limit: float) -> Failed:
    """Return the fact that a shard took longer than ``limit`` seconds."""
    return Failed(
        task.recipe.key,
        task.shard,
        f"it took longer than the time limit of {limit:g} seconds a shard",
        "Raise time_limit in [run] or make shard_size smaller, then run again with --retry-failed.",
        task.attempt + 1,
    )


def death(exit_code: int) -> str:
    """Say how the last of a shard's workers ended.

    >>> death(-9)
    'the worker was killed (SIGKILL, most often because memory ran out) 3 times, the last with a quarter of the batch'
    """
    return f"the worker {manner(exit_code)} {ATTEMPTS} times, the last with a quarter of the batch"


def manner(exit_code: int | None) -> str:
    """Say how a process ended.

    >>> manner(0), manner(-11)
    ('ended with code 0', 'was killed (SIGSEGV)')
    """
    if exit_code is None or exit_code >= 0:
        return f"ended with code {exit_code}"
    known = {s.value: s.name for s in signal.Signals}
    name = known.get(-exit_code, f"signal {-exit_code}")
    return f"was killed ({name}{', most often because memory ran out' if name == 'SIGKILL' else ''})"
