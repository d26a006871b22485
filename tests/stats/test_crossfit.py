"""The cross-fitted classifier against closed forms, a library, and its coverage at chance."""

from __future__ import annotations

import numpy as np
import pytest

from audit.core.errors import UndefinedError
from audit.stats import crossfit as cf
from audit.stats.ranking import area_interval


def _areas(rng: np.random.Generator, n: int, d: int, shift: float) -> cf.RocAreas:
    samples = [rng.normal(size=(n, d)), rng.normal(size=(n, d))]
    samples[0][:, 0] += shift
    fold = [cf.folds_of(n, 2, rng) for _ in samples]
    parts = [cf.moments_by_fold(x, y, f, 2) for x, y, f in zip(samples, (1.0, -1.0), fold, strict=True)]
    fits = cf.fit_without_each([a.merge(b) for a, b in zip(*parts, strict=True)])
    scores = [
        np.where(f == 0, fits[0].score(x), fits[1].score(x))[None] for x, f in zip(samples, fold, strict=True)
    ]
    return cf.cross_fitted_areas(scores[0], scores[1], fold[0], fold[1])


def test_merging_parts_equals_the_whole() -> None:
    rows = np.random.default_rng(0).normal(100, 3, size=(50, 4))
    whole = cf.JointMoments.of(rows)
    a, b, c = (cf.JointMoments.of(rows[part]) for part in (slice(0, 7), slice(7, 7), slice(7, 50)))
    for merged in (a.merge(b).merge(c), a.merge(b.merge(c))):
        assert merged.n == whole.n
        np.testing.assert_allclose(merged.mean, whole.mean, rtol=1e-12)
        np.testing.assert_allclose(merged.scatter, whole.scatter, rtol=1e-9, atol=1e-9)


def test_ridge_equals_sklearn_at_its_penalty_and_ignores_constants() -> None:
    from sklearn.linear_model import Ridge
    from sklearn.preprocessing import StandardScaler

    rng = np.random.default_rng(1)
    x = np.column_stack([rng.normal(5, 2, size=(80, 3)), np.full(80, 7.0)])
    y = x[:, 0] - 0.5 * x[:, 1] + rng.normal(0, 0.1, 80)
    fit = cf.ridge(cf.JointMoments.of(np.column_stack([x, y])))
    assert fit.weights[3] == 0
    scaler = StandardScaler().fit(x[:, :3])
    theirs = [
        Ridge(alpha=80 * penalty).fit(scaler.transform(x[:, :3]), y).coef_ / scaler.scale_
        for penalty in 10.0 ** np.arange(-3, 4)
    ]
    assert min(np.abs(fit.weights[:3] - other).max() for other in theirs) < 1e-9
    np.testing.assert_allclose(fit.weights[:3], [1, -0.5, 0], atol=0.05)


@pytest.mark.parametrize(("n", "d", "replicates"), [(60, 5, 150), (60, 40, 100)])
def test_chance_stays_inside_the_interval(n: int, d: int, replicates: int) -> None:
    rng, above, inside = np.random.default_rng(2), 0, 0
    for _ in range(replicates):
        interval = area_interval(_areas(rng, n, d, 0.0))
        above += interval.low > 0.5
        inside += interval.low <= 0.5 <= interval.high
    assert above / replicates <= 0.065  # a fortieth and three standard errors of so few replicates
    assert inside / replicates >= 0.89


@pytest.mark.slow
@pytest.mark.parametrize(("n", "d"), [(60, 5), (60, 50), (200, 50), (200, 5), (500, 100)])
def test_chance_stays_inside_the_interval_at_its_level(n: int, d: int) -> None:
    rng, above, inside = np.random.default_rng(3), 0, 0
    for _ in range(1000):
        interval = area_interval(_areas(rng, n, d, 0.0))
        above += interval.low > 0.5
        inside += interval.low <= 0.5 <= interval.high
    assert above / 1000 <= 0.04  # a fortieth and three standard errors
    assert inside / 1000 >= 0.93


def test_a_planted_shift_is_found() -> None:
    areas = _areas(np.random.default_rng(4), 200, 30, 1.5)  # the best possible score has area 0.86
    assert 0.6 < area_interval(areas).low < 0.86


def test_too_few_examples_fill_no_folds() -> None:
    with pytest.raises(UndefinedError, match="do not fill"):
        cf.folds_of(1, 2, np.random.default_rng(0))
