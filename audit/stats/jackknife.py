"""Delete-a-shard jackknife: an interval for a smooth statistic from the summaries of its shards."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import accumulate

import numpy as np

from audit.core.errors import UndefinedError
from audit.core.measurements import Interval
from audit.core.summaries import S

LEAST_SHARDS = 10


def delete_a_shard(
    summaries: Sequence[S], sizes: Sequence[int], statistic: Callable[[S], float], level: float = 0.95
) -> tuple[float, Interval]:
    """Return the statistic of all shards merged, and a jackknife interval from leaving out one shard at a time.

    ``sizes`` are the shards' numbers of rows; unequal ones are weighted (Busing, Meijer & van der
    Leeden 1999), equal ones give the ordinary jackknife (Quenouille 1956; Tukey 1958). Student's t
    with one fewer degree of freedom than shards. Nothing is sampled again: merges from both
    ends make it linear in the number of shards.

    Assumes that shards are independent and the statistic smooth in the data. Not for extremes,
    quantiles or nearest-neighbour distances, for which the jackknife is inconsistent.
    Raises UndefinedError below ten shards, where t intervals of a jackknife are too narrow, for an
    empty shard, and when the statistic is not finite without one of them.
    """
    from scipy import special

    shards = len(summaries)
    if shards != len(sizes):
        raise ValueError(f"{shards} summaries and {len(sizes)} sizes")
    if shards < LEAST_SHARDS:
        raise UndefinedError(f"a jackknife over shards needs {LEAST_SHARDS} of them; there are {shards}")
    if min(sizes) < 1:
        raise UndefinedError("a shard without rows has nothing to leave out")
    whole, without = _left_out(summaries, statistic)
    if not (math.isfinite(whole) and np.isfinite(without).all()):
        raise UndefinedError("the statistic has no value when some shard is left out")
    share = sum(sizes) / np.asarray(sizes, dtype=np.float64)
    pseudo = share * whole - (share - 1) * without
    centre = shards * whole - float(((1 - 1 / share) * without).sum())
    se = math.sqrt(float((np.square(pseudo - centre) / (share - 1)).mean()))
    half = float(special.stdtrit(shards - 1, (1 + level) / 2)) * se
    return whole, Interval(whole - half, whole + half, level, f"delete-a-shard jackknife, {shards} shards")


def _left_out(summaries: Sequence[S], statistic: Callable[[S], float]) -> tuple[float, np.ndarray]:
    """Return the statistic of everything, and of everything but each shard, shape (shards,)."""
    before = list(accumulate(summaries, lambda a, b: a.merge(b)))
    after = list(accumulate(reversed(summaries), lambda a, b: b.merge(a)))[::-1]
    last = len(summaries) - 1
    rest = [after[1], *(before[i - 1].merge(after[i + 1]) for i in range(1, last)), before[last - 1]]
    return statistic(before[-1]), np.array([statistic(summary) for summary in rest])
