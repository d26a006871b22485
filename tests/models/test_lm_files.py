"""Files of language models: GGUF, damaged headers, and a tokenizer without a start token."""

from __future__ import annotations

import json
import struct
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from audit import assets
from audit.core.errors import InputError
from audit.core.rows import text_rows
from audit.models.lm.files import check, facts_of
from audit.models.lm.tokens import Words, windows
from audit.models.transformers import CausalLM

TEXTS = ["the nurse said that she would be late", "x", "", "naïve 日本", "<|end|> as text"]


def interleave(weight: Any, heads: int) -> Any:
    """Order the rows of a query or key matrix the way GGUF stores rotary halves."""
    return weight.reshape(heads, 2, -1, weight.shape[1]).swapaxes(1, 2).reshape(weight.shape)


def write_gguf(folder: Path, path: Path) -> None:
    """Write the model in a directory as a GGUF file of float32 tensors."""
    import gguf
    import torch
    from safetensors.torch import load_file
    from transformers import AutoConfig, AutoTokenizer

    config, tokenizer = AutoConfig.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_freq_base(config.rope_parameters["rope_theta"])
    writer.add_rope_dimension_count(config.hidden_size // config.num_attention_heads)
    writer.add_vocab_size(config.vocab_size)
    writer.add_tokenizer_model("gpt2")
    words = sorted(tokenizer.get_vocab(), key=tokenizer.get_vocab().__getitem__)
    writer.add_token_list(words)
    writer.add_token_types([3 if word.startswith("<|") else 1 for word in words])
    merges = json.loads((folder / "tokenizer.json").read_text())["model"]["merges"]
    writer.add_token_merges([" ".join(merge) for merge in merges])
    writer.add_bos_token_id(tokenizer.bos_token_id)
    writer.add_eos_token_id(tokenizer.eos_token_id)
    names = {
        "model.embed_tokens": "token_embd",
        "model.norm": "output_norm",
        "input_layernorm": "attn_norm",
        "post_attention_layernorm": "ffn_norm",
        "self_attn.q_proj": "attn_q",
        "self_attn.k_proj": "attn_k",
        "self_attn.v_proj": "attn_v",
        "self_attn.o_proj": "attn_output",
        "mlp.gate_proj": "ffn_gate",
        "mlp.up_proj": "ffn_up",
        "mlp.down_proj": "ffn_down",
        "model.layers": "blk",
    }
    for name, tensor in load_file(folder / "model.safetensors").items():
        values = tensor.to(torch.float32).numpy()
        if "q_proj" in name:
            values = interleave(values, config.num_attention_heads)
        if "k_proj" in name:
            values = interleave(values, config.num_key_value_heads)
        for theirs, ours in names.items():
            name = name.replace(theirs, ours)
        writer.add_tensor(name, np.ascontiguousarray(values))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


@pytest.fixture(scope="module")
def tiny_gguf(tiny_lm: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("gguf") / "tiny.gguf"
    write_gguf(tiny_lm, path)
    return path


def test_a_gguf_file_scores_as_the_directory_it_came_from(tiny_lm: Path, tiny_gguf: Path) -> None:
    rows = text_rows(TEXTS)
    scores = []
    for place in (tiny_lm, tiny_gguf):
        ref = CausalLM.refer({"path": str(place), "max_new_tokens": 8})
        model = CausalLM.open(ref, "cpu")
        assert model.network.widest_tree > 0
        scores.append(model.log_likelihood(rows))
    np.testing.assert_allclose(scores[0], scores[1], atol=1e-3)
    given, made = facts_of(tiny_lm), facts_of(tiny_gguf)
    assert made.architecture == "llama"
    assert (made.parameters, made.context, made.vocabulary) == (given.parameters, 64, given.vocabulary)
    assert "GPT-2's way was assumed" in made.notes[0]


@pytest.mark.parametrize("kept", [0, 3, 20, 400, 4000])
def test_a_gguf_file_cut_short_is_refused(tiny_gguf: Path, tmp_path: Path, kept: int) -> None:
    path = tmp_path / "cut.gguf"
    path.write_bytes(tiny_gguf.read_bytes()[:kept])
    with pytest.raises(InputError, match=r"cut\.gguf"):
        CausalLM.refer({"path": str(path)})


@pytest.mark.parametrize(
    "header",
    [
        b"GGUF" + struct.pack("<IQQ", 9, 0, 0),
        b"GGUF" + struct.pack("<IQQ", 3, 1 << 60, 1),
        b"GGUF" + struct.pack("<IQQQ", 3, 0, 1, 1 << 62),
        b"GGUF" + struct.pack("<IQQQ", 3, 0, 1, 1) + b"a" + struct.pack("<I", 99),
        b"GGUF" + struct.pack("<IQQQ", 3, 0, 1, 1) + b"a" + struct.pack("<IIQ", 9, 9, 5),
        b"PK\x03\x04 not a model at all",
    ],
)
def test_hostile_gguf_headers_are_refused_at_once(tmp_path: Path, header: bytes) -> None:
    path = tmp_path / "odd.gguf"
    path.write_bytes(header)
    with pytest.raises(InputError, match=r"odd\.gguf"):
        CausalLM.refer({"path": str(path)})


def test_another_kind_of_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "model.pt").write_bytes(b"x")
    with pytest.raises(InputError, match=r"not a \.gguf file"):
        CausalLM.refer({"path": str(tmp_path / "model.pt")})


def words_without(tiny_lm: Path, *, start: bool, end: bool) -> Words:
    vocabulary = check(tiny_lm).vocabulary
    assert vocabulary.start is not None
    (ending,) = vocabulary.ends
    begin = vocabulary.start if start else ending if end else None
    return Words.of(replace(vocabulary, start=begin, ends=frozenset({ending} if end else ())))


def test_without_a_start_token_the_end_token_begins_a_text(tiny_lm: Path) -> None:
    both, end = (words_without(tiny_lm, start=s, end=True) for s in (True, False))
    assert both.start is not None
    assert end.start in end.ends
    assert end.start != both.start


def test_without_either_the_first_token_is_not_scored(tiny_lm: Path) -> None:
    words = words_without(tiny_lm, start=False, end=False)
    assert words.start is None
    (text,) = words.encode(["日 nurse"], [""])
    assert text.first == 1
    assert text.unscored_bytes == len("日".encode())
    assert [w.scored for w in windows(text, 0, 100, 25, None)] == [len(text.tokens) - 1]
    (given,) = words.encode(["nurse"], ["the "])
    assert given.unscored_bytes == 0
    assert given.first >= 1


def test_a_token_across_the_end_of_the_prefix_is_scored(tiny_lm: Path) -> None:
    words = words_without(tiny_lm, start=True, end=True)
    (whole,) = words.encode(["the nurse"], [""])
    (split,) = words.encode([" nurse"], ["the"])
    (inside,) = words.encode(["urse"], ["the n"])
    assert whole.tokens.tolist() == split.tokens.tolist() == inside.tokens.tolist()
    assert words.decode(split.tokens[split.first :].tolist()) == " nurse"
    assert words.decode(inside.tokens[inside.first :].tolist()).endswith("urse")


def test_a_tokenizer_that_loses_something_is_noticed(tiny_lm: Path) -> None:
    from tokenizers import normalizers

    words = words_without(tiny_lm, start=True, end=True)
    words.backend.normalizer = normalizers.Lowercase()
    assert [e.lossless for e in words.encode(["the nurse", "The Nurse"], ["", ""])] == [True, False]


@pytest.mark.slow
def test_smollm2_scores_alike_alone_and_together_and_as_transformers_does() -> None:
    import torch

    try:
        place = assets.path("smollm2-135m-instruct")
    except InputError:
        pytest.skip("run 'audit fetch smollm2-135m-instruct' first")
    model = CausalLM.open(CausalLM.refer({"path": str(place), "dtype": "float32"}), "cpu")
    texts = [
        f"The {who} said that {pro} would be late." for who in ("nurse", "cook") for pro in ("he", "she")
    ]
    rows = text_rows(texts)
    together = model.log_likelihood(rows)
    alone = [float(model.log_likelihood(rows.slice(i, 1))[0]) for i in range(len(texts))]
    np.testing.assert_allclose(together, alone, atol=1e-3)
    for text, found in zip(model.network.words.encode(texts, [""] * 4), together, strict=True):
        ids = torch.as_tensor(text.tokens)
        with torch.no_grad():
            logp = model.network.model(ids[None]).logits[0].double().log_softmax(-1)
        np.testing.assert_allclose(logp[:-1].gather(1, ids[1:, None]).sum(), found, atol=1e-3)
