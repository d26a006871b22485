"""Files of language models: start tokens, prefixes, and a tokenizer that is its own file's."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tokenizers import Tokenizer, pre_tokenizers

from audit import assets
from audit.core.errors import InputError
from audit.core.rows import text_rows
from audit.models.lm.files import check
from audit.models.lm.tokens import Words, windows
from audit.models.transformers import CausalLM


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


def told(folder: Path, **files: dict[str, Any]) -> Any:
    """Return the vocabulary of a copy whose files say these things and no others of start and end."""
    for name in ("tokenizer_config", "special_tokens_map", "generation_config"):
        (folder / f"{name}.json").unlink(missing_ok=True)
        if name in files:
            (folder / f"{name}.json").write_text(json.dumps(files[name]))
    config = json.loads((folder / "config.json").read_text())
    for field in ("bos_token_id", "eos_token_id"):
        config.pop(field, None)
    (folder / "config.json").write_text(json.dumps({**config, **files.get("config", {})}))
    return check(folder).vocabulary


def test_who_says_what_begins_and_ends_a_text(tiny_lm: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(tiny_lm, tmp_path / "model"))
    known = check(folder).vocabulary
    begin, end = known.backend.token_to_id("<|begin|>"), known.backend.token_to_id("<|end|>")
    spelled, rich = {"bos_token": "<|begin|>"}, {"bos_token": {"content": "<|begin|>", "lstrip": False}}
    numbers = {"bos_token_id": begin, "eos_token_id": [end]}
    for files, expected in (
        ({"tokenizer_config": spelled}, (begin, set())),
        ({"tokenizer_config": rich}, (begin, set())),
        ({"special_tokens_map": spelled}, (begin, set())),
        (
            {"tokenizer_config": {"bos_token": None}, "special_tokens_map": spelled, "config": numbers},
            (end, {end}),
        ),
        ({"config": numbers}, (begin, {end})),
        ({"config": {"eos_token_id": end}}, (end, {end})),
        ({"config": {"bos_token_id": 40, "eos_token_id": 41}}, (None, {41})),  # plain words begin no text
        ({"generation_config": {"eos_token_id": [end, 41]}}, (end, {end, 41})),
        ({"tokenizer_config": {"eos_token": "<|end|>"}}, (end, {end})),
        ({}, (None, set())),
    ):
        found = told(folder, **files)
        assert (found.start, found.ends) == expected, files


@pytest.mark.parametrize(
    "name", ["GPT2Tokenizer", "LlamaTokenizer", "Qwen2Tokenizer", "NoSuchTokenizer", None]
)
def test_the_tokenizer_is_the_file_whatever_class_is_named(
    tiny_lm: Path, tmp_path: Path, name: str | None
) -> None:
    folder = Path(shutil.copytree(tiny_lm, tmp_path / "model"))
    own = Tokenizer.from_file(str(folder / "tokenizer.json"))
    own.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    own.save(str(folder / "tokenizer.json"))
    settings = json.loads((folder / "tokenizer_config.json").read_text())
    (folder / "tokenizer_config.json").write_text(
        json.dumps({**settings, "tokenizer_class": name, "add_prefix_space": True})
    )
    opened = CausalLM.open(CausalLM.refer({"path": str(folder), "max_new_tokens": 8}), "cpu")
    text = " 1985 and 12"
    assert opened.network.words.encode([text], [""])[0].tokens[1:].tolist() == own.encode(text).ids


def test_no_text_is_cut_by_chance(tiny_lm: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(tiny_lm, tmp_path / "model"))
    own = Tokenizer.from_file(str(folder / "tokenizer.json"))
    assert own.model.dropout is None
    text = "the nurse said that the engineer was late"
    expected = own.encode(text).ids
    own.model.dropout = 0.5  # as left by a training with BPE-dropout
    own.save(str(folder / "tokenizer.json"))
    vocabulary = check(folder).vocabulary
    assert len({tuple(own.encode(text).ids) for _ in range(20)}) > 1, "the library draws"
    for _ in range(20):
        assert Words.of(vocabulary).encode([text], [""])[0].tokens[1:].tolist() == expected
    assert vocabulary.fingerprint == check(tiny_lm).vocabulary.fingerprint


def test_a_fingerprint_tells_tokenizers_apart_and_not_their_padding(tiny_lm: Path, tmp_path: Path) -> None:
    def fingerprint(change: Any) -> str:
        folder = Path(shutil.copytree(tiny_lm, tmp_path / change.__name__))
        own = Tokenizer.from_file(str(folder / "tokenizer.json"))
        change(own)
        own.save(str(folder / "tokenizer.json"))
        ref = CausalLM.refer({"path": str(folder), "max_new_tokens": 8})
        return CausalLM.describe(ref)[0].tokens

    def padded(own: Any) -> None:
        own.enable_padding(length=200)
        own.enable_truncation(100)

    def spelling(own: Any) -> None:
        own.pre_tokenizer = pre_tokenizers.Sequence(
            [pre_tokenizers.Punctuation(), pre_tokenizers.ByteLevel(add_prefix_space=True)]
        )

    here = CausalLM.describe(CausalLM.refer({"path": str(tiny_lm), "max_new_tokens": 8}))[0].tokens
    assert len(here) == 40
    assert fingerprint(padded) == here
    assert fingerprint(spelling) != here


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
