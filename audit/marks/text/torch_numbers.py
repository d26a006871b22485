"""The random numbers of torch's CPU generator, without torch: whose keys are seeds of it can be tested where torch is not.

torch seeds a Mersenne Twister (MT19937) with the lower 32 bits of a seed. ``randperm`` is a Fisher-Yates shuffle that takes the
number at step i modulo what is left, ``randint(0, 2)`` the lowest bit of each number.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

_ROWS = 512


def bits(seed: int, n: int) -> NDArray[np.uint8]:
    """Return what ``torch.randint(0, 2, (n,))`` gives after ``manual_seed(seed)``."""
    twister = np.random.MT19937()
    twister._legacy_seeding(seed & 0xFFFFFFFF)  # as of 2002, which torch uses
    return np.asarray(twister.random_raw(n) & 1, np.uint8)


def first_of_permutations(seeds: Iterable[int], size: int, first: int) -> Iterator[NDArray[np.int32]]:
    """Yield, for blocks of seeds, the first numbers of what ``torch.randperm(size)`` gives, shape (block, first)."""
    twister = np.random.MT19937()
    todo = list(seeds)
    steps = min(first, size - 1)
    left = size - np.arange(steps, dtype=np.uint64)
    for start in range(0, len(todo), _ROWS):
        block = todo[start : start + _ROWS]
        aims = np.empty((steps, len(block)), np.int32)
        for column, seed in enumerate(block):
            twister._legacy_seeding(seed & 0xFFFFFFFF)  # as of 2002, which torch uses
            aims[:, column] = twister.random_raw(steps) % left
        aims += np.arange(steps, dtype=np.int32)[:, None]
        cards = np.empty((size, len(block)), np.int32)
        cards[:] = np.arange(size, dtype=np.int32)[:, None]
        rows = np.arange(len(block))
        for step in range(steps):
            aim = aims[step]
            drawn = cards[aim, rows]
            cards[aim, rows] = cards[step]
            cards[step] = drawn
        yield np.ascontiguousarray(cards[:first].T)


class Shuffles:
    """Which numbers stand among the ``first`` of ``torch.randperm(size)``, one number at a time: no permutation is made.

    Step i of the shuffle swaps place i with a place further on. So a number is among the first if some step takes it from where it is; and a
    step that finds it in its way moves it to where that step took from.
    """

    _MOST_BYTES = 256_000_000

    def __init__(self, size: int, first: int) -> None:
        self._twister = np.random.MT19937()
        self._steps = min(first, size - 1)
        self._remainders = Remainders(size - np.arange(self._steps))
        self._at = np.arange(self._steps, dtype=np.uint32)
        self._kind = np.uint16 if size <= 1 << 16 else np.uint32
        self._most = max(1, self._MOST_BYTES // (self._steps * self._kind().itemsize or 1))
        self._aims: OrderedDict[int, NDArray[np.unsignedinteger[Any]]] = OrderedDict()

    def holds(self, seed: int, number: int) -> bool:
        """Return whether ``number`` is among the first after ``manual_seed(seed)``."""
        aims = self._aims_of(seed & 0xFFFFFFFF)
        place, start = number, 0
        while True:
            # a step aims at its own place or further on
            if np.count_nonzero(aims[start : place + 1] == place):
                return True
            if not start <= place < self._steps:
                return False
            place, start = int(aims[place]), place + 1

    def _aims_of(self, seed: int) -> NDArray[np.unsignedinteger[Any]]:
        """Return where each step of a seed's shuffle takes from; those asked for last are kept."""
        known = self._aims.get(seed)
        if known is not None:
            self._aims.move_to_end(seed)
            return known
        self._twister._legacy_seeding(seed)  # as of 2002, which torch uses
        drawn = self._remainders(self._twister.random_raw(self._steps))
        drawn += self._at
        if len(self._aims) >= self._most:
            self._aims.popitem(last=False)
        aims = self._aims[seed] = drawn.astype(self._kind)
        return aims


class Remainders:
    """Numbers below 2**32 modulo divisors of 2 or more, exactly, in half the time of a division of whole numbers.

    The quotient is truncated from a product of doubles with the reciprocal, made larger by 2**-50 of itself: so a whole quotient is never
    missed, and any other is at least 1/divisor below the next whole number, while the product is less than 2**-17/divisor too large.
    """

    def __init__(self, divisors: NDArray[np.int64]) -> None:
        self._divisors = divisors.astype(np.uint32)
        self._reciprocals = (1 + 2.0**-50) / divisors
        self._product = np.empty(len(divisors))
        self._quotients = np.empty(
            len(divisors), np.int32
        )  # below 2**31; unsigned ones are converted more slowly

    def __call__(self, numbers: NDArray[np.uint64]) -> NDArray[np.uint32]:
        """Return the remainders, in memory that the next call writes over."""
        np.copyto(self._product, numbers.view(np.int64))
        self._product *= self._reciprocals
        np.copyto(self._quotients, self._product, casting="unsafe")
        quotients = self._quotients.view(np.uint32)
        quotients *= self._divisors
        return np.subtract(numbers.astype(np.uint32), quotients, out=quotients)
