"""The extractors that read portraits: the same numbers alone as among many, for grey and larger images too."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from audit.core.rows import image_rows, images_of, text_rows
from audit.data.worlds.portraits.world import Portraits
from audit.registry import catalogue

NAMES = ("portraits-attributes", "portraits-encoder")


def extractor(name: str) -> Any:
    kind = catalogue("extractors").load(name)
    return kind.open(kind.refer(), "cpu")


@pytest.fixture(scope="module")
def people() -> Any:
    return Portraits.load(Portraits.refer({"train": 300, "holdout": 60}), "holdout").slice(0, 60)


@pytest.mark.parametrize("name", NAMES)
def test_one_gives_the_numbers_of_many(name: str, people: Any) -> None:
    reader = extractor(name)
    many = reader.extract(people)
    alone = np.concatenate([reader.extract(people.slice(i, 1)) for i in (0, 7, 59)])
    np.testing.assert_array_equal(alone, many[[0, 7, 59]])
    assert reader.extract(people.slice(0, 0)).shape == (0, many.shape[1])


@pytest.mark.parametrize("name", NAMES)
def test_grey_is_read_as_three_equal_channels(name: str, people: Any) -> None:
    grey = images_of(people)[:, :, :, :1]
    reader = extractor(name)
    np.testing.assert_array_equal(
        reader.extract(image_rows(grey)), reader.extract(image_rows(grey.repeat(3, axis=3)))
    )


@pytest.mark.parametrize("name", NAMES)
def test_a_larger_image_is_scaled_down(name: str, people: Any) -> None:
    """Twice as large by repeated pixels, antialiasing gives nearly the same portrait back."""
    reader = extractor(name)
    plain = reader.extract(people)
    twice = reader.extract(image_rows(images_of(people).repeat(2, axis=1).repeat(2, axis=2)))
    others = np.roll(plain, 1, axis=0)
    near, far = (np.linalg.norm(plain - x, axis=1) for x in (twice, others))
    assert np.median(near) < 0.5 * np.median(far)


@pytest.mark.parametrize("name", NAMES)
def test_what_is_no_image_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="reads images; these rows have text"):
        extractor(name).extract(text_rows(["Ada"]))
    with pytest.raises(ValueError, match="channel"):
        extractor(name).extract(image_rows(np.zeros((1, 32, 32, 4), np.uint8)))
