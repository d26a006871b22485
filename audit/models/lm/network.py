"""Loads a language model's network and runs batches through it, as cheaply as this network proves to allow."""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from audit.core.errors import InputError
from audit.models.lm.head import Head, log_probabilities
from audit.models.lm.packing import WIDE, Batch, Window, batches
from audit.models.lm.tokens import Words

_AGREE = {torch.float32: 1e-3}
_AGREE_ROUGHLY = 0.1
"""Mean difference in nats below which two orders of bfloat16 arithmetic are the same; a wrong mask gives more."""


@dataclass(frozen=True, slots=True)
class Network:
    """An opened model.

    ``widest_tree`` is how many tokens a batch of merged texts may hold in a row; 0 when this network cannot be
    given one (recurrent layers, positions that the mask decides, and so on).
    """

    name: str
    model: Any
    words: Words
    head: Head
    widest_tree: int
    device: torch.device

    def states(self, batch: Batch) -> Tensor:
        """Return what the head turns into logits, one row per edge of the batch."""
        inputs = torch.as_tensor(batch.inputs, device=self.device)
        extra: dict[str, Any] = {}
        if batch.positions is not None:
            extra["position_ids"] = torch.as_tensor(batch.positions, device=self.device)
            extra["attention_mask"] = self._mask(batch)
        ids = torch.as_tensor(batch.ids, device=self.device)
        states = _forward(self.model, self.head, ids, extra)
        return states.flatten(0, 1)[inputs]

    def _mask(self, batch: Batch) -> Tensor:
        dtype = next(self.model.parameters()).dtype
        visible = torch.as_tensor(batch.visible, device=self.device)
        hidden = torch.finfo(dtype).min
        return torch.zeros(visible.shape, dtype=dtype, device=self.device).masked_fill_(~visible, hidden)[
            :, None
        ]


def _forward(model: Any, head: Head, ids: Tensor, extra: dict[str, Any]) -> Tensor:
    if head.weight is None:
        return model(input_ids=ids, use_cache=False, **extra).logits
    return model.base_model(input_ids=ids, use_cache=False, **extra).last_hidden_state


def load(place: Path, dtype: str, arithmetic: str, device: str) -> Network:
    """Open the model at ``place``, weights rounded to ``dtype``, computing in ``arithmetic``. Downloads nothing."""
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    import transformers

    transformers.utils.logging.disable_progress_bar()
    where: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
    kind: dict[str, Any] = {"dtype": getattr(torch, dtype), "use_safetensors": True}
    folder = place
    if place.is_file():
        folder, where["gguf_file"] = place.parent, place.name
        kind["quantization_config"] = transformers.GgufConfig(dequantize=True)
        del kind["use_safetensors"]
    with contextlib.redirect_stderr(io.StringIO()):  # progress bars that no option turns off
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder, **where)
        model, said = transformers.AutoModelForCausalLM.from_pretrained(
            folder, **where, **kind, output_loading_info=True
        )
    if missing := sorted(said["missing_keys"]):  # the library would fill them with random numbers
        raise InputError(
            f"'{place.name}' lacks {len(missing)} of the weights of its architecture, among them {missing[0]}. "
            "Bring the whole model."
        )
    model = model.to(device=device, dtype=getattr(torch, arithmetic)).eval().requires_grad_(False)
    return network(place.name, model, tokenizer, torch.device(device))


def network(name: str, model: Any, tokenizer: Any, device: torch.device) -> Network:
    """Wrap a loaded model, after trying on a few tokens which short cuts give the answers of the long way."""
    words = Words.of(tokenizer, _ends(model))
    plain = Head(None)
    with torch.inference_mode():
        head = _working_head(model, plain, device)
        found = Network(name, model, words, head, 0, device)
        if _takes_trees(found):
            found = Network(name, model, words, head, min(WIDE, _attention_reach(model.config)), device)
    return found


def _ends(model: Any) -> list[int | None]:
    declared = getattr(getattr(model, "generation_config", None), "eos_token_id", None)
    return declared if isinstance(declared, list) else [declared]


def _attention_reach(config: Any) -> int:
    """Return how far every layer attends: a tree's mask must not undo a shorter window."""
    limits = [getattr(config, name, None) for name in ("sliding_window", "attention_chunk_size")]
    return min((limit for limit in limits if isinstance(limit, int)), default=WIDE)


def _probe(vocabulary: int) -> list[list[int]]:
    drawn = np.random.default_rng(0).integers(0, vocabulary, size=24).tolist()
    return [drawn[:14], drawn[:6] + drawn[14:20], drawn[:6] + drawn[20:24]]


def _working_head(model: Any, plain: Head, device: torch.device) -> Head:
    """Return the output matrix if states times that matrix are the model's logits, else the head that is none."""
    layer = model.get_output_embeddings()
    if not isinstance(layer, torch.nn.Linear):
        return plain
    head = Head(layer.weight, layer.bias)
    ids = torch.tensor([_probe(model.config.vocab_size)[0]], device=device)
    with contextlib.suppress(Exception):  # an unusual network: whatever it raises, the long way remains
        logits = _forward(model, plain, ids, {})
        ours = layer(_forward(model, head, ids, {}))
        if logits.shape == ours.shape and _same(logits.log_softmax(-1), ours.log_softmax(-1)):
            return head
    return plain


def _takes_trees(found: Network) -> bool:
    windows, slot = [], 0
    for tokens in _probe(found.model.config.vocab_size):
        windows.append(Window(np.asarray(tokens), 0, slot))
        slot += len(tokens) - 1
    apart = scores_of(found, windows, slot, budget=32, widest_tree=0)
    with contextlib.suppress(Exception):  # a network that cannot take the mask says so in its own words
        return _same(apart, scores_of(found, windows, slot, budget=1024, widest_tree=64))
    return False


def _same(a: Tensor, b: Tensor) -> bool:
    difference = (a.float() - b.float()).abs()
    if a.dtype != torch.float32:
        return bool(difference.mean() < _AGREE_ROUGHLY)
    return bool(difference.max() < _AGREE[torch.float32])


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
