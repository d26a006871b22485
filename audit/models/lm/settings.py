"""Refuses what the JSON files of a language model say before anything is loaded by it."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

from audit.core.errors import InputError
from audit.formats.hostile import shown

_SIZES: Mapping[str, int] = {
    **dict.fromkeys(("vocab_size",), 1 << 27),
    **dict.fromkeys(("hidden_size", "n_embd", "d_model", "word_embed_proj_dim", "embedding_size"), 1 << 20),
    **dict.fromkeys(("intermediate_size", "n_inner", "ffn_dim", "d_ff", "head_dim", "state_size"), 1 << 24),
    **dict.fromkeys(("num_hidden_layers", "n_layer", "n_layers", "num_layers"), 10_000),
    **dict.fromkeys(("num_attention_heads", "n_head", "n_heads", "num_key_value_heads"), 1 << 16),
    **dict.fromkeys(("num_experts", "num_local_experts", "n_routed_experts", "num_experts_per_tok"), 1 << 16),
    "num_labels": 1_000_000,  # the library makes a name for each
    **dict.fromkeys(("max_position_embeddings", "n_positions", "n_ctx", "sliding_window"), 1 << 31),
}
"""Fields that say how large something is, with more than any model has: beyond it a number is a mistake or an attack."""
_NEEDED = ("vocab_size", "hidden_size", "n_embd", "d_model", "num_hidden_layers", "n_layer")
"""Of these, fields that no model has as null."""
_MAY_BE_NONE = (
    "num_experts",
    "num_local_experts",
    "n_routed_experts",
    "num_experts_per_tok",
    "sliding_window",
    "num_labels",
)
"""Of these, fields that are 0 in models that do without."""
_NUMBERS = ("_eps", "_epsilon", "initializer_range", "_dropout", "_pdrop")
_FLAGS = ("use_cache", "tie_word_embeddings", "is_decoder", "is_encoder_decoder", "use_sliding_window")
_FLAGS_BY_ENDING = ("attention_bias", "mlp_bias", "qkv_bias", "conv_bias")
_WORDS = ("hidden_act", "hidden_activation", "activation_function", "model_type")
_TABLES = ("rope_parameters", "rope_scaling")
"""Fields, or ends of names of fields, that hold one kind of value in every architecture."""
_POSITIVE = ("rope_theta", "factor", "original_max_position_embeddings")
"""Ends of names in the tables of the positions that hold numbers above 0."""
_QUANTISED = ("quantization_config", "compression_config")
HIDDEN = ("hidden_size", "n_embd", "d_model")
LAYERS = ("num_hidden_layers", "n_layer", "n_layers", "num_layers")
CONTEXT = ("max_position_embeddings", "n_positions", "n_ctx")


def text_part(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the settings of the language model inside a model of several media, else all of them."""
    inner = config.get("text_config")
    return {**config, **inner} if isinstance(inner, dict) else config


def check_settings(config: Mapping[str, Any], name: str = "config.json") -> None:
    """Raise InputError for code that comes along, for other files to be read, and for values that no model has."""
    if config.get("auto_map") or config.get("trust_remote_code"):
        raise InputError(
            f"{name} asks for code that comes with the model (auto_map), and an audit does not run such code. "
            f"Use a checkpoint of an architecture that transformers has itself."
        )
    if "configuration_files" in config:
        raise InputError(f"{name} hands over to other files (configuration_files). Keep one config.json.")
    for field, value in config.items():
        if field.endswith("_implementation") and value is not None and "/" in str(value):
            raise InputError(
                f"{name} asks for code from elsewhere ({field} = {_said(value)}), and an audit does not run such code. "
                "Remove the field."
            )
    parts = {f"{name}, {inner}": config[inner] for inner in ("text_config",) if config.get(inner) is not None}
    for where, part in {name: config, **parts}.items():
        if not isinstance(part, dict):
            raise InputError(f"{where} is {_said(part)}; it is an object.")
        for field, value in part.items():
            if field in _SIZES:
                _check_size(where, field, value, _SIZES[field])
            elif value is not None:
                _check_kind(where, field, value)


def _check_size(where: str, field: str, value: Any, most: int) -> None:
    if value is None and field not in _NEEDED:
        return
    least = 0 if field in _MAY_BE_NONE else 1
    listed = value if isinstance(value, list) and value else [value]  # some models have a size for each layer
    for one in listed:
        if isinstance(one, bool) or not isinstance(one, int) or not least <= one <= most:
            raise InputError(
                f"{where} says {field} = {_said(value)}; it is a whole number from {least} to {most:,}. The file is damaged, "
                "or it is not a model's: bring it again from where it came from."
            )


def _check_kind(where: str, field: str, value: Any) -> None:
    """Raise InputError unless a field whose name tells what it holds holds that."""
    if field.endswith(_NUMBERS):
        right, words = _is_number(value) and value >= 0, "a number, and not below 0"
    elif field in _FLAGS or field.endswith(_FLAGS_BY_ENDING):
        right, words = isinstance(value, bool), "true or false"
    elif field in _WORDS:
        right, words = isinstance(value, str), "a name"
    elif field in _TABLES:
        right, words = isinstance(value, dict), "an object"
    elif field == "layer_types":
        right, words = (
            isinstance(value, list) and all(isinstance(one, str) for one in value),
            "a list of names",
        )
    elif field == "id2label":
        right, words = (
            isinstance(value, dict) and all(one.isdecimal() for one in value),
            "an object of numbers",
        )
    else:
        return
    if right and field in _TABLES:
        for name, one in value.items():
            _check_rope(f"{where}, {field}", name, one)
    if not right:
        raise InputError(
            f"{where} says {field} = {_said(value)}; it is {words}. Bring the file again from where it came from."
        )


def _check_rope(where: str, field: str, value: Any) -> None:
    """Raise InputError unless a field of the position's settings is of its kind; settings for each kind of layer stand deeper."""
    if isinstance(value, dict):
        for name, one in value.items():
            _check_rope(f"{where}, {field}", name, one)
    elif field.endswith(_POSITIVE) and value is not None and not (_is_number(value) and value > 0):
        raise InputError(
            f"{where} says {field} = {_said(value)}; it is a number above 0. Bring the file again from where it came from."
        )


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def whole(config: Mapping[str, Any], fields: tuple[str, ...]) -> int:
    """Return the first of these fields that holds one whole number, else 0."""
    return next((config[f] for f in fields if isinstance(config.get(f), int)), 0)


def token_ids(settings: Mapping[str, Any], field: str, name: str) -> list[int]:
    """Return the tokens that a field names: none, one or a list. Raise InputError when it names something else."""
    value = settings.get(field)
    listed = value if isinstance(value, list) else [] if value is None else [value]
    if not all(isinstance(one, int) and not isinstance(one, bool) and one >= 0 for one in listed):
        raise InputError(
            f"{name} says {field} = {_said(value)}; it is the number of a token, or a list of them."
        )
    return listed


def check_not_quantised(config: Mapping[str, Any], folder: str) -> None:
    """Raise InputError when the weights are stored in a form that only another library can multiply with."""
    inner = text_part(config)
    settings = next((found for name in _QUANTISED if (found := inner.get(name) or config.get(name))), None)
    if not settings:
        return
    method = settings.get("quant_method") if isinstance(settings, dict) else None
    bits = settings.get("bits") or settings.get("w_bit") if isinstance(settings, dict) else None
    if not isinstance(method, str):
        method = (
            "bitsandbytes" if isinstance(settings, dict) and _loads_in_bits(settings) else "an unknown method"
        )
    refuse_quantised(
        folder, f"{shown(method)}{f' ({bits} bits)' if isinstance(bits, int) else ''}", "config.json"
    )


def _loads_in_bits(settings: Mapping[str, Any]) -> bool:
    return any(name.startswith(("load_in_", "bnb_")) for name in settings)


def refuse_quantised(folder: str, method: str, source: str) -> None:
    raise InputError(
        f"'{shown(folder)}' is quantised by {method}, as {source} says, and an audit computes with floating-point "
        "weights only: such a checkpoint is not supported. Audit the checkpoint it was made from, or restore "
        "floating-point weights (model.dequantize() where the library has it, then save_pretrained), or use a GGUF file."
    )


def _said(value: Any) -> str:
    return shown(json.dumps(value, ensure_ascii=True, default=str))
