"""What happens to a shard whose worker dies: it is made again with half the batch, then given up."""

from __future__ import annotations

import signal

ATTEMPTS = 3
"""The first try, and two more with a half and a quarter of the batch: most deaths are from lack of memory."""

OUT_OF_MEMORY = f"it ran out of memory {ATTEMPTS} times, the last with a quarter of the batch"

UNREADABLE = f"what the worker answered could not be read, {ATTEMPTS} times: something in it writes where workers answer"


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
