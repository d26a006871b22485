"""Edge features: differences by hand, what leaves them as they are, and copies that they tell from pictures of the same kind."""

from __future__ import annotations

import numpy as np
import pytest

from audit.core.rows import image_rows, text_rows
from audit.features.edges import DIMENSIONS, Edges


def extract(images: np.ndarray) -> np.ndarray:
    return Edges.open(Edges.refer(), "cpu").extract(image_rows(images))


def test_they_are_the_differences_of_neighbouring_cells() -> None:
    images = np.random.default_rng(0).integers(0, 256, (2, 16, 16, 3), dtype=np.uint8)
    found, pixels = extract(images), images.astype(float) / 255
    down = (pixels[:, 1:] - pixels[:, :-1]).reshape(2, -1)
    across = (pixels[:, :, 1:] - pixels[:, :, :-1]).reshape(2, -1)
    np.testing.assert_allclose(found, np.concatenate([down, across], axis=1))
    assert found.shape == (2, DIMENSIONS) == (2, Edges.refer().dimensions)


def test_brightness_and_size_change_nothing_and_grey_is_three_equal_channels() -> None:
    grey = np.random.default_rng(1).integers(20, 200, (3, 16, 16, 1), dtype=np.uint8)
    np.testing.assert_allclose(extract(grey + 30), extract(grey), atol=1e-12)
    np.testing.assert_allclose(extract(np.repeat(grey, 3, axis=3)), extract(grey))
    large = grey.repeat(4, axis=1).repeat(4, axis=2)
    np.testing.assert_allclose(extract(large), extract(grey), atol=1e-12)
    assert np.abs(extract(np.full((1, 20, 30, 1), 90, np.uint8))).max() < 1e-12


def test_a_noisy_copy_is_nearer_than_any_other_picture() -> None:
    rng = np.random.default_rng(2)
    images = rng.integers(0, 256, (30, 24, 24, 3), dtype=np.uint8)
    noisy = np.clip(images + rng.normal(0, 20, images.shape), 0, 255).astype(np.uint8)
    apart = np.linalg.norm(extract(noisy)[:, None] - extract(images)[None], axis=2)
    np.testing.assert_array_equal(apart.argmin(axis=1), np.arange(30))


def test_other_rows_are_refused_and_none_is_fine() -> None:
    with pytest.raises(ValueError, match="reads images"):
        Edges.open(Edges.refer(), "cpu").extract(text_rows(["a"]))
    with pytest.raises(ValueError, match="not 4"):
        extract(np.zeros((1, 8, 8, 4), np.uint8))
    assert extract(np.zeros((0, 9, 9, 1), np.uint8)).shape == (0, DIMENSIONS)
