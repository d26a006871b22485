"""Looks on while a model writes with a mark: how likely each token was without it, how open the choice was, how far the mark moved it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]
SEEN = ("surprisal", "entropy", "divergence")


@dataclass
class Recorder:
    """Stands for a mark's processor, and keeps what passes. A sampler asks for a processor once a batch.

    A token's surprisal is known when the sampler asks for the next one, so the last token of a text may have none.
    """

    processor: Callable[[str], Any]
    _batches: list[_Batch] = field(default_factory=list)

    def __call__(self, device: str) -> Any:
        inner, batch = self.processor(device), _Batch()
        self._batches.append(batch)

        def watched(ids: Any, scores: Any) -> Any:
            changed = inner(ids, scores)
            batch.see(ids, scores, changed)
            return changed

        return watched

    def of(self, texts: Sequence[Sequence[int]]) -> dict[str, list[list[float]]]:
        """Return what was seen of each text's tokens, in nats; nothing of a text drawn in another order.

        ``surprisal`` is that of the token under the model without the mark, ``entropy`` that of the model's own choice, ``divergence``
        (Kullback-Leibler) how far the choice with the mark is from it.
        """
        rows = [row for batch in self._batches for row in batch.rows()]
        found: dict[str, list[list[float]]] = {name: [] for name in SEEN}
        for i, text in enumerate(texts):
            tokens, values = rows[i] if i < len(rows) else ([], {})
            known = min(len(text), len(tokens))
            matches = list(text[:known]) == tokens[:known]
            for name, column in found.items():
                column.append(values[name][:known] if matches and values else [])
        return found


class _Batch:
    """What passed in one batch of texts."""

    def __init__(self) -> None:
        self._before: Any = None
        self._seen: dict[str, list[Values]] = {name: [] for name in SEEN}
        self._tokens: list[NDArray[np.int64]] = []

    def see(self, ids: Any, scores: Any, changed: Any) -> None:
        import torch

        if self._before is not None:
            chosen = ids[:, -1:]
            self._keep("surprisal", -self._before.gather(1, chosen)[:, 0])
            self._tokens.append(chosen[:, 0].cpu().numpy())
        log_p, log_q = (torch.log_softmax(logits.double(), 1) for logits in (scores, changed))
        self._keep("entropy", -(log_p.exp() * log_p).nan_to_num(0.0).sum(1))
        apart = torch.where(log_q.isneginf(), 0.0, log_q.exp() * (log_q - log_p))
        self._keep("divergence", apart.sum(1))
        self._before = log_p

    def _keep(self, name: str, values: Any) -> None:
        self._seen[name].append(values.cpu().numpy())

    def rows(self) -> list[tuple[list[int], dict[str, list[float]]]]:
        """Return each text's tokens and what was seen of them."""
        known = len(self._tokens)
        if not known:
            return []
        tokens = np.stack(self._tokens)
        values = {name: np.stack(column[:known]) for name, column in self._seen.items()}
        return [
            (tokens[:, i].tolist(), {name: v[:, i].tolist() for name, v in values.items()})
            for i in range(tokens.shape[1])
        ]
