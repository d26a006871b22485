"""Sampling: the right distribution, the same numbers whatever the batch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from audit.core.rows import text_rows, texts_of
from audit.models.lm.sampling import _continue, _pick
from audit.models.transformers import CausalLM


@pytest.fixture(scope="module")
def model(tiny_lm: Path) -> CausalLM:
    return CausalLM.open(CausalLM.refer({"path": str(tiny_lm), "max_new_tokens": 8}), "cpu")


@pytest.fixture
def generator() -> np.random.Generator:
    return np.random.default_rng(5)


def test_tokens_follow_the_softmax(model: CausalLM) -> None:
    logits = torch.tensor([[2.0, 0.0, 1.0, -1.0]]).repeat(20_000, 1)
    uniform = np.random.default_rng(0).random(20_000)
    p = torch.softmax(logits[0].double() / 2, 0).numpy()
    drawn = np.bincount(_pick(model.network, logits, uniform, 2.0, 1.0).numpy(), minlength=4) / 20_000
    np.testing.assert_allclose(drawn, p, atol=4 * 0.5 / np.sqrt(20_000))
    assert (_pick(model.network, logits, uniform, 0.0, 1.0) == 0).all()


def test_top_p_keeps_the_fewest_tokens_that_reach_it(model: CausalLM) -> None:
    logits = torch.log(torch.tensor([[0.1, 0.5, 0.15, 0.25]])).repeat(5000, 1)
    uniform = np.random.default_rng(0).random(5000)
    drawn = _pick(model.network, logits, uniform, 1.0, 0.7).numpy()
    assert set(drawn) == {1, 3}
    assert (drawn == 1).mean() == pytest.approx(0.5 / 0.75, abs=0.03)


def test_a_continuation_equals_one_without_a_cache(model: CausalLM) -> None:
    network = model.network
    prompts = network.words.prompt(["the nurse", "the driver said that he", "x"])
    uniform = np.random.default_rng(1).random((3, 6))
    together = _continue(network, prompts, uniform, 1.0, 1.0)
    for row, prompt in enumerate(prompts):
        tokens: list[int] = []
        for step in range(6):
            with torch.no_grad():
                logits = network.model(torch.tensor([[*prompt, *tokens]])).logits[:, -1]
            token = int(_pick(network, logits, uniform[row, step : step + 1], 1.0, 1.0)[0])
            if token in network.words.ends:
                break
            tokens.append(token)
        assert together[row] == tokens


def test_samples_do_not_depend_on_the_batch(model: CausalLM, generator: np.random.Generator) -> None:
    prompts = text_rows([f"the nurse {'said ' * (i % 4)}" for i in range(9)])
    large = model.sample(9, np.random.default_rng(2), prompts)
    model.batch_scale = 0.1
    small = model.sample(9, np.random.default_rng(2), prompts)
    model.batch_scale = 1.0
    assert large.equals(small)
    assert texts_of(large, "prefix") == texts_of(prompts)
    assert not large.equals(model.sample(9, generator, prompts))


def test_prompts_come_from_prefix_where_there_is_one(model: CausalLM, generator: np.random.Generator) -> None:
    drawn = model.sample(2, generator, text_rows(["a", "b"], prefix=["the", "nurse"]))
    assert texts_of(drawn, "prefix") == ["the", "nurse"]


def test_an_end_token_ends_a_text(model: CausalLM, monkeypatch: pytest.MonkeyPatch) -> None:
    end = min(model.network.words.ends)
    ordinary = model.network.model.forward

    def forward(*args: Any, **kwargs: Any) -> Any:
        out = ordinary(*args, **kwargs)
        out.logits[:, :, end] = 1e6
        return out

    monkeypatch.setattr(model.network.model, "forward", forward)
    assert texts_of(model.sample(3, np.random.default_rng(0))) == ["", "", ""]


def test_a_prompt_longer_than_the_context_keeps_its_end(
    model: CausalLM, generator: np.random.Generator
) -> None:
    assert model.sample(1, generator, text_rows(["the nurse said " * 100])).num_rows == 1


def test_a_prompt_for_each_sample(model: CausalLM, generator: np.random.Generator) -> None:
    with pytest.raises(ValueError, match="3 samples were asked for"):
        model.sample(3, generator, text_rows(["a"]))
