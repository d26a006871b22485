"""What happens to a piece of work whose worker dies: tried again with half the batch, then given up."""

from __future__ import annotations

import signal

ATTEMPTS = 3
"""The first try, and two more with a half and a quarter of the batch: most deaths are for want of memory."""

OUT_OF_MEMORY = f"it ran out of memory {ATTEMPTS} times, the last with a quarter of the batch"


def death(exit_code: int | None) -> str:
    """Say how the last of a piece's workers ended.

    >>> death(-9)
    'the worker was killed (SIGKILL, most often for want of memory) 3 times, the last with a quarter of the batch'
    """
    if exit_code is None:
        return OUT_OF_MEMORY
    if exit_code >= 0:
        manner = f"ended with code {exit_code}"
    else:
        name = signal.Signals(-exit_code).name
        manner = f"was killed ({name}{', most often for want of memory' if name == 'SIGKILL' else ''})"
    return f"the worker {manner} {ATTEMPTS} times, the last with a quarter of the batch"
