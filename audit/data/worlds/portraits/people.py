"""People of the world of portraits: everything about one of them follows from a seed and its number."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from audit.data.worlds.portraits.factors import FACTORS, network

SIDE = 32
_CHANCES = 64
_FACTOR_BYTES = 4 * 16
_CHANCE_BYTES = 2 * _CHANCES
_NOISE_BYTES = SIDE * SIDE * 3 // 4
_NOISE = np.array([-1, 0, 0, 1], np.int16)


@dataclass(frozen=True, slots=True, eq=False)
class People:
    """``n`` people: ``codes`` place each factor's value in ``FACTORS``; the rest makes no two of them alike.

    ``chances`` are 64 uniform 16-bit numbers for position, proportions and
    colours, shape (n, 64); ``grain`` is random bytes for the noise of the pixels, shape (n, 768).
    """

    codes: Mapping[str, NDArray[np.intp]]
    chances: NDArray[np.uint16]
    grain: NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.chances)

    def take(self, which: NDArray[np.intp]) -> People:
        """Return the people at these places."""
        codes = {name: values[which] for name, values in self.codes.items()}
        return People(codes, self.chances[which], self.grain[which])

    def wearing(self, **values: str) -> People:
        """Return the same people with factors set by hand, for pictures of one factor at a time."""
        set_by_hand = {
            name: np.full(len(self), FACTORS[name].index(value), np.intp) for name, value in values.items()
        }
        return replace(self, codes={**self.codes, **set_by_hand})


def people(seed: int, numbers: Sequence[int], skew: float) -> People:
    """Return the people with these numbers.

    Their random bits are SHAKE-128 of world, seed and number, so nobody
    depends on who else is made, on the order, or on a library's generator. ``skew``
    turns bits into factors: the same person in another ``skew`` keeps its bits,
    and so its place, proportions and noise.
    """
    size = _FACTOR_BYTES + _CHANCE_BYTES + _NOISE_BYTES
    hashed = [hashlib.shake_128(f"portraits/{seed}/{number}".encode()).digest(size) for number in numbers]
    raw = np.frombuffer(b"".join(hashed), np.uint8).reshape(len(hashed), size)
    first, second = _FACTOR_BYTES, _FACTOR_BYTES + _CHANCE_BYTES
    words = np.ascontiguousarray(raw[:, :first]).view("<u4").astype(np.uint32)
    codes: dict[str, NDArray[np.intp]] = {}
    for place, node in enumerate(network(skew)):
        codes[node.name] = node.choose(codes, words[:, place])
    chances = np.ascontiguousarray(raw[:, first:second]).view("<u2").astype(np.uint16)
    return People(codes, chances, raw[:, second:])


def noise(grain: NDArray[np.uint8]) -> NDArray[np.int16]:
    """Return -1, 0, 0 or 1 for each channel of each pixel, from two random bits, shape (3, height, width, n)."""
    bits = np.ascontiguousarray(grain.T)
    pairs = np.stack([(bits >> shift) & 3 for shift in (0, 2, 4, 6)])
    return _NOISE.take(pairs.reshape(3, SIDE, SIDE, len(grain)))
