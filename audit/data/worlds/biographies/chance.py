"""Chance for the world 'biographies': draws and permutations that are functions of a name alone."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")

_BITS = 512
_SPARE = 64
"""Bits left in a block when the next one is begun: a draw is uniform to within 2^-64."""
_ROUNDS = 6


class Stream:
    """Draws named by a string: the same name gives the same draws in every process, version and machine.

    A block of 512 bits is the blake2b digest of the name and the block's number,
    read as a number in mixed radix: each draw takes the remainder and leaves the quotient.
    """

    __slots__ = ("_block", "_name", "_room", "_state")

    def __init__(self, name: str) -> None:
        self._name = name
        self._block = 0
        self._state = 0
        self._room = 1

    def below(self, n: int) -> int:
        """Return a whole number from 0 to n-1, each equally likely."""
        if self._room < n << _SPARE:
            self._state = int.from_bytes(hashlib.blake2b(f"{self._name}/{self._block}".encode()).digest())
            self._room = 1 << _BITS
            self._block += 1
        self._state, drawn = divmod(self._state, n)
        self._room //= n
        return drawn

    def choice(self, items: Sequence[T]) -> T:
        """Return one of the items, each equally likely."""
        return items[self.below(len(items))]

    def uniform(self) -> float:
        """Return a multiple of 2^-53 in [0, 1)."""
        return self.below(1 << 53) / (1 << 53)

    def order(self, items: Sequence[T]) -> list[T]:
        """Return the items in a random order (Fisher and Yates 1938)."""
        left = list(items)
        return [left.pop(self.below(len(left))) for _ in items]


def permuted(index: int, size: int, name: str) -> int:
    """Return where a permutation of 0 … size-1, drawn by ``name``, sends ``index``.

    A Feistel network on the next even number of bits, walked until it lands
    inside (Black and Rogaway 2002): distinct indices get distinct places with
    no list of those already taken, so one of them can be computed alone.

    >>> sorted(permuted(i, 5, "example") for i in range(5))
    [0, 1, 2, 3, 4]
    """
    if not 0 <= index < size:
        raise ValueError(f"index {index} is not below {size}")
    half = max(1, ((size - 1).bit_length() + 1) // 2)
    mask = (1 << half) - 1
    place = index
    while True:
        left, right = place >> half, place & mask
        for turn in range(_ROUNDS):
            digest = hashlib.blake2b(f"{name}/{turn}/{right}".encode(), digest_size=8).digest()
            left, right = right, left ^ (int.from_bytes(digest) & mask)
        place = left << half | right
        if place < size:
            return place
