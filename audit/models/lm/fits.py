"""Whether the tensors that are there are those that config.json describes, as far as shapes can tell."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from audit.core.errors import InputError
from audit.formats.hostile import shown
from audit.formats.tensors import Tensor
from audit.models.lm.settings import HIDDEN, LAYERS, text_part, whole

_EMBEDDING = re.compile(
    r"(?:^|\.)(?:embed_tokens|wte|word_embeddings|embed_in|embeddings|tokens_embed|tok_embeddings)\.weight$"
)
_LAYER = re.compile(r"^(.*?)(?:^|\.)(?:layers|layer|h|blocks)\.(\d+)\.")
_ELSEWHERE = re.compile(r"vision|visual|image|audio|speech|encoder\.|^mtp\.")
"""Parts of a model that are not the layers config.json counts."""
_WIDTHS = (*HIDDEN, "word_embed_proj_dim", "embedding_size")
_HEADS_BY_WIDTH = ("llama", "mistral", "qwen2", "olmo", "olmo2", "granite")
"""Families of Llama's layers in which a head is as wide as the model's width over its heads, unless told."""
_LIKE_LLAMA = (*_HEADS_BY_WIDTH, "qwen3", "gemma", "gemma2", "smollm3")


def check_fit(config: Mapping[str, Any], tensors: Mapping[str, Tensor], folder: str) -> None:
    """Raise InputError when a size that config.json states is not the size of the tensors present."""
    text = text_part(config)
    here = {name: tensor for name, tensor in tensors.items() if not _ELSEWHERE.search(name)}
    for wrong in (*_embedding(text, here), *_layers(text, here), *_projections(text, here)):
        raise InputError(
            f"config.json of '{shown(folder)}' does not fit its weights: {wrong}. They are of different models or one of "
            "them was changed: bring both together again from where they came from."
        )


def embedding_rows(config: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> int:
    """Return how many tokens the embedding has rows for, else what config.json states; 0 when neither says."""
    rows = [t.shape[0] for _, t in _embeddings(tensors)]
    return max(rows, default=whole(text_part(config), ("vocab_size",)))


def _embeddings(tensors: Mapping[str, Tensor]) -> list[tuple[str, Tensor]]:
    return [
        (name, tensor)
        for name, tensor in tensors.items()
        if _EMBEDDING.search(name) and len(tensor.shape) == 2 and not _ELSEWHERE.search(name)
    ]


def _embedding(text: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> Iterator[str]:
    found = _embeddings(tensors)
    words = whole(text, ("vocab_size",))
    widths = {text[field] for field in _WIDTHS if isinstance(text.get(field), int)}
    if found and words and all(tensor.shape[0] != words for _, tensor in found):
        yield f"vocab_size is {words:,}, and {_shape(*found[0])}"
    if found and widths and all(tensor.shape[1] not in widths for _, tensor in found):
        yield f"the width is {max(widths):,}, and {_shape(*found[0])}"


def _layers(text: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> Iterator[str]:
    stated = whole(text, ("decoder_layers", *LAYERS))
    numbers: dict[str, set[int]] = {}
    for name in tensors:
        if match := _LAYER.match(name):
            numbers.setdefault(match[1], set()).add(int(match[2]))
    if not stated or len(numbers) != 1:
        return
    (held,) = numbers.values()
    further = whole(text, ("num_nextn_predict_layers",))
    if not stated <= len(held) <= stated + further:
        yield f"it states {stated:,} layers, and there are tensors of {len(held):,}"


def _projections(text: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> Iterator[str]:
    """Yield what is wrong with the first tensor of each kind in the most common layout of layers, Llama's, and in GPT-2's."""
    expected = _gpt2(text) if text.get("model_type") == "gpt2" else _llama(text)
    for suffix, (axis, size, field) in expected.items():
        for name, tensor in tensors.items():
            if name.endswith(suffix) and len(tensor.shape) > axis and size and tensor.shape[axis] != size:
                yield f"by {field} the tensor would have {size:,} at axis {axis}, and {_shape(name, tensor)}"
                break


def _llama(text: Mapping[str, Any]) -> dict[str, tuple[int, int, str]]:
    kind, width, heads = text.get("model_type"), whole(text, HIDDEN), whole(text, ("num_attention_heads",))
    head = whole(text, ("head_dim",)) or (width // heads if kind in _HEADS_BY_WIDTH and heads else 0)
    inner, shared = whole(text, ("intermediate_size",)), whole(text, ("num_key_value_heads",)) or heads
    if kind not in _LIKE_LLAMA:
        return {}
    return {
        ".self_attn.q_proj.weight": (0, heads * head, "num_attention_heads and head_dim"),
        ".self_attn.k_proj.weight": (0, shared * head, "num_key_value_heads and head_dim"),
        ".mlp.up_proj.weight": (0, inner, "intermediate_size"),
        ".mlp.down_proj.weight": (0, width, "hidden_size"),
    }


def _gpt2(text: Mapping[str, Any]) -> dict[str, tuple[int, int, str]]:
    width = whole(text, HIDDEN)
    return {
        "wpe.weight": (0, whole(text, ("n_positions", "max_position_embeddings")), "n_positions"),
        ".attn.c_attn.weight": (1, 3 * width, "n_embd"),
        ".mlp.c_fc.weight": (1, whole(text, ("n_inner",)) or 4 * width, "n_inner"),
    }


def _shape(name: str, tensor: Tensor) -> str:
    return f"{shown(name)} is {' × '.join(f'{side:,}' for side in tensor.shape)}"
