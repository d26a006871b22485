"""KGW (Kirchenbauer et al. 2023): the token before decides which tokens are green, and green ones are made likelier.

The green lists are those of ``transformers.WatermarkLogitsProcessor`` with the seeding scheme ``lefthash``, which seeds on the last
token alone whatever context width it is given, on the CPU: a GPU generator draws other lists from the same key.

Formula: G green among T different (token before, token) pairs; p = P(Bin(T, share) >= G), with the share that is really green,
int(share · V) / V. Pairs that share their first token are drawn without replacement, which makes p conservative. Pairs after token 0 are
left out: its seed is 0 times the key, so the list after it is the same for every key.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from audit.marks.text.detection import Detection, Tokens, grams
from audit.marks.text.exact import binomial_tail
from audit.marks.text.torch_numbers import Shuffles, first_of_permutations

_MOST_BYTES = 256_000_000
_LARGE = 8192
"""Vocabularies above it are asked token by token."""
_MOST_ANSWERS = 2_000_000
_MOST_ZEROS = 8
"""A key may end in so many zero bits: then 2**24 seeds are left, more than any vocabulary needs."""


def weak(key: int) -> str:
    """Say why a key gives few different green lists, or nothing. torch seeds with the lower 32 bits of the key times the token before.

    >>> weak(15485863), weak(0)[:15], weak(1 << 32)[:15]
    ('', 'its lower 32 bi', 'its lower 32 bi')
    """
    low = key & 0xFFFFFFFF
    if low and low & -low <= 1 << _MOST_ZEROS:
        return ""
    return f"its lower 32 bits are divisible by 2**{_MOST_ZEROS + 1}, so different tokens share one green list; take an odd number"


class _Lists:
    """The green lists that were drawn already: drawing one takes as long as looking up thousands of tokens."""

    def __init__(self) -> None:
        self.packed = np.empty((0, 0), np.uint8)
        self._place = np.empty(0, np.int32)
        self._used = 0

    def rows(self, before: NDArray[np.int64], mark: KGW) -> NDArray[np.int32]:
        """Return which rows of ``packed`` hold the lists after these tokens."""
        if not len(self._place) or self.packed.nbytes > _MOST_BYTES:
            self._place = np.full(mark.vocabulary, -1, np.int32)
            self.packed = np.empty((256, -(-mark.vocabulary // 8)), np.uint8)
            self._used = 0
        missing = np.unique(before[self._place[before] < 0])
        if len(missing):
            end = self._used + len(missing)
            if end > len(self.packed):
                grown = np.empty((max(end, 2 * len(self.packed)), self.packed.shape[1]), np.uint8)
                grown[: self._used] = self.packed[: self._used]
                self.packed = grown
            self.packed[self._used : end] = mark.drawn(missing)
            self._place[missing] = np.arange(self._used, end, dtype=np.int32)
            self._used = end
        return np.asarray(self._place[before])


@dataclass(frozen=True)
class KGW:
    """``key`` is the hashing key, ``vocabulary`` the width of the model's output, ``share`` the green one, ``bias`` in logits."""

    key: int
    vocabulary: int
    share: float = 0.25
    bias: float = 2.0
    name: str = field(default="kgw", init=False)
    _lists: _Lists = field(default_factory=lambda: _Lists(), init=False, repr=False, compare=False)

    @property
    def green(self) -> int:
        return int(self.vocabulary * self.share)

    def detect(self, tokens: Sequence[Tokens]) -> Detection:
        pairs = grams(tokens, 2)
        pairs = pairs[((pairs >= 0) & (pairs < self.vocabulary)).all(axis=1) & (pairs[:, 0] > 0)]
        if not len(pairs):
            return Detection.nothing()
        n, found = len(pairs), int(self.is_green(pairs).sum())
        share = self.green / self.vocabulary
        p, above = (binomial_tail(k, n, share) for k in (found, found + 1))
        return Detection(p, above, n, found / n, share)

    def is_green(self, pairs: Tokens) -> NDArray[np.bool_]:
        """Say of each (token before, token) whether the token is green there; shape (n,)."""
        if self.vocabulary > _LARGE:
            return self._asked_one_by_one(pairs)
        rows = self._lists.rows(pairs[:, 0], self)
        token = pairs[:, 1]
        return np.asarray(self._lists.packed[rows, token >> 3] >> (7 - (token & 7)) & 1, np.bool_)

    def _asked_one_by_one(self, pairs: Tokens) -> NDArray[np.bool_]:
        """Ask of each pair by itself: with a large vocabulary a whole list takes longer than all that a text asks of it."""
        codes = (pairs[:, 0] * self.vocabulary + pairs[:, 1]).tolist()
        known, holds, key = self._answers, self._shuffles.holds, self.key
        if len(known) > _MOST_ANSWERS:
            known.clear()
        for code in sorted(set(codes).difference(known)):  # those after one token follow each other
            before, token = divmod(code, self.vocabulary)
            known[code] = holds(key * before % (2**64 - 1), token)
        return np.fromiter((known[code] for code in codes), np.bool_, len(codes))

    @cached_property
    def _shuffles(self) -> Shuffles:
        return Shuffles(self.vocabulary, self.green)

    @cached_property
    def _answers(self) -> dict[int, bool]:
        return {}

    def drawn(self, before: NDArray[np.int64]) -> NDArray[np.uint8]:
        """Return the green lists after these tokens, a bit per token of the vocabulary, packed; shape (n, V / 8)."""
        seeds = [self.key * int(token) % (2**64 - 1) for token in before]
        packed = []
        for lists in first_of_permutations(seeds, self.vocabulary, self.green):
            mask = np.zeros((len(lists), self.vocabulary), np.bool_)
            np.put_along_axis(mask, lists.astype(np.int64), True, axis=1)
            packed.append(np.packbits(mask, axis=1))
        return np.concatenate(packed)

    def rekeyed(self, key: int) -> KGW:
        return replace(self, key=key)

    def processor(self, device: str = "cpu") -> Any:
        from transformers import WatermarkLogitsProcessor

        return WatermarkLogitsProcessor(
            self.vocabulary, device, self.share, self.bias, self.key, "lefthash", 1
        )
