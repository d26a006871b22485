"""Distinct n-grams at equal size, and n-grams that repeat within a text.

Texts are the units of every interval: n-grams of one text are not independent. The number of different n-grams grows with how many are
counted, so two samples compare at one number of them: that expected among B drawn from all without replacement (Hurlbert 1971).
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from audit.core.errors import UndefinedError
from audit.core.measurements import Interval

Floats = NDArray[np.float64]

GROUPS = 20

_TOKEN = re.compile(r"\w+|[^\w\s]")


@dataclass(frozen=True, slots=True)
class Grams:
    """The n-grams of some texts: ``owner`` says which text each is of, ``gram`` which n-gram it is (a 64-bit digest).

    ``repeated`` is, for each text, the share of its longer n-grams that came in it before, NaN where it has none.
    Laws: merging parts equals the whole; merging is associative.
    """

    owner: NDArray[np.int64]
    gram: NDArray[np.uint64]
    repeated: Floats

    @classmethod
    def of(cls, batch: tuple[Sequence[str], int, int]) -> Grams:
        """Take (texts, n of the n-grams that are counted, n of those whose repetition is)."""
        texts, n, longer = batch
        owners, grams, repeated = [np.empty(0, np.int64)], [np.empty(0, np.uint64)], []
        for place, text in enumerate(texts):
            tokens = _TOKEN.findall(text.lower())
            found = _digests(tokens, n)
            owners.append(np.full(len(found), place, np.int64))
            grams.append(found)
            long = _digests(tokens, longer)
            repeated.append(1 - len(np.unique(long)) / len(long) if len(long) else math.nan)
        return cls(np.concatenate(owners), np.concatenate(grams), np.array(repeated, dtype=np.float64))

    def merge(self, more: Grams) -> Grams:
        return Grams(
            np.concatenate([self.owner, more.owner + len(self.repeated)]),
            np.concatenate([self.gram, more.gram]),
            np.concatenate([self.repeated, more.repeated]),
        )

    @property
    def texts(self) -> int:
        return len(self.repeated)


def _digests(tokens: Sequence[str], n: int) -> NDArray[np.uint64]:
    joined = ("\x1f".join(tokens[i : i + n]).encode() for i in range(len(tokens) - n + 1))
    digests = b"".join(hashlib.blake2b(gram, digest_size=8).digest() for gram in joined)
    return np.frombuffer(digests, dtype="<u8").astype(np.uint64)


def rarefied(counts: NDArray[np.int64], size: int) -> float:
    """Return how many kinds are expected among ``size`` drawn without replacement; ``counts`` says how often each occurs.

    >>> round(rarefied(np.array([1, 1, 2]), 4), 9), round(rarefied(np.array([5, 5]), 1), 9)
    (3.0, 1.0)
    """
    from scipy import special

    total = int(counts.sum())
    if not 0 < size <= total:
        raise UndefinedError(f"{size} cannot be drawn from {total}")
    left = total - counts
    never = np.where(
        left >= size,
        special.gammaln(left + 1.0)
        - special.gammaln(np.maximum(left - size, 0) + 1.0)
        - special.gammaln(total + 1.0)
        + special.gammaln(total - size + 1.0),
        -np.inf,
    )
    return float(-np.expm1(never).sum())


@dataclass(frozen=True, slots=True)
class DistinctRatio:
    """Distinct n-grams of samples over those of real texts, at ``size`` n-grams a side, with the error of its logarithm."""

    value: float
    log_error: float
    ours: float
    theirs: float
    size: int

    def interval(self, level: float = 0.95) -> Interval:
        from scipy import special

        reach = math.exp(float(special.stdtrit(GROUPS - 1, (1 + level) / 2)) * self.log_error)
        return Interval(
            self.value / reach,
            self.value * reach,
            level,
            f"jackknife over {GROUPS} groups of texts, log scale",
        )


def distinct_ratio(ours: Grams, theirs: Grams, rng: np.random.Generator) -> DistinctRatio:
    """Return the ratio at nine tenths of the smaller number of n-grams, so that as many are left without any group of texts.

    Covers .95 to .99 at 60 texts a side of a few dozen words with Zipf's frequencies; halves in place of groups covered .85, for what is counted
    among fewer varies otherwise. Raise UndefinedError below twenty texts a side, or without n-grams.
    """
    if min(ours.texts, theirs.texts) < GROUPS:
        raise UndefinedError(f"it takes twenty texts a side; there are {ours.texts} and {theirs.texts}")
    if min(len(ours.gram), len(theirs.gram)) < 100:
        raise UndefinedError("the texts are too short to count n-grams in them")
    grouped = [_by_group(side, rng) for side in (ours, theirs)]
    left = min(int((side.sum() - side.sum(axis=1)).min()) for side in grouped)
    size = min(left, int(0.9 * min(side.sum() for side in grouped)))
    if size < 1:
        raise UndefinedError(
            "one group of texts has nearly all n-grams, so there is nothing to compare without it"
        )
    (a, first), (b, second) = (_jackknifed(side, size) for side in grouped)
    return DistinctRatio(a / b, math.hypot(first, second), a, b, size)


def _by_group(side: Grams, rng: np.random.Generator) -> NDArray[np.int64]:
    """Return how often each n-gram occurs in each of twenty random groups of texts, shape (groups, kinds)."""
    group = rng.permutation(side.texts) % GROUPS
    kinds, code = np.unique(side.gram, return_inverse=True)
    cells = group[side.owner] * len(kinds) + code
    return np.bincount(cells, minlength=GROUPS * len(kinds)).reshape(GROUPS, len(kinds))


def _jackknifed(counts: NDArray[np.int64], size: int) -> tuple[float, float]:
    """Return the distinct n-grams expected among ``size``, and the standard error of the logarithm."""
    whole = counts.sum(axis=0)
    without = np.array([math.log(rarefied((rest := whole - group)[rest > 0], size)) for group in counts])
    spread = (GROUPS - 1) / GROUPS * float(np.square(without - without.mean()).sum())
    return rarefied(whole, size), math.sqrt(spread)


@dataclass(frozen=True, slots=True)
class Overlap:
    """The mean similarity of two different texts of one set, with its standard error over ``texts`` texts."""

    value: float
    error: float
    texts: int


def mean_overlap(grams: Grams) -> Overlap:
    """Return the mean cosine between the n-gram sets of two different texts: what share of their wording two texts have in common.

    ``U = (|sum v|^2 - sum |v|^2) / (n (n - 1))`` over vectors v of length 1 with equal entries for the n-grams that a text
    has: 1 where all texts are the same, 0 where no two share an n-gram. Error of a U-statistic: twice the spread of the texts'
    own means. Texts without an n-gram are left out. Raises UndefinedError below twenty texts that have one.
    """
    kinds, gram = np.unique(grams.gram, return_inverse=True)
    pairs = np.unique(grams.owner * len(kinds) + gram)
    owners, owner, sizes = np.unique(pairs // max(len(kinds), 1), return_inverse=True, return_counts=True)
    n = len(owners)
    if n < GROUPS:
        raise UndefinedError(f"{n} texts have n-grams; it takes {GROUPS}")
    gram = pairs % len(kinds)
    entry = 1 / np.sqrt(sizes[owner])
    whole = np.bincount(gram, weights=entry)
    own = (np.bincount(owner, weights=entry * whole[gram], minlength=n) - 1) / (n - 1)
    return Overlap(float(own.mean()), 2 * float(own.std(ddof=1)) / math.sqrt(n), n)
