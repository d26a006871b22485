"""Draws continuations with numbers that belong to each example, so that a batch's make-up changes nothing."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import linear

from audit.core.rows import PREFIX, TEXT, Rng, Rows, text_rows, texts_of
from audit.models.lm.network import Network, forward

BATCH = 32
"""Texts that are written side by side."""
TOKENS = "tokens"

Mark: TypeAlias = Callable[[str], Callable[[Tensor, Tensor], Tensor]]
"""Makes, for a device, a function of the tokens so far and the logits of the next that returns changed logits."""


def sample(
    network: Network,
    n: int,
    rng: Rng,
    condition: Rows | None,
    *,
    longest: int,
    most: int,
    temperature: float,
    top_p: float,
    scale: float,
    mark: Mark | None = None,
) -> Rows:
    """Return ``n`` completions (``text``) of prompts (``prefix``), at most ``most`` tokens each.

    Example i uses row i of one matrix of uniform numbers drawn beforehand. A prompt too long for the model
    keeps its end. ``mark`` makes a processor of logits for each batch; with one, the tokens drawn are a column too.
    """
    prompts = _prompts(n, condition)
    encoded = [tokens[-max(1, longest - most) :] for tokens in network.words.prompt(prompts)]
    if not all(encoded):
        raise ValueError(
            f"model '{network.name}' declares no token to begin a text with, so it can only continue a prompt"
        )
    uniform = rng.random((n, most))
    drawn: list[list[int]] = [[] for _ in range(n)]
    size = max(1, int(BATCH * scale))
    by_length = sorted(range(n), key=lambda i: (len(encoded[i]), i))
    for first in range(0, n, size):
        chosen = by_length[first : first + size]
        with torch.inference_mode():
            found = _continue(
                network, [encoded[i] for i in chosen], uniform[chosen], temperature, top_p, mark
            )
        for i, tokens in zip(chosen, found, strict=True):
            drawn[i] = tokens
    columns: dict[str, Any] = {PREFIX: prompts} if mark is None else {PREFIX: prompts, TOKENS: drawn}
    return text_rows([network.words.decode(tokens) for tokens in drawn], **columns)


def _prompts(n: int, condition: Rows | None) -> list[str]:
    if condition is None:
        return [""] * n
    if condition.num_rows != n:
        raise ValueError(f"{n} samples were asked for, and {condition.num_rows} prompts were given")
    return texts_of(condition, PREFIX if PREFIX in condition.column_names else TEXT)


def _continue(
    network: Network,
    prompts: Sequence[Sequence[int]],
    uniform: Any,
    temperature: float,
    top_p: float,
    mark: Mark | None = None,
) -> list[list[int]]:
    steps = (steps_from_memory if network.remembers else steps_from_text)(network, prompts)
    found: list[list[int]] = [[] for _ in prompts]
    open_rows = list(range(len(prompts)))
    tokens: Tensor | None = None
    processor = None if mark is None else mark(str(network.device))
    seen = _ends(prompts, network)
    for step in range(uniform.shape[1]):
        logits = steps.send(tokens)
        if processor is None:
            tokens = _pick(network, logits, uniform[:, step], temperature, top_p)
        else:
            logits = processor(seen, _nucleus(logits.float() / (temperature or 1.0), top_p))
            tokens = _pick(network, logits, uniform[:, step], 1.0 if temperature else 0.0, 1.0)
            seen = torch.cat([seen, tokens[:, None]], 1)
        for row in tuple(open_rows):
            token = int(tokens[row])
            if token in network.words.ends:
                open_rows.remove(row)
            else:
                found[row].append(token)
        if not open_rows:
            break
    return found


def _ends(prompts: Sequence[Sequence[int]], network: Network) -> Tensor:
    """Return the last tokens of each prompt, as many as the shortest has: what a mark may look back upon."""
    width = min(map(len, prompts))
    return torch.tensor([list(prompt[-width:]) for prompt in prompts], device=network.device)


def _nucleus(logits: Tensor, top_p: float) -> Tensor:
    """Return logits without the tokens outside the nucleus: a mark chooses among what could be drawn."""
    if top_p >= 1.0:
        return logits
    p, order = torch.sort(torch.softmax(logits, 1), dim=1, descending=True, stable=True)
    outside = torch.zeros_like(p, dtype=torch.bool).scatter_(1, order, p.cumsum(1) - p >= top_p)
    return logits.masked_fill(outside, float("-inf"))


Steps: TypeAlias = Generator[Tensor, Tensor | None, None]
"""Yields logits of the next token, shape (rows, words), and is sent the tokens that were chosen, shape (rows,)."""


def steps_from_memory(network: Network, prompts: Sequence[Sequence[int]]) -> Steps:
    """Continue prompts from the keys and values that the network keeps; shorter ones are padded in front."""
    width = max(map(len, prompts))
    ids = torch.zeros(len(prompts), width, dtype=torch.int64, device=network.device)
    mask = torch.zeros_like(ids)
    for row, prompt in enumerate(prompts):
        ids[row, width - len(prompt) :] = torch.as_tensor(prompt, device=network.device)
        mask[row, width - len(prompt) :] = 1
    positions = (mask.cumsum(1) - 1).clamp_(min=0)
    past: Any = None
    while True:
        out = network.model(
            input_ids=ids,
            attention_mask=mask,
            position_ids=positions,
            past_key_values=past,
            use_cache=True,
            logits_to_keep=1,
        )
        past = out.past_key_values
        chosen = yield out.logits[:, -1]
        assert chosen is not None, "what was chosen is sent"
        ids = chosen[:, None]
        mask = torch.cat([mask, torch.ones_like(ids)], 1)
        positions = positions[:, -1:] + 1


def steps_from_text(network: Network, prompts: Sequence[Sequence[int]]) -> Steps:
    """Continue prompts by computing the whole text again for every token; padding behind it changes nothing.

    For networks that keep another kind of memory (a recurrent state), or that padding in front disturbs. The cost
    grows with the square of the length.
    """
    texts = [list(prompt) for prompt in prompts]
    rows = torch.arange(len(texts), device=network.device)
    while True:
        ids = torch.zeros(len(texts), max(map(len, texts)), dtype=torch.int64, device=network.device)
        for row, text in enumerate(texts):
            ids[row, : len(text)] = torch.as_tensor(text, device=network.device)
        last = torch.tensor([len(text) - 1 for text in texts], device=network.device)
        states = forward(network.model, network.head, ids, {})[rows, last]
        head = network.head
        chosen = yield states if head.weight is None else linear(states, head.weight, head.bias)
        assert chosen is not None, "what was chosen is sent"
        for text, token in zip(texts, chosen.tolist(), strict=True):
            text.append(token)


def _pick(network: Network, logits: Tensor, uniform: Any, temperature: float, top_p: float) -> Tensor:
    """Return one token per row: the inverse of the distribution function over tokens from likely to unlikely.

    Of the tokens, the fewest whose probability reaches ``top_p`` are kept (Holtzman et al. 2020). A temperature
    of 0 takes the likeliest.
    """
    logits = logits.float()
    if not bool(torch.isfinite(logits.amax(1)).all()):
        raise ValueError(f"model '{network.name}' returned logits that are not finite while sampling")
    if temperature == 0.0:
        return logits.argmax(1)
    p, order = torch.sort(
        torch.softmax(logits / temperature, 1).double(), dim=1, descending=True, stable=True
    )
    reached = p.cumsum(1)
    p = torch.where(reached - p < top_p, p, 0.0)
    reached = p.cumsum(1)
    aim = torch.as_tensor(np.asarray(uniform), device=logits.device)[:, None] * reached[:, -1:]
    place = torch.searchsorted(reached, aim, right=True).clamp_(max=p.shape[1] - 1)
    return order.gather(1, place).squeeze(1)
