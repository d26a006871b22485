"""Texts rewritten by a paraphraser of the user's own, and whether their mark is left."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from audit.core.errors import InputError
from audit.core.recipes import Context, Recipe, Shards
from audit.core.references import ModelRef
from audit.core.rows import TEXT, Rows, text_rows
from audit.evaluators.provenance.survival.pictures import CREDENTIAL, RATE
from audit.evaluators.provenance.text_watermark.recipes import VOCABULARY, tokens_of
from audit.marks.text.catalogue import TEXT_MARKS
from audit.marks.text.detection import Tokens
from audit.recipes.user_function import FunctionRef

PARAPHRASE, FAILED, KEPT = "paraphrase", "failed", "kept"
_MOST = 64
"""Characters that are read of a paraphrase for each token of a passage; no tokenizer needs so many."""


class RefusedError(Exception):
    """The paraphraser gave no texts; the message says what it did instead."""


@dataclass(frozen=True)
class ParaphrasesLeft(Recipe[Rows]):
    """For each passage of ``length`` tokens, rewritten text by text, whether its mark is left, and the share of its words that stood there before.

    Where the paraphraser fails there is one row, with the reason in ``failed``; whatever else is asked of the texts goes on.
    """

    kind: ClassVar[str] = "paraphrases-left"
    source: Recipe[Rows]
    model: ModelRef
    mark: str
    mark_key: int
    length: int
    paraphraser: FunctionRef

    @property
    def label(self) -> str:
        return f"{self.source.label}, rewritten by {self.paraphraser.name}"

    def make(self, context: Context, source: Shards[Rows]) -> Rows:
        written = [text or "" for shard in source for text in shard.column(TEXT).to_pylist()]
        groups = begun_in([len(tokens) for tokens in tokens_of(source)], self.length)
        asked = [i for group in groups for i in group if written[i].strip()]
        if not asked:
            return _table([])
        try:
            texts = rewritten(self.paraphraser, [written[i] for i in asked])
        except RefusedError as refusal:
            return _table([{FAILED: str(refusal)}])
        most = _MOST * self.length
        scores = context.model(self.model).token_scores(text_rows([text[:most] for text in texts]))
        tokens = dict(zip(asked, scores.column("token").to_pylist(), strict=True))
        kept = dict(zip(asked, map(_kept, [written[i] for i in asked], texts), strict=True))
        mark = TEXT_MARKS[self.mark](self.mark_key, source[0].column(VOCABULARY)[0].as_py())
        found = mark.detect_each(
            [cut([np.array(tokens.get(i, ()), np.int64) for i in group], self.length) for group in groups]
        )
        return _table(
            [
                {
                    CREDENTIAL: False,  # nobody passes a sidecar on with other words
                    self.mark: d.p_value <= RATE,
                    KEPT: float(np.mean([kept.get(i, 1.0) for i in group])),
                }
                for d, group in zip(found, groups, strict=True)
            ],
            self.mark,
        )


def rewritten(function: FunctionRef, texts: Sequence[str]) -> list[str]:
    """Return what the user's function makes of texts, one for each. Raise RefusedError where that is not what it gives."""
    try:
        found: Any = function.opened()(list(texts))
    except (InputError, MemoryError):
        raise
    except (Exception, SystemExit) as error:
        said = f"'{function.name}' raised {type(error).__name__}: {str(error)[:300]}"
        raise RefusedError(
            f"{said}. It is asked again once its code changes, were it by a comment"
        ) from error
    if not isinstance(found, (list, tuple)):
        raise RefusedError(f"'{function.name}' returned {type(found).__name__}, not a list of texts")
    if len(found) != len(texts):
        raise RefusedError(f"'{function.name}' returned {len(found)} texts for {len(texts)}")
    if strange := [type(item).__name__ for item in found if not isinstance(item, str)]:
        raise RefusedError(
            f"'{function.name}' returned {strange[0]} for {len(strange)} of {len(texts)} texts"
        )
    for said, bad in (("empty texts", _empty), ("texts that are not Unicode", _broken)):
        if count := sum(map(bad, found)):
            raise RefusedError(f"'{function.name}' returned {said} for {count} of {len(texts)}")
    return list(found)


def begun_in(lengths: Sequence[int], length: int) -> list[list[int]]:
    """Return which texts each passage of ``length`` tokens is made of.

    >>> begun_in([5, 4, 9, 2], 7)
    [[0, 1], [2]]
    """
    groups, current, held = list[list[int]](), list[int](), 0
    for i, own in enumerate(lengths):
        current.append(i)
        held += own
        if held >= length:
            groups.append(current)
            current, held = [], 0
    return groups


def cut(texts: Sequence[Tokens], length: int) -> list[Tokens]:
    """Return the first ``length`` tokens of some texts, or all where there are fewer."""
    left, kept = length, list[Tokens]()
    for text in texts:
        kept.append(text[:left])
        left -= len(kept[-1])
    return kept


def _empty(text: str) -> bool:
    return not text.strip()


def _broken(text: str) -> bool:
    return any(0xD800 <= ord(character) < 0xE000 for character in text)


def _kept(before: str, after: str) -> float:
    """Return the share of a text's words that stood in the text before, in any place."""
    words, known = after.lower().split(), set(before.lower().split())
    return sum(word in known for word in words) / len(words)


def _table(rows: list[dict[str, Any]], *marks: str) -> Rows:
    import pyarrow as pa

    kinds = [(CREDENTIAL, pa.bool_()), *((name, pa.bool_()) for name in marks), (KEPT, pa.float64())]
    return pa.Table.from_pylist(rows, schema=pa.schema([*kinds, (FAILED, pa.string())]))
