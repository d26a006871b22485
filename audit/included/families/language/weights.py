"""A trained language model as the directory that transformers opens."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors.torch import load_file
from tokenizers import Tokenizer
from torch import Tensor

from audit.included.families.language.network import EPSILON, ROTARY
from audit.included.families.language.tokens import BEGIN, BEGIN_ID, END, END_ID
from audit.included.training.checkpoints import replace_file
from audit.included.training.recipe import TrainingRecipe

MODEL, TOKENIZER = "model.safetensors", "tokenizer.json"


@dataclass(frozen=True, slots=True)
class Beginning:
    """What a twin starts from: another model's weights and its tokenizer."""

    tensors: Mapping[str, Tensor]
    tokenizer: Tokenizer

    @classmethod
    def at(cls, place: Path) -> Beginning:
        return cls(load_file(place / MODEL), Tokenizer.from_file(str(place / TOKENIZER)))


def write_model(recipe: TrainingRecipe, weights: Path, tokenizer: Tokenizer, place: Path) -> None:
    """Write ``place`` as ``save_pretrained`` would, from a file of weights.

    The files are written here and not by transformers so that they are the same whatever its version,
    and name neither it nor this machine.
    """
    place.mkdir(parents=True, exist_ok=True)
    for name, values in _settings(recipe).items():
        (place / name).write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")
    tokenizer.save(str(place / TOKENIZER))
    replace_file(load_file(weights), place / MODEL, {"format": "pt"})


def _settings(recipe: TrainingRecipe) -> dict[str, dict[str, Any]]:
    sizes = recipe.sizes
    ends = {"bos_token_id": BEGIN_ID, "eos_token_id": END_ID, "pad_token_id": END_ID}
    config = {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "vocab_size": sizes["vocabulary"],
        "hidden_size": sizes["width"],
        "intermediate_size": sizes["inner"],
        "num_hidden_layers": sizes["layers"],
        "num_attention_heads": sizes["heads"],
        "num_key_value_heads": sizes["heads"],
        "head_dim": sizes["width"] // sizes["heads"],
        "hidden_act": "silu",
        "max_position_embeddings": sizes["longest"],
        "rms_norm_eps": EPSILON,
        "rope_parameters": {"rope_type": "default", "rope_theta": ROTARY},
        "attention_bias": False,
        "mlp_bias": False,
        "tie_word_embeddings": True,
        "dtype": "float16",
        **ends,
    }
    words = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": BEGIN,
        "eos_token": END,
        "pad_token": END,
        "model_max_length": sizes["longest"],
        "clean_up_tokenization_spaces": False,
    }
    return {
        "config.json": config,
        "generation_config.json": {"do_sample": True, **ends},
        "tokenizer_config.json": words,
    }
