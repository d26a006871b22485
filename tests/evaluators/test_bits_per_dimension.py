"""Bits per dimension of models whose likelihood is known exactly: linear-Gaussian, with the right and with a wrong posterior."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from audit.core.capabilities import Capability
from audit.core.errors import InputError
from audit.core.measurements import Interval, Measurement, Undefined, Unquantified
from audit.core.rows import Rows, image_rows, images_of
from audit.evaluators.quality.bits_per_dimension.evaluator import BitsPerDimension
from audit.evaluators.quality.bits_per_dimension.recipes import log_mean
from tests.evaluators.test_kid import subject

D, LATENT = 16, 3
NOISE = 6.0


class Linear:
    """x = mean + A z + noise: a variational autoencoder whose likelihood is a normal density. ``off`` moves its posterior."""

    def __init__(self, off: float = 0.0) -> None:
        rng = np.random.default_rng(0)
        self.A, self.mean, self.off = rng.normal(size=(D, LATENT)) * 12, np.full(D, 120.0), off
        self.covariance = self.A @ self.A.T + NOISE**2 * np.eye(D)
        precision = np.eye(LATENT) + self.A.T @ self.A / NOISE**2
        self.V = np.linalg.inv(precision)
        self.root = np.linalg.cholesky(self.V)

    def centred(self, rows: Rows) -> Any:
        return images_of(rows).reshape(rows.num_rows, D) - self.mean

    def log_density(self, rows: Rows) -> Any:
        x = self.centred(rows)
        quadratic = np.einsum("ij,jk,ik->i", x, np.linalg.inv(self.covariance), x)
        return -0.5 * (quadratic + np.linalg.slogdet(2 * np.pi * self.covariance)[1])

    def log_importance_weights(self, rows: Rows, rng: Any, draws: int) -> Any:
        x = self.centred(rows)
        mean = x @ self.A @ self.V / NOISE**2 + self.off * np.sqrt(np.diag(self.V))
        e = rng.normal(size=(draws, len(x), LATENT))
        z = mean + e @ self.root.T
        log_q = -0.5 * (e**2).sum(-1) - np.linalg.slogdet(self.root)[1] - 0.5 * LATENT * math.log(2 * math.pi)
        log_prior = -0.5 * (z**2).sum(-1) - 0.5 * LATENT * math.log(2 * math.pi)
        rest = x - z @ self.A.T
        log_x = -0.5 * (rest**2).sum(-1) / NOISE**2 - 0.5 * D * math.log(2 * math.pi * NOISE**2)
        return (log_x + log_prior - log_q).T

    def divergence(self) -> float:
        """KL of its posterior from the true one, in nats: a normal whose mean is moved."""
        moved = self.off * np.sqrt(np.diag(self.V))
        return 0.5 * float(moved @ np.linalg.inv(self.V) @ moved)

    def draw(self, n: int, seed: int) -> Any:
        rng = np.random.default_rng(seed)
        x = self.mean + rng.normal(size=(n, LATENT)) @ self.A.T + NOISE * rng.normal(size=(n, D))
        return image_rows(np.clip(np.rint(x), 0, 255).astype(np.uint8).reshape(n, 4, 4, 1))


class Dense(Linear):
    def log_likelihood(self, rows: Rows) -> Any:
        return self.log_density(rows)


class Bounded(Linear):
    def likelihood_bound(self, rows: Rows, rng: Any) -> Any:
        return self.log_density(rows) - 3.0


def case(n: int, offers: Capability = Capability.LOG_IMPORTANCE_WEIGHTS) -> Any:
    plain = subject(samples=10, holdout=n, train=None)
    card = replace(plain.card, modality="image")
    return replace(plain, card=card, offers=frozenset({offers}))


def by_name(outcomes: Any) -> dict[str, Any]:
    return {o.metric.rpartition(".")[2]: o for o in outcomes}


def exact(model: Linear, rows: Rows) -> float:
    return float(-model.log_density(rows).mean() / (D * math.log(2)))


def test_with_the_true_posterior_every_bound_is_the_likelihood(score: Any) -> None:
    model, rows = Linear(), Linear().draw(120, 1)
    found = by_name(score(BitsPerDimension(), case(120), model=model, splits={"holdout": rows}))
    for name in ("bits_per_dimension", "elbo"):
        assert found[name].value == pytest.approx(exact(model, rows), rel=1e-9)
        assert isinstance(found[name].uncertainty, Interval)
        assert found[name].n == 120
    curve, dearest, cheapest = found["bits_per_dimension"].evidence
    assert np.ptp(curve.content.column("y").to_pylist()) < 1e-9
    density = model.log_density(rows)
    assert dearest.content.column("nats").to_pylist() == pytest.approx(sorted(density)[:8])
    assert cheapest.content.column("nats").to_pylist() == pytest.approx(sorted(density)[::-1][:8])


def test_a_wrong_posterior_costs_the_elbo_its_divergence_and_more_draws_win_it_back(score: Any) -> None:
    model, rows = Linear(off=1.2), Linear().draw(300, 2)
    found, many = (
        by_name(score(BitsPerDimension(draws=k), case(300), model=model, splits={"holdout": rows}))
        for k in (16, 1024)
    )
    truth, gap = exact(model, rows), model.divergence() / (D * math.log(2))
    assert gap > 0.05
    assert many["elbo"].value == pytest.approx(truth + gap, rel=2e-3)
    few, tight = found["bits_per_dimension"].value, many["bits_per_dimension"].value
    assert truth - 1e-3 < tight < few < found["elbo"].value
    assert tight == pytest.approx(truth, abs=0.05 * gap)
    ys = many["bits_per_dimension"].evidence[0].content.column("y").to_pylist()
    assert len(ys) == 11
    assert all(a > b for a, b in pairwise(ys[:8]))
    assert "at most this" in found["bits_per_dimension"].notes[0]


def test_models_that_give_one_number_each(score: Any) -> None:
    rows = Linear().draw(60, 3)
    given = {"holdout": rows}
    dense = by_name(
        score(BitsPerDimension(), case(60, Capability.LOG_LIKELIHOOD), model=Dense(), splits=given)
    )
    bound = by_name(
        score(BitsPerDimension(), case(60, Capability.LIKELIHOOD_BOUND), model=Bounded(), splits=given)
    )
    truth = exact(Linear(), rows)
    assert dense["bits_per_dimension"].value == pytest.approx(truth)
    assert bound["bits_per_dimension"].value == pytest.approx(truth + 3 / (D * math.log(2)))
    assert "no bound between" in dense["bits_per_dimension"].notes[0]
    assert isinstance(bound["elbo"], Undefined)


def test_densities_on_another_scale_are_counted_per_level_or_refused(score: Any) -> None:
    class Scaled(Dense):
        def log_likelihood(self, rows: Rows) -> Any:
            return self.log_density(rows) + D * math.log(127.5)

    rows = Linear().draw(60, 4)
    asked = case(60, Capability.LOG_LIKELIHOOD)
    scaled = by_name(
        score(BitsPerDimension(level_width=2 / 255), asked, model=Scaled(), splits={"holdout": rows})
    )
    assert scaled["bits_per_dimension"].value == pytest.approx(exact(Linear(), rows))
    raw = by_name(score(BitsPerDimension(), asked, model=Scaled(), splits={"holdout": rows}))
    assert "level_width" in raw["bits_per_dimension"].reason


def test_hostile_models_give_reasons(score: Any) -> None:
    class Ruled(Linear):
        def log_importance_weights(self, rows: Rows, rng: Any, draws: int) -> Any:
            weights = super().log_importance_weights(rows, rng, draws)
            weights[0] = -np.inf
            return weights

    class Sometimes(Linear):
        def log_importance_weights(self, rows: Rows, rng: Any, draws: int) -> Any:
            weights = super().log_importance_weights(rows, rng, draws)
            weights[:, 0] = -np.inf
            return weights

    class Broken(Linear):
        def log_importance_weights(self, rows: Rows, rng: Any, draws: int) -> Any:
            return np.full((rows.num_rows, draws), np.nan)

    given = {"holdout": Linear().draw(30, 5)}
    ruled = by_name(score(BitsPerDimension(), case(30), model=Ruled(), splits=given))
    assert all("rules out 1 of 30" in o.reason for o in ruled.values())
    sometimes = by_name(score(BitsPerDimension(), case(30), model=Sometimes(), splits=given))
    assert isinstance(sometimes["bits_per_dimension"], Measurement)
    assert isinstance(sometimes["elbo"], Undefined)
    with pytest.raises(ValueError, match="not a number"):
        score(BitsPerDimension(), case(30), model=Broken(), splits=given)
    few = by_name(
        score(BitsPerDimension(), case(5), model=Linear(), splits={"holdout": given["holdout"].slice(0, 5)})
    )
    assert all(isinstance(o.uncertainty, Unquantified) for o in few.values())
    for options in ({"draws": 0}, {"level_width": 0.0}, {"max_rows": 1}):
        with pytest.raises(InputError, match="bits_per_dimension"):
            BitsPerDimension(**options)


def test_the_mean_of_blocks_is_the_bound_of_so_many_draws() -> None:
    weights = np.log(np.array([[1.0, 3.0, 2.0, 6.0]]))
    assert log_mean(weights)[0] == pytest.approx(math.log(3))
    assert log_mean(weights, 2)[0] == pytest.approx((math.log(2) + math.log(4)) / 2)
    assert log_mean(weights, 1)[0] == pytest.approx(weights.mean())


def test_the_interval_covers_the_entropy(score: Any) -> None:
    """The expected code length of pictures that the model itself makes is its entropy."""
    model, inside, runs = Dense(), 0, 120
    entropy = 0.5 * np.linalg.slogdet(2 * np.pi * math.e * model.covariance)[1] / (D * math.log(2))
    for seed in range(runs):
        asked = case(40, Capability.LOG_LIKELIHOOD)
        (found, _) = score(BitsPerDimension(), asked, model=model, splits={"holdout": model.draw(40, seed)})
        inside += found.uncertainty.low <= entropy <= found.uncertainty.high
    assert 0.89 <= inside / runs <= 0.99


@pytest.mark.parametrize("name", ["digits-vae", "fashion-vae"])
def test_included_models_need_fewer_bits_than_bytes(name: str, score: Any) -> None:
    from audit.data.digits import Digits
    from audit.data.fashion_mnist import FashionMNIST
    from audit.models.included import Included

    try:
        kind = Digits if name == "digits-vae" else FashionMNIST
        rows = kind.load(kind.refer({}), "holdout").slice(0, 24)
    except InputError as error:
        pytest.skip(str(error))
    model = Included.open(Included.refer({"use": name}), "cpu")
    found = by_name(score(BitsPerDimension(draws=8), case(24), model=model, splits={"holdout": rows}))
    assert 0.5 < found["bits_per_dimension"].value < found["elbo"].value < 8
    state = np.random.default_rng(0)
    assert model.likelihood_bound(rows, state).mean() == pytest.approx(
        -found["bits_per_dimension"].value * images_of(rows)[0].size * math.log(2), rel=0.03
    )
