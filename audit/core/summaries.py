"""Summaries: statistics that are computed shard by shard and merged."""

from __future__ import annotations

from collections.abc import Iterable
from functools import reduce
from typing import Any, Protocol, Self, TypeVar

from audit.core.errors import UndefinedError


class Summary(Protocol):
    """A statistic that can be computed shard by shard: a frozen dataclass of arrays and numbers.

    Laws, checked for every summary by ``audit.testing``:
    merging the summaries of shards equals summarising the whole, and merging is associative.
    They are merged in shard order, so the result is the same bit for bit
    wherever they were computed.
    """

    @classmethod
    def of(cls, batch: Any) -> Self: ...
    def merge(self, other: Self) -> Self: ...


S = TypeVar("S", bound=Summary)


def merged(shards: Iterable[S]) -> S:
    """Merge summaries in the order given, holding two at a time."""
    iterator = iter(shards)
    try:
        first = next(iterator)
    except StopIteration:
        raise UndefinedError("nothing to merge: there is no shard") from None
    return reduce(lambda a, b: a.merge(b), iterator, first)
