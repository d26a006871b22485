"""Character n-grams: spelling alone, any script, lengths of one, and inner products near those of the n-grams themselves."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from audit.core.rows import image_rows, text_rows
from audit.features.character_ngrams import LENGTHS, CharacterNgrams


def features(*texts: str) -> np.ndarray:
    return CharacterNgrams.open(CharacterNgrams.refer(), "cpu").extract(text_rows(list(texts)))


def cosine(a: str, b: str) -> float:
    """The spectrum kernel of both texts without hashing."""
    x, y = (Counter(t[i : i + n] for n in LENGTHS for i in range(len(t) - n + 1)) for t in (a, b))
    top = sum(np.sqrt(x[g] * y[g]) for g in x)
    return top / np.sqrt(sum(x.values()) * sum(y.values()))


def test_equal_spelling_is_one_vector_of_length_one() -> None:
    found = features("Dear Anna,  thank you", "dear anna, thank\nyou", "Привіт, світе", "謝謝你的來信")
    np.testing.assert_array_equal(found[0], found[1])
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1)


def test_inner_products_are_those_of_the_spectrum_kernel_up_to_collisions() -> None:
    a, b = "your parcel is on its way to you", "your parcel was lost on its way, we are sorry"
    x, y = features(a, b)
    assert x @ y == pytest.approx(cosine(a, b), abs=0.1)
    assert x @ features("completely other words")[0] < 0.2


def test_texts_without_grams_are_zero_and_pictures_are_refused() -> None:
    assert not features("", "a").any()
    with pytest.raises(ValueError, match="reads texts"):
        CharacterNgrams().extract(image_rows(np.zeros((1, 2, 2, 3), np.uint8)))
