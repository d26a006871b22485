"""A language model's network, opened, and how batches run through it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from audit.models.lm.head import Head, log_probabilities
from audit.models.lm.packing import Batch, Window, batches
from audit.models.lm.tokens import Words


@dataclass(frozen=True, slots=True)
class Network:
    """An opened model.

    ``widest_tree`` is how many tokens a batch of merged texts may hold in a row; 0 when this network cannot be
    given one (recurrent layers, positions that the mask decides, and so on). ``remembers`` says whether a text can
    be continued from what the network kept of its beginning; else its whole beginning is computed for each token.
    """

    name: str
    model: Any
    words: Words
    head: Head
    widest_tree: int
    device: torch.device
    remembers: bool = False

    def states(self, batch: Batch) -> Tensor:
        """Return what the head turns into logits, one row per edge of the batch."""
        inputs = torch.as_tensor(batch.inputs, device=self.device)
        extra: dict[str, Any] = {}
        if batch.positions is not None:
            extra["position_ids"] = torch.as_tensor(batch.positions, device=self.device)
            extra["attention_mask"] = self._mask(batch)
        ids = torch.as_tensor(batch.ids, device=self.device)
        states = forward(self.model, self.head, ids, extra)
        return states.flatten(0, 1)[inputs]

    def _mask(self, batch: Batch) -> Tensor:
        dtype = next(self.model.parameters()).dtype
        visible = torch.as_tensor(batch.visible, device=self.device)
        hidden = torch.finfo(dtype).min
        return torch.zeros(visible.shape, dtype=dtype, device=self.device).masked_fill_(~visible, hidden)[
            :, None
        ]


def forward(model: Any, head: Head, ids: Tensor, extra: dict[str, Any]) -> Tensor:
    if head.weight is None:
        return model(input_ids=ids, use_cache=False, **extra).logits
    return model.base_model(input_ids=ids, use_cache=False, **extra).last_hidden_state


def scores_of(found: Network, windows: list[Window], slots: int, budget: int, widest_tree: int) -> Tensor:
    """Return log p of every scored token of the windows, by slot."""
    out = torch.zeros(slots)
    for batch, states, targets in passes(found, windows, budget, widest_tree):
        values = log_probabilities(found.head, states, targets).cpu()
        out[torch.as_tensor(batch.slots)] = values[torch.as_tensor(batch.edges)]
    return out


def passes(
    found: Network, windows: list[Window], budget: int, widest_tree: int
) -> Iterator[tuple[Batch, Tensor, Tensor]]:
    """Yield each batch with the states and targets of its edges."""
    with torch.inference_mode():
        for batch in batches(windows, budget, widest_tree):
            yield batch, found.states(batch), torch.as_tensor(batch.targets, device=found.device)
