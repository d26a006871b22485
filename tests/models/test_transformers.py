"""The language-model adapter: what it refuses, what it says, and scores against the long way round."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from audit.core.capabilities import Capability
from audit.core.errors import InputError
from audit.core.rows import text_rows
from audit.models.transformers import CausalLM

HOSTILE = [
    "",
    "x",
    "the nurse said that she would be late",
    "the nurse said that he would be late",
    "the nurse said that she would be late",
    "naïve 日本語 🙂\n\n\ttabs",
    "<|begin|><|end|> in a text",
    "nul \x00 and bell \x07",
    " ",
    "\u202eright to left",
]


def opened(folder: Path, **options: Any) -> CausalLM:
    return CausalLM.open(CausalLM.refer({"path": str(folder), "max_new_tokens": 8, **options}), "cpu")


@pytest.fixture(scope="module")
def model(tiny_lm: Path) -> CausalLM:
    return opened(tiny_lm)


def naive(model: CausalLM, tokens: list[int], first: int) -> torch.Tensor:
    """Log-probabilities in float64 of one text by itself, shape (scored, words)."""
    with torch.no_grad():
        logits = model.network.model(torch.tensor([tokens])).logits[0]
    return logits.double().log_softmax(-1)[first - 1 : -1]


def tokens_of(model: CausalLM, text: str) -> list[int]:
    backend = model.network.words.backend
    start = model.network.words.start
    assert start is not None
    return [start, *backend.encode(text).ids]


def test_tokens_end_where_they_are_said_to(model: CausalLM) -> None:
    prefixes = ["the nurse", ""]
    rows = text_rows([" said that she would be late", "the driver said"], prefix=prefixes)
    backend = model.network.words.backend
    for row, text in zip(model.token_scores(rows).to_pylist(), rows.column("text").to_pylist(), strict=True):
        spans = zip([0, *row["end"]], row["end"], row["token"], strict=False)
        assert [text[a:b] for a, b, _ in spans] == [backend.decode([token]) for token in row["token"]]


def test_the_ledger_equals_a_float64_softmax_of_each_text_alone(model: CausalLM) -> None:
    ledger = model.token_scores(text_rows(HOSTILE)).to_pylist()
    likelihood = model.log_likelihood(text_rows(HOSTILE))
    for text, row, total in zip(HOSTILE, ledger, likelihood, strict=True):
        tokens = tokens_of(model, text)
        assert row["token"] == tokens[1:]
        assert row["bytes"] == len(text.encode())
        assert row["lossless"]
        logp = naive(model, tokens, 1)
        target = logp.gather(1, torch.tensor(tokens[1:], dtype=torch.int64)[:, None]).squeeze(1)
        p = logp.exp()
        mean = (p * logp).sum(1)
        np.testing.assert_allclose(row["logp"], target, atol=1e-4)
        np.testing.assert_allclose(total, target.sum(), atol=1e-3)
        np.testing.assert_allclose(row["mean"], mean, atol=1e-4)
        np.testing.assert_allclose(row["entropy"], -mean, atol=1e-4)
        np.testing.assert_allclose(row["variance"], (p * (logp - mean[:, None]) ** 2).sum(1), atol=1e-3)
        assert row["top1"] == logp.argmax(1).tolist()
        np.testing.assert_allclose(row["best"], logp.amax(1), atol=1e-4)
        assert row["rank"] == (1 + (logp > target[:, None]).sum(1)).tolist()


def test_the_short_cuts_are_taken_and_change_nothing(model: CausalLM) -> None:
    from dataclasses import replace

    from audit.models.lm.head import Head

    assert model.network.head.weight is not None
    assert model.network.widest_tree > 0
    plain = replace(model, network=replace(model.network, head=Head(None), widest_tree=0))
    rows = text_rows(HOSTILE)
    np.testing.assert_allclose(plain.log_likelihood(rows), model.log_likelihood(rows), atol=1e-3)


def test_a_batch_of_one_equals_a_batch_of_many(model: CausalLM) -> None:
    rows = text_rows(HOSTILE * 5)
    together = model.log_likelihood(rows)
    alone = np.concatenate([model.log_likelihood(rows.slice(i, 1)) for i in range(len(HOSTILE))])
    np.testing.assert_allclose(together, np.tile(alone, 5), atol=1e-3)
    smaller = CausalLM(**{name: getattr(model, name) for name in model.__slots__ if name != "batch_scale"})
    smaller.batch_scale = 0.01
    np.testing.assert_allclose(smaller.log_likelihood(rows), together, atol=1e-3)


def test_a_prefix_is_conditioned_on_and_not_scored(model: CausalLM) -> None:
    prefixes = ["the nurse said that", "", "naïve 日", "the"]
    texts = [" she would be late", "the driver", "本語", ""]
    rows = text_rows(texts, prefix=prefixes)
    scored = model.token_scores(rows).to_pylist()
    for prefix, text, row, total in zip(prefixes, texts, scored, model.log_likelihood(rows), strict=True):
        tokens = tokens_of(model, prefix + text)
        first = len(tokens) - len(row["token"])
        assert row["token"] == tokens[first:]
        assert model.network.words.decode(tokens[first:]).endswith(text)
        assert row["bytes"] == len(text.encode())
        if row["token"]:
            logp = naive(model, tokens, first)
            target = logp.gather(1, torch.tensor(tokens[first:])[:, None]).sum()
            np.testing.assert_allclose(total, target, atol=1e-3)
        else:
            assert total == 0.0


def test_conditional_and_whole_likelihoods_add_up(model: CausalLM) -> None:
    prefix, text = "the nurse said that", " she would be late"
    whole = model.log_likelihood(text_rows([prefix + text, prefix]))
    given = model.log_likelihood(text_rows([text], prefix=[prefix]))
    np.testing.assert_allclose(whole[0] - whole[1], given[0], atol=1e-3)


@pytest.mark.parametrize(("longest", "stride"), [(64, 16), (64, 5), (32, 8)])
def test_a_long_text_is_scored_in_sliding_windows(tiny_lm: Path, longest: int, stride: int) -> None:
    model = opened(tiny_lm, max_length=longest, stride=stride)
    text = "the driver said that he slept. " * 20 + "x"
    (row,) = model.token_scores(text_rows([text])).to_pylist()
    tokens = tokens_of(model, text)
    assert len(tokens) > 2 * longest + stride
    start, expected = tokens[0], []
    for i in range(1, len(tokens)):
        if i <= longest:
            context = tokens[:i]
        else:
            end = min(len(tokens), longest + 1 + stride * -(-(i - longest) // stride))
            context = [start, *tokens[end - longest : i]]
        expected.append(float(naive(model, [*context, tokens[i]], len(context))[0, tokens[i]]))
        assert len(context) >= min(i, longest - stride)
    np.testing.assert_allclose(row["logp"], expected, atol=1e-3)


def test_a_very_long_text_is_scored(tiny_lm: Path) -> None:
    model = opened(tiny_lm)
    text = "the nurse " * 20_000
    (row,) = model.token_scores(text_rows([text])).to_pylist()
    assert row["bytes"] == 200_000
    assert np.isfinite(row["logp"]).all()


def test_no_rows_give_no_scores(model: CausalLM) -> None:
    assert model.log_likelihood(text_rows([])).shape == (0,)
    assert model.token_scores(text_rows([])).num_rows == 0


def test_a_null_text_is_an_error_in_words(model: CausalLM) -> None:
    with pytest.raises(ValueError, match="1 of 2 texts are null"):
        model.log_likelihood(text_rows(["a", None]))  # type: ignore[list-item]  # hostile on purpose


def test_logits_that_are_not_numbers_name_the_model(tiny_lm: Path) -> None:
    model = opened(tiny_lm)
    model.network.model.model.norm.weight.data[0] = torch.nan
    for call in (model.token_scores, model.log_likelihood):
        with pytest.raises(ValueError, match=r"'tiny_lm.*not finite"):
            call(text_rows(["the nurse"]))
    with pytest.raises(ValueError, match=r"'tiny_lm.*not finite"):
        model.sample(2, np.random.default_rng(0))


def test_bfloat16_stays_within_its_tolerance(tiny_lm: Path) -> None:
    rows = text_rows(HOSTILE)
    ledger = opened(tiny_lm).token_scores(rows)
    exact = ledger.column("logp").combine_chunks().flatten().to_numpy()
    for arithmetic in ("float32", "bfloat16"):
        rough = opened(tiny_lm, dtype="bfloat16", arithmetic=arithmetic).token_scores(rows)
        difference = rough.column("logp").combine_chunks().flatten().to_numpy() - exact
        assert np.abs(difference).mean() < 0.1


def test_planning_reads_metadata_and_imports_no_torch(tiny_lm: Path) -> None:
    code = (
        "import sys; from audit.models.transformers import CausalLM as C; import audit.evaluators.quality.bits_per_byte\n"
        f"card, offers = C.describe(C.refer({{'path': {str(tiny_lm)!r}, 'max_new_tokens': 8}}))\n"
        "assert not {'torch', 'transformers', 'scipy', 'pyarrow'} & set(sys.modules)\n"
        "print(card.parameters, card.modality, sorted(offers))"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    parameters = sum(p.numel() for p in opened(tiny_lm).network.model.parameters())
    assert said.split()[:2] == [str(parameters), "text"]
    assert all(
        c.name in said for c in (Capability.SAMPLE, Capability.TOKEN_SCORES, Capability.LOG_LIKELIHOOD)
    )


def test_identity_is_the_bytes_and_not_the_place(tiny_lm: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(tiny_lm, tmp_path / "copy")
    options = {"max_new_tokens": 8}
    ref = CausalLM.refer({"path": str(tiny_lm), **options})
    assert CausalLM.refer({"path": str(copy), **options}) == ref
    assert dict(ref.options)["dtype"] in ("float32", "bfloat16")
    assert dict(ref.options)["stride"] * 4 <= dict(ref.options)["max_length"]
    config = json.loads((copy / "config.json").read_text())
    (copy / "config.json").write_text(json.dumps({**config, "rms_norm_eps": 1e-3}))
    assert CausalLM.refer({"path": str(copy), **options}).weights != ref.weights


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({}, "either 'path'"),
        ({"path": "a", "hub": "b/c"}, "not both"),
        ({"path": 3}, "string"),
        ({"path": "/no/such/folder"}, "no model at"),
        ({"hub": "nobody/nothing"}, "not in the local Hugging Face cache"),
        ({"hub": "../../etc"}, "not a hub id"),
        ({"dtype": "float23"}, "'float32'"),
        ({"max_lenght": 3}, "'max_length'"),
        ({"max_length": 65}, "64 tokens at most"),
        ({"max_length": "long"}, "whole number"),
        ({"max_length": 32, "stride": 9}, "at most a quarter"),
        ({"max_length": 4}, "no room for a prompt"),
        ({"top_p": 0}, "between"),
        ({"temperature": True}, "a number"),
    ],
)
def test_bad_options_are_refused_in_words(
    tiny_lm: Path, options: dict[str, Any], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    place = (
        {} if not options or {"path", "hub"} & set(options) else {"path": str(tiny_lm), "max_new_tokens": 8}
    )
    with pytest.raises(InputError, match=said):
        CausalLM.refer({**place, **options})


def test_a_cached_hub_model_is_found_without_a_network(
    tiny_lm: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    folder = tmp_path / "models--some--model"
    shutil.copytree(tiny_lm, folder / "snapshots" / "abc")
    (folder / "refs").mkdir()
    (folder / "refs" / "main").write_text("abc\n")
    found = CausalLM.refer({"hub": "some/model", "max_new_tokens": 8})
    assert found == CausalLM.refer({"path": str(tiny_lm), "max_new_tokens": 8})


def spoil(folder: Path, how: str) -> None:
    match how:
        case "pickle":
            (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
        case "nothing":
            (folder / "model.safetensors").unlink()
        case "remote code":
            config = json.loads((folder / "config.json").read_text())
            (folder / "config.json").write_text(json.dumps({**config, "auto_map": {"AutoModel": "x.Y"}}))
        case "no config":
            (folder / "config.json").unlink()
        case "config":
            (folder / "config.json").write_text("{")
        case "tokenizer":
            (folder / "tokenizer.json").unlink()
        case "weights":
            (folder / "model.safetensors").write_bytes(b"\xff" * 40)
        case _:
            raise ValueError(how)


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("pickle", "runs the code in it"),
        ("nothing", "no .safetensors file"),
        ("remote code", "auto_map"),
        ("no config", "has no config.json"),
        ("config", "not JSON"),
        ("tokenizer", "no tokenizer"),
        ("weights", "not a safetensors file"),
    ],
)
def test_unsafe_and_broken_directories_are_refused(
    tiny_lm: Path, tmp_path: Path, how: str, said: str
) -> None:
    folder = shutil.copytree(tiny_lm, tmp_path / "model")
    spoil(folder, how)
    with pytest.raises(InputError, match=said):
        CausalLM.refer({"path": str(folder), "max_new_tokens": 8})
