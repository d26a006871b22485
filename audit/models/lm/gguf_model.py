"""What a GGUF file says of its model: which architecture, which sizes, and whether transformers does what it says."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

from audit.core.errors import InputError, nearest
from audit.formats.hostile import shown
from audit.models.lm.gguf import Header

PROVEN = (
    *("falcon", "gemma2", "gemma3", "gpt2", "llama", "mamba", "nemotron", "phi3"),
    *("qwen2", "qwen3", "stablelm", "starcoder2"),
)
"""Architectures whose GGUF files, opened by transformers, score as the model they were made from: the tests say so. It opens
more of them, by names of tensors and settings that change from version to version, and it does not say what it left out."""
_LAYER = re.compile(r"^blk\.(\d+)\.")
_SIZES: Mapping[str, int] = {
    "context_length": 1 << 31,
    "block_count": 10_000,
    "embedding_length": 1 << 20,
    "feed_forward_length": 1 << 24,
    "attention.head_count": 1 << 16,
    "attention.head_count_kv": 1 << 16,
    "vocab_size": 1 << 27,
}
_MAY_BE_NONE = ("head_count", "head_count_kv", "feed_forward_length")
_PLAIN = ("gemma2", "gemma3", "llama", "qwen2", "qwen3", "stablelm")
"""Of these, those whose layers keep the two halves of what they widen apart."""
_NOT_FOLLOWED = ("rope_freqs.weight", "rope_factors_long.weight", "rope_factors_short.weight")


def check_model(header: Header, name: str) -> None:
    """Raise InputError for what cannot be right or cannot be followed, from the header alone."""
    kind, values = header.architecture, header.values
    where = f"'{shown(name)}'"
    if kind not in PROVEN:
        raise InputError(
            f"{where} has the architecture '{shown(kind)}', and GGUF files of it are not known here to score as the model they "
            f"were made from. {nearest(kind, PROVEN)} Audit the model's directory of safetensors, if it is a causal language "
            "model."
        )
    if values.get(f"{kind}.attention.causal") is False:
        raise InputError(
            f"{where} is not causal ({kind}.attention.causal is false): a text has no probability under it."
        )
    for field, most in _SIZES.items():
        _check_size(where, f"{kind}.{field}", values.get(f"{kind}.{field}"), most)
    _check_numbers(where, values)
    _check_fit(header, where)
    scaling = values.get(f"{kind}.rope.scaling.type", "none")
    stretched = values.get(f"{kind}.rope.scaling.factor", 1) not in (0, 1) or scaling not in (
        "none",
        "linear",
    )
    odd = next((tensor for tensor in _NOT_FOLLOWED if tensor in header.tensors), None)
    if kind != "gpt-oss" and (stretched or odd):
        raise InputError(
            f"{where} stretches its rotary positions ({odd or f'{kind}.rope.scaling.type is {shown(str(scaling))}'}), and "
            "transformers does not when it opens a GGUF file: every score would be of another model. Audit the model's "
            "directory of safetensors."
        )


def _check_size(where: str, field: str, value: Any, most: int) -> None:
    none = isinstance(value, list) or field.endswith(_MAY_BE_NONE)  # recurrent layers have no heads
    least = 0 if none else 1
    for one in value if isinstance(value, list) else [] if value is None else [value]:
        if isinstance(one, bool) or not isinstance(one, int) or not least <= one <= most:
            raise InputError(
                f"{where} says {field} = {shown(repr(one))}; it is a whole number from {least} to {most:,}. The file is "
                "damaged, or it is not a model's: bring it again from where it came from."
            )


def _check_numbers(where: str, values: Mapping[str, Any]) -> None:
    """Raise InputError for a base of the positions or an addend of the norms with which every score would be none."""
    for field, value in values.items():
        above = field.endswith((".rope.freq_base", ".rope.freq_base_swa"))
        if not above and not field.endswith(("layer_norm_epsilon", "layer_norm_rms_epsilon")):
            continue
        number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
        if not number or value < 0 or (above and value == 0):
            raise InputError(
                f"{where} says {shown(field)} = {shown(repr(value))}; it is a number {'above' if above else 'not below'} 0. The file "
                "is damaged: bring it again from where it came from."
            )


def context_of(header: Header) -> int:
    value = header.values.get(f"{header.architecture}.context_length")
    return value if isinstance(value, int) else 0


def _check_fit(header: Header, where: str) -> None:
    kind, values = header.architecture, header.values
    width, layers = values.get(f"{kind}.embedding_length"), values.get(f"{kind}.block_count")
    words = values.get(f"{kind}.vocab_size") or len(values.get("tokenizer.ggml.tokens") or ())
    embedding = header.tensors.get("token_embd.weight")
    held = {int(match[1]) for name in header.tensors if (match := _LAYER.match(name))}
    inner, widened = values.get(f"{kind}.feed_forward_length"), header.tensors.get("blk.0.ffn_up.weight")
    attends = any(name.endswith((".attn_q.weight", ".attn_qkv.weight")) for name in header.tensors)
    wrong = None
    if embedding is None or len(embedding.axes) != 2:
        wrong = "it has no table of embeddings (token_embd.weight)"
    elif words and embedding.axes[1] != words:
        wrong = f"it states {words:,} tokens, and its embedding has {embedding.axes[1]:,} rows"
    elif isinstance(width, int) and embedding.axes[0] != width:
        wrong = f"{kind}.embedding_length is {width:,} and its embedding {embedding.axes[0]:,} wide"
    elif isinstance(layers, int) and held and len(held) != layers:
        wrong = f"{kind}.block_count is {layers:,} and there are tensors of {len(held):,} layers"
    elif attends and 0 in (values.get(f"{kind}.attention.{one}") for one in ("head_count", "head_count_kv")):
        wrong = f"{kind}.attention.head_count is 0, and there are tensors of heads"
    elif kind in _PLAIN and isinstance(inner, int) and widened is not None and inner not in widened.axes:
        wrong = (
            f"{kind}.feed_forward_length is {inner:,}, and its layers are {widened.axes[-1]:,} wide inside"
        )
    if wrong:
        raise InputError(
            f"{where} does not fit together: {wrong}. It is damaged, or a part of a model: bring the whole file again."
        )
