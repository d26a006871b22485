"""All scores of two samples in one go are those that each gives alone, whichever way the products are made."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from audit.core.errors import UndefinedError
from audit.stats.fidelity import METRICS, Neighbourhoods
from audit.stats.frechet import frechet_distance
from audit.stats.kernels import kid
from audit.stats.moments import Moments
from audit.stats.two_samples import TwoSamples


def alone(generated: Any, real: Any) -> dict[str, float]:
    metrics = Neighbourhoods.between(real, generated, 5).metrics()
    return {
        "frechet": frechet_distance(Moments.of(generated), Moments.of(real)),
        "kid": kid(generated, real).value,
        **dict(zip(METRICS, metrics.tolist(), strict=False)),
    }


@pytest.mark.parametrize(("n", "m"), [(1300, 1100), (40, 60), (20, 900)])
@pytest.mark.parametrize("offset", [0.0, 1e6])
@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_scores_are_those_of_each_alone(n: int, m: int, offset: float, kind: Any) -> None:
    rng = np.random.default_rng(n)
    generated = (rng.normal(0.2, 1.1, (n, 16)) + offset).astype(kind)
    real = (rng.normal(0.0, 1.0, (m, 16)) + offset).astype(kind)
    real[3] = generated[5]  # a copy
    found, wanted = TwoSamples.compared(generated, real).scores(), alone(generated, real)
    assert found.pop("kid") == pytest.approx(wanted.pop("kid"), rel=1e-5)
    assert found == wanted, "Fréchet distance and neighbours are exact"
    assert 0 < found["precision"] <= 1


def test_samples_that_are_copies_of_real_rows_are_found_at_distance_0() -> None:
    real = np.random.default_rng(1).normal(size=(1500, 32)).astype(np.float32)
    found = TwoSamples.compared(real[:1200], real)
    i, j, distance = found.neighbourhoods.pairs
    assert set(zip(i[distance == 0].tolist(), j[distance == 0].tolist(), strict=True)) == {
        (r, r) for r in range(1200)
    }


def test_intervals_can_be_made_of_what_was_found() -> None:
    rng = np.random.default_rng(2)
    found = TwoSamples.compared(rng.normal(size=(900, 8)), rng.normal(size=(900, 8)))
    inside = found.kid.interval()
    assert inside.low < 0 < inside.high


def test_what_has_no_scores_is_refused() -> None:
    rows = np.random.default_rng(3).normal(size=(100, 4))
    with pytest.raises(ValueError, match="do not compare"):
        TwoSamples.compared(rows, rows[:, :3])
    with pytest.raises(UndefinedError, match="all alike"):
        TwoSamples.compared(rows, np.ones((100, 4)))
    broken = rows.copy()
    broken[7, 2] = np.nan
    for pair in ((broken, rows), (rows, broken)):
        with pytest.raises(UndefinedError, match="not finite"):
            TwoSamples.compared(*pair)
    with pytest.raises(UndefinedError, match="rows"):
        TwoSamples.compared(rows[:4], rows)
