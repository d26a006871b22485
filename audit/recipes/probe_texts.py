"""What evaluators that ask a language model about given sentences share: sums of token scores, and what shows that it understands.

A probability that a model gives to a sentence says something about the model only if the model knows the language and
the words. Two things are asked first: is a text likelier than the same words in another order, and do the training texts,
where they are known, name what is asked about?
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from audit.core.measurements import Interval
from audit.core.recipes import Context, Recipe, Shards
from audit.core.rows import Rows, Vector, concat, texts_of
from audit.core.subjects import Subject
from audit.stats.proportions import clopper_pearson

Floats = NDArray[np.float64]

LEAST_ORDERED = 0.9
"""The share of texts that a model has to find likelier than the same words in another order."""
LEAST_MENTIONS = 5
"""A known term is named in so many of the training texts."""
_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")
_ENDS = ".,;:!?\"'”’)"


def text_sums(scores: Sequence[Rows]) -> tuple[Floats, NDArray[np.int64]]:
    """Return the log-probability of each whole text and its number of tokens, shapes (texts,).

    Raise ValueError for a text without a token, or with a score that is not finite.
    """
    import pyarrow.compute as pc

    sums, counts = [], []
    for shard in scores:
        lists = shard.column("logp").combine_chunks()
        lengths = pc.fill_null(pc.list_value_length(lists), 0).to_numpy(zero_copy_only=False)
        if (lengths == 0).any():
            raise ValueError("the token scores holds no token for one of the texts that were asked about")
        flat = np.asarray(pc.list_flatten(lists).to_numpy(zero_copy_only=False), dtype=np.float64)
        sums.append(np.add.reduceat(flat, np.concatenate([[0], np.cumsum(lengths)[:-1]])))
        counts.append(np.asarray(lengths, np.int64))
    logp = np.concatenate(sums)
    if not np.isfinite(logp).all():
        raise ValueError(f"the token scores is not finite for {int((~np.isfinite(logp)).sum())} texts")
    return logp, np.concatenate(counts)


def disordered(text: str) -> str:
    """Return the words of a text in reverse order, with its leading space and its full stop where they were.

    >>> disordered(" sat on the mat.")
    ' mat the on sat.'
    """
    body = text.strip()
    end = body[len(body.rstrip(_ENDS)) :]
    words = body[: len(body) - len(end)].split()
    lead = text[: len(text) - len(text.lstrip())]
    return f"{lead}{' '.join(reversed(words))}{end}"


@dataclass(frozen=True, slots=True)
class Competence:
    """In which share of places the right text was the likelier, with its interval; ``reason`` says why that is too few."""

    share: float
    interval: Interval
    n: int
    reason: str


def competence(right: Floats, wrong: Floats, least: float = LEAST_ORDERED) -> Competence | None:
    """Compare texts with the same words in another order, log-probabilities of shape (n,); None where there are none."""
    if right.size == 0:
        return None
    hits, n = int((right > wrong).sum()), int(right.size)
    share, reason = hits / n, ""
    if share < least:
        reason = (
            f"the model finds {share:.0%} of {n} texts likelier than the same words in reverse; below {least:.0%} it does not "
            "know the language that it is asked in, so its preferences say nothing"
        )
    return Competence(share, clopper_pearson(hits, n), n, reason)


@dataclass(frozen=True)
class Named(Recipe[Vector]):
    """How many texts of ``texts`` hold each term as words of their own, whatever their case, shape (terms,).

    The terms are the different values of the columns ``columns`` of ``asked``, as ``terms_of`` lists them.
    """

    kind: ClassVar[str] = "named-terms"
    along: ClassVar[tuple[str, ...]] = ("texts",)
    texts: Recipe[Rows]
    asked: Recipe[Rows]
    columns: tuple[str, ...]

    @property
    def label(self) -> str:
        return f"terms of {self.asked.label} in {self.texts.label}"

    def examples(self, shard: int) -> int:
        return self.texts.examples(shard)

    def make(self, context: Context, texts: Rows, asked: Shards[Rows]) -> Vector:
        terms = terms_of(concat(list(asked)), self.columns)
        return texts_naming([text or "" for text in texts_of(texts)], terms)


def terms_of(asked: Rows, columns: Sequence[str]) -> list[str]:
    """Return the different values of some columns, in the order in which they first occur."""
    return list(dict.fromkeys(str(v) for name in columns for v in asked.column(name).to_pylist() if v))


def known_training(subject: Subject) -> bool:
    """Say whether the texts that this model learnt from are those of the split ``train``."""
    return "train" in subject.splits and subject.card.trained_on == subject.data


def texts_naming(texts: Iterable[str], terms: Sequence[str]) -> Vector:
    """Return how many texts name each term, as whole words in this order.

    >>> texts_naming(["An old man.", "A man, old."], ["old man", "man", "an"]).tolist()
    [1.0, 2.0, 1.0]
    """
    wanted: dict[tuple[str, ...], list[int]] = {}
    for place, term in enumerate(terms):
        wanted.setdefault(tuple(_WORD.findall(term.lower())), []).append(place)
    lengths = sorted({len(words) for words in wanted if words})
    counts = np.zeros(len(terms))
    for text in texts:
        words = _WORD.findall(text.lower())
        seen = {
            found
            for length in lengths
            for start in range(len(words) - length + 1)
            if (found := tuple(words[start : start + length])) in wanted
        }
        for found in seen:
            counts[wanted[found]] += 1
    return counts


def known_terms(mentions: Shards[Vector] | None, terms: int) -> NDArray[np.bool_]:
    """Return which terms the training texts name often enough: all of them where the training texts are not known."""
    if mentions is None:
        return np.ones(terms, dtype=np.bool_)
    return np.asarray(np.sum(list(mentions), axis=0) >= LEAST_MENTIONS)
