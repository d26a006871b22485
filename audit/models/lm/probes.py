"""What an opened network is asked on a few tokens: is it causal, and which short cuts give the answers of the long way?"""

from __future__ import annotations

import contextlib
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from audit.core.errors import InputError
from audit.formats.hostile import shown
from audit.models.lm.head import Head
from audit.models.lm.network import Network, forward, scores_of
from audit.models.lm.packing import WIDE, Window
from audit.models.lm.sampling import steps_from_memory, steps_from_text

_AGREE = 1e-3
_AGREE_ROUGHLY = 0.1
"""Mean difference in nats below which two orders of bfloat16 arithmetic are the same; a wrong mask gives more."""
_LEAK, _LEAK_ROUGHLY = 1e-4, 0.25
"""Largest difference in nats that a later token may make to an earlier score, in float32 and rounded: none where the same
sums are taken, 3e-6 in a mixture of experts, whose sums depend on who else goes to an expert. Encoders with the small
random weights they begin with give 8e-4 and more."""
_STEPS = 3


def proven(plain: Network) -> Network:
    """Return the network with the short cuts that proved right on it. Raise InputError unless it is causal."""
    with torch.inference_mode():
        _require_causal(plain)
        found = replace(plain, head=_working_head(plain))
        if _takes_trees(found):
            found = replace(found, widest_tree=min(WIDE, _attention_reach(found.model.config)))
        return replace(found, remembers=_remembers(found))


def vocabulary_of(model: Any) -> int:
    return int(model.config.get_text_config().vocab_size)


def _probe(vocabulary: int) -> list[list[int]]:
    drawn = np.random.default_rng(0).integers(0, vocabulary, size=24).tolist()
    return [drawn[:14], drawn[:6] + drawn[14:20], drawn[:6] + drawn[20:24]]


def _logp(found: Network, tokens: list[int]) -> Tensor:
    ids = torch.tensor([tokens], device=found.device)
    return forward(found.model, Head(None), ids, {})[0].float().log_softmax(-1)


def _require_causal(found: Network) -> None:
    """Change the later half of some tokens, then the last one alone: what was scored before must stay as it was."""
    words = vocabulary_of(found.model)
    tokens = _probe(words)[0]
    before = _logp(found, tokens)
    if not bool(torch.isfinite(before).all()):
        return  # scoring says so in its own words
    exact = next(found.model.parameters()).dtype == torch.float32
    for cut in (len(tokens) // 2, len(tokens) - 1):
        after = _logp(found, [*tokens[:cut], *((token + 1) % words for token in tokens[cut:])])
        moved = float((after[:cut] - before[:cut]).abs().max())
        if moved > (_LEAK if exact else _LEAK_ROUGHLY):
            raise InputError(
                f"'{shown(found.name)}' is not causal: changing later tokens moved the score of an earlier one by "
                f"{moved:.2g} nats. Such a model sees what it is asked to predict, so its probabilities of a text mean "
                "nothing. Use a causal checkpoint."
            )


def _attention_reach(config: Any) -> int:
    """Return how far every layer attends: a tree's mask must not undo a shorter window."""
    limits = [getattr(config, name, None) for name in ("sliding_window", "attention_chunk_size")]
    return min((limit for limit in limits if isinstance(limit, int)), default=WIDE)


def _working_head(found: Network) -> Head:
    """Return the output matrix if states times that matrix are the model's logits, else a head without one."""
    model, plain = found.model, Head(None)
    layer = model.get_output_embeddings()
    if not isinstance(layer, torch.nn.Linear):
        return plain
    head = Head(layer.weight, layer.bias)
    ids = torch.tensor([_probe(vocabulary_of(model))[0]], device=found.device)
    with contextlib.suppress(Exception):  # an unusual network: whatever it raises, the long way remains
        logits = forward(model, plain, ids, {})
        ours = layer(forward(model, head, ids, {}))
        if logits.shape == ours.shape and _same(logits.log_softmax(-1), ours.log_softmax(-1)):
            return head
    return plain


def _takes_trees(found: Network) -> bool:
    windows, slot = [], 0
    for tokens in _probe(vocabulary_of(found.model)):
        windows.append(Window(np.asarray(tokens), 0, slot))
        slot += len(tokens) - 1
    apart = scores_of(found, windows, slot, budget=32, widest_tree=0)
    with contextlib.suppress(Exception):  # a network that cannot take the mask says so in its own words
        return _same(apart, scores_of(found, windows, slot, budget=1024, widest_tree=64))
    return False


def _remembers(found: Network) -> bool:
    """Continue prompts of unequal length from memory and from their whole text; only equal answers allow the first."""
    prompts = [tokens[: 5 + 4 * i] for i, tokens in enumerate(_probe(vocabulary_of(found.model)))]
    with contextlib.suppress(Exception):  # a network that keeps nothing, or keeps it under another name
        near, far = steps_from_memory(found, prompts), steps_from_text(found, prompts)
        chosen: Tensor | None = None
        for _ in range(_STEPS):
            remembered, computed = near.send(chosen), far.send(chosen)
            if not _same(remembered.float().log_softmax(-1), computed.float().log_softmax(-1)):
                return False
            chosen = computed.argmax(-1)
        return True
    return False


def _same(a: Tensor, b: Tensor) -> bool:
    difference = (a.float() - b.float()).abs()
    if a.dtype != torch.float32:
        return bool(difference.mean() < _AGREE_ROUGHLY)
    return bool(difference.max() < _AGREE)
