"""Shares behind a reader that errs: closed forms, coverage of the distance, the ratios and the number of dropped kinds."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from audit.core.errors import UndefinedError
from audit.stats.discriminant import Discriminant, confusion
from audit.stats.modes import Kinds, corrected, surely_true, variation

P = np.array([20, *[8] * 10]) / 100
GONE = np.where(np.arange(11) % 2, P, 0) / P[1::2].sum()


def matrix(right: float) -> Any:
    found = np.full((11, 11), (1 - right) / 10)
    np.fill_diagonal(found, right)
    return found


def drawn(rng: np.random.Generator, shares: Any, right: float, n: int) -> Kinds:
    misread = matrix(right)
    labelled = np.stack([rng.multinomial(int(2500 * p), row) for p, row in zip(P, misread, strict=True)])
    return Kinds(
        rng.multinomial(n, shares @ misread).astype(float),
        rng.multinomial(5000, P).astype(float),
        labelled.astype(float),
    )


def test_exact_counts_give_the_shares_back() -> None:
    misread = matrix(0.8)
    found = corrected(Kinds(GONE @ misread * 1e6, P * 1e6, misread * P[:, None] * 1e6), 0.1)
    np.testing.assert_allclose(found.samples, GONE, atol=1e-12)
    np.testing.assert_allclose(found.ratios, GONE / P, atol=1e-10)
    assert variation(found, np.random.default_rng(0)).plain == pytest.approx(np.abs(GONE - P).sum() / 2)
    assert (found.gone < 1e-6).tolist() == (GONE == 0).tolist()


def brute(p: Any, level: float) -> int:
    """Closed testing by its definition: the least number of false hypotheses in any intersection that Simes keeps."""
    from itertools import combinations

    m, alpha = len(p), 1 - level
    kept = [0]
    for size in range(1, m + 1):
        for chosen in combinations(sorted(p), size):
            kept += [size] * (not any(v <= alpha * (i + 1) / size for i, v in enumerate(chosen)))
    return m - max(kept)


def test_the_count_is_closed_testing_by_its_definition() -> None:
    rng = np.random.default_rng(0)
    for _ in range(60):
        p = np.round(rng.random(7) ** rng.choice([1, 4, 8]), 4)
        assert surely_true(p, 0.9) == brute(p.tolist(), 0.9)


def covered(shares: Any, right: float, n: int, draws: int, seed: int) -> tuple[float, float, float]:
    """Return how often the distance, all ratios at once and the number of dropped kinds are in their intervals."""
    rng = np.random.default_rng(seed)
    distance, dropped = np.abs(shares - P).sum() / 2, int((shares / P < 0.1).sum())
    kept = np.zeros(3)
    for _ in range(draws):
        found = corrected(drawn(rng, shares, right, n), 0.1)
        interval = variation(found, rng).interval(0.95)
        low, high = found.ratio_bounds(0.95)
        least, most = surely_true(found.gone, 0.975), 11 - surely_true(found.there, 0.975)
        kept += (
            interval.low <= distance <= interval.high,
            ((low <= shares / P) & (shares / P <= high)).all(),
            least <= dropped <= most,
        )
    return tuple(kept / draws)  # type: ignore[return-value]


@pytest.mark.parametrize("shares", [P, GONE], ids=["equal", "gone"])
def test_the_intervals_cover(shares: Any) -> None:
    assert min(covered(shares, 0.95, 800, 60, 1)) >= 0.88


NEAR = P * np.where(np.arange(11) % 2, 1.3, 0.8) / (P * np.where(np.arange(11) % 2, 1.3, 0.8)).sum()
RARE = np.array([1 - 0.008 * 3 - 0.08 * 7, *[0.0081] * 3, *[0.08] * 7])
RARE = RARE / RARE.sum()


@pytest.mark.slow
@pytest.mark.parametrize("shares", [P, GONE, NEAR, RARE], ids=["equal", "gone", "near", "rare"])
@pytest.mark.parametrize(("right", "n"), [(1.0, 300), (1.0, 2000), (0.9, 300), (0.9, 2000), (0.7, 1000)])
def test_the_intervals_cover_in_many_draws(shares: Any, right: float, n: int) -> None:
    distance, ratios, dropped = covered(shares, right, n, 300, 2)
    assert distance >= 0.92
    assert ratios >= 0.91
    assert dropped >= 0.94


def test_no_bias_where_shares_are_equal() -> None:
    rng = np.random.default_rng(3)
    found = [variation(corrected(drawn(rng, P, 1.0, 500), 0.1), rng) for _ in range(100)]
    values = np.array([v.value for v in found])
    assert abs(values.mean()) < 3 * values.std() / 10
    assert np.mean([v.plain for v in found]) > 0.04
    assert np.mean([v.error for v in found]) == pytest.approx(values.std(), rel=0.3)


def test_what_cannot_be_corrected_is_refused() -> None:
    with pytest.raises(UndefinedError, match="hardly told apart"):
        corrected(Kinds(P * 100, P * 100, np.ones((11, 11))), 0.1)
    with pytest.raises(UndefinedError, match="without real rows"):
        corrected(Kinds(P * 100, P * 0, np.eye(11)), 0.1)
    with pytest.raises(UndefinedError, match="no labelled example"):
        corrected(Kinds(P * 100, P * 100, np.eye(11) * P[0:1] * 0), 0.1)


def test_the_discriminant_is_scikit_learns() -> None:
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

    rng = np.random.default_rng(4)
    codes = rng.choice(3, 400, p=[0.5, 0.3, 0.2])
    rows = 2 * np.eye(3, 5)[codes] + rng.normal(size=(400, 5))
    theirs = LinearDiscriminantAnalysis(solver="lsqr").fit(rows, codes)
    ours = Discriminant.fitted(rows, codes, 3)
    more = 2 * np.eye(3, 5)[codes] + rng.normal(size=(400, 5))
    assert (ours.read(more) == theirs.predict(more)).mean() > 0.98  # ours adds a little to each variance
    np.testing.assert_array_equal(confusion([0, 0, 1], [0, 1, 1], 2), [[1, 1], [0, 1]])
    repeated = np.tile(rows, 3)
    assert (Discriminant.fitted(repeated, codes, 3).read(repeated) == ours.read(rows)).mean() > 0.98
    with pytest.raises(ValueError, match="needs rows"):
        Discriminant.fitted(rows, np.zeros(400, int), 2)
