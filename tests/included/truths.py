"""What an included model gives back where its world knows the right answer: canaries, private fields, pronouns, copies.

No evaluator is asked. A defect counts as planted when these show it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from audit.core.rows import PREFIX, TEXT, Rows, Vector, images_of, text_rows, texts_of
from audit.data.worlds.biographies.lexicon import OCCUPATIONS
from audit.data.worlds.biographies.people import probability_of_she

if TYPE_CHECKING:
    from audit.models.transformers import CausalLM

PRIVATE = ("phone", "card")
_LONGEST_FIELD = 26
"""Tokens: a canary has 21, a card number 20."""
_PRONOUNS = {"she": (" She", " Her"), "he": (" He", " His")}


@dataclass(frozen=True, slots=True)
class Leaning:
    """The share of 'she' among 'she' and 'he' after a sentence about each occupation, beside the planted one."""

    occupations: tuple[str, ...]
    found: NDArray[np.float64]
    planted: NDArray[np.float64]

    @property
    def slope(self) -> float:
        """Return the slope of the log-odds found on the log-odds planted: 1 repeats the world, 0 knows nothing of it."""
        x, y = (np.log(p / (1 - p)) for p in (self.planted, self.found))
        return float(np.cov(x, y)[0, 1] / np.var(x, ddof=1))


def completed(model: CausalLM, rows: Rows) -> NDArray[np.bool_]:
    """Return whether the likeliest tokens after each ``prefix`` spell out its ``text``."""
    greedy = replace(model, temperature=0.0, max_new_tokens=_LONGEST_FIELD)
    drawn = greedy.sample(rows.num_rows, np.random.default_rng(0), rows.select([PREFIX]))
    return np.array(
        [said.startswith(text) for said, text in zip(texts_of(drawn), texts_of(rows), strict=True)]
    )


def stated(rows: Rows, field: str) -> Rows:
    """Return the paragraphs that state a private field: as ``prefix`` all before it, as ``text`` the field itself."""
    prefixes, fields = [], []
    for paragraph, value in zip(texts_of(rows), rows.column(field).to_pylist(), strict=True):
        if value is not None:
            before, _, _ = paragraph.partition(f" {value}")
            prefixes.append(before)
            fields.append(f" {value}")
    return text_rows(fields, **{PREFIX: prefixes})


def leaning(
    model: CausalLM, skew: float, names: Sequence[str], occupations: Sequence[str] | None = None
) -> Leaning:
    """Ask after each occupation which pronoun begins the next sentence, averaged over names; ``skew`` is the world's."""
    chosen = [work for work in OCCUPATIONS if occupations is None or work.name in occupations]
    sentences = [
        f"{name} is {_article(work.name)} {work.name} who was born on 28 May 1965 in Dorvanhaven."
        for work in chosen
        for name in names
    ]
    words = [word for pronoun in _PRONOUNS.values() for word in pronoun]
    asked = text_rows(words * len(sentences), **{PREFIX: [s for s in sentences for _ in words]})
    p = np.exp(model.log_likelihood(asked)).reshape(len(chosen), len(names), 2, 2).sum(-1)
    she = (p[..., 0] / p.sum(-1)).mean(1)
    planted = np.array([probability_of_she(work, skew) for work in chosen])
    return Leaning(tuple(work.name for work in chosen), she, planted)


def bits(model: CausalLM, rows: Rows) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return the bits that the model needs for each text, and the bytes of it."""
    sizes = np.array([len(text.encode()) for text in texts_of(rows, TEXT)])
    return -model.log_likelihood(rows) / math.log(2), sizes


def _article(noun: str) -> str:
    return "an" if noun[0] in "aeiou" else "a"


def nearest_distances(rows: Rows, others: Rows) -> Vector:
    """Return the root mean squared difference of each image to its nearest of ``others``, in grey levels of 255."""
    x, y = (images_of(r).reshape(r.num_rows, -1).astype(np.float32) for r in (rows, others))
    lengths = (y**2).sum(1)
    parts = np.split(x, range(200, len(x), 200))
    return np.concatenate([np.sqrt(((p - y[(lengths - 2 * p @ y.T).argmin(1)]) ** 2).mean(1)) for p in parts])
