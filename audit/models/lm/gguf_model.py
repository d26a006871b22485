"""What a GGUF file says of its model: which architecture, which sizes, and whether transformers does what it says."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from functools import cache
from importlib.metadata import version
from typing import Any

from audit.core.errors import InputError, nearest
from audit.formats.hostile import shown
from audit.models.lm.architectures import literal
from audit.models.lm.gguf import Header

_SPELLED = {
    "qwen2moe": "qwen2_moe",
    "qwen3moe": "qwen3_moe",
    "gpt-oss": "gpt_oss",
    "minimax-m2": "minimax_m2",
}
"""Architectures that transformers spells another way than GGUF."""
_NEWER = ("qwen35", "qwen35moe")
"""Architectures that transformers reads by functions and not by a table."""
_NO_MODELS = ("general", "tokenizer", "t5", "umt5")
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
_NOT_FOLLOWED = ("rope_freqs.weight", "rope_factors_long.weight", "rope_factors_short.weight")


@cache
def _opened_by_transformers() -> frozenset[str]:
    """Return the architectures, as GGUF spells them, that transformers opens as causal language models."""
    try:
        names = set(literal("integrations/ggml.py", "GGUF_CONFIG_MAPPING"))
    except (OSError, ValueError, SyntaxError, LookupError):
        from transformers.integrations.ggml import GGUF_CONFIG_MAPPING

        names = set(GGUF_CONFIG_MAPPING)
    back = {theirs: ours for ours, theirs in _SPELLED.items()}
    return frozenset(back.get(name, name) for name in (*names, *_NEWER) if name not in _NO_MODELS)


def check_model(header: Header, name: str) -> None:
    """Raise InputError for what cannot be right or cannot be followed, from the header alone."""
    kind, values = header.architecture, header.values
    where = f"'{shown(name)}'"
    if kind not in _opened_by_transformers():
        raise InputError(
            f"{where} has the architecture '{shown(kind)}', which is no causal language model that transformers "
            f"{version('transformers')} opens from a GGUF file. {nearest(kind, _opened_by_transformers())} "
            "Or audit the model's directory of safetensors."
        )
    if values.get(f"{kind}.attention.causal") is False:
        raise InputError(
            f"{where} is not causal ({kind}.attention.causal is false): a text has no probability under it."
        )
    for field, most in _SIZES.items():
        _check_size(where, f"{kind}.{field}", values.get(f"{kind}.{field}"), most)
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
    for one in value if isinstance(value, list) else [] if value is None else [value]:
        least = 0 if field.endswith("head_count_kv") or isinstance(value, list) else 1
        if isinstance(one, bool) or not isinstance(one, int) or not least <= one <= most:
            raise InputError(
                f"{where} says {field} = {shown(repr(one))}; it is a whole number from {least} to {most:,}. The file is "
                "damaged, or it is not a model's: bring it again from where it came from."
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
    wrong = None
    if embedding is None or len(embedding.axes) != 2:
        wrong = "it has no table of embeddings (token_embd.weight)"
    elif words and embedding.axes[1] != words:
        wrong = f"it states {words:,} tokens, and its embedding has {embedding.axes[1]:,} rows"
    elif isinstance(width, int) and embedding.axes[0] != width:
        wrong = f"{kind}.embedding_length is {width:,} and its embedding {embedding.axes[0]:,} wide"
    elif isinstance(layers, int) and held and len(held) != layers:
        wrong = f"{kind}.block_count is {layers:,} and there are tensors of {len(held):,} layers"
    if wrong:
        raise InputError(
            f"{where} does not fit together: {wrong}. It is damaged, or a part of a model: bring the whole file again."
        )


def check_followed(header: Header, config: Any, name: str) -> None:
    """Raise InputError when the opened model computes with other settings than the file states.

    transformers knows some keys of some architectures and fills in the rest with defaults of its own. ``config`` is
    that of the opened model.
    """
    prefix = f"{header.architecture}."
    for key, (fields, neutral) in _SETTINGS.items():
        stated = header.values.get(prefix + key)
        if not isinstance(stated, int | float) or isinstance(stated, bool) or stated in neutral:
            continue
        used = _used(config, fields)
        if used is None or not math.isclose(used, stated, rel_tol=1e-5, abs_tol=1e-12):
            raise InputError(
                f"'{shown(name)}' says {prefix}{key} = {stated:g}, and transformers {version('transformers')} opened it "
                f"with {'no such setting' if used is None else f'{used:g}'}: its scores would be of another model. Audit "
                "the model's directory of safetensors."
            )


_SETTINGS: Mapping[str, tuple[tuple[str, ...], tuple[float, ...]]] = {
    "embedding_length": (("hidden_size", "n_embd"), ()),
    "attention.head_count": (("num_attention_heads", "n_head"), ()),
    "attention.head_count_kv": (("num_key_value_heads", "num_attention_heads", "n_head"), (0,)),
    "attention.key_length": (("head_dim", "global_head_dim", "<head>"), ()),
    "attention.layer_norm_rms_epsilon": (("rms_norm_eps", "norm_eps", "layer_norm_epsilon"), ()),
    "attention.layer_norm_epsilon": (
        ("layer_norm_eps", "layer_norm_epsilon", "norm_epsilon", "norm_eps"),
        (),
    ),
    "rope.freq_base": (("<rope_theta>",), ()),
    "rope.dimension_count": (("<rotary>",), ()),
    "attention.sliding_window": (("sliding_window",), (0,)),
    "attn_logit_softcapping": (("attn_logit_softcapping",), (0.0,)),
    "final_logit_softcapping": (("final_logit_softcapping",), (0.0,)),
    "expert_count": (("num_experts", "num_local_experts"), (0,)),
    "expert_used_count": (("num_experts_per_tok",), (0,)),
    "attention.scale": (("attention_multiplier",), (0.0,)),
    "logit_scale": (("logit_scale", "logits_scaling"), (0.0, 1.0)),
    "embedding_scale": (("embedding_multiplier",), (0.0, 1.0)),
    "residual_scale": (("residual_multiplier",), (0.0, 1.0)),
}
"""By key: the fields of a configuration that hold it, the one that counts first, and the values that change nothing."""


def _used(config: Any, fields: tuple[str, ...]) -> float | None:
    found = next((value for field in fields if (value := _field(config, field)) is not None), None)
    return float(found) if isinstance(found, int | float) else None


def _field(config: Any, field: str) -> Any:
    rope = getattr(config, "rope_parameters", None)
    rope = rope if isinstance(rope, dict) else {}
    rope = next((inner for inner in (rope.get("full_attention"),) if isinstance(inner, dict)), rope)
    head = getattr(config, "head_dim", None) or _quotient(config)
    match field:
        case "<head>":
            return head
        case "<rope_theta>":
            return rope.get("rope_theta", getattr(config, "rope_theta", None))
        case "<rotary>":
            share = rope.get("partial_rotary_factor", getattr(config, "partial_rotary_factor", None))
            return None if head is None else int(head * (1.0 if share is None else share))
    return getattr(config, field, None)


def _quotient(config: Any) -> int | None:
    width, heads = _used(config, ("hidden_size", "n_embd")), _used(config, ("num_attention_heads", "n_head"))
    return int(width // heads) if width and heads else None
