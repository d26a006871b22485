"""The digits VAE: its likelihood is a probability, its bound is a bound, and it knows digits when it draws them."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import special, stats

from audit.core.errors import InputError
from audit.core.references import ModelRef
from audit.core.rows import image_rows, images_of, text_rows
from audit.data.digits import Digits
from audit.included.families.digits_vae.model import DigitsVAE
from audit.included.families.digits_vae.network import Network, divergence, log_probability, probabilities
from audit.models.included import Included


@pytest.fixture(scope="module")
def model() -> DigitsVAE:
    return Included.open(Included.refer({"use": "digits-vae"}), "cpu")


def digits(split: str, most: int = 1000) -> object:
    return Digits.load(Digits.refer({}), split).slice(0, most)


def test_the_likelihood_is_scipys_beta_binomial() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.uniform(0.01, 30, (2, 5, 64))
    levels = rng.integers(0, 17, (5, 64))
    expected = stats.betabinom.logpmf(levels, 16, a, b).sum(axis=1)
    found = log_probability(*(torch.tensor(x, dtype=torch.float64) for x in (levels, a, b)))
    np.testing.assert_allclose(found, expected, rtol=1e-9)
    table = probabilities(torch.tensor(a), torch.tensor(b)).numpy()
    np.testing.assert_allclose(
        table, stats.betabinom.pmf(np.arange(17), 16, a[..., None], b[..., None]), rtol=1e-6
    )


def test_the_divergence_is_that_of_two_normals() -> None:
    mean, spread = torch.tensor([[0.7]]), torch.tensor([[0.4]])
    posterior = torch.distributions.Normal(mean, spread)
    expected = torch.distributions.kl_divergence(posterior, torch.distributions.Normal(0.0, 1.0))
    torch.testing.assert_close(divergence(mean, 2 * spread.log()), expected.sum(-1))


def test_the_bound_lies_below_the_log_probability_and_close_to_it() -> None:
    """With one latent variable the log probability is an integral that quadrature gives."""
    torch.manual_seed(0)
    network = Network(latent=1, hidden=8, dropout=0.0)
    rows = digits("holdout", 20)
    levels = torch.tensor(
        np.rint(images_of(rows).reshape(-1, 64).astype(float) * 16 / 255), dtype=torch.float32
    )
    nodes, weights = np.polynomial.hermite_e.hermegauss(60)
    with torch.no_grad():
        z = torch.tensor(nodes, dtype=torch.float32)[:, None, None].expand(-1, len(levels), 1)
        given = log_probability(levels, *network.decode(z)).numpy()
    exact = special.logsumexp(given, axis=0, b=(weights / math.sqrt(2 * math.pi))[:, None])
    rng = np.random.default_rng(1)
    bounds = np.stack([DigitsVAE(network).likelihood_bound(rows, rng) for _ in range(30)])
    error = bounds.std(axis=0, ddof=1) / math.sqrt(30)
    assert (bounds.mean(axis=0) <= exact + 4 * error).all()
    np.testing.assert_allclose(bounds.mean(axis=0), exact, atol=0.1)


def test_members_are_better_known_than_others_and_both_than_noise(model: DigitsVAE) -> None:
    rng = np.random.default_rng(0)
    train, holdout = (model.likelihood_bound(digits(split), rng).mean() for split in ("train", "holdout"))
    noise = image_rows(rng.integers(0, 256, (50, 8, 8, 1), dtype=np.uint8))
    assert train == pytest.approx(CARD["train"], abs=0.15)
    assert holdout == pytest.approx(CARD["holdout"], abs=0.15)
    assert model.likelihood_bound(noise, rng).mean() < holdout - 100


def test_a_classifier_of_real_digits_recognises_the_samples(model: DigitsVAE) -> None:
    from sklearn.neighbors import KNeighborsClassifier

    real = digits("train")
    classifier = KNeighborsClassifier(5).fit(
        images_of(real).reshape(-1, 64).astype(float), real.column("label").to_pylist()
    )
    samples = model.sample(1000, np.random.default_rng(0))
    pixels = images_of(samples).reshape(-1, 64).astype(float)
    assert np.isin(pixels, np.rint(np.arange(17) * 255 / 16)).all()
    sure = (classifier.predict_proba(pixels).max(axis=1) == 1).mean()  # all five neighbours agree
    others = images_of(digits("holdout", 797)).reshape(-1, 64).astype(float)
    shuffled = np.random.default_rng(1).permuted(others, axis=0)  # right pixel by pixel, wrong as images
    assert sure > 2 * (classifier.predict_proba(shuffled).max(axis=1) == 1).mean()
    shares = np.bincount(classifier.predict(pixels).astype(int), minlength=10) / 1000
    assert shares.min() > 0.02
    assert shares.max() < 0.25


def test_reconstruction_keeps_a_digit_and_beats_the_mean_image(model: DigitsVAE) -> None:
    rows = digits("holdout")
    before, after = (
        images_of(r).astype(float) for r in (rows, model.reconstruct(rows, np.random.default_rng(0)))
    )
    error, spread = ((before - after) ** 2).mean(), ((before - before.mean(axis=0)) ** 2).mean()
    assert error < 0.4 * spread


def test_the_same_generator_gives_the_same_numbers(model: DigitsVAE) -> None:
    rows = digits("holdout", 30)
    for call in (
        lambda rng: images_of(model.sample(30, rng)),
        lambda rng: model.likelihood_bound(rows, rng),
        lambda rng: images_of(model.decode(model.encode(rows), rng)),
    ):
        first, again, other = (call(np.random.default_rng(seed)) for seed in (1, 1, 2))
        np.testing.assert_array_equal(first, again)
        assert not np.array_equal(first, other)
    state = torch.random.get_rng_state()
    model.sample(5, np.random.default_rng(0))
    assert torch.equal(torch.random.get_rng_state(), state)


def test_nonsense_from_the_network_is_no_digit() -> None:
    network = DigitsVAE.open(DigitsVAE.refer({}), "cpu")._network
    for weight in network.parameters():
        weight.fill_(float("nan"))
    broken, rng = DigitsVAE(network), np.random.default_rng(0)
    with pytest.raises(ValueError, match="not finite"):
        broken.sample(2, rng)
    with pytest.raises(ValueError, match="not finite"):
        broken.reconstruct(digits("holdout", 2), rng)


def test_none_is_a_number_of_examples(model: DigitsVAE) -> None:
    rng, none = np.random.default_rng(0), digits("holdout", 0)
    assert model.sample(0, rng).num_rows == 0
    assert model.encode(none).shape == (0, 12)
    assert model.reconstruct(none, rng).num_rows == 0
    assert model.likelihood_bound(none, rng).shape == (0,)


def test_what_is_no_digit_is_refused(model: DigitsVAE) -> None:
    rng = np.random.default_rng(0)
    with pytest.raises(ValueError, match=r"shape \(8, 8, 1\), not \(9, 8, 1\)"):
        model.encode(image_rows(np.zeros((1, 9, 8, 1), np.uint8)))
    with pytest.raises(ValueError, match="reads images; these rows have text"):
        model.likelihood_bound(text_rows(["7"]), rng)
    with pytest.raises(ValueError, match=r"\(n, 12\), not \(2, 3\)"):
        model.decode(np.zeros((2, 3)), rng)
    with pytest.raises(ValueError, match="takes no condition"):
        model.sample(1, rng, digits("train", 1))


def test_fifty_thousand_samples_are_drawn_in_one_call(model: DigitsVAE) -> None:
    drawn = images_of(model.sample(50_000, np.random.default_rng(0)))
    assert drawn.shape == (50_000, 8, 8, 1)
    assert len(np.unique(drawn.reshape(50_000, -1), axis=0)) > 49_900


def test_weights_that_are_not_the_shipped_ones_are_noticed(tmp_path: Path) -> None:
    shipped = DigitsVAE.refer({})
    copy = tmp_path / "w.safetensors"
    copy.write_bytes(Path(shipped.location).read_bytes())
    assert DigitsVAE.refer({"weights": str(copy)}) == shipped
    copy.write_bytes(copy.read_bytes()[:-1] + b"\0")
    other = DigitsVAE.refer({"weights": str(copy)})
    assert "not the ones that ship" in DigitsVAE.describe(other)[0].notes[0]
    with pytest.raises(InputError, match="has changed since"):
        DigitsVAE.open(ModelRef("included", shipped.weights, (), str(copy)), "cpu")
    copy.write_bytes(b"junk")
    with pytest.raises(InputError, match="does not hold the weights"):
        DigitsVAE.open(DigitsVAE.refer({"weights": str(copy)}), "cpu")


def test_the_parameters_are_counted_right(model: DigitsVAE) -> None:
    card, _ = DigitsVAE.describe(DigitsVAE.refer({}))
    assert card.parameters == sum(p.numel() for p in model._network.parameters())


def test_the_model_card_states_what_the_package_holds() -> None:
    from audit.included.model import pinned
    from audit.included.training.recipe import RECIPES, recorded

    recipe = recorded("digits-vae")
    text = (RECIPES / "digits-vae" / "CARD.md").read_text(encoding="utf-8")
    schedule = recipe.schedule
    for fact in (
        pinned()["digits-vae"],
        recipe.data.content,
        f"{schedule.steps:,} steps",
        f"seed {schedule.seed}",
    ):
        assert str(fact) in text
    for value in CARD.values():
        assert f"{value:.2f}".replace("-", "−") in text


CARD = {"train": -79.44, "holdout": -82.99}
"""Means of the likelihood bound that the model card states, in nats per digit."""
