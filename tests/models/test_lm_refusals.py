"""What is wrong with a language model's files is said before anything is written: the file, what was found, what to do."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file as save_numpy
from safetensors.torch import load_file, save_file

from audit.core.errors import InputError
from audit.core.rows import text_rows
from audit.models.lm.architectures import causal_classes
from audit.models.lm.files import check
from audit.models.lm.settings import check_settings
from audit.models.transformers import CausalLM

POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:" + "ab" * 32 + "\nsize 269060552\n"
WEIGHTS, INDEX, CONFIG = "model.safetensors", "model.safetensors.index.json", "config.json"
Spoil = Callable[[Path], Any]


@pytest.fixture
def folder(tiny_lm: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_lm, tmp_path / "model"))


def refer(folder: Path) -> Any:
    return CausalLM.refer({"path": str(folder), "max_new_tokens": 8})


def setting(file: str = CONFIG, **values: Any) -> Spoil:
    def change(folder: Path) -> None:
        path = folder / file
        path.write_text(json.dumps({**json.loads(path.read_text()), **values}))

    return change


def without(field: str) -> Spoil:
    def change(folder: Path) -> None:
        found = json.loads((folder / CONFIG).read_text())
        del found[field]
        (folder / CONFIG).write_text(json.dumps(found))

    return change


def holding(file: str, data: str | bytes) -> Spoil:
    return lambda folder: (folder / file).write_bytes(data if isinstance(data, bytes) else data.encode())


def cut(file: str, keep: float) -> Spoil:
    def change(folder: Path) -> None:
        data = (folder / file).read_bytes()
        (folder / file).write_bytes(data[: int(len(data) * keep)])

    return change


def sharded(names: dict[str, str] | None = None) -> Spoil:
    """Put the weights into two shards with an index; ``names`` are further entries, or other ones."""

    def change(folder: Path) -> None:
        tensors = load_file(folder / WEIGHTS)
        (folder / WEIGHTS).unlink()
        half = len(tensors) // 2
        where = {}
        for number, part in enumerate((sorted(tensors)[:half], sorted(tensors)[half:])):
            name = f"model-{number + 1:05d}-of-00002.safetensors"
            save_file({key: tensors[key].contiguous() for key in part}, folder / name, {"format": "pt"})
            where |= dict.fromkeys(part, name)
        (folder / INDEX).write_text(json.dumps({"metadata": {}, "weight_map": {**where, **(names or {})}}))

    return change


def both(*changes: Spoil) -> Spoil:
    def change(folder: Path) -> None:
        for one in changes:
            one(folder)

    return change


def tensor(name: str, value: Any) -> Spoil:
    def change(folder: Path) -> None:
        save_file({**load_file(folder / WEIGHTS), name: value}, folder / WEIGHTS, {"format": "pt"})

    return change


def offsets(place: Callable[[int], tuple[int, int]]) -> Spoil:
    """Say of the last tensor that it lies elsewhere; ``place`` is given its length. The file is as long as it says."""

    def change(folder: Path) -> None:
        data = (folder / WEIGHTS).read_bytes()
        length = int.from_bytes(data[:8], "little")
        header, body = json.loads(data[8 : 8 + length]), data[8 + length :]
        last = max((k for k in header if k != "__metadata__"), key=lambda k: header[k]["data_offsets"])
        begin, end = header[last]["data_offsets"]
        start, stop = place(end - begin)
        moved = (start, stop) if start == 0 else (begin + start, end + start)
        header[last]["data_offsets"] = moved
        text = json.dumps(header).encode()
        body = body[:begin] if start == 0 else body[:begin] + bytes(start) + body[begin:]
        (folder / WEIGHTS).write_bytes(len(text).to_bytes(8, "little") + text + body)

    return change


def fifo(file: str) -> Spoil:
    def change(folder: Path) -> None:
        (folder / file).unlink(missing_ok=True)
        os.mkfifo(folder / file)

    return change


def link(file: str, target: str) -> Spoil:
    def change(folder: Path) -> None:
        (folder / file).unlink(missing_ok=True)
        (folder / file).symlink_to(target)

    return change


SHARD = "model-00001-of-00002.safetensors"
ADAPTER = {"peft_type": "LORA", "base_model_name_or_path": "example/base", "task_type": "CAUSAL_LM"}
REFUSED: dict[str, tuple[Spoil, str]] = {
    # files that are not what they should be
    "pointer for weights": (
        holding(WEIGHTS, POINTER),
        rf"{WEIGHTS} in 'model' is a Git LFS pointer.*git lfs pull",
    ),
    "pointer for tokenizer": (
        holding("tokenizer.json", POINTER),
        r"tokenizer\.json in 'model' is a Git LFS pointer",
    ),
    "pointer for config": (holding(CONFIG, POINTER), r"config\.json in 'model' is a Git LFS pointer"),
    "pointer for a shard": (
        both(sharded(), holding(SHARD, POINTER)),
        rf"{SHARD} in 'model' is a Git LFS pointer",
    ),
    "pointer for generation": (
        holding("generation_config.json", POINTER),
        "generation_config.json .*Git LFS pointer",
    ),
    "web page": (
        holding("tokenizer.json", "<!DOCTYPE html><html>"),
        r"tokenizer\.json in 'model' is a web page",
    ),
    "empty weights": (holding(WEIGHTS, ""), rf"{WEIGHTS} in 'model' is empty"),
    "cut weights": (cut(WEIGHTS, 0.5), rf"{WEIGHTS} of 'model' is cut short: .* its header needs"),
    "cut header": (cut(WEIGHTS, 0.01), rf"{WEIGHTS} of 'model' is cut short"),
    "more bytes": (
        lambda f: (f / WEIGHTS).write_bytes((f / WEIGHTS).read_bytes() + b"more"),
        "has 4 bytes that belong to no tensor",
    ),
    "cut tokenizer": (cut("tokenizer.json", 0.5), r"tokenizer\.json of 'model' is not JSON"),
    "another tokenizer.json": (
        holding("tokenizer.json", '{"model": 3}'),
        r"tokenizer\.json of 'model' is not one that",
    ),
    "config as a list": (holding(CONFIG, "[]"), r"config\.json of 'model' is not a JSON object"),
    "config nested": (holding(CONFIG, '{"a":' * 100_000), r"config\.json of 'model' is (nested|not JSON)"),
    "config in latin": (holding(CONFIG, b'{"a": "\xe9"}'), r"config\.json of 'model' is not JSON"),
    "config with a mark": (
        lambda f: (f / CONFIG).write_bytes(b"\xef\xbb\xbf" + (f / CONFIG).read_bytes()),
        r"config\.json of 'model' begins with a byte-order mark",
    ),
    "tensors that share bytes": (offsets(lambda n: (0, n)), "has a damaged safetensors header"),
    "a gap between tensors": (offsets(lambda n: (8, n + 8)), "has a damaged safetensors header"),
    "config twice": (
        lambda f: (f / CONFIG).write_text((f / CONFIG).read_text().replace("{", '{"model_type": "gpt2",', 1)),
        r"config\.json of 'model' sets 'model_type' twice",
    ),
    "pipe for config": (fifo(CONFIG), r"config\.json in 'model' is a named pipe"),
    "pipe for weights": (fifo(WEIGHTS), rf"{WEIGHTS} in 'model' is a named pipe"),
    "pipe for tokenizer": (fifo("tokenizer.json"), r"tokenizer\.json in 'model' is a named pipe"),
    "pipe for settings": (
        fifo("special_tokens_map.json"),
        r"special_tokens_map\.json in 'model' is a named pipe",
    ),
    "device for weights": (link(WEIGHTS, "/dev/zero"), rf"{WEIGHTS} in 'model' is a device"),
    "folder for weights": (link(WEIGHTS, "/"), rf"{WEIGHTS} in 'model' is a folder"),
    "broken link": (
        link(WEIGHTS, "../blobs/none"),
        rf"{WEIGHTS} in 'model' is a link to a file that is not there",
    ),
    "link to itself": (link(WEIGHTS, WEIGHTS), rf"{WEIGHTS} in 'model' cannot be read"),
    # which weights
    "shard missing": (
        both(sharded(), lambda f: (f / SHARD).unlink()),
        rf"lacks 1 of 2 files of weights that {INDEX} names: {SHARD}",
    ),
    "index leads out": (sharded({"x": "../hidden/w.safetensors"}), rf"{INDEX} of 'model' names '\.\./hidden"),
    "index into a folder": (sharded({"x": "sub/w.safetensors"}), rf"{INDEX} of 'model' names 'sub/w"),
    "index absolute": (sharded({"x": "/tmp/w.safetensors"}), rf"{INDEX} of 'model' names '/tmp/w"),
    "index names a pickle": (
        sharded({"x": "w.bin"}),
        rf"{INDEX} of 'model' names 'w\.bin'.*a pickle runs the code",
    ),
    "index names a number": (sharded({"x": 3}), rf"{INDEX} of 'model' names 3"),  # type: ignore[dict-item]  # hostile
    "index names a dot": (sharded({"x": ".."}), rf"{INDEX} of 'model' names '\.\.'"),
    "index with a backslash": (sharded({"x": "..\\w.safetensors"}), rf"{INDEX} of 'model' names"),
    "index of another model": (
        sharded({"other.weight": SHARD}),
        rf"{SHARD} of 'model' lacks the tensor 'other\.weight'",
    ),
    "index without a map": (both(sharded(), holding(INDEX, '{"metadata": {}}')), "has no 'weight_map'"),
    "index says it twice": (
        both(
            sharded(),
            lambda f: (f / INDEX).write_text((f / INDEX).read_text().replace('{"', '{"metadata": 0, "', 1)),
        ),
        rf"{INDEX} of 'model' sets 'metadata' twice",
    ),
    "index link to a pickle": (
        both(sharded(), holding("w.bin", b"\x80\x04pickle of some kind, long enough"), link(SHARD, "w.bin")),
        rf"{SHARD} of 'model' is not a safetensors file",
    ),
    "a tensor in two shards": (
        both(
            sharded(),
            lambda f: save_file(
                {**load_file(f / SHARD), **load_file(f / SHARD.replace("00001", "00002", 1))}, f / SHARD
            ),
        ),
        "which another of its files holds too",
    ),
    "only consolidated": (
        lambda f: (f / WEIGHTS).rename(f / "consolidated.safetensors"),
        rf"has neither {WEIGHTS} nor {INDEX}; it has consolidated\.safetensors",
    ),
    "pickle only": (lambda f: (f / WEIGHTS).rename(f / "pytorch_model.bin"), "runs the code in it"),
    "a GGUF file's folder": (
        both(holding("m.gguf", b"GGUF"), lambda f: (f / CONFIG).unlink()),
        r"has no config\.json; it holds .*m\.gguf.*Name the file itself",
    ),
    "a pipeline": (
        both(holding("model_index.json", "{}"), lambda f: (f / CONFIG).unlink()),
        "a pipeline of diffusers",
    ),
    # adapters
    "adapter config": (holding("adapter_config.json", json.dumps(ADAPTER)), "holds an adapter .*Merge it"),
    "adapter weights": (
        lambda f: shutil.copy(f / WEIGHTS, f / "adapter_model.safetensors"),
        "holds an adapter",
    ),
    "adapter pickle": (holding("adapter_model.bin", b"x"), "holds an adapter"),
    "adapter alone": (
        both(holding("adapter_config.json", json.dumps(ADAPTER)), lambda f: (f / CONFIG).unlink()),
        "holds an adapter",
    ),
    "adapter inside": (
        tensor("base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight", torch.ones(2, 32)),
        "weights of an adapter .* not merged",
    ),
    # quantised
    "bitsandbytes": (
        setting(quantization_config={"quant_method": "bitsandbytes", "load_in_4bit": True}),
        "quantised by bitsandbytes",
    ),
    "bitsandbytes of old": (setting(quantization_config={"load_in_8bit": True}), "quantised by bitsandbytes"),
    "gptq": (
        setting(quantization_config={"quant_method": "gptq", "bits": 4}),
        r"quantised by gptq \(4 bits\)",
    ),
    "awq": (setting(quantization_config={"quant_method": "awq", "bits": 4}), "quantised by awq"),
    "fp8": (setting(quantization_config={"quant_method": "fp8"}), "quantised by fp8"),
    "a word": (setting(quantization_config="gptq"), "quantised by an unknown method"),
    "in the text part": (
        setting(text_config={"quantization_config": {"quant_method": "mxfp4"}}),
        "quantised by mxfp4",
    ),
    "gptq beside": (
        holding("quantize_config.json", '{"bits": 4}'),
        r"quantised by GPTQ or AWQ, as quantize_config\.json",
    ),
    "packed tensors": (
        tensor("model.layers.0.mlp.up_proj.qweight", torch.ones(4, 4, dtype=torch.int32)),
        r"quantised by packing its numbers \(I32\), as the tensor 'model\.layers\.0\.mlp\.up_proj\.qweight'",
    ),
    "8-bit whole numbers": (
        tensor("x.weight", torch.ones(4, dtype=torch.int8)),
        r"quantised by packing its numbers \(I8\), as the tensor 'x\.weight'",
    ),
    "8-bit floats": (
        tensor("x.weight", torch.ones(4).to(torch.float8_e4m3fn)),
        r"packing its numbers \(F8_E4M3\)",
    ),
    # code
    "remote code": (setting(auto_map={"AutoModel": "x.Y"}), "asks for code that comes with the model"),
    "remote tokenizer": (
        setting("tokenizer_config.json", auto_map={"AutoTokenizer": ["x.Y", None]}),
        r"tokenizer_config\.json asks for code",
    ),
    "kernels from elsewhere": (setting(attn_implementation="someone/kernel"), "asks for code from elsewhere"),
    "config elsewhere": (setting(configuration_files=["config.5.0.0.json"]), "hands over to other files"),
    # sizes
    "10^9 layers": (
        setting(num_hidden_layers=10**9),
        "num_hidden_layers = 1000000000; it is a whole number from 1",
    ),
    "5 layers": (setting(num_hidden_layers=5), "it states 5 layers, and there are tensors of 2"),
    "1 layer": (setting(num_hidden_layers=1), "it states 1 layers, and there are tensors of 2"),
    "negative": (setting(hidden_size=-32), "hidden_size = -32"),
    "as a string": (setting(vocab_size="300"), 'vocab_size = "300"'),
    "as a float": (setting(max_position_embeddings=64.0), r"max_position_embeddings = 64\.0"),
    "true": (setting(max_position_embeddings=True), "max_position_embeddings = true"),
    "null": (setting(hidden_size=None), "hidden_size = null"),
    "a list of lists": (setting(intermediate_size=[[64]]), "intermediate_size = "),
    "heads of 0": (setting(num_attention_heads=0), "num_attention_heads = 0"),
    "epsilon as a string": (setting(rms_norm_eps="x"), 'rms_norm_eps = "x"; it is a number'),
    "epsilon not a number": (setting(rms_norm_eps=float("nan")), "rms_norm_eps = NaN; it is a number"),
    "a flag as a number": (setting(use_cache=3), "use_cache = 3; it is true or false"),
    "a name as a list": (setting(hidden_act=["silu"]), "hidden_act = .*; it is a name"),
    "epsilon below 0": (setting(rms_norm_eps=-1.0), r"rms_norm_eps = -1\.0; it is a number, and not below 0"),
    "positions with a base of 0": (
        setting(rope_parameters={"rope_type": "default", "rope_theta": 0}),
        "config.json, rope_parameters says rope_theta = 0; it is a number above 0",
    ),
    "positions scaled by a word": (
        setting(rope_parameters={"full_attention": {"rope_type": "yarn", "factor": "4"}}),
        'rope_parameters, full_attention says factor = "4"',
    ),
    "layers of a number": (setting(layer_types=[1, 2]), "layer_types = .*; it is a list of names"),
    "labels by name": (setting(id2label={"a": "b"}), "id2label = .*; it is an object of numbers"),
    "labels without end": (setting(num_labels=20_000_000), "num_labels = 20000000; it is a whole number"),
    "positions as a list": (setting(rope_parameters=[1]), "rope_parameters = .*; it is an object"),
    "text part": (setting(text_config=[1]), r"config\.json, text_config is "),
    "another width": (setting(hidden_size=48), "does not fit its weights: the width is 48"),
    "another vocabulary": (setting(vocab_size=400), "does not fit its weights: vocab_size is 400"),
    "other heads": (setting(num_key_value_heads=1), "num_key_value_heads and head_dim the tensor would have"),
    "another inner width": (setting(intermediate_size=96), "by intermediate_size the tensor would have 96"),
    # tokens
    "no tokenizer": (lambda f: (f / "tokenizer.json").unlink(), r"has no tokenizer \(tokenizer\.json\)"),
    "sentencepiece only": (
        both(lambda f: (f / "tokenizer.json").unlink(), holding("tokenizer.model", "x")),
        r"has no tokenizer\.json; it has tokenizer\.model.*save_pretrained",
    ),
    "start token unknown": (
        setting("tokenizer_config.json", bos_token="<|no|>"),
        r"names '<\|no\|>' as bos_token",
    ),
    "start token as a number": (setting("tokenizer_config.json", bos_token=3), "says bos_token = 3"),
    "end token as a string": (setting(eos_token_id="2"), 'says eos_token_id = "2"'),
    "end token below 0": (
        setting("generation_config.json", eos_token_id=[-1]),
        r"generation_config\.json says eos_token",
    ),
}


@pytest.mark.parametrize("how", REFUSED)
def test_it_is_refused_in_words(folder: Path, how: str) -> None:
    spoil, said = REFUSED[how]
    spoil(folder)
    with pytest.raises(InputError, match=said):
        refer(folder)


def test_tokens_beyond_the_embedding_are_refused_and_unused_control_tokens_are_not(folder: Path) -> None:
    path = folder / "tokenizer.json"
    tokenizer = json.loads(path.read_text())
    size = json.loads((folder / CONFIG).read_text())["vocab_size"]
    added = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False}
    special = {"id": size, "content": "[PAD]", "special": True, **added}
    path.write_text(json.dumps({**tokenizer, "added_tokens": [*tokenizer["added_tokens"], special]}))
    refer(folder)
    plain = {"id": size, "content": "[MORE]", "special": False, **added}
    path.write_text(json.dumps({**tokenizer, "added_tokens": [*tokenizer["added_tokens"], plain]}))
    with pytest.raises(InputError, match=f"up to number {size}, and the model's embedding has {size} rows"):
        refer(folder)


ARCHITECTURES = {
    "BertForMaskedLM": ("bert", "not the BertLMHeadModel"),
    "BertLMHeadModel": ("bert", "is_decoder is not true"),
    "RobertaForCausalLM": ("roberta", "is_decoder is not true"),
    "DistilBertForMaskedLM": ("distilbert", "no causal language model of that type"),
    "ElectraForPreTraining": ("electra", "not the ElectraForCausalLM"),
    "ElectraForCausalLM": ("electra", "is_decoder is not true"),
    "XLNetLMHeadModel": ("xlnet", "sees the tokens after the one it predicts"),
    "XLMWithLMHeadModel": ("xlm", "sees the tokens after the one it predicts"),
    "AlbertForMaskedLM": ("albert", "no causal language model"),
    "T5ForConditionalGeneration": ("t5", "an encoder-decoder"),
    "BartForConditionalGeneration": ("bart", "not the BartForCausalLM"),
    "MarianMTModel": ("marian", "not the MarianForCausalLM"),
    "LlamaForSequenceClassification": ("llama", "not the LlamaForCausalLM"),
    "LlamaModel": ("llama", "not the LlamaForCausalLM"),
    "ViTForImageClassification": ("vit", "no causal language model"),
    "CLIPModel": ("clip", "no causal language model"),
    "NewestForCausalLM": ("newest", "install a newer transformers"),
}


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_other_architectures_are_refused_by_name(folder: Path, name: str) -> None:
    kind, said = ARCHITECTURES[name]
    setting(
        architectures=[name], model_type=kind, is_encoder_decoder=name.startswith(("T5", "Bart", "Marian"))
    )(folder)
    with pytest.raises(InputError, match=f"{name}.*{said}"):
        refer(folder)


@pytest.mark.parametrize("names", ["LlamaForCausalLM", [3], {"a": 1}])
def test_odd_names_of_architectures_are_refused(folder: Path, names: Any) -> None:
    setting(architectures=names)(folder)
    with pytest.raises(InputError, match="it is a list of names"):
        refer(folder)
    without("model_type")(folder)
    with pytest.raises(InputError, match="does not say which model this is"):
        refer(folder)


def test_the_names_are_those_of_the_installed_library() -> None:
    from transformers.models.auto import modeling_auto

    assert causal_classes() == dict(modeling_auto.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES)


@pytest.mark.slow
def test_no_architecture_of_the_library_is_refused_for_its_own_settings() -> None:
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING

    tried = 0
    for kind in causal_classes():
        settings = None
        with contextlib.suppress(Exception), warnings.catch_warnings():  # one wants another model's settings
            warnings.simplefilter("ignore")
            settings = json.loads(CONFIG_MAPPING[kind]().to_json_string())
        if settings is not None:
            check_settings(settings)
            tried += 1
    assert tried > 150


def test_what_lies_beside_a_model_is_neither_loaded_nor_counted_nor_named(
    folder: Path, tmp_path: Path
) -> None:
    alone, rows = refer(folder), text_rows(["the nurse said"])
    before = CausalLM.open(alone, "cpu").log_likelihood(rows)
    parameters = check(folder).facts.parameters
    shutil.copy(folder / WEIGHTS, folder / "consolidated.safetensors")
    (folder / "pytorch_model.bin").write_bytes(b"cposix\nsystem\n(S'false'\ntR.")
    (folder / "chat_template.jinja").write_text("{{ messages }}")
    (folder / "vocab.json").write_text("{}")
    (folder / "modeling_llama.py").write_text("raise SystemExit")
    beside = refer(folder)
    assert beside == alone
    np.testing.assert_array_equal(CausalLM.open(beside, "cpu").log_likelihood(rows), before)
    card, _ = CausalLM.describe(beside)
    assert card.parameters == parameters
    assert "were not read: consolidated.safetensors, pytorch_model.bin." in card.notes[-1]
    sharded()(folder)
    assert (folder / INDEX).is_file()
    shutil.copy(folder / "consolidated.safetensors", folder / WEIGHTS)
    assert refer(folder) == alone, "one whole file comes before an index, as for the library"


def test_shards_are_one_model_with_the_whole_file(folder: Path) -> None:
    rows = text_rows(["the nurse said that", "x"])
    whole = CausalLM.open(refer(folder), "cpu").log_likelihood(rows)
    parameters = check(folder).facts.parameters
    sharded()(folder)
    ref = refer(folder)
    assert check(folder).facts.parameters == parameters
    np.testing.assert_array_equal(CausalLM.open(ref, "cpu").log_likelihood(rows), whole)
    blobs = folder.parent / "blobs"  # as the cache of a hub keeps them
    blobs.mkdir()
    for path in sorted(folder.iterdir()):
        path.rename(blobs / path.name)
        path.symlink_to(Path("..") / "blobs" / path.name)
    assert refer(folder) == ref
    np.testing.assert_array_equal(CausalLM.open(ref, "cpu").log_likelihood(rows), whole)
    name = "model-00002-of-00002.safetensors"
    save_file(
        {key: value * 3 for key, value in load_file(blobs / name).items()}, blobs / name, {"format": "pt"}
    )
    assert refer(folder) != ref, "the bytes behind a link count"
    with pytest.raises(InputError, match="has changed since the audit was planned"):
        CausalLM.open(ref, "cpu")


def test_weights_that_the_configuration_does_not_use_are_refused(folder: Path) -> None:
    tensor("model.further.weight", torch.ones(2))(folder)
    with pytest.raises(
        InputError, match=r"holds 1 weights that its architecture does not use.*model\.further\.weight"
    ):
        CausalLM.open(refer(folder), "cpu")


def test_weights_that_are_missing_are_refused(folder: Path) -> None:
    tensors = load_file(folder / WEIGHTS)
    del tensors["model.norm.weight"]
    save_file(tensors, folder / WEIGHTS, {"format": "pt"})
    with pytest.raises(
        InputError, match=r"lacks 1 of the weights of its architecture, among them model\.norm\.weight"
    ):
        CausalLM.open(refer(folder), "cpu")


def test_what_only_the_library_finds_is_said_in_our_words(folder: Path) -> None:
    setting(hidden_act="no such function")(folder)
    with pytest.raises(
        InputError, match=r"transformers \S+ cannot open 'model' \(KeyError: .*no such function"
    ) as caught:
        CausalLM.open(refer(folder), "cpu")
    assert "audit-model-" not in str(caught.value)


@pytest.mark.parametrize(
    "change",
    [
        setting(pad_token_id=1_000_000),
        setting(attn_implementation="flash_attention_2"),
        setting("generation_config.json", do_sample=False, temperature=-3, max_new_tokens="x"),
        lambda f: save_file(
            {k: v.double() for k, v in load_file(f / WEIGHTS).items()}, f / WEIGHTS, {"format": "pt"}
        ),
    ],
    ids=["padding beyond the words", "attention of another library", "generation settings", "64 bits"],
)
def test_what_changes_no_score_stands_in_no_way(folder: Path, change: Spoil) -> None:
    (folder / "generation_config.json").write_text("{}")
    rows = text_rows(["the nurse said", "a river ran"])
    expected = CausalLM.open(refer(folder), "cpu").log_likelihood(rows)
    change(folder)
    found = CausalLM.open(refer(folder), "cpu")
    np.testing.assert_allclose(found.log_likelihood(rows), expected, rtol=1e-5)
    assert found.sample(2, np.random.default_rng(0)).num_rows == 2


def test_paths_that_are_none_are_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    os.mkfifo(tmp_path / "pipe.gguf")
    (tmp_path / "loop").symlink_to("loop")
    deep = tmp_path / "/".join(["d"] * 900)
    deep.mkdir(parents=True)
    for path, said in (
        ("x" * 5000, "file name too long"),
        ("y/" * 3000, "file name too long"),
        ("a\0b", "NUL character"),
        (tmp_path / "pipe", "is a named pipe"),
        (tmp_path / "pipe.gguf", "is a named pipe"),
        ("/dev/zero", "is a device"),
        (tmp_path / "loop", "cannot be read"),
        (tmp_path, r"has no config\.json"),
        (deep, r"has no config\.json"),
    ):
        with pytest.raises(InputError, match=said):
            CausalLM.refer({"path": str(path)})
    subprocess.run(["rm", "-r", str(tmp_path / "d")], check=True)  # too deep for who cleans up


def test_a_header_that_claims_the_world_is_refused(folder: Path) -> None:
    for header in (
        {"a": {"dtype": "F32", "shape": [2**62, 2**62], "data_offsets": [0, 4]}},
        {"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 2**63]}},
        {"a": {"dtype": "F32", "shape": [-1], "data_offsets": [0, 4]}},
        {"a": {"dtype": "F32", "shape": [True], "data_offsets": [0, 4]}},
        {"a": {"dtype": "F32", "shape": "1", "data_offsets": [0, 4]}},
        {"a": {"dtype": "F32", "shape": [1], "data_offsets": [4, 0]}},
        {"a": {"dtype": "F32", "shape": [1]}},
        {"a": 3},
        [],
    ):
        text = json.dumps(header).encode()
        (folder / WEIGHTS).write_bytes(len(text).to_bytes(8, "little") + text + b"\0" * 4)
        with pytest.raises(
            InputError, match=rf"{WEIGHTS} of 'model' (has a damaged safetensors header|is cut short)"
        ):
            refer(folder)
    twice = b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}'
    (folder / WEIGHTS).write_bytes(len(twice).to_bytes(8, "little") + twice + b"\0" * 4)
    with pytest.raises(InputError, match="damaged safetensors header"):
        refer(folder)
    save_numpy({"a": np.ones(3, np.float32)}, folder / WEIGHTS)
    with pytest.raises(InputError):
        CausalLM.open(refer(folder), "cpu")
