"""GGUF files: read as the directory they came from, cut as they say, and refused before a library relies on them."""

from __future__ import annotations

import json
import os
import shutil
import struct
import subprocess
import sys
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

from audit.core.errors import InputError
from audit.core.rows import text_rows
from audit.models.lm.files import check, facts_of
from audit.models.lm.gguf import Header
from audit.models.lm.gguf_words import _SPLITS, check_words, words_of
from audit.models.lm.tokens import Words
from audit.models.transformers import CausalLM

TEXTS = ["the nurse said that she would be late", "x", "", "naïve 日本", "<|end|> as text"]


def interleave(weight: Any, heads: int) -> Any:
    """Order the rows of a query or key matrix the way GGUF stores rotary halves."""
    return weight.reshape(heads, 2, -1, weight.shape[1]).swapaxes(1, 2).reshape(weight.shape)


def write_gguf(folder: Path, path: Path, further: dict[str, int | float] | None = None) -> None:
    """Write the model in a directory as a GGUF file of float32 tensors; ``further`` are numbers for its header."""
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
    for key, value in (further or {}).items():
        writer.add_float32(key, value) if isinstance(value, float) else writer.add_uint32(key, value)
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


U32, I32, F32, BOOL, STRING, ARRAY, U64 = 4, 5, 6, 7, 8, 9, 10
_CODES = {U32: "I", I32: "i", F32: "f", BOOL: "?", U64: "Q"}


def packed(kind: int, value: Any) -> bytes:
    if kind == STRING:
        data = value if isinstance(value, bytes) else value.encode()
        return struct.pack("<Q", len(data)) + data
    if kind == ARRAY:
        inner, values = value
        return struct.pack("<IQ", inner, len(values)) + b"".join(packed(inner, one) for one in values)
    return struct.pack("<" + _CODES[kind], value)


def written(
    path: Path,
    values: Sequence[tuple[str, int, Any]],
    tensors: Sequence[tuple[str, Sequence[int], int]],
    size: int,
) -> Path:
    """Write a GGUF file by hand: entries, tensors (name, axes, type) at offset 0, and ``size`` bytes of data."""
    head = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(values))
    for key, kind, value in values:
        head += packed(STRING, key) + struct.pack("<I", kind) + packed(kind, value)
    for name, axes, kind in tensors:
        head += packed(STRING, name) + struct.pack(f"<I{len(axes)}QIQ", len(axes), *axes, kind, 0)
    path.write_bytes(head + b"\0" * (-len(head) % 32 + size))
    return path


TOKENS = ["a", "b", "ab"]
GOOD: dict[str, tuple[int, Any]] = {
    "general.architecture": (STRING, "llama"),
    "llama.context_length": (U32, 64),
    "llama.embedding_length": (U32, 4),
    "llama.block_count": (U32, 1),
    "llama.attention.head_count": (U32, 2),
    "tokenizer.ggml.model": (STRING, "gpt2"),
    "tokenizer.ggml.pre": (STRING, "gpt-2"),
    "tokenizer.ggml.tokens": (ARRAY, (STRING, TOKENS)),
    "tokenizer.ggml.merges": (ARRAY, (STRING, ["a b"])),
    "tokenizer.ggml.bos_token_id": (U32, 0),
}
EMBEDDING, LAYER = ("token_embd.weight", (4, 3), 0), ("blk.0.attn_q.weight", (4, 4), 0)


def changed(path: Path, *, tensors: Any = (EMBEDDING, LAYER), size: int = 64, **values: Any) -> Path:
    """Write a good file with some entries changed, or left out where they are None."""
    entries = {**GOOD, **{key.replace("__", "."): value for key, value in values.items()}}
    return written(
        path, [(key, *value) for key, value in entries.items() if value is not None], tensors, size
    )


def test_a_file_written_by_hand_is_read(tmp_path: Path) -> None:
    facts = check(changed(tmp_path / "m.gguf")).facts
    assert (facts.architecture, facts.parameters, facts.context, facts.vocabulary) == ("llama", 28, 64, 3)


HOSTILE: dict[str, tuple[dict[str, Any], str]] = {
    "no architecture": ({"general__architecture": None}, "does not say which architecture"),
    "architecture as a number": ({"general__architecture": (U32, 3)}, "does not say which architecture"),
    "encoder": (
        {"general__architecture": (STRING, "bert")},
        "architecture 'bert', and GGUF files of it are not known",
    ),
    "t5": ({"general__architecture": (STRING, "t5")}, "architecture 't5', and GGUF files of it"),
    "not causal": ({"llama__attention__causal": (BOOL, False)}, "is not causal"),
    "a shard": ({"split__count": (U32, 3)}, "one of 3 shards .* llama-gguf-split --merge"),
    "an adapter": ({"general__type": (STRING, "adapter")}, "of the type 'adapter'"),
    "alignment of 3": ({"general__alignment": (U32, 3)}, "general.alignment is 3"),
    "alignment of 0": ({"general__alignment": (U32, 0)}, "general.alignment is 0"),
    "alignment as a word": ({"general__alignment": (STRING, "x")}, "general.alignment is 'x'"),
    "context as a string": ({"llama__context_length": (STRING, "64")}, "llama.context_length = '64'"),
    "context as a float": ({"llama__context_length": (F32, 64.0)}, r"llama\.context_length = 64\.0"),
    "context of 2^62": (
        {"llama__context_length": (U64, 1 << 62)},
        "llama.context_length = 4611686018427387904",
    ),
    "negative layers": ({"llama__block_count": (I32, -1)}, "llama.block_count = -1"),
    "10^9 layers": ({"llama__block_count": (U32, 10**9)}, "llama.block_count = 1000000000"),
    "5 layers": ({"llama__block_count": (U32, 5)}, "block_count is 5 and there are tensors of 1 layers"),
    "another width": (
        {"llama__embedding_length": (U32, 8)},
        "embedding_length is 8 and its embedding 4 wide",
    ),
    "more tokens": (
        {"tokenizer__ggml__tokens": (ARRAY, (STRING, [*TOKENS, "c"]))},
        "it states 4 tokens, and its embedding has 3 rows",
    ),
    "a token twice": ({"tokenizer__ggml__tokens": (ARRAY, (STRING, ["a", "b", "a"]))}, "lists a token twice"),
    "tokens that are numbers": ({"tokenizer__ggml__tokens": (ARRAY, (U32, [1, 2, 3]))}, "has no tokenizer"),
    "no tokens": ({"tokenizer__ggml__tokens": None}, "has no tokenizer"),
    "tokens not in UTF-8": (
        {"tokenizer__ggml__tokens": (ARRAY, (STRING, [b"\xff", "b", "c"]))},
        "is not UTF-8",
    ),
    "another kind of tokenizer": (
        {"tokenizer__ggml__model": (STRING, "rwkv")},
        "a tokenizer of the kind 'rwkv'",
    ),
    "an unknown split": (
        {"tokenizer__ggml__pre": (STRING, "smolm")},
        "splits texts in the way 'smolm' .*Did you mean 'smollm'",
    ),
    "start beyond the tokens": (
        {"tokenizer__ggml__bos_token_id": (U32, 3)},
        "bos_token_id = 3, and has 3 tokens",
    ),
    "start as a word": ({"tokenizer__ggml__bos_token_id": (STRING, "a")}, "bos_token_id = 'a'"),
    "kinds of fewer tokens": ({"tokenizer__ggml__token_type": (ARRAY, (I32, [1]))}, "not as many entries"),
    "scores missing": (
        {"tokenizer__ggml__model": (STRING, "llama")},
        "not as many entries in tokenizer.ggml.scores",
    ),
    "stretched positions": (
        {"llama__rope__scaling__type": (STRING, "yarn")},
        "stretches its rotary positions",
    ),
    "stretched by a factor": ({"llama__rope__scaling__factor": (F32, 8.0)}, "stretches its rotary positions"),
    "stretched by a tensor": (
        {"tensors": (EMBEDDING, LAYER, ("rope_freqs.weight", (2,), 0))},
        r"stretches its rotary positions \(rope_freqs\.weight\)",
    ),
    "no embedding": ({"tensors": (LAYER,)}, r"no table of embeddings \(token_embd\.weight\)"),
    "a tensor twice": ({"tensors": (EMBEDDING, EMBEDDING)}, "describes the tensor 'token_embd.weight' twice"),
    "too many axes": ({"tensors": (EMBEDDING, ("x", (1,) * 9, 0))}, "the tensor 'x' has 9 axes"),
    "an axis of 2^63": (
        {"tensors": (EMBEDDING, ("x", (1 << 63,), 0))},
        "the tensor 'x' is 9223372036854775808",
    ),
    "an axis of 0": ({"tensors": (EMBEDDING, ("x", (0,), 0))}, "the tensor 'x' is 0"),
    "sides that multiply to the world": (
        {"tensors": (EMBEDDING, ("x", (1 << 39, 1 << 39), 0))},
        "is cut short",
    ),
    "an unknown type": ({"tensors": (EMBEDDING, ("x", (32,), 999))}, r"not known here \(type 999\)"),
    "a row that is no block": (
        {"tensors": (EMBEDDING, ("x", (30,), 8))},
        "does not divide into blocks of 32",
    ),
    "a tensor that the header leaves out": ({"size": 64 + 33}, "has 33 bytes that belong to no tensor"),
    "positions with a base of 0": (
        {"llama__rope__freq_base": (F32, 0.0)},
        r"llama\.rope\.freq_base = 0\.0; it is a number above 0",
    ),
    "positions without end": ({"llama__rope__freq_base": (F32, float("inf"))}, "freq_base = inf"),
    "an epsilon without end": (
        {"llama__attention__layer_norm_rms_epsilon": (F32, float("inf"))},
        "layer_norm_rms_epsilon = inf; it is a number not below 0",
    ),
    "heads of none": ({"llama__attention__head_count": (U32, 0)}, r"head_count is 0, and there are tensors"),
    "layers of another width": (
        {
            "llama__feed_forward_length": (U32, 5),
            "tensors": (EMBEDDING, LAYER, ("blk.0.ffn_up.weight", (4, 4), 0)),
        },
        "feed_forward_length is 5, and its layers are 4 wide inside",
    ),
    "cut data": ({"size": 63}, r"is cut short: its tensors need 64 bytes, and 63 are there"),
}


@pytest.mark.parametrize("how", HOSTILE)
def test_what_a_header_says_is_not_believed(tmp_path: Path, how: str) -> None:
    changes, said = HOSTILE[how]
    with pytest.raises(InputError, match=said) as caught:
        check(changed(tmp_path / "m.gguf", **changes))
    assert "m.gguf" in str(caught.value)


def test_lengths_beyond_the_file_are_refused_before_memory_is_taken(tmp_path: Path) -> None:
    path = tmp_path / "m.gguf"
    entry = packed(STRING, "a") + struct.pack("<I", ARRAY)
    for head in (
        struct.pack("<IQQ", 3, 1 << 63, 1),
        struct.pack("<IQQ", 3, 0, (1 << 64) - 1),
        struct.pack("<IQQQ", 3, 0, 1, 1 << 63),
        struct.pack("<IQQ", 3, 0, 1) + entry + struct.pack("<IQ", STRING, 1 << 62),
        struct.pack("<IQQ", 3, 0, 1) + entry + struct.pack("<IQQ", STRING, 1, 1 << 62),
        struct.pack("<IQQ", 3, 0, 1) + entry + struct.pack("<IQ", U64, 1 << 61),
        struct.pack("<IQQ", 3, 0, 1) + entry + struct.pack("<IQ", ARRAY, 3),
        struct.pack("<IQQ", 3, 0, 1) + packed(STRING, "a") + struct.pack("<I", 77),
        struct.pack(">IQQ", 3, 0, 1),
        struct.pack("<IQQ", 1, 0, 1),
    ):
        path.write_bytes(b"GGUF" + head + b"\0" * 64)
        with pytest.raises(
            InputError,
            match=r"'m\.gguf' (is cut short|is damaged|is written for big-endian|has GGUF version)",
        ):
            check(path)


def test_shards_are_known_by_their_name_too(tiny_gguf: Path, tmp_path: Path) -> None:
    path = tmp_path / "big-00001-of-00002.gguf"
    shutil.copy(tiny_gguf, path)
    with pytest.raises(InputError, match="one of 2 shards"):
        check(path)
    alone = tmp_path / "big-00001-of-00001.gguf"
    shutil.copy(tiny_gguf, alone)
    assert check(alone).digest == check(tiny_gguf).digest


def test_a_link_to_a_file_of_another_name_is_the_model(tiny_gguf: Path, tmp_path: Path) -> None:
    shutil.copy(tiny_gguf, tmp_path / "0123abc")  # as the cache of a hub keeps it
    (tmp_path / "m.gguf").symlink_to("0123abc")
    options = {"max_new_tokens": 8}
    ref = CausalLM.refer({"path": str(tmp_path / "m.gguf"), **options})
    assert ref == CausalLM.refer({"path": str(tiny_gguf), **options})
    CausalLM.describe(ref)
    CausalLM.open(ref, "cpu")


def test_planning_reads_the_header_and_imports_no_torch(tiny_gguf: Path) -> None:
    code = (
        "import sys; from audit.models.transformers import CausalLM as C\n"
        f"C.describe(C.refer({{'path': {str(tiny_gguf)!r}, 'max_new_tokens': 8}}))\n"
        "assert not {'torch', 'transformers', 'scipy', 'pyarrow'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_pointer_and_a_pipe_are_named(tmp_path: Path) -> None:
    (tmp_path / "p.gguf").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 3\n")
    with pytest.raises(InputError, match=r"p\.gguf .*is a Git LFS pointer"):
        check(tmp_path / "p.gguf")
    os.mkfifo(tmp_path / "q.gguf")
    with pytest.raises(InputError, match=r"q\.gguf .*is a named pipe"):
        check(tmp_path / "q.gguf")


def test_settings_that_the_library_does_not_follow_are_refused(tiny_lm: Path, tmp_path: Path) -> None:
    for number, (key, value) in enumerate(
        (
            ("attention.sliding_window", 16),
            ("final_logit_softcapping", 30.0),
            ("expert_count", 4),
            ("logit_scale", 2.0),
        )
    ):
        path = tmp_path / f"{number}.gguf"
        write_gguf(tiny_lm, path, {f"llama.{key}": value})
        with pytest.raises(InputError, match=rf"says llama\.{key} = .* opened it with no such setting"):
            CausalLM.open(CausalLM.refer({"path": str(path), "max_new_tokens": 8}), "cpu")
    write_gguf(tiny_lm, tmp_path / "n.gguf", {"llama.logit_scale": 1.0, "llama.expert_count": 0})
    CausalLM.open(CausalLM.refer({"path": str(tmp_path / "n.gguf"), "max_new_tokens": 8}), "cpu")


# ---- tokenizers -------------------------------------------------------------------------------------------------------

PROBES = [
    "In 1985 there were 12345 boats and 7 dogs.",
    "  two spaces,\ttabs\n\nlines  ",
    "don't DON'T we'll",
    "naïve café 日本語 2024年 🙂!",
    "x=1;y[2]+=3.1415926 # code",
    "",
    " ",
    "<|end|> </s>",
]


def header_of(tokenizer: Tokenizer, split: str, **more: Any) -> Header:
    """Return the header a converter writes for a byte-level tokenizer."""
    model = json.loads(tokenizer.to_str())["model"]
    words = sorted(model["vocab"], key=model["vocab"].__getitem__)
    merges = [" ".join(merge) for merge in model["merges"]]
    values = {"model": "gpt2", "pre": split, "tokens": words, "merges": merges, **more}
    return Header({f"tokenizer.ggml.{key}": value for key, value in values.items()}, {})


def byte_level(split: Any, **options: Any) -> Tokenizer:
    """Train a byte-level tokenizer that cuts texts by ``split`` first; its merges go across every such cut."""
    free = Tokenizer(models.BPE(**options))
    free.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    trainer = trainers.BpeTrainer(
        vocab_size=600, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
    )
    free.train_from_iterator(
        [f"{text} {number} {number * 7919}" for number in range(60) for text in PROBES], trainer
    )
    free.pre_tokenizer = split
    free.decoder = decoders.ByteLevel()
    return free


def digits_then_words() -> Any:
    """SmolLM2's, StarCoder's and Granite's own tokenizer.json."""
    return pre_tokenizers.Sequence(
        [
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True),
        ]
    )


def by(expression: str) -> Any:
    return pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(expression), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )


LLAMA3 = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
"""As in Llama 3's tokenizer.json; Qwen 2's has one digit where this has up to three."""
OWN = {
    "gpt-2": (lambda: pre_tokenizers.ByteLevel(add_prefix_space=False), False),
    "smollm": (digits_then_words, False),
    "starcoder": (digits_then_words, False),
    "llama-bpe": (lambda: by(LLAMA3), True),
    "qwen2": (lambda: by(LLAMA3.replace("{1,3}", "")), False),
}


@pytest.mark.parametrize("split", OWN)
def test_a_text_is_cut_as_by_the_models_own_tokenizer(split: str) -> None:
    made, whole_words = OWN[split]
    own = byte_level(made(), ignore_merges=whole_words)
    header = header_of(own, split)
    check_words(header, "m.gguf")
    words = Words.of(words_of(header))
    for text, encoded in zip(PROBES, words.encode(PROBES, [""] * len(PROBES)), strict=True):
        assert (
            encoded.tokens[-len(own.encode(text).ids) or len(encoded.tokens) :].tolist()
            == own.encode(text).ids
        )
        assert encoded.lossless
    others = {tuple(words_of(header_of(own, other)).backend.encode(PROBES[0]).ids) for other in OWN}
    assert len(others) >= 3, "the splits of this test differ on its texts"


@pytest.mark.parametrize("split", _SPLITS)
def test_every_known_split_gives_each_text_back(split: str) -> None:
    words = words_of(header_of(byte_level(pre_tokenizers.ByteLevel(add_prefix_space=False)), split))
    for text in PROBES:
        assert words.backend.decode(words.backend.encode(text).ids) == text


def test_a_split_that_is_not_stated_is_said_to_be_assumed() -> None:
    own = byte_level(pre_tokenizers.ByteLevel(add_prefix_space=False))
    for split in ("", "default"):
        words = words_of(header_of(own, split))
        assert "GPT-2's way was assumed" in words.assumed
        assert [words.backend.encode(t).ids for t in PROBES] == [own.encode(t).ids for t in PROBES]
    assert words_of(header_of(own, "gpt-2")).assumed == ""


def test_tokens_of_the_users_own_are_found_in_a_text_and_control_tokens_are_not() -> None:
    own = byte_level(pre_tokenizers.ByteLevel(add_prefix_space=False))
    header = header_of(own, "gpt-2")
    tokens = [*header.values["tokenizer.ggml.tokens"], "<think>", "<|end|>"]
    kinds = [1] * (len(tokens) - 2) + [4, 3]
    words = words_of(header_of(own, "gpt-2", tokens=tokens, token_type=kinds, eos_token_id=len(tokens) - 1))
    (encoded,) = Words.of(words).encode(["a<think>b<|end|>"], [""])
    found = encoded.tokens.tolist()
    assert found[0] == len(tokens) - 1, "without a start token the end token begins a text"
    assert len(tokens) - 2 in found
    assert len(tokens) - 1 not in found[1:]
    assert encoded.lossless


SPACE = "\u2581"
PIECES = [
    *("<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256))),
    *(
        SPACE,
        "t",
        "h",
        "e",
        "n",
        "s",
        "a",
        "i",
        "d",
        f"{SPACE}t",
        "he",
        f"{SPACE}the",
        "in",
        "an",
        "and",
        "sa",
        "id",
        "said",
    ),
    *(f"{SPACE}s", f"{SPACE}said", "th", "th" + "e", f"{SPACE}{SPACE}", f"{SPACE}a", f"{SPACE}an"),
]


def sentencepiece(*, prefix: bool) -> Header:
    tokens = list(dict.fromkeys(PIECES))
    kinds = [2, 3, 3, *([6] * 256), *([1] * (len(tokens) - 259))]
    order = np.random.default_rng(5).permutation(len(tokens) - 259)
    scores = [0.0] * 259 + [-float(place) for place in order]
    values = {
        "model": "llama",
        "tokens": tokens,
        "token_type": kinds,
        "scores": scores,
        "unknown_token_id": 0,
    }
    more = {"bos_token_id": 1, "eos_token_id": 2, "add_space_prefix": prefix}
    return Header({f"tokenizer.ggml.{key}": value for key, value in {**values, **more}.items()}, {})


def merged(text: str, header: Header) -> list[int]:
    """Cut a text as SentencePiece's BPE is defined: join the neighbours whose token scores highest, again and again."""
    tokens, scores = (header.values[f"tokenizer.ggml.{key}"] for key in ("tokens", "scores"))
    number = {token: n for n, token in enumerate(tokens)}
    parts = list((" " if header.values["tokenizer.ggml.add_space_prefix"] and text else "") + text)
    parts = [SPACE if part == " " else part for part in parts]
    while True:
        joined = [
            (-scores[number[a + b]], place) for place, (a, b) in enumerate(pairwise(parts)) if a + b in number
        ]
        if not joined:
            break
        _, place = min(joined)
        parts[place : place + 2] = [parts[place] + parts[place + 1]]
    return [
        n
        for part in parts
        for n in ([number[part]] if part in number else [number[f"<0x{byte:02X}>"] for byte in part.encode()])
    ]


@pytest.mark.parametrize("prefix", [True, False])
def test_pieces_are_joined_by_score_and_the_rest_is_bytes(prefix: bool) -> None:
    header = sentencepiece(prefix=prefix)
    check_words(header, "m.gguf")
    words = Words.of(words_of(header))
    texts = [
        "the hen said and sat in the tent",
        " the",
        "  an  ant",
        "naïve 日",
        "",
        "x",
        "and\nthe",
        "</s> said",
    ]
    for text, encoded in zip(texts, words.encode(texts, [""] * len(texts)), strict=True):
        assert encoded.tokens.tolist() == [1, *merged(text, header)], text
        assert encoded.lossless, text


def test_a_prefix_and_tokens_of_the_users_own_together_are_refused() -> None:
    header = sentencepiece(prefix=True)
    kinds = [*header.values["tokenizer.ggml.token_type"][:-1], 4]
    with pytest.raises(InputError, match=r"tokens of the user's own"):
        check_words(Header({**header.values, "tokenizer.ggml.token_type": kinds}, {}), "m.gguf")
