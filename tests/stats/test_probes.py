"""The probe reads what is there, nothing where labels are chance, whatever their shares, and its intervals cover."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from audit.core.errors import UndefinedError
from audit.stats.probes import difference, readable


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


@pytest.mark.slow
@pytest.mark.parametrize("strength", [0.0, 1.0])
def test_the_interval_of_a_difference_covers(strength: float) -> None:
    """Two readings of one label off what says equally much of it; rows are shared, so it covers more than 95 %."""
    rng, held, runs = np.random.default_rng(0), 0, 300
    for _ in range(runs):
        y = rng.integers(0, 4, 400)
        x = strength * y + rng.normal(size=400)
        both = (np.column_stack([x, rng.normal(size=(400, d))]) for d in (7, 5))
        first, second = (readable(features, y, rng, 39) for features in both)
        within = difference(first, second, 0.95)
        held += within.low <= 0 <= within.high
    assert 0.93 <= held / runs <= 1.0
