"""The quick searches find what comparing every pair finds."""

from __future__ import annotations

import re

import numpy as np

from audit.data.near_duplicates import OVERLAP, TOLERANCE, image_duplicates, text_duplicates, thumbnails


def test_images_as_by_comparing_every_pair() -> None:
    rng = np.random.default_rng(0)
    first = rng.integers(0, 256, (60, 16, 24, 3), dtype=np.uint8)
    noise = rng.normal(0, np.linspace(0, 20, 60)[:, None, None, None], first.shape)
    second = np.clip(first + noise, 0, 255).astype(np.uint8)[::-1]
    small, other = thumbnails(first), thumbnails(second)
    gaps = np.sqrt(((small[None] - other[:, None]) ** 2).mean(axis=2)).min(axis=1)
    expected = tuple(np.flatnonzero(gaps <= TOLERANCE))
    found = image_duplicates(small, other, "train", "holdout")
    assert 10 < len(expected) < 60
    assert found.rows == expected
    assert found.exact == 1


def test_texts_as_by_comparing_every_pair() -> None:
    rng = np.random.default_rng(1)
    vocabulary = np.array([f"w{n}" for n in range(30)])
    first = [" ".join(rng.choice(vocabulary, 40)) for _ in range(40)]
    second = []
    for text in first:
        words = text.split()
        for at in rng.integers(0, 40, rng.integers(0, 4)):
            words[at] = "new"
        second.append(" ".join(words))

    def grams(text: str) -> set[tuple[str, ...]]:
        words = re.findall(r"\w+", text)
        return {tuple(words[i : i + 5]) for i in range(len(words) - 4)}

    expected = tuple(
        row
        for row, text in enumerate(second)
        if any(len(grams(text) & grams(o)) / len(grams(text) | grams(o)) >= OVERLAP for o in first)
    )
    assert 5 < len(expected) < 40
    assert text_duplicates(first, second, "train", "holdout").rows == expected


def test_nothing_is_said_when_nothing_is_found() -> None:
    empty = np.empty((0, 64))
    assert image_duplicates(empty, np.ones((2, 64)), "a", "b").sentences() == ()
    assert text_duplicates([], ["a"], "a", "b").sentences() == ()
    assert text_duplicates(["..."], ["!!!"], "a", "b").rows == ()
