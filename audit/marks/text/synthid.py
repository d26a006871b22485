"""SynthID-Text (Dathathri et al., Nature 2024): a tournament between tokens, judged in each round by bits that a key gives them.

It is the mark of ``transformers.SynthIDTextWatermarkLogitsProcessor``, whose bits stand in a table of ``table`` entries drawn by torch's
generator from ``table_seed``. An n-gram's hash counts modulo the table's size: two n-grams with the same rest have the same bits for every key, so
each rest is counted once; a pooled corpus would otherwise seem surprising by itself.

Formula: the sum over rounds l = 1 … depth of weight(l) · (bits that are 1 in round l), with whole weights falling from 10 to 1, over different n-grams.
Without the mark every bit is 1 with the table's own mean; p is the exact tail of that sum.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from audit.marks.text.detection import Detection, Tokens, grams, keyed
from audit.marks.text.exact import weighted_bits_tail
from audit.marks.text.torch_numbers import bits

_MULTIPLIER, _INCREMENT = np.uint64(6364136223846793005), np.uint64(1)
_MOST_GRAMS = 60_000


@lru_cache(maxsize=4)
def _table(seed: int, size: int) -> NDArray[np.uint8]:
    return bits(seed, size)


@lru_cache(maxsize=4)
def _mean(seed: int, size: int) -> float:
    return float(_table(seed, size).mean())


@dataclass(frozen=True)
class SynthID:
    """``depth`` rounds over n-grams of ``ngram`` tokens; their keys are drawn from ``key``, or given as ``keys``."""

    key: int
    vocabulary: int
    depth: int = 30
    ngram: int = 5
    table_size: int = 1 << 20
    table_seed: int = 0
    keys: tuple[int, ...] = ()
    name: str = field(default="synthid", init=False)

    @cached_property
    def round_keys(self) -> tuple[int, ...]:
        return self.keys or tuple(keyed("synthid", self.key).integers(1, 1 << 32, self.depth).tolist())

    @cached_property
    def weights(self) -> NDArray[np.int64]:
        return np.rint(np.linspace(10, 1, len(self.round_keys))).astype(np.int64)

    def bits_of(self, found: Tokens) -> NDArray[np.uint8]:
        """Return the bits of n-grams in every round, shape (n, depth)."""
        return self._bits(_hashed(found))

    def _bits(self, hashes: NDArray[np.uint64]) -> NDArray[np.uint8]:
        table = _table(self.table_seed, self.table_size)
        keys = np.array(self.round_keys, np.uint64)
        with np.errstate(over="ignore"):
            places = (hashes[:, None] + keys) * _MULTIPLIER + _INCREMENT
        return table[_rest(places, self.table_size)]

    def detect(self, tokens: Sequence[Tokens]) -> Detection:
        hashes = _hashed(grams(tokens, self.ngram))
        if not len(hashes):
            return Detection.nothing()
        _, first = np.unique(_rest(hashes, self.table_size), return_index=True)
        hashes = hashes[np.sort(first)][:_MOST_GRAMS]
        mean, n = _mean(self.table_seed, self.table_size), len(hashes)
        score = int((self._bits(hashes).sum(axis=0, dtype=np.int64) * self.weights).sum())
        p, above = weighted_bits_tail(score, n, mean, self.weights)
        return Detection(p, above, n, score / (n * int(self.weights.sum())), mean)

    def detect_each(self, texts: Sequence[Sequence[Tokens]]) -> list[Detection]:
        return [self.detect(text) for text in texts]

    def rekeyed(self, key: int) -> SynthID:
        return replace(self, key=key, keys=())

    def processor(self, device: str = "cpu") -> Any:
        import torch
        from transformers import SynthIDTextWatermarkLogitsProcessor

        return SynthIDTextWatermarkLogitsProcessor(
            ngram_len=self.ngram,
            keys=list(self.round_keys),
            sampling_table_size=self.table_size,
            sampling_table_seed=self.table_seed,
            context_history_size=1024,
            device=torch.device(device),
        )


def _hashed(found: Tokens) -> NDArray[np.uint64]:
    state = np.ones(len(found), np.uint64)
    with np.errstate(over="ignore"):
        for column in found.T:
            state = (state + column.astype(np.uint64)) * _MULTIPLIER + _INCREMENT
    return state


def _rest(values: NDArray[np.uint64], size: int) -> NDArray[np.int64]:
    """Return values modulo a table's size as torch does it: of signed numbers, and never negative."""
    if size & (size - 1) == 0:
        return np.asarray(values & np.uint64(size - 1), np.int64)
    return np.asarray(np.mod(values.view(np.int64), size))
