"""A dataset of words: two splits that share nothing."""

from __future__ import annotations

from typing import Any

from audit.core.errors import InputError, nearest
from audit.core.identity import canonical, digest_of
from audit.core.references import DataRef
from audit.core.rows import Rows, text_rows
from audit.core.subjects import DataCard

_WORDS = {"train": ("audit", "model", "vowel", "letter"), "holdout": ("share", "sample", "measure")}


class Letters:
    """Seven words."""

    @classmethod
    def refer(cls, options: dict[str, Any]) -> DataRef:
        for option in options:
            raise InputError(f"There is no option '{option}'. {nearest(option, [])}")
        return DataRef("letters", digest_of(canonical(_WORDS)))

    @classmethod
    def describe(cls, ref: DataRef) -> DataCard:
        return DataCard("text", tuple((split, len(words)) for split, words in _WORDS.items()))

    @classmethod
    def load(cls, ref: DataRef, split: str) -> Rows:
        if split not in _WORDS:
            raise InputError(f"There is no split '{split}'. {nearest(split, _WORDS)}")
        return text_rows(_WORDS[split])
