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
from itertools import groupby
from typing import Any

import numpy as np
from numpy.typing import NDArray

from audit.marks.text.detection import Detection, Tokens, grams
from audit.marks.text.exact import binomial_tail
from audit.marks.text.torch_numbers import Shuffles

_MOST_ANSWERS = 2_000_000
_MANY = 5_000
"""Draws for more questions than these at once are not kept: each is asked all that it will be asked."""
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


@dataclass(frozen=True)
class KGW:
    """``key`` is the hashing key, ``vocabulary`` the width of the model's output, ``share`` the green one, ``bias`` in logits."""

    key: int
    vocabulary: int
    share: float = 0.25
    bias: float = 2.0
    name: str = field(default="kgw", init=False)

    @property
    def green(self) -> int:
        return int(self.vocabulary * self.share)

    def detect(self, tokens: Sequence[Tokens]) -> Detection:
        return self.detect_each([tokens])[0]

    def detect_each(self, texts: Sequence[Sequence[Tokens]]) -> list[Detection]:
        """Test each text by itself; what all of them ask after one token is answered by one draw of its list."""
        asked = [self._pairs(text) for text in texts]
        green = self.is_green(np.concatenate([np.empty((0, 2), np.int64), *asked]))
        ends = np.cumsum([len(pairs) for pairs in asked], dtype=np.int64)
        return [self._judged(own) for own in np.split(green, ends[:-1])] if asked else []

    def _pairs(self, text: Sequence[Tokens]) -> Tokens:
        pairs = grams(text, 2)
        return pairs[((pairs >= 0) & (pairs < self.vocabulary)).all(axis=1) & (pairs[:, 0] > 0)]

    def _judged(self, green: NDArray[np.bool_]) -> Detection:
        if not len(green):
            return Detection.nothing()
        n, found = len(green), int(green.sum())
        share = self.green / self.vocabulary
        p, above = (binomial_tail(k, n, share) for k in (found, found + 1))
        return Detection(p, above, n, found / n, share)

    def is_green(self, pairs: Tokens) -> NDArray[np.bool_]:
        """Say of each (token before, token) whether the token is green there; shape (n,)."""
        codes = (pairs[:, 0] * self.vocabulary + pairs[:, 1]).tolist()
        known, size = self._answers, self.vocabulary
        if len(known) > _MOST_ANSWERS:
            known.clear()
        new = sorted(set(codes).difference(known))  # those after one token follow each other
        for before, group in groupby(new, lambda code: code // size):
            own = list(group)
            seed = self.key * before % (2**64 - 1)
            holds = self._shuffles.hold(seed, [code % size for code in own], len(new) < _MANY)
            known.update(zip(own, holds, strict=True))
        return np.fromiter(map(known.__getitem__, codes), np.bool_, len(codes))

    @cached_property
    def _shuffles(self) -> Shuffles:
        return Shuffles(self.vocabulary, self.green)

    @cached_property
    def _answers(self) -> dict[int, bool]:
        return {}

    def rekeyed(self, key: int) -> KGW:
        return replace(self, key=key)

    def processor(self, device: str = "cpu") -> Any:
        from transformers import WatermarkLogitsProcessor

        return WatermarkLogitsProcessor(
            self.vocabulary, device, self.share, self.bias, self.key, "lefthash", 1
        )
