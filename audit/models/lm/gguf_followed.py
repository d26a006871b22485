"""Whether transformers computes as a GGUF file says: what was opened is compared with what the header states."""

from __future__ import annotations

import math
from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

from audit.core.errors import InputError
from audit.formats.hostile import shown
from audit.models.lm.gguf import Header

_SETTINGS: Mapping[str, tuple[tuple[str, ...], tuple[float, ...]]] = {
    "embedding_length": (("hidden_size", "n_embd"), ()),
    "attention.head_count": (("num_attention_heads", "n_head"), (0,)),
    "attention.head_count_kv": (("num_key_value_heads", "<kv>"), (0,)),
    "attention.key_length": (("global_head_dim", "head_dim", "<head>"), ()),
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
_SCALED_BY_WIDTH = (46, 62)
"""Layers of the Gemma models (27 billion parameters) whose attention llama.cpp scales by the width of a head as it follows
from the model's width, and not by the one stated."""


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
        used = next((float(value) for field in fields if (value := _field(config, field)) is not None), None)
        _compare(name, f"says {prefix}{key} =", stated, used)
    if (scalar := _number(config, "query_pre_attn_scalar")) is not None:
        head = header.values.get(f"{prefix}attention.key_length") or _head(config)
        by_width = header.values.get(f"{prefix}block_count") in _SCALED_BY_WIDTH
        stated = (_number(config, "hidden_size") or 0) / (_number(config, "num_attention_heads") or 1)
        _compare(name, "scales attention by the root of", stated if by_width else head, scalar)


def _compare(name: str, says: str, stated: Any, used: float | None) -> None:
    if used is None or not math.isclose(used, float(stated or 0), rel_tol=1e-5, abs_tol=1e-12):
        raise InputError(
            f"'{shown(name)}' {says} {stated:g}, and transformers {version('transformers')} opened it with "
            f"{'no such setting' if used is None else f'{used:g}'}: its scores would be of another model. Audit the model's "
            "directory of safetensors."
        )


def _number(config: Any, *fields: str) -> float | None:
    """Return the first of these fields that is a number."""
    values = (getattr(config, field, None) for field in fields)
    return next((float(value) for value in values if isinstance(value, int | float)), None)


def _head(config: Any) -> float | None:
    width, heads = _number(config, "hidden_size", "n_embd"), _number(config, "num_attention_heads", "n_head")
    return _number(config, "head_dim") or (width // heads if width and heads else None)


def _field(config: Any, field: str) -> float | None:
    rope = getattr(config, "rope_parameters", None)
    rope = rope if isinstance(rope, dict) else {}
    rope = next((inner for inner in (rope.get("full_attention"),) if isinstance(inner, dict)), rope)
    match field:
        case "<head>":
            return _head(config)
        case "<kv>":
            return (
                1.0
                if getattr(config, "multi_query", False)
                else _number(config, "num_attention_heads", "n_head")
            )
        case "<rope_theta>":
            found = rope.get("rope_theta", getattr(config, "rope_theta", None))
            return float(found) if isinstance(found, int | float) else None
        case "<rotary>":
            share = rope.get("partial_rotary_factor", getattr(config, "partial_rotary_factor", None))
            head = _head(config)
            return None if head is None else float(int(head * (1.0 if share is None else share)))
    return _number(config, field)
