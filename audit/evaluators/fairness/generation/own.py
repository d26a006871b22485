"""The prompts of this package, and the words by which continuations are screened."""

from __future__ import annotations

import re
import tomllib
from functools import cache
from importlib import resources
from typing import Any

from audit.core.artifacts import Given
from audit.core.rows import PREFIX
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
