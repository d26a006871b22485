"""The image autoencoders: their likelihood is one, the plain one's density is its codes', the overfitted twin is."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from scipy import special

from audit.core.rows import image_rows, images_of
from audit.data.worlds.portraits.world import Portraits
from audit.included.families.autoencoder.density import Density, fit_density
from audit.included.families.autoencoder.model import ImageVAE
from audit.included.families.autoencoder.network import Autoencoder, divergence, log_probability
from audit.included.families.pictures import signed
from audit.models.included import Included


def opened(name: str) -> Any:
    return Included.open(Included.refer({"use": name}), "cpu")


@pytest.fixture(scope="module")
def people() -> Any:
    return Portraits.load(Portraits.refer({}), "holdout").slice(0, 300)


@pytest.mark.parametrize("log_scale", [-9.0, -4.0, 1.0, 13.0])
def test_the_likelihood_adds_up_to_one_over_all_bytes(log_scale: float) -> None:
    every = (torch.arange(256, dtype=torch.float32) / 127.5 - 1).reshape(256, 1, 1, 1)
    for mean in (-1.2, 0.3, 1.0):
        painted = torch.tensor([mean, log_scale]).reshape(1, 2, 1, 1).expand(256, 2, 1, 1)
        assert float(log_probability(every, painted).exp().sum()) == pytest.approx(1, abs=1e-4)


def test_the_likelihood_is_the_logistics_mass_of_each_byte() -> None:
    rng = np.random.default_rng(0)
    levels = rng.integers(1, 255, 50)
    mean, log_scale = rng.uniform(-1, 1, 50), rng.uniform(-5, 0, 50)
    x = levels / 127.5 - 1
    mass = special.expit((x + 1 / 255 - mean) / np.exp(log_scale)) - special.expit(
        (x - 1 / 255 - mean) / np.exp(log_scale)
    )
    kept = mass > 1e-7  # beyond, the difference of two numbers near 1 has no digits left
    assert kept.sum() > 25
    images = torch.tensor(x, dtype=torch.float32).reshape(50, 1, 1, 1)
    painted = torch.tensor(np.stack([mean, log_scale], 1), dtype=torch.float32).reshape(50, 2, 1, 1)
    found = log_probability(images, painted).numpy()
    np.testing.assert_allclose(found[kept], np.log(mass[kept]), atol=2e-3)


def test_the_divergence_is_that_of_two_normals() -> None:
    mean, spread = torch.tensor([[0.7]]), torch.tensor([[0.4]])
    expected = torch.distributions.kl_divergence(
        torch.distributions.Normal(mean, spread), torch.distributions.Normal(0.0, 1.0)
    )
    torch.testing.assert_close(divergence(mean, 2 * spread.log()), expected.sum(-1))


@pytest.mark.slow
def test_the_bound_is_the_logarithm_of_an_unbiased_estimate_of_the_probability() -> None:
    """E exp(bound) = p(x) (Burda, Grosse, Salakhutdinov 2016), with p(x) from quadrature over the one latent number."""
    torch.manual_seed(0)
    network = Autoencoder(1, 8, 1, (4, 4, 4), 1, variational=True).requires_grad_(False)
    network.widen.weight *= 3
    network.paint.bias[4:] = -1.0
    network.narrow.bias[:] = torch.tensor([0.5, -0.3])  # a posterior that is neither the prior nor right

    class Tiny(ImageVAE):
        name = "tiny"

        @classmethod
        def shape(cls) -> tuple[int, int, int]:
            return 8, 8, 1

    pixels = np.random.default_rng(1).integers(0, 256, (3, 8, 8, 1), dtype=np.uint8)
    z = torch.linspace(-8, 8, 4001).reshape(-1, 1)
    painted = network.decode(z)
    prior = torch.distributions.Normal(0.0, 1.0).log_prob(z[:, 0]).double()
    exact = [
        float(
            (
                log_probability(signed(torch.tensor(image)).reshape(1, 1, 8, 8), painted).double() + prior
            ).logsumexp(0)
        )
        + np.log(16 / 4000)
        for image in pixels
    ]
    rng, again = np.random.default_rng(2), 2000
    repeated = image_rows(np.repeat(pixels, again, axis=0))
    bounds = Tiny(network, "cpu").likelihood_bound(repeated, rng).reshape(3, again)
    shares = np.exp(bounds - np.array(exact)[:, None])
    error = shares.std(axis=1, ddof=1) / np.sqrt(again)
    assert error.max() < 0.02
    assert bounds.std() > 0.1, "the draws matter, or this proves nothing"
    np.testing.assert_allclose(shares.mean(axis=1), 1, atol=4 * error.max())
    assert (bounds.mean(axis=1) < exact).all()


def test_a_density_that_does_not_fit_is_refused() -> None:
    good = fit_density(np.random.default_rng(0).standard_normal((200, 3)).astype(np.float32), 2)
    for name, value in (
        ("density.shares", torch.ones(3)),
        ("density.shares", torch.tensor([1.0, float("nan")])),
        ("density.roots", torch.zeros(2, 3, 2)),
        ("density.means", torch.zeros(6)),
        ("density.means", torch.zeros(2, 4)),
    ):
        with pytest.raises(ValueError, match="its density has"):
            Density.of({**good, name: value}, 3)


def test_the_density_is_that_of_its_codes() -> None:
    rng = np.random.default_rng(0)
    codes = np.concatenate(
        [rng.normal((3, 0), (0.5, 1), (3000, 2)), rng.normal((-3, 1), (1, 0.2), (1000, 2))]
    )
    density = Density.of(fit_density(codes.astype(np.float32), 2), 2)
    assert sorted(density.shares) == pytest.approx([0.25, 0.75], abs=0.02)
    drawn = density.draw(20_000, np.random.default_rng(1))
    np.testing.assert_allclose(drawn.mean(0), codes.mean(0), atol=0.08)
    np.testing.assert_allclose(np.cov(drawn.T), np.cov(codes.T), atol=0.2)


@pytest.mark.parametrize("name", ["portraits-ae", "portraits-vae"])
def test_a_reconstruction_is_the_same_person(name: str, people: Any) -> None:
    """Nearer to its original than to any other of 300."""
    again = opened(name).reconstruct(people, np.random.default_rng(0))
    x, y = (images_of(r).reshape(300, -1).astype(float) for r in (people, again))
    apart = ((y[:, None, ::7] - x[None, :, ::7]) ** 2).mean(-1)
    assert (apart.argmin(1) == np.arange(300)).mean() > 0.99


@pytest.mark.parametrize("name", ["portraits-ae", "portraits-vae"])
def test_reconstruction_is_faithful(name: str, people: Any) -> None:
    """What is lost of the pixels' variance is less than 15 in 100."""
    again = opened(name).reconstruct(people, np.random.default_rng(0))
    x, y = (images_of(r).reshape(300, -1).astype(float) for r in (people, again))
    assert ((x - y) ** 2).mean() < 0.15 * x.var(axis=0).mean()


def test_the_bound_lies_above_that_of_noise_and_below_what_a_palette_needs(people: Any) -> None:
    rng = np.random.default_rng(0)
    model, rows = opened("portraits-vae"), people.slice(0, 20)
    noise = image_rows(rng.integers(0, 256, (20, 32, 32, 3), dtype=np.uint8))
    found = -model.likelihood_bound(rows, rng) / 3072 / np.log(2)
    assert found.max() < 8  # a byte that nobody knows costs eight bits
    assert found.min() > 1.5  # the world adds noise of 1.5 bits to every byte
    assert model.likelihood_bound(noise, rng).max() < model.likelihood_bound(rows, rng).min()


@pytest.mark.slow
def test_the_overfitted_twin_knows_its_members_and_the_clean_one_hardly() -> None:
    """Known truth: the split. Bits per byte on members and on others, both models on their own data."""
    gaps = {}
    for name, options in (
        ("portraits-vae-overfit", {"train": 200, "holdout": 400, "duplicates": False}),
        ("portraits-vae", {}),
    ):
        ref, model = Portraits.refer(options), opened(name)
        bits = [
            -model.likelihood_bound(Portraits.load(ref, split).slice(0, 100), np.random.default_rng(0)).mean()
            / 3072
            / np.log(2)
            for split in ("train", "holdout")
        ]
        gaps[name] = bits[1] - bits[0]
    assert gaps["portraits-vae-overfit"] > 1
    assert abs(gaps["portraits-vae"]) < 0.3
