"""The enhancement model: it undoes a stated degradation better than interpolation does, and stays true to its input."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from PIL import Image

from audit.core.rows import image_rows, images_of
from audit.data.worlds.portraits.world import Portraits
from audit.models.included import Included


@pytest.fixture(scope="module")
def model() -> Any:
    return Included.open(Included.refer({"use": "portraits-superres"}), "cpu")


@pytest.fixture(scope="module")
def people() -> Any:
    return Portraits.load(Portraits.refer({}), "holdout").slice(0, 100)


def halved(images: np.ndarray) -> np.ndarray:
    n, h, w, c = images.shape
    means = images.astype(float).reshape(n, h // 2, 2, w // 2, 2, c).mean(axis=(2, 4))
    return np.rint(means).astype(np.uint8)  # half to even, as torch rounds


def psnr(x: np.ndarray, y: np.ndarray) -> float:
    return float(10 * np.log10(255**2 / ((x.astype(float) - y.astype(float)) ** 2).mean()))


def test_small_and_made_small_are_the_same_input(model: Any, people: Any) -> None:
    rng = np.random.default_rng(0)
    small = image_rows(halved(images_of(people)))
    np.testing.assert_array_equal(
        images_of(model.reconstruct(people, rng)), images_of(model.reconstruct(small, rng))
    )


def test_it_beats_bicubic_by_a_wide_margin(model: Any, people: Any) -> None:
    before = images_of(people)
    guess = np.stack(
        [np.asarray(Image.fromarray(i).resize((32, 32), Image.Resampling.BICUBIC)) for i in halved(before)]
    )
    ours = images_of(model.reconstruct(people, np.random.default_rng(0)))
    assert psnr(before, ours) > psnr(before, guess) + 3


def test_made_small_again_it_is_what_it_was_given(model: Any, people: Any) -> None:
    given = halved(images_of(people))
    assert psnr(given, halved(images_of(model.reconstruct(people, np.random.default_rng(0))))) > 30
