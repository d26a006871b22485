"""Total variation: known shares exactly, no distance out of noise, coverage with a classifier that errs."""

from __future__ import annotations

import numpy as np
import pytest

from audit.core.errors import UndefinedError
from audit.stats.associations import drawn_inverses
from audit.stats.shares import Side, variation


def one(
    k: int, n: int, shift: float, error: float, rng: np.random.Generator
) -> tuple[float, float, float, float]:
    """Return the truth, and the value and the ends of the interval, for ``shift`` moved from the last half to the first."""
    target = np.ones(k) / k
    half = k // 2
    shares = target + np.r_[np.full(half, shift / half), np.full(k - half, -shift / (k - half))]
    matrix = (1 - error) * np.eye(k) + error / (k - 1) * (1 - np.eye(k))
    counts = np.stack([rng.multinomial(300, row) for row in matrix]).astype(float)
    ours, theirs = (Side.of(rng.choice(k, m, p=p @ matrix), k) for m, p in ((n, shares), (2 * n, target)))
    found = variation(ours, theirs, drawn_inverses(counts, rng, 20))
    return shift, found.value, found.interval.low, found.interval.high


def test_a_known_target_and_a_reader_without_errors_by_hand() -> None:
    codes = np.array([0] * 60 + [1] * 40)
    found = variation(Side.of(codes, 2), Side(None, np.array([0.5, 0.5])), [np.eye(2)])
    assert found.naive == found.read == pytest.approx(0.1)
    assert found.value == pytest.approx(0.1)
    assert found.interval.low == pytest.approx(
        max(0.1 - 1.96 * 1.2793 * np.sqrt(0.6 * 0.4 / 100), 0.0), abs=1e-4
    )
    np.testing.assert_allclose(found.shares, [0.6, 0.4])


def test_errors_of_the_reader_are_taken_off() -> None:
    """70 % read as the first with a sensitivity and a specificity of .9 are 75 %."""
    codes = np.tile([0] * 7 + [1] * 3, 100)
    inverse = np.linalg.inv(np.array([[0.9, 0.1], [0.1, 0.9]]))
    found = variation(Side.of(codes, 2), Side(None, np.array([0.5, 0.5])), [inverse])
    assert found.shares[0] == pytest.approx(0.75)
    assert found.read == pytest.approx(0.2)
    assert found.naive == pytest.approx(0.25)


def test_noise_is_no_distance() -> None:
    rng = np.random.default_rng(0)
    runs = np.array([one(10, 500, 0.0, 0.1, rng) for _ in range(60)])
    assert runs[:, 1].mean() < 0.02, "where the plain estimate has .05"
    assert (runs[:, 2] <= 0).mean() >= 0.95


@pytest.mark.slow
@pytest.mark.parametrize("k", [2, 5, 10])
@pytest.mark.parametrize("shift", [0.0, 0.05, 0.3])
@pytest.mark.parametrize("n", [200, 2000])
def test_intervals_cover(k: int, shift: float, n: int) -> None:
    rng = np.random.default_rng(k)
    runs = np.array([one(k, n, shift, 0.1, rng) for _ in range(500)])
    assert ((runs[:, 2] <= shift) & (shift <= runs[:, 3])).mean() >= 0.93


def test_too_few_rows_are_refused() -> None:
    with pytest.raises(UndefinedError, match="20 rows"):
        Side.of(np.zeros(5, np.int64), 2)
