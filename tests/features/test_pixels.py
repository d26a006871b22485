"""The pixel features: known averages, and the pixels themselves for the digits."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from audit.core.rows import image_rows, images_of, text_rows
from audit.data.digits import Digits
from audit.features.pixels import Pixels


def extract(images: np.ndarray) -> np.ndarray:
    return Pixels.open(Pixels.refer(), "cpu").extract(image_rows(images))


def test_the_features_of_a_digit_are_its_pixels() -> None:
    images = images_of(Digits.load(Digits.refer({}), "holdout"))[:50]
    np.testing.assert_array_equal(extract(images), images.reshape(50, 64) / 255)


@pytest.mark.parametrize("size", [(8, 8), (32, 16), (20, 30), (5, 13)])
def test_they_are_the_box_averages_that_pillow_computes(size: tuple[int, int]) -> None:
    images = np.random.default_rng(0).integers(0, 256, (3, *size, 1), dtype=np.uint8)
    for image, features in zip(images, extract(images), strict=True):
        exact = Image.fromarray(image[:, :, 0].astype(np.float32))
        if min(size) >= 8:  # Pillow's box filter widens when it enlarges
            boxed = np.asarray(exact.resize((8, 8), Image.Resampling.BOX)) / 255
            if not any(side % 8 for side in size):
                np.testing.assert_allclose(features.reshape(8, 8), boxed, atol=1e-6)
        assert features.mean() == pytest.approx(image.mean() / 255)  # cells have equal areas


def test_grey_is_luma_whatever_the_channels() -> None:
    red = np.zeros((1, 16, 16, 3), np.uint8)
    red[..., 0] = 200
    np.testing.assert_allclose(extract(red), 0.299 * 200 / 255)
    grey = np.random.default_rng(1).integers(0, 256, (2, 16, 16, 1), dtype=np.uint8)
    np.testing.assert_allclose(extract(np.repeat(grey, 3, axis=3)), extract(grey), atol=1e-12)


def test_other_rows_are_refused_and_none_is_fine() -> None:
    extractor = Pixels.open(Pixels.refer(), "cpu")
    with pytest.raises(ValueError, match="reads images"):
        extractor.extract(text_rows(["a"]))
    with pytest.raises(ValueError, match="not 4"):
        extract(np.zeros((1, 8, 8, 4), np.uint8))
    assert extract(np.zeros((0, 9, 9, 1), np.uint8)).shape == (0, 64)
