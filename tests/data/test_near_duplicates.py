"""The quick searches find what comparing every pair finds."""

from __future__ import annotations

import re

import numpy as np
import pytest
from scipy.sparse.csgraph import connected_components

from audit.core.data_facts import Copies, Overlap
from audit.core.identity import digest_of
from audit.data.near_duplicates import Found, find_copies
from audit.data.similar_images import TOLERANCE, SimilarImages, copies_of, thumbnails
from audit.data.similar_texts import OVERLAP, SimilarTexts


def text_copies(**splits: list[str]) -> Found:
    digests = {split: [digest_of(text.encode()) for text in texts] for split, texts in splits.items()}
    return find_copies(digests, SimilarTexts(splits))


def clusters(alike: np.ndarray) -> set[tuple[int, ...]]:
    """Return the components of two or more rows of a square matrix of truth values."""
    label = connected_components(alike, directed=False)[1]
    members = [tuple(np.flatnonzero(label == one).tolist()) for one in np.unique(label)]
    return {rows for rows in members if len(rows) > 1}


def picture_sets() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    first = rng.integers(0, 256, (60, 16, 24, 3), dtype=np.uint8)
    noise = rng.normal(0, np.linspace(0, 20, 60)[:, None, None, None], first.shape)
    return first, np.clip(first + noise, 0, 255).astype(np.uint8)[::-1]


def test_images_as_by_comparing_every_pair() -> None:
    first, second = picture_sets()
    small, other = thumbnails(first), thumbnails(second)
    gaps = np.sqrt(((small[None] - other[:, None]) ** 2).mean(axis=2)).min(axis=1)
    expected = tuple(np.flatnonzero(gaps <= TOLERANCE).tolist())
    (found,) = copies_of({"train": first, "holdout": second}).overlaps
    assert 10 < len(expected) < 60
    assert found.rows == expected
    assert found.exact == (59,)
    assert (found.compared, found.total) == (60, 60)
    assert found.share == pytest.approx(len(expected) / 60)


def test_clusters_of_images_as_by_comparing_every_pair() -> None:
    first, second = picture_sets()
    rows = np.concatenate([first, second, first[:5], first[:5]])
    small = thumbnails(rows)
    alike = np.sqrt(((small[None] - small[:, None]) ** 2).mean(axis=2)) <= TOLERANCE
    found = copies_of({"all": rows}).copies[0]
    assert set(found.clusters) == clusters(alike)
    assert found.exact == 11  # ten rows again, and the one that got no noise
    numbered = found.numbered()
    assert len(np.unique(numbered)) == len(rows) - found.repeated
    assert all(len({int(numbered[row]) for row in each}) == 1 for each in found.clusters)


def test_a_cloud_of_almost_equal_images_is_one_cluster() -> None:
    rng = np.random.default_rng(3)
    grey = (128 + rng.normal(0, 2, (3000, 8, 8, 1))).astype(np.uint8)
    (found,) = copies_of({"train": grey}).copies
    assert found.clusters == (tuple(range(3000)),)


def documents() -> tuple[list[str], list[str]]:
    rng = np.random.default_rng(1)
    vocabulary = np.array([f"w{n}" for n in range(30)])
    first = [" ".join(rng.choice(vocabulary, 40)) for _ in range(40)]
    second = []
    for text in first:
        words = text.split()
        for at in rng.integers(0, 40, rng.integers(0, 4)):
            words[at] = "new"
        second.append(" ".join(words))
    return first, second


def similarity(one: str, other: str) -> float:
    def grams(text: str) -> set[tuple[str, ...]]:
        words = re.findall(r"\w+", text)
        return {tuple(words[i : i + 5]) for i in range(len(words) - 4)}

    return len(grams(one) & grams(other)) / len(grams(one) | grams(other))


def test_texts_as_by_comparing_every_pair() -> None:
    first, second = documents()
    expected = tuple(
        row for row, text in enumerate(second) if any(similarity(text, o) >= OVERLAP for o in first)
    )
    assert 5 < len(expected) < 40
    (found,) = text_copies(train=first, holdout=second).overlaps
    assert found.rows == expected
    assert found.exact == tuple(row for row, text in enumerate(second) if text in first)


def test_clusters_of_texts_as_by_comparing_every_pair() -> None:
    first, second = documents()
    texts = [*first, *second, first[0], first[0]]
    alike = np.array([[similarity(one, other) >= OVERLAP for other in texts] for one in texts])
    (found,) = text_copies(train=texts).copies
    assert set(found.clusters) == clusters(alike)
    assert found.exact == len(texts) - len(set(texts))


def test_japanese_and_accents_are_compared_by_what_is_read() -> None:
    one = "吾輩は猫である。名前はまだ無い。どこで生れたかとんと見当がつかぬ。何でも薄暗いじめじめした所で泣いていた事だけは記憶している。"
    near = one.replace("薄暗い", "暗い")
    (found,) = text_copies(train=[one], holdout=[near, one[::-1]]).overlaps
    assert found.near == (0,)
    (found,) = text_copies(
        train=["caf\u00e9 one two three four five"], holdout=["cafe\u0301 One, two: three four five!"]
    ).overlaps
    assert found.near == (0,)


def test_ligatures_and_wide_letters_are_compared_by_what_is_read() -> None:
    """As texts out of PDF files and of old Japanese systems hold them."""
    one = "the office first offered five different files"
    ligatures = one.replace("ffi", "\ufb03").replace("fi", "\ufb01").replace("ff", "\ufb00")
    wide = one.translate({ord(letter): ord(letter) + 0xFEE0 for letter in "abcdefghijklmnopqrstuvwxyz"})
    (found,) = text_copies(train=[one], holdout=[ligatures, wide, one[::-1]]).overlaps
    assert found.near == (0, 1)


def test_a_search_that_ends_early_says_how_far_it_came() -> None:
    form = " ".join(f"form{n}" for n in range(80))
    rng = np.random.default_rng(2)
    texts = [form + " " + " ".join(f"x{rng.integers(10**9)}" for _ in range(15)) for _ in range(200)]
    digests = {"train": [digest_of(text.encode()) for text in texts]}
    full = find_copies(digests, SimilarTexts({"train": texts})).copies[0]
    assert (full.clusters, full.compared) == ((), 200)
    found = find_copies(digests, SimilarTexts({"train": texts}, work=50_000))
    assert 20 < found.copies[0].compared < 200
    assert f"looked for among {found.copies[0].compared} of its 200 rows" in found.sentences()[0]
    found = find_copies(digests, SimilarTexts({"train": texts}, most=50))
    assert found.copies[0].compared == 50


def test_exact_copies_are_found_beyond_the_rows_that_are_compared() -> None:
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (40, 8, 8, 1), dtype=np.uint8)
    images[35] = images[30]
    digests = {
        "train": [digest_of(image.tobytes()) for image in images],
        "holdout": [digest_of(images[39].tobytes())],
    }
    small = {"train": thumbnails(images), "holdout": thumbnails(images[39:])}
    found = find_copies(digests, SimilarImages(small, most=10))
    assert found.copies[0] == Copies("train", ((30, 35),), exact=1, compared=10, total=40)
    assert found.overlaps == (Overlap("train", "holdout", (0,), (), compared=1, total=1),)


def test_nothing_is_said_when_nothing_is_found() -> None:
    assert (
        copies_of({"a": np.empty((0, 8, 8, 1), np.uint8), "b": np.ones((1, 8, 8, 1), np.uint8)}).sentences()
        == ()
    )
    assert text_copies(a=[], b=["a"]).sentences() == ()
    assert text_copies(a=["..."], b=["!!!"]).overlaps[0].rows == ()
