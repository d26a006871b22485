"""The probe reads what is there, nothing where labels are chance, whatever their shares, and its intervals cover."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from audit.core.errors import UndefinedError
from audit.stats.probes import area_gap, readable


def world(seed: int, n: int, k: int, strength: float, *, skewed: bool = False) -> tuple[Any, Any, Any]:
    rng = np.random.default_rng(seed)
    shares = 1 / np.arange(1, k + 1) ** (1.5 if skewed else 0)
    codes = rng.choice(k, n, p=shares / shares.sum())
    centres = np.random.default_rng(1).normal(size=(k, 10)) * strength
    return centres[codes] + rng.normal(size=(n, 10)), codes, rng


def test_labels_by_chance_are_not_readable_whatever_their_shares() -> None:
    runs = [readable(*world(s, 300, 4, 0.0, skewed=True)) for s in range(60)]
    values = np.array([r.value for r in runs])
    assert abs(values.mean()) < 3 * values.std() / np.sqrt(60)
    assert np.mean([r.p_value <= 0.05 for r in runs]) <= 0.15


def test_what_is_there_is_read() -> None:
    found = readable(*world(0, 600, 3, 3.0))
    assert found.value > 0.98
    assert found.p_value == 0.01
    assert found.interval(0.95).high <= 1
    weak = readable(*world(0, 600, 3, 0.4))
    assert 0.1 < weak.value < found.value
    more = np.hstack([world(0, 200, 2, 1.0)[0], np.random.default_rng(2).normal(size=(200, 300))])
    assert readable(more, world(0, 200, 2, 1.0)[1], np.random.default_rng(0)).value > 0.3, (
        "more features than rows"
    )


@pytest.mark.slow
@pytest.mark.parametrize(("kinds", "strength"), [(2, 0.0), (4, 0.5), (4, 1.5)])
def test_the_interval_covers(kinds: int, strength: float) -> None:
    runs = [readable(*world(s, 400, kinds, strength, skewed=kinds == 4)) for s in range(80)]
    truth = np.mean([r.value for r in runs])
    inside = [r.interval(0.95).low <= truth <= r.interval(0.95).high for r in runs]
    assert np.mean(inside) >= 0.91


def test_what_cannot_be_read() -> None:
    rng = np.random.default_rng(0)
    with pytest.raises(UndefinedError, match="two kinds"):
        readable(rng.normal(size=(50, 2)), np.zeros(50), rng)
    with pytest.raises(UndefinedError, match="smallest of 2 has 3"):
        readable(rng.normal(size=(50, 2)), np.arange(50) < 3, rng)
    with pytest.raises(UndefinedError, match="do not vary"):
        readable(np.ones((50, 2)), np.arange(50) % 2, rng)


def two_readings(seed: int, n: int, k: int, strength: float, noise: float = 0.0) -> tuple[Any, Any, Any, Any]:
    """Features, the same with ``noise`` or other useless columns, and labels."""
    x, y, rng = world(seed, n, k, strength)
    first = np.hstack([x, rng.normal(size=(n, 7))]) if not noise else x + noise * rng.normal(size=x.shape)
    return first, np.hstack([x, rng.normal(size=(n, 5))]), y, rng


def test_areas_are_those_of_scikit_learn() -> None:
    from sklearn.metrics import roc_auc_score

    from audit.stats.probes import _areas

    rng = np.random.default_rng(0)
    y = rng.integers(0, 3, 200)
    scores = rng.normal(size=(2, 200, 3)) + np.eye(3)[y]
    areas, _ = _areas(*scores, y, np.bincount(y))
    for area, of in zip(areas, scores, strict=True):
        each = [roc_auc_score(y == kind, of[:, kind]) for kind in range(3)]
        assert area == pytest.approx(np.mean(each), abs=1e-12)


def test_a_code_that_says_more_is_told() -> None:
    x, y, rng = world(0, 600, 3, 1.0)
    found = area_gap(x, rng.normal(size=(600, 8)), y, rng, 39)
    assert found.interval(0.95).low > 0.2
    assert found.second == pytest.approx(0.5, abs=0.1)
    same = area_gap(x, x, y, rng, 39)
    assert (same.value, same.error) == (0.0, 0.0)
    with pytest.raises(UndefinedError, match="do not vary"):
        area_gap(x, np.ones((600, 2)), y, rng)
    with pytest.raises(UndefinedError, match="smallest of 2 has 3"):
        area_gap(x[:50], x[:50], np.arange(50) < 3, rng)


def test_probes_that_never_err_do_not_make_a_difference_certain() -> None:
    x, y, rng = world(0, 200, 2, 9.0)
    within = area_gap(x, x + rng.normal(size=x.shape), y, rng, 39).interval(0.95)
    assert within.low < -0.01
    assert within.high > 0.01
    assert within.method.startswith("Newcombe")


def test_rows_that_both_probes_get_wrong_cancel() -> None:
    first, second, y, rng = two_readings(0, 400, 4, 0.5)
    apart = np.hypot(readable(first, y, rng).error, readable(second, y, rng).error)
    assert area_gap(first, second, y, rng, 39).error < apart / 2


@pytest.mark.slow
@pytest.mark.parametrize(
    ("n", "kinds", "strength", "noise"),
    [(400, 2, 0.0, 0.0), (400, 4, 0.5, 0.0), (400, 4, 0.5, 1.0), (1000, 8, 0.3, 1.0), (400, 2, 2.5, 0.0)],
)
def test_the_interval_of_a_difference_covers(n: int, kinds: int, strength: float, noise: float) -> None:
    """Never too narrow; wider than need be where the probes differ in useless columns alone."""
    runs = [area_gap(*two_readings(s, n, kinds, strength, noise), 39) for s in range(200)]
    truth = np.mean([run.value for run in runs])
    inside = [run.interval(0.95).low <= truth <= run.interval(0.95).high for run in runs]
    assert np.mean(inside) >= 0.92
