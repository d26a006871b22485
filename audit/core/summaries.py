"""Statistics that can be computed in pieces."""

from __future__ import annotations

from collections.abc import Iterable
from functools import reduce
from typing import Any, Protocol, Self, TypeVar

from audit.core.errors import UndefinedError


class Summary(Protocol):
    """A statistic that can be computed in pieces: a frozen dataclass of arrays and numbers.

    Laws, checked for every summary by ``audit.testing``:
    merging pieces equals summarising the whole, and merging is associative.
    Pieces are merged in shard order, so the result is the same bit for bit
    wherever they were computed.
    """

    @classmethod
    def of(cls, batch: Any) -> Self: ...
    def merge(self, other: Self) -> Self: ...


S = TypeVar("S", bound=Summary)


def merged(pieces: Iterable[S]) -> S:
    """Merge pieces in the order given, holding two at a time."""
    iterator = iter(pieces)
    try:
        first = next(iterator)
    except StopIteration:
        raise UndefinedError("nothing to merge: there is no piece") from None
    return reduce(lambda a, b: a.merge(b), iterator, first)
