"""Displacements of pictures against displacements that are known, as the pictures are sums of waves."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from audit.stats.shifts import displacements


def waves(n: int, side: int, right: Any = 0.0, down: Any = 0.0, seed: int = 1) -> NDArray[np.float64]:
    """Pictures with a falling spectrum, drawn as if everything lay that far to the right and down: all, or each (n, 1, 1)."""
    rng = np.random.default_rng(seed)
    y, x = np.arange(side)[:, None] - down, np.arange(side) - right
    total = np.zeros((n, side, side))
    for _ in range(30):
        k, phase = rng.normal(0, 0.5, (n, 2, 1, 1)), rng.uniform(0, 2 * np.pi, (n, 1, 1))
        total += np.cos(k[:, 0] * x + k[:, 1] * y + phase) / (0.2 + np.hypot(k[:, 0], k[:, 1]))
    return 127 + 15 * total


@pytest.mark.parametrize("side", [16, 32, 48])
@pytest.mark.parametrize(("right", "down"), [(0, 0), (0.5, 0.5), (0.1, 0), (-0.5, 0.25), (1, -1), (2, 0)])
def test_known_displacements_are_found(side: int, right: float, down: float) -> None:
    found = displacements(waves(60, side), waves(60, side, right, down))
    kept = found[np.isfinite(found).all(axis=1)]
    assert len(kept) >= 55
    np.testing.assert_allclose(np.median(kept, axis=0), [right, down], atol=0.005)
    np.testing.assert_allclose(kept.mean(axis=0), [right, down], atol=0.02)


def test_blur_contrast_and_noise_displace_nothing() -> None:
    before = waves(300, 32)
    rng = np.random.default_rng(2)
    after = np.stack([ndimage.gaussian_filter(one, 1.0) for one in waves(300, 32, 0.5, 0.25)])
    after = 0.6 * after + 30 + rng.normal(0, 6, after.shape)
    found = displacements(before, after)
    error = found.std(axis=0) / np.sqrt(300)
    assert (np.abs(found.mean(axis=0) - [0.5, 0.25]) < 4 * error).all()
    assert (error < 0.005).all()


def test_pictures_without_structure_have_none() -> None:
    flat = np.full((2, 16, 16), 7.0)
    assert np.isnan(displacements(flat, waves(2, 16))).all()
    assert np.isnan(displacements(waves(2, 16), flat)).all()
    assert displacements(np.empty((0, 16, 16)), np.empty((0, 16, 16))).shape == (0, 2)


def test_pictures_far_from_their_partners_have_none() -> None:
    found = displacements(waves(40, 32), waves(40, 32, 12, 9))
    assert np.isnan(found).any(axis=1).mean() > 0.5


def test_pairs_of_unequal_shape_are_refused() -> None:
    with pytest.raises(ValueError, match="pairs of grey pictures"):
        displacements(waves(2, 16), waves(2, 17))
