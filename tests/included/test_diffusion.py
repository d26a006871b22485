"""The diffusion models: a bound with known answers, a path that leads back, prompts that are heeded."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from torch import Tensor

from audit.core.errors import InputError
from audit.core.rows import images_of
from audit.data.worlds.portraits.world import Portraits
from audit.included.families.diffusion import bound as bounds
from audit.included.families.diffusion.network import LEVELS, scheduler
from audit.included.families.diffusion.sampling import _path
from audit.included.families.frames import Frame
from audit.models.included import Included
from tests.included.truths import nearest_distances


class Oracle:
    """Stands in for a network: predicts the velocity of one image it knows, or of no image at all."""

    labels = 3
    channels = 1

    def __init__(self, size: int, image: Tensor | None) -> None:
        self.frame, self.image = Frame(size), image

    def __call__(self, noisy: Tensor, level: Tensor, label: Tensor) -> Tensor:
        levels = bounds.Levels.of()
        a, s = (v[level.cpu()].float()[:, None, None, None] for v in (levels.a, levels.s))
        clean = torch.zeros_like(noisy) if self.image is None else self.image.expand_as(noisy)
        return (a * noisy - clean) / s


def image(size: int = 16) -> Tensor:
    pixels = np.random.default_rng(0).integers(0, 256, (1, 1, size, size))
    return torch.from_numpy(pixels.astype(np.float32)) / 127.5 - 1


def ends(clean: Tensor, rng: np.random.Generator) -> float:
    """What the bound of any network has: the noisiest level, and the bytes given the least noisy one, averaged."""
    levels = bounds.Levels.of()
    a, s = (v.numpy() for v in (levels.a, levels.s))
    x = clean.double().numpy().ravel()
    last = 0.5 * ((a[-1] * x) ** 2 + s[-1] ** 2 - 1 - 2 * np.log(s[-1])).sum()
    values = np.arange(256) / 127.5 - 1
    first = []
    for _ in range(50):
        noisy = a[0] * x + s[0] * rng.standard_normal(x.shape)
        density = np.exp(-0.5 * ((noisy[:, None] - a[0] * values) / s[0]) ** 2)
        own = np.exp(-0.5 * ((noisy - a[0] * x) / s[0]) ** 2)
        first.append(-np.log(own / density.sum(1)).sum())
    return float(last + np.mean(first))


def test_a_network_that_knows_the_image_pays_only_for_the_ends() -> None:
    clean, rng = image(), np.random.default_rng(1)
    found = [bounds.bound(Oracle(16, clean), clean, rng, 4)[0] for _ in range(50)]
    assert -np.mean(found) == pytest.approx(ends(clean, rng), rel=0.02)


@pytest.mark.slow
def test_a_network_that_knows_nothing_pays_the_whole_signal() -> None:
    """With the prediction 0 the steps between add up to (SNR_0 - SNR_999) |x|² / 2, whichever are drawn."""
    clean, rng = image(), np.random.default_rng(1)
    snr = bounds.Levels.of().snr.numpy()
    between = 0.5 * (snr[0] - snr[-1]) * float(clean.double().square().sum())
    found = np.array([-bounds.bound(Oracle(16, None), clean, rng, 16)[0] for _ in range(400)])
    error = found.std(ddof=1) / 20
    assert found.mean() == pytest.approx(between + ends(clean, rng), abs=4 * error)
    assert error < 0.1 * between


class Blank(Oracle):
    """Predicts no velocity: the best there is where every value is standard normal, a² + s² being 1."""

    def __call__(self, noisy: Tensor, level: Tensor, label: Tensor) -> Tensor:
        return torch.zeros_like(noisy)


def test_the_best_network_for_normal_data_pays_what_theory_says() -> None:
    """E|x - a z|² is s² a value, so the steps cost Σ (SNR_{t-1} - SNR_t) s_t² / 2: a wrong level or weight would show."""
    levels = bounds.Levels.of()
    snr, s = levels.snr.numpy(), levels.s.numpy()
    expected = 0.5 * ((snr[:-1] - snr[1:]) * s[1:] ** 2).sum()
    shifted = 0.5 * ((snr[:-1] - snr[1:]) * s[:-1] ** 2).sum()
    images = torch.randn(600, 1, 16, 16, generator=torch.Generator().manual_seed(0))
    found = bounds.steps_between(Blank(16, None), images, np.random.default_rng(1), 16).numpy() / 256
    error = found.std(ddof=1) / 600**0.5
    assert found.mean() == pytest.approx(expected, abs=4 * error)
    assert abs(shifted - expected) > 10 * error


@pytest.mark.parametrize("steps", [2, 7, 20, 61, 300, 501])
def test_the_path_starts_at_pure_noise_and_leads_back_for_any_number_of_steps(steps: int) -> None:
    """The oracle's path is exact, whatever the steps; the sampler ends at the image it knows."""
    from audit.included.families.diffusion.sampling import decode, draw, encode

    clean, label = image(), torch.tensor([3])
    oracle: Any = Oracle(16, clean)
    noise = encode(oracle, 0.999 * clean + 0.01, label, steps=steps)
    torch.testing.assert_close(
        decode(oracle, noise, label, steps=steps), 0.999 * clean + 0.01, atol=1e-3, rtol=0
    )
    drawn = draw(oracle, torch.randn(1, 1, 16, 16), label, steps=steps, guidance=1.0)
    torch.testing.assert_close(drawn, clean, atol=1e-3, rtol=0)


def test_the_border_of_a_small_image_is_not_counted() -> None:
    frame = Frame(28)
    small = image(28)
    padded = frame.pad(small)
    assert padded.shape == (1, 1, 32, 32)
    assert torch.equal(frame.crop(padded), small)
    rng = np.random.default_rng(1)
    found = [bounds.bound(Oracle(28, padded), padded, rng, 4)[0] for _ in range(30)]
    assert -np.mean(found) == pytest.approx(ends(small, rng), rel=0.02)


def test_a_path_visits_no_level_twice() -> None:
    for steps in (2, 20, 999):
        assert len(set(_path(steps).tolist())) == steps + 1
    for option in ("steps", "path_steps"):
        Included.refer({"use": "fashion-ddpm", option: 999})
        with pytest.raises(InputError, match="from 2 to 999"):
            Included.refer({"use": "fashion-ddpm", option: 1000})


def test_levels_are_those_of_the_schedulers_own_noise() -> None:
    clean, noise = image(), torch.randn(1, 1, 16, 16, generator=torch.Generator().manual_seed(0))
    levels = bounds.Levels.of()
    for level in (0, 500, LEVELS - 1):
        ours = float(levels.a[level]) * clean + float(levels.s[level]) * noise
        torch.testing.assert_close(ours, scheduler().add_noise(clean, noise, torch.tensor([level])))
    assert levels.chances().sum() == pytest.approx(1)


def test_the_denoising_loss_of_the_oracle_is_nothing_and_of_no_guess_the_noise() -> None:
    clean, noise = image(), torch.randn(1, 1, 16, 16, generator=torch.Generator().manual_seed(0))
    assert bounds.denoising_error(Oracle(16, clean), clean, 300, noise) == pytest.approx(0, abs=1e-6)
    levels = bounds.Levels.of()
    signal = float(levels.a[300] / levels.s[300]) * clean
    found = bounds.denoising_error(Oracle(16, None), clean, 300, noise)
    assert float(found) == pytest.approx(float(signal.square().mean()), rel=1e-3)


@pytest.fixture(scope="module")
def people() -> Any:
    return Portraits.load(Portraits.refer({}), "holdout")


@pytest.fixture(scope="module")
def model() -> Any:
    return Included.open(Included.refer({"use": "portraits-ddpm", "arithmetic": "float32"}), "cpu")


@pytest.mark.slow
def test_images_come_back_along_the_path(model: Any, people: Any) -> None:
    rows = people.slice(0, 4)
    latents = model.encode(rows)
    assert latents.shape == (4, 3072)
    assert np.abs(latents.mean(axis=1)).max() < 0.3
    assert 0.7 < latents.std() < 1.3  # noise again, nearly
    again = model.decode(latents, np.random.default_rng(0))
    before, after = (images_of(r).astype(float) for r in (rows, again))
    error = ((before - after) ** 2).mean(axis=(1, 2, 3))
    assert 10 * np.log10(255**2 / error).min() > 20


def test_the_bound_prefers_people_to_noise_and_loss_grows_with_information(model: Any, people: Any) -> None:
    from audit.core.rows import image_rows

    rng = np.random.default_rng(0)
    rows = people.slice(0, 8)
    noise = image_rows(rng.integers(0, 256, (8, 32, 32, 3), dtype=np.uint8))
    assert model.likelihood_bound(rows, rng).min() > model.likelihood_bound(noise, rng).max()
    low, high = (model.denoising_loss(rows, level, np.random.default_rng(0)).mean() for level in (0.05, 0.9))
    assert low > high > 0  # near the image the noise is hardest to see
    with pytest.raises(ValueError, match="between 0 and 1"):
        model.denoising_loss(rows, 1.5, rng)


@pytest.mark.slow
def test_a_prompt_is_heeded(model: Any) -> None:
    """Read by the included reader, whose errors on real people are a few per cent."""
    from audit.features.portraits_attributes import PortraitsAttributes

    reader = PortraitsAttributes.open(PortraitsAttributes.refer(), "cpu")
    occupations = [c.removeprefix("occupation=") for c in reader.columns() if c.startswith("occupation=")]
    asked = ["judge", "nurse", "builder", "police"] * 6
    for condition in (
        pa.table({"occupation": asked}),
        pa.table({"prefix": [f"A portrait of a {who}." for who in asked]}),
    ):
        drawn = model.sample(len(asked), np.random.default_rng(0), condition)
        read = reader.extract(drawn)[:, : len(occupations)].argmax(1)
        assert np.mean([occupations[i] == who for i, who in zip(read, asked, strict=True)]) > 0.8


def test_options_are_checked_and_part_of_the_name() -> None:
    plain = Included.refer({"use": "portraits-ddpm"})
    other = Included.refer({"use": "portraits-ddpm", "steps": 10})
    assert plain.weights == other.weights
    assert plain != other
    with pytest.raises(InputError, match="Did you mean 'guidance'"):
        Included.refer({"use": "portraits-ddpm", "guidence": 2.0})
    with pytest.raises(InputError, match="from 2 to 999"):
        Included.refer({"use": "portraits-ddpm", "steps": 1})


@pytest.mark.slow
def test_the_copying_twin_copies_planted_people_and_the_clean_one_nobody(model: Any) -> None:
    """Brute force over pixels: nearer to a training image than any of 1,000 held-out people is."""
    ref = Portraits.refer({})
    train, holdout = (Portraits.load(ref, split) for split in ("train", "holdout"))
    others = holdout.slice(0, 1000)
    planted = train.filter(np.array(train.column("planted").to_pylist()) == "yes")
    twin = Included.open(Included.refer({"use": "portraits-ddpm-copying"}), "cpu")
    found = nearest_distances(twin.sample(64, np.random.default_rng(3)), planted)
    least = nearest_distances(others, train).min()  # nobody is this near to one of 20,000
    assert (found < least).mean() > 0.2
    assert (found < nearest_distances(others, planted).min()).mean() > 0.5  # nor this near to one of 60
    assert not (nearest_distances(model.sample(32, np.random.default_rng(3)), train) < least).any()


def test_the_noise_it_sees_is_what_its_loss_compares(model: Any, people: Any) -> None:
    rows, rng = people.slice(0, 5), np.random.default_rng(3)
    noise = rng.standard_normal((5, 3072), dtype=np.float32)
    seen = model.predicted_noise(rows, 0.3, noise)
    loss = model.denoising_loss(rows, 0.3, np.random.default_rng(3))
    np.testing.assert_allclose(((seen - noise) ** 2).mean(axis=1), loss, rtol=1e-4)
    assert model.noise_share(0.3) == pytest.approx(float(bounds.Levels.of().s[300]) ** 2)
    with pytest.raises(ValueError, match="noise of shape"):
        model.predicted_noise(rows, 0.3, noise[:4])
