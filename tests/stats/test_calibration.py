"""The calibration error: right on average where nothing is wrong, with bounds that hold, whatever the sample."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import ndtr

from audit.core.errors import UndefinedError
from audit.stats.calibration import expected_calibration_error

GRID = np.clip(np.random.default_rng(0).beta(1.2, 0.8, 200_000), 0.02, 0.98)


def accuracy(p: np.ndarray, flattened: float) -> np.ndarray:
    return 1 / (1 + np.exp(-np.log(p / (1 - p)) * (1 - flattened)))


def replicate(seed: int, documents: int, flattened: float, shared: float) -> tuple[float, ...]:
    """Return value, truth, low, high and plain of one sample; ``shared`` ties the tokens of a document together."""
    rng = np.random.default_rng(seed)
    sizes = np.maximum(5, rng.lognormal(np.log(40), 0.6, documents)).astype(int)
    which = np.repeat(np.arange(documents), sizes)
    p = np.clip(rng.beta(1.2, 0.8, len(which)), 0.02, 0.98)
    latent = rng.normal(0, shared, documents)[which] + rng.normal(size=len(p))
    right = ndtr(latent / np.sqrt(1 + shared**2)) < accuracy(p, flattened)
    found = expected_calibration_error(p, right, which, rng)
    k = min(15, len(p) // 50)
    place = np.searchsorted(np.unique(np.quantile(p, np.arange(1, k) / k)), GRID, side="right")
    gaps = np.bincount(place, weights=accuracy(GRID, flattened) - GRID, minlength=k) / len(GRID)
    return found.value, float(np.abs(gaps).sum()), found.low, found.high, found.plain


def covers(replicates: int, documents: int, flattened: float, shared: float) -> float:
    runs = np.array([replicate(s, documents, flattened, shared) for s in range(replicates)])
    truth = runs[:, 1]
    return float(((runs[:, 2] <= truth) & (truth <= runs[:, 3])).mean())


def test_a_calibrated_model_has_none_on_average_where_the_usual_estimate_has() -> None:
    runs = np.array([replicate(s, 60, 0.0, 0.4) for s in range(80)])
    assert abs(runs[:, 0].mean()) < 3 * runs[:, 0].std() / np.sqrt(80)
    assert runs[:, 4].mean() > 0.015


def test_the_interval_covers() -> None:
    assert covers(60, 60, 0.0, 0.4) >= 0.93
    assert covers(60, 60, 0.4, 0.4) >= 0.93


@pytest.mark.slow
@pytest.mark.parametrize("documents", [25, 100, 400])
@pytest.mark.parametrize("flattened", [0.0, 0.1, 0.4])
@pytest.mark.parametrize("shared", [0.0, 0.6])
def test_the_interval_covers_in_many_samples(documents: int, flattened: float, shared: float) -> None:
    assert covers(400, documents, flattened, shared) >= 0.94


def test_hand_computed_bins() -> None:
    p = np.repeat([0.2, 0.8], 100)
    right = np.concatenate([np.arange(100) < 30, np.arange(100) < 60])
    found = expected_calibration_error(p, right, np.arange(200), np.random.default_rng(0), bins=2)
    assert found.plain == pytest.approx(0.5 * 0.1 + 0.5 * 0.2)
    np.testing.assert_allclose(found.bins.right, [0.3, 0.6])
    np.testing.assert_allclose(found.bins.error, np.sqrt([0.21 / 100, 0.24 / 100]), rtol=0.02)


def test_equal_confidences_share_a_bin() -> None:
    right = np.random.default_rng(1).random(300) < 0.5
    found = expected_calibration_error(np.full(300, 0.5), right, np.arange(300), np.random.default_rng(0))
    assert found.bins.count.tolist() == [300]
    assert found.low <= 0.05


def test_too_little_is_a_reason() -> None:
    rng = np.random.default_rng(0)
    with pytest.raises(UndefinedError, match="100 predictions"):
        expected_calibration_error(np.full(99, 0.5), np.ones(99), np.arange(99), rng)
    with pytest.raises(UndefinedError, match="two clusters"):
        expected_calibration_error(np.full(200, 0.5), np.ones(200), np.zeros(200), rng)
