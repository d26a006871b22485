"""The blocked softmax against one in float64."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from audit.models.lm.head import COLUMNS, Head, log_probabilities, statistics


def planted(words: int, n: int, scale: float, seed: int = 0) -> tuple[Head, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    states = torch.randn(n, 16, generator=generator)
    weight = scale * torch.randn(words, 16, generator=generator)
    bias = torch.randn(words, generator=generator)
    return Head(weight, bias), states, torch.randint(0, words, (n,), generator=generator)


@pytest.mark.parametrize("words", [5, COLUMNS, 2 * COLUMNS + 7])
@pytest.mark.parametrize("scale", [0.0, 1.0, 40.0])
def test_every_column_equals_a_float64_softmax(words: int, scale: float) -> None:
    head, states, targets = planted(words, 300, scale)
    assert head.weight is not None
    assert head.bias is not None
    logits = states.double() @ head.weight.double().t() + head.bias.double()
    logp = logits.log_softmax(1)
    p = logp.exp()
    mean = (p * logp).sum(1)
    found = statistics(head, states, targets)
    target = logp.gather(1, targets[:, None])
    size = 1e-5 * (1 + scale)
    torch.testing.assert_close(found.logp.double(), target.squeeze(1), atol=10 * size, rtol=1e-5)
    torch.testing.assert_close(
        log_probabilities(head, states, targets), found.logp, atol=10 * size, rtol=1e-5
    )
    torch.testing.assert_close(found.mean.double(), mean, atol=10 * size, rtol=1e-4)
    variance = (p * (logp - mean[:, None]) ** 2).sum(1)
    torch.testing.assert_close(found.variance.double(), variance, atol=10 * size, rtol=1e-3)
    assert (found.top1 == logits.argmax(1)).float().mean() > 0.99
    torch.testing.assert_close(found.best.double(), logp.amax(1), atol=10 * size, rtol=1e-5)
    rank = 1 + (logp > target).sum(1)
    assert (found.rank - rank).abs().max() <= 1


def test_a_uniform_model_has_closed_forms() -> None:
    head = Head(torch.zeros(1000, 4))
    found = statistics(head, torch.randn(3, 4), torch.tensor([0, 1, 999]))
    np.testing.assert_allclose(found.logp, -np.log(1000), rtol=1e-6)
    np.testing.assert_allclose(found.mean, -np.log(1000), rtol=1e-6)
    np.testing.assert_allclose(found.variance, 0.0, atol=1e-6)
    assert found.rank.tolist() == [1, 1, 1]


def test_a_certain_model_has_no_infinite_entropy() -> None:
    weight = torch.zeros(3000, 2)
    weight[2500, 0] = 1e4
    found = statistics(Head(weight), torch.ones(2, 2), torch.tensor([2500, 0]))
    np.testing.assert_allclose(found.logp, [0.0, -1e4])
    np.testing.assert_allclose(found.mean, 0.0, atol=1e-6)
    assert found.rank.tolist() == [1, 2]
    assert found.top1.tolist() == [2500, 2500]


def test_logits_given_as_they_are_score_the_same() -> None:
    head, states, targets = planted(700, 20, 1.0)
    assert head.weight is not None
    logits = states @ head.weight.t() + head.bias
    given = statistics(Head(None), logits, targets)
    made = statistics(head, states, targets)
    for name in ("logp", "mean", "variance"):
        torch.testing.assert_close(getattr(given, name), getattr(made, name), atol=1e-4, rtol=1e-4)


def test_what_is_not_a_number_stays_visible() -> None:
    head, states, targets = planted(100, 4, 1.0)
    states[2] = torch.nan
    assert torch.isnan(log_probabilities(head, states, targets)).tolist() == [False, False, True, False]
    assert torch.isnan(statistics(head, states, targets).logp).tolist() == [False, False, True, False]


def test_bfloat16_products_stay_within_their_rounding() -> None:
    head, states, targets = planted(5000, 200, 1.0)
    assert head.weight is not None
    assert head.bias is not None
    rough = Head(head.weight.bfloat16(), head.bias.bfloat16())
    exact = Head(rough.weight.float(), rough.bias.float()) if rough.weight is not None else head
    a = log_probabilities(rough, states.bfloat16(), targets)
    b = log_probabilities(exact, states.bfloat16().float(), targets)
    assert (a - b).abs().max() < 0.15
    assert (a - b).mean().abs() < 0.01
    assert (statistics(rough, states.bfloat16(), targets).logp <= 0).all()
