"""Which architectures are causal language models: by name, from what the installed transformers says of itself."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from functools import cache
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from audit.core.errors import InputError
from audit.formats.hostile import shown

_CAUSAL, _MASKED = "MODEL_FOR_CAUSAL_LM_MAPPING_NAMES", "MODEL_FOR_MASKED_LM_MAPPING_NAMES"
_DECODERS = ("bart", "mbart", "mvp", "plbart")
"""Families whose causal class is the decoder by itself, whatever ``is_decoder`` says."""
_BOTH_WAYS = {
    "xlnet": "which sees the tokens after the one it predicts unless it is given a permutation",
    "xlm": "which sees the tokens after the one it predicts",
    "flaubert": "which sees the tokens after the one it predicts",
}
_SHIFTED = (
    "roberta",
    "xlm-roberta",
    "xlm-roberta-xl",
    "camembert",
    "roberta-prelayernorm",
    "data2vec-text",
    "xmod",
)
"""Families whose positions begin after the padding token's number, so that fewer of them can be used."""


@cache
def causal_classes() -> Mapping[str, str]:
    """Return the class that transformers opens as a causal language model, by the ``model_type`` of config.json.

    Read from the library's source: importing it would load torch.
    """
    return _table(_CAUSAL)


@cache
def _masked_families() -> frozenset[str]:
    return frozenset(_table(_MASKED))


def _table(name: str) -> dict[str, str]:
    try:
        return {str(key): str(value) for key, value in _literal("models/auto/modeling_auto.py", name)}
    except (
        OSError,
        ValueError,
        SyntaxError,
        LookupError,
        TypeError,
    ):  # another layout: ask the library itself
        from transformers.models.auto import modeling_auto

        return dict(getattr(modeling_auto, name))


def _literal(file: str, name: str) -> Any:
    """Return the value of a constant of transformers from its source: a literal, or one inside one call."""
    found = find_spec("transformers")
    if found is None or found.origin is None:
        raise LookupError("transformers is a dependency")
    for node in ast.parse((Path(found.origin).parent / file).read_text(encoding="utf-8")).body:
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        if any(isinstance(target, ast.Name) and target.id == name for target in targets):
            value = node.value  # type: ignore[attr-defined]  # only assignments have targets
            return ast.literal_eval(value.args[0] if isinstance(value, ast.Call) else value)
    raise LookupError(name)


def architecture_of(config: Mapping[str, Any], folder: str) -> str:
    """Return the name of the architecture. Raise InputError unless it predicts each token from those before it."""
    kind, names = config.get("model_type"), config.get("architectures")
    if not isinstance(kind, str):
        raise InputError(
            f"config.json of '{shown(folder)}' does not say which model this is (model_type). Add it."
        )
    if names is not None and not (isinstance(names, list) and all(isinstance(name, str) for name in names)):
        raise InputError(
            f"config.json of '{shown(folder)}' says architectures = {shown(repr(names))}; it is a list of names."
        )
    name = names[0] if names else kind
    expected = causal_classes().get(kind)
    if expected is None:
        if config.get("is_encoder_decoder") is True:
            _refuse(folder, name, "an encoder-decoder, which writes one text given another")
        raise InputError(
            f"'{shown(folder)}' is a {shown(name)} (model_type '{shown(kind)}'), and transformers {version('transformers')} "
            f"has no causal language model of that type. The adapter 'transformers' audits models that predict each token "
            f"from those before it; for a model of another kind use 'torch_module'. If it is newer than this version, "
            "install a newer transformers."
        )
    if names and expected.casefold() not in {one.casefold() for one in names}:
        _refuse(folder, name, f"not the {expected} that predicts each token from those before it")
    if kind in _BOTH_WAYS:
        _refuse(folder, name, _BOTH_WAYS[kind])
    if kind in _masked_families() and kind not in _DECODERS and config.get("is_decoder") is not True:
        _refuse(
            folder,
            name,
            "which sees the tokens after the one it predicts (is_decoder is not true in config.json)",
        )
    return str(name)


def positions_lost(config: Mapping[str, Any]) -> int:
    """Return how many of a model's positions no token can have."""
    if config.get("model_type") not in _SHIFTED:
        return 0
    padding = config.get("pad_token_id", 1)
    return padding + 1 if isinstance(padding, int) else 2


def _refuse(folder: str, name: str, why: str) -> None:
    raise InputError(
        f"'{shown(folder)}' is a {shown(name)}, {why}. It is not a causal language model, so its probabilities of a "
        "text would mean nothing. Use a causal checkpoint, or 'torch_module' with capabilities of its own."
    )
