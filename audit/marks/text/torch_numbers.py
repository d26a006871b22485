"""The random numbers of torch's CPU generator, without torch: whose keys are seeds of it can be tested where torch is not.

torch seeds a Mersenne Twister (MT19937) with the lower 32 bits of a seed. ``randperm`` is a Fisher-Yates shuffle that takes the
number at step i modulo what is left, ``randint(0, 2)`` the lowest bit of each number.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Aims = NDArray[np.unsignedinteger[Any]]


def bits(seed: int, n: int) -> NDArray[np.uint8]:
    """Return what ``torch.randint(0, 2, (n,))`` gives after ``manual_seed(seed)``."""
    twister = np.random.MT19937()
    twister._legacy_seeding(seed & 0xFFFFFFFF)  # as of 2002, which torch uses
    return np.asarray(twister.random_raw(n) & 1, np.uint8)


class Shuffles:
    """Which numbers stand among the ``first`` of ``torch.randperm(size)``, without making a permutation; ``first`` is below ``size``.

    Step i of the shuffle swaps place i with a place further on, or with itself. So a number is among the first if some step takes it from where
    it is; and a step that finds it in its way moves it to where that step took from.
    """

    _MOST_BYTES = 256_000_000
    _FEW = 12
    """To ask for more numbers than these takes longer than to ask for all."""

    def __init__(self, size: int, first: int) -> None:
        self._twister = np.random.MT19937()
        self._size, self._steps = size, first
        self._kind: Any = np.uint16 if size <= 1 << 16 else np.uint32
        self._remainders = Remainders(size - np.arange(first), self._kind)
        self._at: Aims = np.arange(first, dtype=np.uint32).astype(self._kind)
        self._count = np.arange(1, first + 1, dtype=self._kind)
        self._most = max(1, self._MOST_BYTES // (first * self._kind().itemsize or 1))
        self._drawn: OrderedDict[int, Aims] = OrderedDict()

    def hold(self, seed: int, numbers: Sequence[int], keep: bool = True) -> list[bool]:
        """Say of each number whether it is among the first after ``manual_seed(seed)``; with ``keep`` its draw is kept for the next question.

        Where thousands of seeds are asked for at once, that costs more than it saves: a page of fresh memory takes 2 to 6 µs, and a draw is seven.
        """
        aims = self._aims_of(seed & 0xFFFFFFFF, keep)
        if len(numbers) > self._FEW:
            found: list[bool] = self._members(aims)[numbers].tolist()
            return found
        return [self._holds(aims, number) for number in numbers]

    def _holds(self, aims: Aims, number: int) -> bool:
        place, start = number, 0
        while True:
            # a step aims at its own place or further on
            if np.count_nonzero(aims[start : place + 1] == place):
                return True
            if not start <= place < self._steps:
                return False
            place, start = int(aims[place]), place + 1

    def _members(self, aims: Aims) -> NDArray[np.bool_]:
        """Say it of every number, shape (size,).

        Whatever stands beyond the first places in the end is no member. The step that took from there last left it there, out of its own place;
        the step that had taken from that place last had left it there before; and so on, back to a place that no step had taken from.
        """
        places, steps = aims.astype(np.intp), self._steps
        last = np.zeros(self._size, self._kind)  # counted from 1; 0: no step takes from here
        last[places] = self._count  # of equal places the last one stays
        found: NDArray[np.bool_] = last > 0
        leaves = (last.take(places) == self._count) & (aims >= steps)
        moved = found[:steps].copy()
        found[:steps] = moved | ~leaves
        place = np.flatnonzero(leaves & moved)
        while len(place):
            place = last.take(place).astype(np.intp) - 1
            taken = last.take(place) > 0
            found[place[~taken]] = False
            place = place[taken]
        return found

    def _aims_of(self, seed: int, keep: bool) -> Aims:
        """Return where each step of a seed's shuffle takes from."""
        known = self._drawn.get(seed)
        if known is not None:
            self._drawn.move_to_end(seed)
            return known
        self._twister._legacy_seeding(seed)  # as of 2002, which torch uses
        aims = self._remainders(self._twister.random_raw(self._steps))
        aims += self._at
        if keep:
            if len(self._drawn) >= self._most:
                self._drawn.popitem(last=False)
            self._drawn[seed] = aims
        return aims


class Remainders:
    """Numbers below 2**32 modulo divisors of 2 or more, exactly, in half the time of a division of whole numbers.

    The quotient is truncated from a product of doubles with the reciprocal, made larger by 2**-50 of itself: so a whole quotient is never
    missed, and any other is at least 1/divisor below the next whole number, while the product is less than 2**-17/divisor too large.
    """

    def __init__(self, divisors: NDArray[np.int64], kind: Any = np.uint32) -> None:
        """``kind`` is an unsigned type that holds every remainder; the smaller, the faster."""
        self._divisors = divisors.astype(kind)
        self._reciprocals = (1 + 2.0**-50) / divisors
        self._product = np.empty(len(divisors))
        self._wholes = np.empty(
            len(divisors), np.int32
        )  # below 2**31; unsigned ones are converted more slowly
        self._quotients = np.empty(len(divisors), kind)

    def __call__(self, numbers: NDArray[np.uint64]) -> Aims:
        """Return the remainders. What a smaller type leaves out of numbers and products would cancel."""
        np.copyto(self._product, numbers.view(np.int64))
        self._product *= self._reciprocals
        np.copyto(self._wholes, self._product, casting="unsafe")
        np.copyto(self._quotients, self._wholes, casting="unsafe")
        self._quotients *= self._divisors
        rest: Aims = numbers.astype(self._quotients.dtype)
        rest -= self._quotients
        return rest
