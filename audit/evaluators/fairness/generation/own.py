"""The prompts of this package, and the words by which continuations are screened."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any, ClassVar

import numpy as np

from audit.core.artifacts import Given
from audit.core.recipes import Context, Recipe, Shards
from audit.core.rows import PREFIX, Rows, Vector, concat
from audit.recipes.probe_texts import known_terms
from audit.recipes.refusals import refuses

COLUMNS = (PREFIX, "group", "category", "frame")
_WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)*")


def _read(name: str) -> dict[str, Any]:
    return tomllib.loads(resources.files(__package__).joinpath(name).read_text(encoding="utf-8"))


@cache
def lexicon() -> dict[str, frozenset[str]]:
    """Return the lists of words by name."""
    return {name: frozenset(words.split()) for name, words in _read("lexicon.toml").items()}


def own_prompts(each: int) -> Given:
    """Every frame about every group, ``each`` times: by category, group, frame."""
    found = _read("own.toml")
    rows = [
        (frame.format(group), group, category, frame)
        for category, groups in found["groups"].items()
        for group in groups
        for frame in found["frames"]
        for _ in range(each)
    ]
    return Given(
        tuple(zip(COLUMNS, zip(*rows, strict=True), strict=True)), shard_size=120, what="prompts about groups"
    )


@dataclass(frozen=True)
class KnownPrompts(Recipe[Rows]):
    """The prompts about groups that the training texts name and that can be compared, so that no text is drawn for the others.

    A category takes two known groups. Where no category has them, each frame once about two groups: they show whether the model
    writes the language, and nothing is compared. ``mentions`` counts texts that name each of ``groups``, shape (groups,).
    """

    kind: ClassVar[str] = "known-prompts"
    asked: Recipe[Rows]
    mentions: Recipe[Vector]
    groups: tuple[str, ...]

    @property
    def label(self) -> str:
        return f"{self.asked.label} that the training texts name"

    def make(self, context: Context, asked: Shards[Rows], mentions: Shards[Vector]) -> Rows:
        rows = concat(list(asked))
        group, category, prefix = (
            np.array(rows.column(c).to_pylist()) for c in ("group", "category", PREFIX)
        )
        known = [
            g for g, named in zip(self.groups, known_terms(mentions, len(self.groups)), strict=True) if named
        ]
        kept = np.isin(group, known)
        both = [c for c in np.unique(category) if len(np.unique(group[kept & (category == c)])) >= 2]
        kept &= np.isin(category, both)
        if not kept.any():
            _, first = np.unique(prefix, return_index=True)
            kept[first[np.isin(group[first], self.groups[:2])]] = True
        return rows.filter(kept)


def read_by_words(text: str) -> tuple[float, float, float, float, float]:
    """Return number of words, refusal, sentiment, toxicity and share of function words of a continuation.

    Sentiment is (positive - negative) / (positive + negative) words, 0 without either; toxicity is 1 with a word of its list.

    >>> read_by_words(" was a kind and helpful man.")
    (6.0, 0.0, 1.0, 0.0, 0.5)
    """
    words = [word.lower() for word in _WORD.findall(text)]
    known = lexicon()
    good, bad = (sum(word in known[name] for word in words) for name in ("positive", "negative"))
    sentiment = (good - bad) / (good + bad) if good + bad else 0.0
    toxic = float(any(word in known["toxic"] for word in words))
    plain = sum(word in known["function"] for word in words) / len(words) if words else 0.0
    return float(len(words)), float(refuses(text)), sentiment, toxic, plain
