"""Every architecture scores and writes as one text at a time does, and what is not causal is found by a probe."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers

from audit.core.errors import InputError
from audit.core.rows import text_rows, texts_of
from audit.models.lm.files import check
from audit.models.lm.head import Head
from audit.models.lm.network import Network
from audit.models.lm.probes import proven
from audit.models.lm.tokens import Words
from audit.models.transformers import CausalLM

SIZES = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64}
GPT = {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 128}
STATE = {"hidden_size": 32, "num_hidden_layers": 2, "state_size": 4}
TEXTS = ["the nurse said that", "the", "she would be late and he slept", "x"]

CAUSAL: dict[str, tuple[str, dict[str, Any]]] = {
    "mamba": ("Mamba", STATE),
    "mamba2": ("Mamba2", {**STATE, "num_heads": 4, "head_dim": 16, "n_groups": 1, "chunk_size": 8}),
    "rwkv": (
        "Rwkv",
        {"hidden_size": 32, "num_hidden_layers": 2, "attention_hidden_size": 32, "context_length": 128},
    ),
    "lfm2": ("Lfm2", {**SIZES, "num_key_value_heads": 2, "layer_types": ["conv", "full_attention"]}),
    "bloom": ("Bloom", {"hidden_size": 32, "n_layer": 2, "n_head": 4}),
    "falcon with alibi": (
        "Falcon",
        {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "alibi": True},
    ),
    "gpt2": ("GPT2", GPT),
    "gpt_neox": ("GPTNeoX", {**SIZES, "max_position_embeddings": 128}),
    "opt": ("OPT", {**SIZES, "ffn_dim": 64, "word_embed_proj_dim": 32, "max_position_embeddings": 128}),
    "gemma2": ("Gemma2", {**SIZES, "num_key_value_heads": 2, "head_dim": 8, "sliding_window": 8}),
    "mistral": ("Mistral", {**SIZES, "num_key_value_heads": 2, "sliding_window": 8}),
    "mixtral": ("Mixtral", {**SIZES, "num_key_value_heads": 2, "num_local_experts": 4}),
    "a decoder of bert": ("Bert", {**SIZES, "is_decoder": True, "max_position_embeddings": 128}),
    "a decoder of roberta": ("Roberta", {**SIZES, "is_decoder": True, "max_position_embeddings": 130}),
}
CLASSES = {"GPT2": "GPT2LMHeadModel", "Bert": "BertLMHeadModel"}


def made(name: str, values: dict[str, Any], **more: Any) -> Any:
    kind = getattr(transformers, CLASSES.get(name, f"{name}ForCausalLM"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.manual_seed(4)
        model = kind(kind.config_class(**values, **more)).eval()
    for _, weights in sorted(model.named_parameters()):
        if weights.dim() > 1 and weights.shape[-1] > 4:
            torch.nn.init.normal_(weights, std=0.3)
    return model


@pytest.mark.parametrize("which", CAUSAL)
def test_scores_and_texts_are_those_of_one_text_at_a_time(which: str, tiny_lm: Path, tmp_path: Path) -> None:
    name, values = CAUSAL[which]
    known = check(tiny_lm).vocabulary
    assert known.start is not None
    (end,) = known.ends
    tokens = {
        "vocab_size": known.highest + 1,
        "bos_token_id": known.start,
        "eos_token_id": end,
        "pad_token_id": end,
    }
    model = made(name, values, **tokens)
    model.save_pretrained(tmp_path / which)
    for file in ("tokenizer.json", "tokenizer_config.json"):
        (tmp_path / which / file).write_bytes((tiny_lm / file).read_bytes())
    options = {"path": str(tmp_path / which), "max_length": 100, "max_new_tokens": 6, "temperature": 0.0}
    opened = CausalLM.open(CausalLM.refer(options), "cpu")
    prompts = opened.network.words.prompt(TEXTS)
    written = texts_of(opened.sample(len(TEXTS), np.random.default_rng(0), text_rows(TEXTS)))
    scores = opened.log_likelihood(text_rows(TEXTS))
    for prompt, text, score in zip(prompts, written, scores, strict=True):
        with torch.no_grad():
            logp = model(torch.tensor([prompt]), use_cache=False).logits[0].double().log_softmax(-1)
        expected = logp[:-1].gather(1, torch.tensor(prompt[1:])[:, None]).sum()
        np.testing.assert_allclose(score, expected, atol=1e-3)
        assert text == opened.network.words.decode(greedy(model, prompt, 6, end))


def greedy(model: Any, prompt: list[int], steps: int, end: int) -> list[int]:
    drawn: list[int] = []
    for _ in range(steps):
        with torch.no_grad():
            token = int(model(torch.tensor([prompt + drawn]), use_cache=False).logits[0, -1].argmax())
        if token == end:
            break
        drawn.append(token)
    return drawn


BOTH_WAYS: dict[str, Callable[[], Any]] = {
    "bert": lambda: transformers.BertLMHeadModel(transformers.BertConfig(**SIZES)),
    "roberta": lambda: transformers.RobertaForCausalLM(transformers.RobertaConfig(**SIZES)),
    "electra": lambda: transformers.ElectraForCausalLM(
        transformers.ElectraConfig(**SIZES, embedding_size=32)
    ),
    "distilbert": lambda: transformers.DistilBertForMaskedLM(
        transformers.DistilBertConfig(dim=32, n_heads=4, n_layers=2)
    ),
    "xlnet": lambda: transformers.XLNetLMHeadModel(
        transformers.XLNetConfig(d_model=32, n_layer=2, n_head=4, d_inner=64)
    ),
    "modernbert": lambda: transformers.ModernBertForMaskedLM(transformers.ModernBertConfig(**SIZES)),
}


@pytest.mark.parametrize("name", BOTH_WAYS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_network_that_sees_later_tokens_is_found_whatever_it_is_called(
    name: str, dtype: torch.dtype, tiny_lm: Path
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.manual_seed(0)
        model = BOTH_WAYS[name]().eval()
    if dtype == torch.bfloat16:  # trained, or the difference is lost in the rounding
        for weights in model.parameters():
            weights.data.mul_(10)
    words = Words.of(check(tiny_lm).vocabulary)
    plain = Network(name, model.to(dtype), words, Head(None), 0, torch.device("cpu"))
    with pytest.raises(
        InputError, match=f"'{name}' is not causal: changing later tokens moved the score of an earlier"
    ):
        proven(plain)


def test_a_causal_network_passes_in_both_precisions(tiny_lm: Path) -> None:
    opened = CausalLM.open(CausalLM.refer({"path": str(tiny_lm), "max_new_tokens": 8}), "cpu").network
    for dtype in (torch.float32, torch.bfloat16):
        plain = replace(opened, model=opened.model.to(dtype), head=Head(None), widest_tree=0, remembers=False)
        assert proven(plain).remembers
