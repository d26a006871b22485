"""Codes where the prior is, and codes that are moved, crowded or too wide."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from audit.core.capabilities import Capability
from audit.core.cases import CaseKind
from audit.core.errors import InputError
from audit.evaluators.quality.latent_prior import PriorMismatch
from tests.evaluators.test_kid import as_matrix, as_rows, subject

UNITS = 5


class Encodes:
    """Rows are known normal vectors; posteriors are wide around a part of them, so that together they are the prior."""

    def __init__(self, shift: float = 0.0, scale: float = 1.0) -> None:
        self.shift, self.scale = shift, scale

    def posterior(self, rows: Any) -> Any:
        x = as_matrix(rows)
        mean = np.sqrt(0.6) * x * self.scale + self.shift
        return np.stack([mean, np.full(x.shape, np.log(0.4 * self.scale**2))], axis=1)


def case(n: int = 400, doses: tuple[float, ...] = ()) -> Any:
    plain = subject(samples=10, holdout=n, train=None)
    return replace(plain, offers=frozenset({Capability.POSTERIOR}), doses=doses)


def rows(n: int = 400, seed: int = 0) -> Any:
    return {"holdout": as_rows(np.random.default_rng(seed).normal(size=(n, UNITS)))}


def by_name(found: Any) -> dict[str, Any]:
    return {o.metric.rpartition(".")[2]: o for o in found.outcomes}


def test_a_mismatch_is_found_and_a_match_is_not(ask: Any) -> None:
    right, moved, crowded = (
        by_name(ask(PriorMismatch(draws=99), case(), model=m, splits=rows()))
        for m in (Encodes(), Encodes(shift=0.4), Encodes(scale=0.6))
    )
    assert right["latent_prior"].uncertainty.low <= 0 <= right["latent_prior"].uncertainty.high
    assert right["latent_prior"].p_value > 0.02
    assert right["spread"].uncertainty.low <= 1 <= right["spread"].uncertainty.high
    for wrong in (moved, crowded):
        assert wrong["latent_prior"].uncertainty.low > wrong["latent_prior"].noise_floor > 0
        assert wrong["latent_prior"].p_value == 0.01
    assert crowded["spread"].value == pytest.approx(0.36, abs=0.03)
    assert not any(o.void for o in (*right.values(), *moved.values(), *crowded.values()))


def test_the_value_is_that_of_two_normals_in_closed_form(ask: Any) -> None:
    """MMD² of N(m, I) and N(0, I) under a Gaussian kernel of width h: 2 (h²/(h²+2))^(d/2) (1 - exp(-|m|²/(2(h²+2))))."""
    found = by_name(ask(PriorMismatch(draws=99), case(1000), model=Encodes(shift=0.5), splits=rows(1000)))
    h2 = 2 * (UNITS - 2 / 3)  # about the squared median distance of two draws
    expected = 2 * (h2 / (h2 + 2)) ** (UNITS / 2) * (1 - np.exp(-UNITS * 0.25 / (2 * (h2 + 2))))
    assert found["latent_prior"].value == pytest.approx(expected, rel=0.15)


def test_planted_crowding_is_found(ask: Any) -> None:
    controls = ask(PriorMismatch(draws=99), case(doses=(0.05, 0.4)), model=Encodes(), splits=rows()).controls
    null, small, large = (c for c in controls if c.metric == "quality.latent_prior")
    assert null.kind is CaseKind.NULL
    assert null.right
    assert small.value < large.value
    assert large.right


def test_the_interval_covers_no_mismatch(score: Any) -> None:
    inside = 0
    for seed in range(40):
        found = score(
            PriorMismatch(draws=99), replace(case(100), seed=seed), model=Encodes(), splits=rows(100, seed)
        )
        inside += found[0].uncertainty.low <= 0 <= found[0].uncertainty.high
    assert inside >= 36


def test_what_it_refuses() -> None:
    with pytest.raises(InputError, match="draws"):
        PriorMismatch(draws=3)
    assert "100 examples" in PriorMismatch().unmet(case(50))[0].need
