"""A model that moves a spot from place to place, one that fades between pictures, one that jumps, and one that draws noise."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from audit.core.capabilities import Capability
from audit.core.cases import CaseKind
from audit.core.errors import InputError
from audit.core.measurements import Undefined
from audit.core.rows import Rows, image_rows, images_of
from audit.evaluators.quality.interpolation.evaluator import Interpolation, trimmed_mean
from audit.stats.paths import spherical
from tests.evaluators.test_kid import subject

SIDE = 12


def spots(places: Any) -> Rows:
    """Return pictures with a bright spot at each place, shape (n, 2), in pixels."""
    axis = np.arange(SIDE)
    x, y = places[:, 0, None, None], places[:, 1, None, None]
    light = 240 * np.exp(-((axis[None, None, :] - x) ** 2 + (axis[None, :, None] - y) ** 2) / 4)
    return image_rows(np.rint(light).astype(np.uint8)[..., None])


class Mover:
    """Its code is where the spot is; ``jumps`` rounds places, ``noise`` adds levels at random."""

    def __init__(self, jumps: float = 0.0, noise: float = 0.0) -> None:
        self.jumps, self.noise = jumps, noise

    def encode(self, rows: Rows) -> Any:
        light = images_of(rows)[..., 0].astype(float)
        axis, total = np.arange(SIDE), light.sum(axis=(1, 2))
        return np.stack([light.sum(1) @ axis / total, light.sum(2) @ axis / total], axis=1)

    def decode(self, latents: Any, rng: Any) -> Rows:
        places = np.rint(latents / self.jumps) * self.jumps if self.jumps else latents
        made = images_of(spots(places)).astype(float)
        made += self.noise * rng.normal(size=made.shape)
        return image_rows(np.clip(np.rint(made), 0, 255).astype(np.uint8))


class Fader:
    """Its code is the picture itself, so halfway between two spots it shows both, half as bright."""

    def encode(self, rows: Rows) -> Any:
        return images_of(rows).reshape(rows.num_rows, -1).astype(float)

    def decode(self, latents: Any, rng: Any) -> Rows:
        return image_rows(np.rint(latents).clip(0, 255).astype(np.uint8).reshape(-1, SIDE, SIDE, 1))


class WithPrior(Mover):
    """Standard normal codes, with places two pixels a unit about the middle."""

    def posterior(self, rows: Rows) -> Any:
        mean = (super().encode(rows) - 5.5) / 1.5
        return np.stack([mean, np.full(mean.shape, -4.0)], axis=1)

    def decode(self, latents: Any, rng: Any) -> Rows:
        return super().decode(5.5 + 1.5 * latents, rng)


def pixels(rows: Rows) -> Any:
    return images_of(rows).reshape(rows.num_rows, -1).astype(float)


def case(n: int = 300, offers: tuple[Capability, ...] = (), doses: tuple[float, ...] = ()) -> Any:
    plain = subject(samples=10, holdout=n, train=None)
    chosen = tuple(
        (role, replace(ref, dimensions=SIDE * SIDE, modality="image")) for role, ref in plain.extractors
    )
    return replace(
        plain,
        card=replace(plain.card, modality="image"),
        extractors=chosen,
        offers=frozenset({Capability.ENCODE, Capability.DECODE, *offers}),
        doses=doses,
    )


def splits(n: int = 300) -> dict[str, Rows]:
    return {"holdout": spots(np.random.default_rng(0).uniform(3, 8, (n, 2)))}


def by_name(found: Any) -> dict[str, Any]:
    return {o.metric.rpartition(".")[2]: o for o in found.outcomes}


def asked(ask: Any, model: Any, offers: tuple[Capability, ...] = (), **options: Any) -> Any:
    return ask(
        Interpolation(pairs=100),
        case(offers=offers, **options),
        model=model,
        splits=splits(),
        extractor=pixels,
    )


def test_a_fader_is_told_from_a_mover(ask: Any) -> None:
    mover, fader = (by_name(asked(ask, m)) for m in (Mover(), Fader()))
    assert mover["midpoint"].value < 1.15
    assert isinstance(fader["midpoint"], type(mover["midpoint"]))
    assert fader["midpoint"].uncertainty.low > 1.5
    assert fader["midpoint"].uncertainty.low > fader["midpoint"].noise_floor > 1
    assert not fader["midpoint"].void
    (strip,) = mover["midpoint"].evidence
    assert images_of(strip.content).shape == (6, SIDE, 8 * SIDE + 7, 1)


def test_jumps_make_the_path_long_and_noise_leaves_none(ask: Any) -> None:
    smooth, jumpy, noisy = (by_name(asked(ask, m)) for m in (Mover(), Mover(jumps=1.0), Mover(noise=20.0)))
    assert jumpy["path_length"].value > 2 * smooth["path_length"].value
    assert isinstance(noisy["path_length"], Undefined)
    assert "draws noise" in noisy["path_length"].reason


def test_the_path_length_of_a_linear_decoder_is_the_squared_distance_of_its_ends(ask: Any) -> None:
    """Features that are the code itself change by |z_2 - z_1|² for a whole way, whatever the step."""

    def places(rows: Rows) -> Any:
        return np.pad(Mover().encode(rows), ((0, 0), (0, SIDE * SIDE - 2)))

    found = by_name(
        ask(Interpolation(pairs=150, epsilon=0.25), case(), model=Mover(), splits=splits(), extractor=places)
    )["path_length"]
    data = Mover().encode(splits()["holdout"])
    rng = np.random.default_rng(1)
    apart = np.square(data[rng.permutation(300)] - data).sum(axis=1)
    assert found.value == pytest.approx(trimmed_mean(apart, 0.95)[0], rel=0.25)


def test_a_prior_is_walked_on_the_sphere(ask: Any) -> None:
    found = by_name(asked(ask, WithPrior(), (Capability.POSTERIOR,)))
    assert found["midpoint"].value < 1.2
    assert found["path_length"].value > 0
    a, b = np.array([[3.0, 0.0]]), np.array([[0.0, 1.0]])
    np.testing.assert_allclose(spherical(a, b, np.array([0.0])), a, atol=1e-12)
    np.testing.assert_allclose(spherical(a, b, np.array([1.0])), b, atol=1e-12)
    np.testing.assert_allclose(spherical(a, b, np.array([0.5])), [[np.sqrt(2), np.sqrt(2)]], atol=1e-12)
    np.testing.assert_allclose(spherical(a, a, np.array([0.3])), a, atol=1e-12)


def test_planted_blends_are_found_and_the_null_is_one(ask: Any) -> None:
    controls = asked(ask, Mover(), doses=(0.1, 0.8)).controls
    null, small, large = (c for c in controls if c.metric.endswith("midpoint"))
    assert null.kind is CaseKind.NULL
    assert null.right
    assert null.value == pytest.approx(1, abs=0.1)
    assert small.value < large.value
    assert large.right


def test_a_trimmed_mean_covers() -> None:
    rng, inside = np.random.default_rng(0), 0
    for _ in range(400):
        value, interval = trimmed_mean(rng.standard_t(3, 60), 0.95)
        assert interval.low < value < interval.high
        inside += interval.low <= 0 <= interval.high
    assert 0.92 <= inside / 400 <= 0.98


def test_what_it_refuses() -> None:
    for options in ({"pairs": 5}, {"epsilon": 0.0}, {"level": 0.3}):
        with pytest.raises(InputError, match="epsilon"):
            Interpolation(**options)
    assert "60 pictures" in Interpolation().unmet(case(20))[0].need
    assert "removes noise" in Interpolation().unmet(case(offers=(Capability.DENOISING_LOSS,)))[0].found
