"""How much memory a batch of a language model takes, tried on an eighth of one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np

from audit.core.rows import PREFIX, Rng, Rows, text_rows
from audit.models.lm.sampling import BATCH
from audit.models.lm.scores import TOKENS

_EIGHTH = 8
_WORDS = [
    "the",
    "a",
    "of",
    "to",
    "and",
    "in",
    "is",
    "it",
    "that",
    "was",
    "for",
    "on",
    "as",
    "with",
    "at",
    "by",
    "an",
    "be",
    "this",
    "from",
]


class _Model(Protocol):
    batch_scale: float

    def sample(self, n: int, rng: Rng, condition: Rows | None = None) -> Rows: ...
    def token_scores(self, rows: Rows) -> Rows: ...


def bytes_at_once(model: _Model, peak: Callable[[Callable[[], Any]], int]) -> int:
    """Return the bytes that a usual batch takes beside the weights: the most of scoring texts and of continuing prompts.

    ``peak`` says how many bytes a call takes at most. Prompts are of a few words: much longer ones take more, and then the
    batch is halved. The model's ``batch_scale`` is as it was afterwards.
    """
    rng = np.random.default_rng(0)
    length = TOKENS // _EIGHTH // 4
    texts = [" ".join(rng.choice(_WORDS, length)) for _ in range(4)]  # a word is a token or more
    some = BATCH // _EIGHTH
    prompts = text_rows([""] * some, **{PREFIX: ["the people of the city"] * some})
    before, model.batch_scale = model.batch_scale, 1 / _EIGHTH
    try:
        scoring = peak(lambda: model.token_scores(text_rows(texts)))
        writing = peak(lambda: model.sample(some, rng, prompts))
    finally:
        model.batch_scale = before
    return max(scoring, writing) * _EIGHTH
