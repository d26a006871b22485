"""Codes in use, collapsed and ignored, and information that a linear-Gaussian model knows in closed form."""

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
from audit.evaluators.quality.latent.evaluator import LatentUse
from tests.evaluators.test_kid import subject

D, LATENT = 16, 4


class Linear:
    """x = 120 + A z + noise, encoded by its exact posterior; the units in ``collapsed`` say nothing; ``deaf``: the decoder ignores z."""

    def __init__(self, noise: float = 25.0, collapsed: tuple[int, ...] = (), deaf: bool = False) -> None:
        self.A = np.linalg.qr(np.random.default_rng(0).normal(size=(D, LATENT)))[0] * 40
        self.noise, self.off, self.deaf = noise, list(collapsed), deaf
        self.V = 1 / (1 + 40**2 / noise**2)

    def draw(self, n: int, seed: int) -> Rows:
        rng = np.random.default_rng(seed)
        x = 120 + rng.normal(size=(n, LATENT)) @ self.A.T + self.noise * rng.normal(size=(n, D))
        return image_rows(np.clip(np.rint(x), 0, 255).astype(np.uint8).reshape(n, 4, 4, 1))

    def posterior(self, rows: Rows) -> Any:
        x = images_of(rows).reshape(rows.num_rows, D) - 120.0
        mean = x @ self.A * self.V / self.noise**2
        log_variance = np.full(mean.shape, np.log(self.V))
        mean[:, self.off], log_variance[:, self.off] = 0.0, 0.0
        return np.stack([mean, log_variance], axis=1)

    def encode(self, rows: Rows) -> Any:
        return self.posterior(rows)[:, 0]

    def decode(self, latents: Any, rng: Any) -> Rows:
        x = (
            120 + (0 if self.deaf else latents) @ self.A.T
            if not self.deaf
            else np.full((len(latents), D), 120.0)
        )
        return image_rows(np.clip(np.rint(x), 0, 255).astype(np.uint8).reshape(-1, 4, 4, 1))

    @property
    def information(self) -> float:
        return -0.5 * (LATENT - len(self.off)) * float(np.log(self.V))


class Plain(Linear):
    """Without a posterior, as an autoencoder has none."""

    posterior = None

    def encode(self, rows: Rows) -> Any:
        return Linear.posterior(self, rows)[:, 0] * 50


ALL = (Capability.POSTERIOR, Capability.ENCODE, Capability.DECODE)


def case(n: int, offers: tuple[Capability, ...] = ALL, doses: tuple[float, ...] = ()) -> Any:
    plain = subject(samples=10, holdout=n, train=None)
    card = replace(plain.card, modality="image")
    return replace(plain, card=card, offers=frozenset(offers), doses=doses)


def by_name(found: Any) -> dict[str, Any]:
    return {o.metric.rpartition(".")[2]: o for o in getattr(found, "outcomes", found)}


def asked(ask: Any, model: Linear, n: int = 400, **options: Any) -> Any:
    rows = {"holdout": model.draw(n, 1)}
    return ask(LatentUse(), case(n, **options), model=model, splits=rows)


def test_information_and_rate_are_those_of_the_linear_model(ask: Any) -> None:
    model = Linear(noise=40.0)
    found = by_name(asked(ask, model, 1000))
    truth = model.information
    assert truth == pytest.approx(LATENT * 0.5 * np.log(2))
    assert found["information"].uncertainty.low - 0.02 < truth < found["information"].uncertainty.high + 0.05
    assert found["information"].value == pytest.approx(truth, abs=0.1)
    assert found["rate"].value == pytest.approx(truth, rel=0.06)
    assert found["rate"].uncertainty.low < truth < found["rate"].uncertainty.high
    assert found["active_units"].value == 1
    inside, outside = LATENT * (40**2 + 40**2), (D - LATENT) * 40**2
    own, other = model.V**2 * inside + outside, (1 + (1 - model.V) ** 2) * inside + outside
    assert found["reliance"].value == pytest.approx(1 - own / other, abs=0.02)


def test_collapse_and_a_deaf_decoder_are_found(ask: Any) -> None:
    healthy, half, gone, deaf = (
        by_name(asked(ask, model))
        for model in (
            Linear(),
            Linear(collapsed=(1, 3)),
            Linear(collapsed=(0, 1, 2, 3)),
            Linear(deaf=True),
        )
    )
    assert [o["active_units"].value for o in (healthy, half, gone)] == [1.0, 0.5, 0.0]
    assert half["active_units"].uncertainty.high < half["active_units"].noise_floor <= 1
    assert gone["information"].value == pytest.approx(0, abs=1e-9)
    assert gone["rate"].value == 0
    assert gone["reliance"].value == pytest.approx(0, abs=1e-9)
    assert deaf["active_units"].value == 1
    assert deaf["reliance"].value == pytest.approx(0, abs=1e-9)
    assert healthy["reliance"].uncertainty.low > 0.2
    assert not any(getattr(o, "void", "") for found in (healthy, half, gone) for o in found.values())


def test_information_is_capped_and_says_so(ask: Any) -> None:
    found = by_name(asked(ask, Linear(noise=1.0), 100))["information"]
    assert found.value <= np.log(100) + 1e-9
    assert found.value == pytest.approx(np.log(100), abs=0.01)
    assert "At most 4.605 can be seen" in found.notes[0]


def test_an_autoencoder_without_a_posterior(ask: Any) -> None:
    found = by_name(asked(ask, Plain(collapsed=(2,)), offers=(Capability.ENCODE, Capability.DECODE)))
    assert found["active_units"].value == 0.75
    assert isinstance(found["information"], Undefined)
    assert isinstance(found["rate"], Undefined)
    assert found["reliance"].value > 0
    alone = by_name(asked(ask, Plain(), offers=(Capability.ENCODE,)))
    assert isinstance(alone["reliance"], Undefined)
    dead = by_name(asked(ask, Plain(collapsed=(0, 1, 2, 3)), offers=(Capability.ENCODE,)))
    assert "no unit of the code varies" in dead["active_units"].reason


def test_planted_collapse_is_found_and_the_null_is_in_use(ask: Any) -> None:
    controls = asked(ask, Linear(), doses=(0.1, 0.5)).controls
    null, small, large = (c for c in controls if c.metric.endswith("active_units"))
    assert null.kind is CaseKind.NULL
    assert null.value == 1
    assert null.right
    assert small.value > large.value
    assert large.right


def test_strips_and_variances_are_shown(ask: Any) -> None:
    variances, strips = by_name(asked(ask, Linear(collapsed=(0,))))["active_units"].evidence
    assert variances.kind == "intervals"
    assert variances.content.num_rows == LATENT
    pictures = images_of(strips.content)
    assert pictures.shape == (LATENT, 4, 7 * 4 + 6, 1)
    assert strips.content.column("unit")[-1].as_py() == 0, "the unit that never varies comes last"
    assert np.ptp(pictures[-1, :, :4].astype(int) - pictures[-1, :, -4:]) == 0, (
        "and moving it changes nothing"
    )
    assert np.ptp(pictures[0, :, :4].astype(int) - pictures[0, :, -4:]) > 0


def test_what_it_refuses(ask: Any) -> None:
    with pytest.raises(InputError, match="max_rows"):
        LatentUse(max_rows=10)
    noise = case(200, (Capability.ENCODE, Capability.DENOISING_LOSS))
    assert "removes noise" in LatentUse().unmet(noise)[0].found
    assert "50 examples" in LatentUse().unmet(case(20))[0].need

    class Broken(Linear):
        def posterior(self, rows: Rows) -> Any:
            return np.full((rows.num_rows, 2, 3), np.nan)

    with pytest.raises(ValueError, match="not finite for"):
        asked(ask, Broken())


def test_the_included_digits_have_collapsed_units(ask: Any) -> None:
    from audit.data.digits import Digits
    from audit.models.included import Included

    rows = Digits.load(Digits.refer({}), "holdout")
    model = Included.open(Included.refer({"use": "digits-vae"}), "cpu")
    found = by_name(ask(LatentUse(), case(rows.num_rows), model=model, splits={"holdout": rows}))
    assert found["active_units"].value == 0.75, "nine of twelve units are in use"
    assert 5 < found["information"].value <= np.log(rows.num_rows)
    assert found["reliance"].uncertainty.low > 0.3
