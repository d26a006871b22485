"""Amplification of associations: exact tables, noise that must not count as strength, coverage, false discoveries."""

from __future__ import annotations

import numpy as np
import pytest

from audit.core.errors import UndefinedError
from audit.stats.associations import (
    FAINT,
    Pair,
    Tables,
    amplification,
    cells,
    drawn_inverses,
    inverse,
    log_odds,
)

WIDTHS = (4, 3, 2)


def joint(strength: float) -> np.ndarray:
    """P(a, b) of 4 × 3 values with log-linear ties of a known size, and a third attribute tied to nothing."""
    lean = np.outer([1.0, -1.0, 0.5, -0.5], [1.0, 0.0, -1.0])
    p = np.exp(strength * lean)
    return np.asarray(p / p.sum())


def drawn(strength: float, n: int, rng: np.random.Generator) -> np.ndarray:
    both = rng.choice(12, n, p=joint(strength).ravel())
    return np.stack([both // 3, both % 3, rng.integers(0, 2, n)], axis=1)


def pairs(ours: np.ndarray, theirs: np.ndarray, inverses: list[list[np.ndarray]] | None = None) -> list[Pair]:
    x, y = Tables.of(ours, WIDTHS), Tables.of(theirs, WIDTHS)
    return [
        Pair.of(x.pair(i, j), y.pair(i, j), None if inverses is None else (inverses[i], inverses[j]))
        for i, j in ((0, 1), (0, 2), (1, 2))
    ]


def truth(strength: float, data: float) -> float:
    x, y = (log_odds(joint(s) * 1e9) for s in (strength, data))
    weights = 1 / y[1]
    return float((weights * x[0] * y[0]).sum() / (weights * y[0] ** 2).sum())


def test_log_odds_of_a_table_by_hand() -> None:
    values, variance = log_odds(np.array([[10.0, 20.0], [30.0, 5.0]]))
    assert values[0, 0] == pytest.approx(np.log(10.5 * 5.5 / (20.5 * 30.5)))
    assert values[0, 1] == pytest.approx(-values[0, 0])
    assert variance[0, 0] == pytest.approx(1 / 10.5 + 1 / 5.5 + 1 / 20.5 + 1 / 30.5)


def test_a_sample_against_itself_is_one_and_noise_is_not_strength() -> None:
    rng = np.random.default_rng(0)
    codes = drawn(0.5, 4000, rng)
    held = pairs(codes, codes)
    found = amplification(held, held, rng)
    assert found.value[0] == pytest.approx(1.0, abs=0.1)
    assert found.judged.tolist() == [True, False, False], "what is tied to nothing has nothing to amplify"
    assert found.least[1] < FAINT


def test_twice_as_strong_is_found_and_its_size_held() -> None:
    rng = np.random.default_rng(1)
    held = pairs(drawn(0.8, 2000, rng), drawn(0.4, 5000, rng))
    found = amplification(held, held, rng)
    assert found.worst == 0
    assert found.low[0] <= truth(0.8, 0.4) <= found.high[0]
    assert found.low[0] > 1.5
    seen = cells(held)
    assert (seen.adjusted[seen.pair == 0] < 0.05).any()
    assert np.abs(seen.shrunk).max() < np.abs(seen.ours - seen.theirs).max()


def coverage(repeats: int, ours: float, theirs: float) -> tuple[float, float]:
    """Return how often the interval holds the truth, and how often any cell is discovered."""
    confusion = np.full((4, 4), 3.0) + np.eye(4) * 85, np.full((3, 3), 2.0) + np.eye(3) * 90, np.eye(2) * 100
    rng = np.random.default_rng(7)
    held = found = 0
    wanted = truth(ours, theirs)
    inverses = [drawn_inverses(c, rng, 30) for c in confusion]
    for _ in range(repeats):
        read = []
        for strength, n in ((ours, 1500), (theirs, 4000)):
            codes = drawn(strength, n, rng)
            for k, matrix in enumerate(confusion):
                ends = np.cumsum(matrix / matrix.sum(axis=1, keepdims=True), axis=1)
                codes[:, k] = (rng.random(n)[:, None] >= ends[codes[:, k]]).sum(axis=1)
            read.append(codes)
        plain = pairs(*read)
        result = amplification(plain, pairs(*read, inverses), rng)
        held += bool(result.low[0] <= wanted <= result.high[0])
        found += bool((cells(plain).adjusted < 0.05).any())
    return held / repeats, found / repeats


def test_equal_associations_are_covered_and_rarely_discovered() -> None:
    covered, discovered = coverage(40, 0.5, 0.5)
    assert covered >= 0.9
    assert discovered <= 0.15


@pytest.mark.slow
@pytest.mark.parametrize("ours", [0.25, 0.5, 1.0])
def test_coverage_over_many_repeats(ours: float) -> None:
    covered, discovered = coverage(200, ours, 0.5)
    assert covered >= 0.93
    if ours == 0.5:
        assert discovered <= 0.08


def test_what_cannot_be_inverted_or_counted_is_refused() -> None:
    with pytest.raises(UndefinedError, match="condition number"):
        inverse(np.array([[50.0, 50.0], [51.0, 49.0]]))
    with pytest.raises(UndefinedError, match="no labelled example"):
        inverse(np.array([[50.0, 0.0], [0.0, 0.0]]))
    with pytest.raises(UndefinedError, match="need 200 rows"):
        Tables.of(np.zeros((50, 3), np.int64), WIDTHS)
    rare = np.zeros((300, 3), np.int64)
    with pytest.raises(UndefinedError, match="expected together"):
        cells(pairs(rare, rare))
