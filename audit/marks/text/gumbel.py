"""Gumbel sampling (Aaronson 2022): the key and the tokens before give every token a number, and the largest log(r) / p is taken.

Averaged over keys, each text is as likely as without a mark; but one prompt and one key give one text, again and again.

Formula: S = sum of -log(1 - r) over T different n-grams is Gamma(T, 1) without the mark, so p = P(Gamma(T, 1) >= S).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from audit.marks.text.detection import Detection, Tokens, grams, mixed
from audit.marks.text.exact import gamma_tail


@dataclass(frozen=True)
class Gumbel:
    """``context`` tokens before a token decide its number; the sampler draws at the model's own ``temperature`` of 1."""

    key: int
    vocabulary: int
    context: int = 4
    name: str = field(default="gumbel", init=False)

    def numbers(self, contexts: Tokens, tokens: Tokens) -> NDArray[np.float64]:
        """Return a number in (0, 1) for each token after its context; shapes (n, context), broadcast with (n,) or (n, v)."""
        state = mixed(np.full(len(contexts), self.key & (2**64 - 1), np.uint64))
        for column in contexts.T:
            state = mixed(state ^ column.astype(np.uint64))
        if tokens.ndim == 2:
            state = state[:, None]
        drawn = mixed(state ^ mixed(tokens.astype(np.uint64)))
        return np.asarray(((drawn >> np.uint64(11)).astype(np.float64) + 0.5) * 2.0**-53)

    def detect(self, tokens: Sequence[Tokens]) -> Detection:
        found = grams(tokens, self.context + 1)
        n = len(found)
        if not n:
            return Detection.nothing()
        total = float(-np.log1p(-self.numbers(found[:, :-1], found[:, -1])).sum())
        p = gamma_tail(total, n)
        return Detection(p, p, n, total / n, 1.0)

    def detect_each(self, texts: Sequence[Sequence[Tokens]]) -> list[Detection]:
        return [self.detect(text) for text in texts]

    def rekeyed(self, key: int) -> Gumbel:
        return replace(self, key=key)

    def processor(self, device: str = "cpu") -> Any:
        import torch

        def choose(ids: Any, scores: Any) -> Any:
            if ids.shape[1] < self.context:
                return scores
            contexts = ids[:, -self.context :].cpu().numpy()
            r = self.numbers(contexts, np.arange(scores.shape[1])[None, :])
            noise = torch.as_tensor(-np.log(-np.log(r)), device=scores.device)
            best = (torch.log_softmax(scores.double(), 1) + noise).argmax(1, keepdim=True)
            return torch.full_like(scores, float("-inf")).scatter_(1, best, 0.0)

        return choose
