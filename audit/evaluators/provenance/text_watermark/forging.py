"""Forged texts: somebody who has seen marked texts, and knows neither key nor scheme, writes others that the detector accepts.

The forger counts which tokens, and which pairs of neighbours, marked texts hold more often than unmarked ones of the same model, and has
the model prefer them (the idea of Jovanović, Staab and Vechev, 2024, with plain counts). A mark that always favours the
same tokens after the same token is learnt this way; one whose choice depends on four tokens is hardly.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from audit.core.recipes import Context, Recipe, Shards
from audit.core.references import ModelRef
from audit.core.rows import Rows
from audit.evaluators.provenance.text_watermark.recipes import VOCABULARY, passages, tokens_of, written
from audit.marks.text.catalogue import TEXT_MARKS
from audit.marks.text.detection import Tokens

_PUSH, _LIMIT, _PRIOR = 3.0, 1.0, 1.0
"""How much a token that seems favoured is preferred, in logits; where a log ratio counts as certain; counts added to each side."""


@dataclass(frozen=True)
class ForgedTokens(Recipe[Rows]):
    """The tokens of ``n`` texts in which the model was made to prefer what ``seen``, marked texts, hold more often than ``plain`` ones."""

    kind: ClassVar[str] = "forged-tokens"
    seen: Recipe[Rows]
    plain: Recipe[Rows]
    model: ModelRef
    n: int
    most: int
    seed: int

    @property
    def label(self) -> str:
        return f"texts forged after {self.seen.label}"

    def make(self, context: Context, seen: Shards[Rows], plain: Shards[Rows]) -> Rows:
        model = context.model(self.model)
        learnt = Learnt(tokens_of(seen), tokens_of(plain), int(model.vocabulary))
        return written(model, learnt.processor, self.n, self.most, context.rng())


@dataclass(frozen=True)
class ForgedDetections(Recipe[Rows]):
    """What the detector, with its own key, says of forged passages of ``length`` tokens: a p-value each."""

    kind: ClassVar[str] = "forged-detections"
    version: ClassVar[int] = 2
    source: Recipe[Rows]
    mark: str
    mark_key: int
    length: int

    @property
    def label(self) -> str:
        return f"detections of {self.source.label}"

    def make(self, context: Context, source: Shards[Rows]) -> Rows:
        import pyarrow as pa

        mark = TEXT_MARKS[self.mark](self.mark_key, source[0].column(VOCABULARY)[0].as_py())
        found = mark.detect_each(passages(tokens_of(source), self.length))
        return pa.table({"p": pa.array([d.p_value for d in found], pa.float64())})


class Learnt:
    """What counting tells a forger: how much likelier tokens, and tokens after a token, are in marked texts."""

    def __init__(self, marked: Sequence[Tokens], plain: Sequence[Tokens], vocabulary: int) -> None:
        self._single = np.zeros(vocabulary)
        for (token,), ratio in _ratios(marked, plain, 1).items():
            if 0 <= token < vocabulary:
                self._single[token] = ratio
        self._after: dict[int, tuple[list[int], list[float]]] = {}
        for (before, token), ratio in _ratios(marked, plain, 2).items():
            if 0 <= token < vocabulary:
                tokens, ratios = self._after.setdefault(before, ([], []))
                tokens.append(token)
                ratios.append(ratio)

    def processor(self, device: str) -> Callable[[Any, Any], Any]:
        import torch

        single = torch.as_tensor(self._single, device=device)

        def prefer(ids: Any, scores: Any) -> Any:
            push = single[: scores.shape[1]].repeat(len(scores), 1)
            for row, before in enumerate(ids[:, -1].tolist()):
                tokens, ratios = self._after.get(before, ([], []))
                if tokens:
                    push[row, tokens] += torch.tensor(ratios, dtype=push.dtype, device=device)
            return scores + (_PUSH * push.clamp(-_LIMIT, _LIMIT)).to(scores.dtype)

        return prefer


def _ratios(marked: Sequence[Tokens], plain: Sequence[Tokens], width: int) -> dict[tuple[int, ...], float]:
    """Return the log of how much more often each n-gram stands in the marked texts than in the others."""
    ours, theirs = (_counts(texts, width) for texts in (marked, plain))
    scale = max(1, theirs.total()) / max(1, ours.total())
    return {
        gram: float(np.log((ours[gram] * scale + _PRIOR) / (theirs[gram] + _PRIOR)))
        for gram in ours.keys() | theirs.keys()
    }


def _counts(texts: Sequence[Tokens], width: int) -> Counter[tuple[int, ...]]:
    found: Counter[tuple[int, ...]] = Counter()
    for text in texts:
        tokens = text.tolist()
        found.update(zip(*(tokens[i:] for i in range(width)), strict=False))
    return found
