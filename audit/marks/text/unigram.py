"""Unigram (Zhao et al. 2024): one green list for every place in every text.

Editing a text removes little of it, and somebody who counts the words of many marked texts learns the list. A token that returns says
nothing new: the list is the same.

Formula: G green among m different tokens; over random lists G is hypergeometric (m of V tokens, share · V of them green),
so p = P(G' >= G). For one list in use, the rate of false alarms depends on the language's own words: measure it on human texts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from audit.marks.text.detection import Detection, Tokens, grams, keyed
from audit.marks.text.exact import hypergeometric_tail


@dataclass(frozen=True)
class Unigram:
    """``share`` of the ``vocabulary`` is green and gets ``bias`` added to its logits."""

    key: int
    vocabulary: int
    share: float = 0.5
    bias: float = 2.0
    name: str = field(default="unigram", init=False)

    @cached_property
    def green(self) -> NDArray[np.bool_]:
        """Whether each token is green, shape (vocabulary,)."""
        mask = np.zeros(self.vocabulary, np.bool_)
        mask[keyed("unigram", self.key).permutation(self.vocabulary)[: int(self.vocabulary * self.share)]] = (
            True
        )
        return mask

    def detect(self, tokens: Sequence[Tokens]) -> Detection:
        different = grams(tokens, 1)[:, 0]
        different = different[(different >= 0) & (different < self.vocabulary)]
        m = len(different)
        if not m:
            return Detection.nothing()
        found, marked = int(self.green[different].sum()), int(self.green.sum())
        p, above = (hypergeometric_tail(k, m, marked, self.vocabulary) for k in (found, found + 1))
        return Detection(p, above, m, found / m, marked / self.vocabulary)

    def detect_each(self, texts: Sequence[Sequence[Tokens]]) -> list[Detection]:
        return [self.detect(text) for text in texts]

    def rekeyed(self, key: int) -> Unigram:
        return replace(self, key=key)

    def processor(self, device: str = "cpu") -> Any:
        import torch

        added = torch.as_tensor(self.green, device=device) * self.bias
        return lambda ids, scores: scores + added[: scores.shape[1]]
