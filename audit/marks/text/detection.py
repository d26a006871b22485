"""What a detector says of a text, and which tokens it may count."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

Tokens = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Detection:
    """The chance that a text without this mark scores as high (``p_value``), and how much of the text was counted.

    ``above`` is the chance that it scores higher: with a uniform number u, above + u (p_value - above) is uniform
    without the mark although scores are whole numbers.
    ``score`` is the statistic and ``expected`` its mean without the mark; ``scored`` counts what is independent of
    each other: each n-gram once.
    """

    p_value: float
    above: float
    scored: int
    score: float
    expected: float

    @classmethod
    def nothing(cls) -> Detection:
        """Return what can be said of a text that is too short to be scored: nothing."""
        return cls(1.0, 0.0, 0, 0.0, 0.0)


class TextMark(Protocol):
    """A watermark in the choice of tokens, with its key."""

    @property
    def name(self) -> str: ...

    def detect(self, tokens: Sequence[Tokens]) -> Detection:
        """Test whether these passages were written with this key; n-grams that return in any of them count once."""
        ...

    def detect_each(self, texts: Sequence[Sequence[Tokens]]) -> list[Detection]:
        """Test each text by itself; many at once may take less time than one after another."""
        ...

    def rekeyed(self, key: int) -> TextMark:
        """Return the same mark with another key."""
        ...

    def processor(self, device: str = "cpu") -> Any:
        """Return ``f(input_ids, scores) -> scores`` for a sampler, both tensors, a row per text. Imports torch."""
        ...


def grams(passages: Sequence[ArrayLike], width: int) -> Tokens:
    """Return each different n-gram of the passages once, shape (n, width); none reaches across passages."""
    parts = []
    for passage in passages:
        tokens = np.asarray(passage, np.int64)
        if len(tokens) >= width:
            parts.append(np.lib.stride_tricks.sliding_window_view(tokens, width))
    if not parts:
        return np.empty((0, width), np.int64)
    return distinct(np.concatenate(parts))


def distinct(rows: Tokens) -> Tokens:
    """Return each different row once, in the order of a hash that takes two of 2**61 rows for one another."""
    if rows.shape[1] == 1:
        return np.unique(rows, axis=0)
    folded = rows[:, 0].astype(np.uint64)
    with np.errstate(over="ignore"):
        for column in rows.T[1:]:
            folded = mixed(folded) + column.astype(np.uint64)
    _, first = np.unique(mixed(folded), return_index=True)
    return np.asarray(rows[first])


def mixed(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Scramble 64-bit numbers one to one (the finaliser of SplitMix64, Steele et al. 2014)."""
    with np.errstate(over="ignore"):
        z = values + np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return np.asarray(z ^ (z >> np.uint64(31)))


def keyed(name: str, key: int) -> np.random.Generator:
    """Return random numbers that belong to a key and a purpose."""
    digest = hashlib.blake2b(f"{name}/{key}".encode(), digest_size=16).digest()
    return np.random.Generator(np.random.PCG64(int.from_bytes(digest, "big")))
