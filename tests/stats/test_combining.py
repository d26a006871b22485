"""Combined scores: what linear discriminants of a half give, exact p-values on blanks, and intervals that hold."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from audit.core.errors import UndefinedError
from audit.stats.combining import combined, examples_to_tell, separation_interval


def halves(n: int) -> Any:
    return np.arange(n) % 2


def drawn(rng: np.random.Generator, n: int, shift: float, k: int = 4) -> tuple[Any, Any]:
    """Correlated scores; members are shifted in the first alone, which the others help to clean."""
    common, x = rng.normal(size=(2 * n, 1)), rng.normal(size=(2 * n, k))
    x += common
    x[:n, 0] += shift
    return x[:n], x[n:]


def test_scores_are_the_discriminant_of_the_other_half() -> None:
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

    x, y = drawn(np.random.default_rng(0), 2000, 1.0, 3)
    found = combined(x, y, halves(2000), halves(2000), 9, np.random.default_rng(1))
    rows, label = np.concatenate([x, y]), np.arange(4000) < 2000
    rows = np.clip(rows, *np.quantile(rows, [0.025, 0.975], axis=0))
    half = np.concatenate([halves(2000)] * 2)
    other = (
        LinearDiscriminantAnalysis().fit(rows[half == 1], label[half == 1]).decision_function(rows[half == 0])
    )
    ours = np.concatenate([found.positives, found.negatives])[half == 0]
    assert np.corrcoef(ours, other)[0, 1] > 0.999
    m, n = found.positives[halves(2000) == 0], found.negatives[halves(2000) == 0]
    pooled = np.sqrt((m.var(ddof=1) + n.var(ddof=1)) / 2)
    assert found.separations[0] == pytest.approx((m.mean() - n.mean()) / pooled)


def test_one_score_keeps_its_sign_and_minus_infinity_is_the_lowest() -> None:
    rng = np.random.default_rng(2)
    x, y = rng.normal(-0.5, 1, (200, 1)), rng.normal(size=(200, 1))
    found = combined(x, y, halves(200), halves(200), 99, rng)
    assert found.separations.max() < 0
    assert found.p > 0.9
    both = combined(np.hstack([x, x]), np.hstack([y, y]), halves(200), halves(200), 99, rng)
    assert both.separations.max() < 0, (
        "the direction was fixed beforehand, however many scores point the other way"
    )
    x[:20] = -np.inf
    again = combined(x, y, halves(200), halves(200), 9, rng)
    assert np.isfinite(again.positives).all()
    assert again.positives[:20].max() == again.positives.min()


def test_many_weak_scores_tell_together() -> None:
    rng = np.random.default_rng(3)
    x, y = rng.normal(0.12, 1, (1000, 8)), rng.normal(size=(1000, 8))
    found = combined(x, y, halves(1000), halves(1000), 199, rng)
    alone = combined(x[:, :1], y[:, :1], halves(1000), halves(1000), 199, rng)
    assert found.p == 1 / 200
    assert found.separations.mean() > 2 * alone.separations.mean()


def test_p_values_are_uniform_where_there_is_nothing() -> None:
    rng = np.random.default_rng(4)
    p = np.array([combined(*drawn(rng, 60, 0.0), halves(60), halves(60), 99, rng).p for _ in range(300)])
    for level in (0.05, 0.1, 0.25, 0.5):
        assert abs((p <= level).mean() - level) < 3.5 * np.sqrt(level * (1 - level) / 300), level


@pytest.mark.parametrize("shift", [0.0, 0.5])
def test_the_interval_holds_the_separation_of_these_fits(shift: float) -> None:
    """The truth is the separation that the two fitted combinations have on a hundred thousand fresh examples."""
    rng, kept = np.random.default_rng(5), 0
    fresh = drawn(np.random.default_rng(6), 50_000, shift)
    for _ in range(200):
        x, y = drawn(rng, 150, shift)
        found = combined(x, y, halves(150), halves(150), 1, rng)
        truths = []
        for side in (0, 1):
            seen = np.concatenate([x[halves(150) == side], y[halves(150) == side]])
            said = np.concatenate(
                [found.positives[halves(150) == side], found.negatives[halves(150) == side]]
            )
            weights = np.linalg.lstsq(np.column_stack([seen, np.ones(len(seen))]), said, rcond=None)[0][:-1]
            a, b = fresh[0] @ weights, fresh[1] @ weights
            truths.append((a.mean() - b.mean()) / np.sqrt((a.var() + b.var()) / 2))
        _, interval = separation_interval(found.separations, 75, 75)
        kept += interval.low <= np.mean(truths) <= interval.high
    assert kept >= 184  # 92 %; as wide as one half's, so mostly more


def test_how_many_examples_it_takes_is_the_power_of_a_test_of_means() -> None:
    from scipy import stats

    n = round(examples_to_tell(0.2))
    rng = np.random.default_rng(7)
    tests = [
        stats.ttest_ind(rng.normal(0.2, 1, n), rng.normal(size=n), alternative="greater").pvalue
        for _ in range(600)
    ]
    assert np.mean(np.array(tests) <= 0.05) == pytest.approx(0.8, abs=0.05)
    assert examples_to_tell(0.0) == np.inf


def test_what_cannot_be_combined_is_refused() -> None:
    rng = np.random.default_rng(8)
    with pytest.raises(UndefinedError, match="no scores"):
        combined(np.zeros((0, 2)), np.zeros((5, 2)), halves(0), halves(5), 9, rng)
    with pytest.raises(UndefinedError, match="two examples"):
        combined(np.zeros((3, 2)), np.zeros((5, 2)), halves(3), halves(5), 9, rng)
    same = combined(np.zeros((8, 2)), np.zeros((8, 2)), halves(8), halves(8), 19, rng)
    assert (same.separations == 0).all()
    assert same.p == 1.0
