"""GGUF files of several architectures score as the models they were made from, or are refused where they cannot."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
import torch
import transformers
from gguf import MODEL_ARCH

from audit.core.errors import InputError
from audit.core.rows import text_rows
from audit.models.lm.files import check
from audit.models.lm.gguf_model import PROVEN
from audit.models.transformers import CausalLM

TEXTS = [
    "the nurse said that she would be late",
    "x",
    "the driver slept and the nurse said that he would be late",
]
SIZES = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2}
WIDE = {**SIZES, "intermediate_size": 64, "max_position_embeddings": 128}


def same(name: str, values: Any) -> Any:
    return values


def one_more(name: str, values: Any) -> Any:
    """Norms of Gemma and Nemotron lie in GGUF files as one more than in transformers."""
    return values + 1 if "norm" in name and name.endswith("weight") else values


def turned(name: str, values: Any) -> Any:
    return values.T if name.endswith(("c_attn.weight", "c_proj.weight", "c_fc.weight")) else values


def of_state(name: str, values: Any) -> Any:
    return (
        -torch.exp(values)
        if name.endswith("A_log")
        else values.squeeze(1)
        if "conv1d.weight" in name
        else values
    )


@dataclass(frozen=True)
class Made:
    """A tiny model of an architecture, how a converter stores its tensors, and what it writes beside the usual keys."""

    kind: MODEL_ARCH
    model: str
    config: dict[str, Any]
    stored: Callable[[str, Any], Any] = same
    keys: dict[str, Any] = field(default_factory=dict)


GEMMA = {**WIDE, "head_dim": 256, "sliding_window": 16, "query_pre_attn_scalar": 256}
GEMMA_KEYS = {"attention.key_length": 256, "attention.value_length": 256, "attention.sliding_window": 16}
MODELS = {
    "qwen2": Made(MODEL_ARCH.QWEN2, "Qwen2ForCausalLM", WIDE, keys={"rope.dimension_count": 8}),
    "qwen3": Made(
        MODEL_ARCH.QWEN3, "Qwen3ForCausalLM", {**WIDE, "head_dim": 128}, keys={"attention.key_length": 128}
    ),
    "gpt2": Made(
        MODEL_ARCH.GPT2,
        "GPT2LMHeadModel",
        {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 1024},
        turned,
    ),
    "gemma2": Made(
        MODEL_ARCH.GEMMA2,
        "Gemma2ForCausalLM",
        GEMMA,
        one_more,
        {**GEMMA_KEYS, "attn_logit_softcapping": 50.0, "final_logit_softcapping": 30.0},
    ),
    "gemma3": Made(MODEL_ARCH.GEMMA3, "Gemma3ForCausalLM", GEMMA, one_more, GEMMA_KEYS),
    "phi3": Made(MODEL_ARCH.PHI3, "Phi3ForCausalLM", WIDE, keys={"rope.dimension_count": 8}),
    "starcoder2": Made(MODEL_ARCH.STARCODER2, "Starcoder2ForCausalLM", {**WIDE, "use_bias": True}),
    "stablelm": Made(MODEL_ARCH.STABLELM, "StableLmForCausalLM", WIDE, keys={"rope.dimension_count": 2}),
    "nemotron": Made(
        MODEL_ARCH.NEMOTRON,
        "NemotronForCausalLM",
        {**WIDE, "head_dim": 8},
        one_more,
        {"rope.dimension_count": 4},
    ),
    "falcon": Made(
        MODEL_ARCH.FALCON,
        "FalconForCausalLM",
        {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "multi_query": True},
        keys={"attention.head_count_kv": 1},
    ),
    "mamba": Made(
        MODEL_ARCH.MAMBA,
        "MambaForCausalLM",
        {"hidden_size": 32, "num_hidden_layers": 2, "state_size": 4},
        of_state,
        {
            **{"ssm.conv_kernel": 4, "ssm.inner_size": 64, "ssm.state_size": 4, "ssm.time_step_rank": 2},
            **{"attention.head_count": 0, "attention.head_count_kv": 0},
        },
    ),
}


def model_of(made: Made, **more: Any) -> Any:
    kind = getattr(transformers, made.model)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = kind(kind.config_class(**{**made.config, **more})).eval()
    torch.manual_seed(3)
    for _, weights in sorted(model.named_parameters()):
        weights.data = (
            torch.randn_like(weights) * 0.3
            if weights.dim() > 1
            else weights.data + torch.randn_like(weights) * 0.1
        )
    return model


def write(made: Made, model: Any, folder: Path, path: Path, **changed: Any) -> None:
    """Write what llama.cpp's converter writes for this model, with the tokenizer of a directory."""
    config, name = model.config, gguf.MODEL_ARCH_NAMES[made.kind]
    writer = gguf.GGUFWriter(path, name)
    rope = getattr(config, "rope_parameters", None) or {}
    rope = rope.get("full_attention", rope)
    keys: dict[str, Any] = {
        "context_length": getattr(config, "n_positions", 128),
        "embedding_length": 32,
        "block_count": 2,
        "feed_forward_length": getattr(config, "intermediate_size", 128),
        "attention.head_count": 4,
        "attention.head_count_kv": getattr(config, "num_key_value_heads", 4),
        **({"rope.freq_base": float(rope["rope_theta"])} if "rope_theta" in rope and name != "gpt2" else {}),
        **made.keys,
        **changed,
    }
    norms = ("rms_norm_eps", "layer_norm_epsilon", "norm_epsilon", "layer_norm_eps", "norm_eps")
    epsilon = next((getattr(config, one) for one in norms if hasattr(config, one)), 1e-5)
    rms = hasattr(config, "rms_norm_eps") or name == "mamba"
    keys["attention.layer_norm_rms_epsilon" if rms else "attention.layer_norm_epsilon"] = float(epsilon)
    for key, value in keys.items():
        add = writer.add_float32 if isinstance(value, float) else writer.add_uint32
        add(f"{name}.{key}", value)
    tokenizer = json.loads((folder / "tokenizer.json").read_text())["model"]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(sorted(tokenizer["vocab"], key=tokenizer["vocab"].__getitem__))
    writer.add_token_merges([" ".join(merge) for merge in tokenizer["merges"]])
    writer.add_bos_token_id(0)
    writer.add_eos_token_id(1)
    writer.add_pad_token_id(1)
    names = gguf.get_tensor_name_map(made.kind, 2)
    tied = model.get_input_embeddings().weight.data_ptr()
    for key, values in model.state_dict().items():
        if key == "lm_head.weight" and values.data_ptr() == tied:
            continue
        stored = names.get_name(key, try_suffixes=(".weight", ".bias"))
        assert stored is not None, key
        writer.add_tensor(stored, np.ascontiguousarray(made.stored(key, values).float().numpy()))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


@pytest.mark.parametrize("name", MODELS)
def test_a_file_scores_as_the_model_it_was_made_from(name: str, tiny_lm: Path, tmp_path: Path) -> None:
    made, known = MODELS[name], check(tiny_lm).vocabulary
    model = model_of(made, vocab_size=known.highest + 1, bos_token_id=0, eos_token_id=1, pad_token_id=1)
    write(made, model, tiny_lm, tmp_path / "m.gguf")
    opened = CausalLM.open(CausalLM.refer({"path": str(tmp_path / "m.gguf"), "max_length": 100}), "cpu")
    scores = opened.log_likelihood(text_rows(TEXTS))
    for tokens, score in zip(opened.network.words.prompt(TEXTS), scores, strict=True):
        with torch.no_grad():
            logp = model(torch.tensor([tokens]), use_cache=False).logits[0].double().log_softmax(-1)
        expected = logp[:-1].gather(1, torch.tensor(tokens[1:])[:, None]).sum()
        np.testing.assert_allclose(score, expected, atol=1e-3)


def test_every_architecture_that_is_opened_is_compared_here_or_beside() -> None:
    assert {*MODELS, "llama"} == set(PROVEN)


@pytest.mark.parametrize(
    ("name", "changed", "said"),
    [
        ("gemma2", {"attention.key_length": 128}, "opened it with|other shapes"),
        (
            "gemma2",
            {"attn_logit_softcapping": 20.0},
            r"attn_logit_softcapping = 20, and .* opened it with 50",
        ),
        ("stablelm", {"rope.dimension_count": 4}, r"rope\.dimension_count = 4, and .* opened it with 2"),
        ("qwen2", {"rope.dimension_count": 4}, r"rope\.dimension_count = 4, and .* opened it with 8"),
        ("starcoder2", {"rope.freq_base": 5e5}, r"rope\.freq_base = 500000, and .* opened it with 10000"),
        ("qwen2", {"expert_count": 8}, "expert_count = 8, and .* no such setting"),
    ],
)
def test_what_the_library_makes_of_it_is_compared_with_what_it_says(
    name: str, changed: dict[str, Any], said: str, tiny_lm: Path, tmp_path: Path
) -> None:
    made, known = MODELS[name], check(tiny_lm).vocabulary
    model = model_of(made, vocab_size=known.highest + 1, bos_token_id=0, eos_token_id=1, pad_token_id=1)
    write(made, model, tiny_lm, tmp_path / "m.gguf", **changed)
    with pytest.raises(InputError, match=said):
        CausalLM.open(CausalLM.refer({"path": str(tmp_path / "m.gguf"), "max_length": 100}), "cpu")
