"""Distinct n-grams: rarefaction by brute force, no bias with size, coverage, and texts that repeat themselves."""

from __future__ import annotations

import math
from itertools import combinations

import numpy as np
import pytest

from audit.core.errors import UndefinedError
from audit.stats.ngrams import Grams, distinct_ratio, mean_overlap, rarefied
from audit.testing.summaries import check_summary

WORDS = np.array([f"w{i}" for i in range(400)])
SHARES = 1 / np.arange(1, 401) / (1 / np.arange(1, 401)).sum()


def texts(rng: np.random.Generator, n: int, words: int = 400) -> list[str]:
    shares = SHARES[:words] / SHARES[:words].sum()
    return [" ".join(WORDS[rng.choice(words, rng.integers(15, 40), p=shares)]) for _ in range(n)]


def test_rarefaction_is_the_mean_over_all_subsets() -> None:
    items = [0, 0, 0, 1, 1, 2, 3]
    for size in (1, 3, 6, 7):
        expected = np.mean([len(set(chosen)) for chosen in combinations(items, size)])
        assert rarefied(np.array([3, 2, 1, 1]), size) == pytest.approx(expected, rel=1e-12)
    with pytest.raises(UndefinedError, match="8 cannot be drawn from 7"):
        rarefied(np.array([3, 2, 1, 1]), 8)


def test_repetition_is_the_share_of_sequences_that_came_before() -> None:
    found = Grams.of((["a b c d", "a b a b a b", "One two. One two.", "no"], 2, 2))
    assert found.repeated[:3].tolist() == [0.0, 1 - 2 / 5, 1 - 3 / 5]
    assert math.isnan(found.repeated[3])
    assert np.bincount(found.owner, minlength=4).tolist() == [3, 5, 5, 0]


def test_grams_obey_the_laws() -> None:
    whole = texts(np.random.default_rng(0), 9)
    parts = [(whole[a:b], 2, 4) for a, b in ((0, 2), (2, 3), (3, 9))]
    check_summary(Grams, parts, (whole, 2, 4))


def test_sizes_do_not_matter_and_lost_words_do() -> None:
    rng = np.random.default_rng(1)
    few, many = (Grams.of((texts(rng, n), 2, 4)) for n in (60, 600))
    same = distinct_ratio(few, many, rng).interval()
    assert same.low < 1 < same.high
    poor = distinct_ratio(Grams.of((texts(rng, 200, 100), 2, 4)), many, rng).interval()
    assert poor.high < 0.9
    with pytest.raises(UndefinedError, match="twenty texts"):
        distinct_ratio(Grams.of((["a b c"] * 9, 2, 4)), many, rng)
    with pytest.raises(UndefinedError, match="too short"):
        distinct_ratio(Grams.of((["a"] * 50, 2, 4)), many, rng)


def coverage(draws: int, n: int) -> float:
    rng = np.random.default_rng(2)
    kept = 0
    for _ in range(draws):
        x, y = (Grams.of((texts(rng, n), 2, 4)) for _ in range(2))
        interval = distinct_ratio(x, y, rng).interval()
        kept += interval.low <= 1 <= interval.high
    return kept / draws


def test_the_interval_covers() -> None:
    assert coverage(40, 60) >= 0.87


@pytest.mark.slow
def test_the_interval_covers_in_many_draws() -> None:
    assert 0.93 <= coverage(400, 80) <= 0.995


def test_overlap_is_the_mean_cosine_of_all_pairs() -> None:
    written = [*texts(np.random.default_rng(3), 25, 30), "alone", "w1 w2 w1 w2 w1"]
    found = mean_overlap(Grams.of((written, 2, 4)))
    sets = [set(zip(t.split(), t.split()[1:], strict=False)) for t in written if " " in t]
    pairs = [len(a & b) / math.sqrt(len(a) * len(b)) for a, b in combinations(sets, 2)]
    assert found.texts == 26
    assert found.value == pytest.approx(np.mean(pairs), rel=1e-12)
    assert mean_overlap(Grams.of((["one two three"] * 30, 2, 4))).value == pytest.approx(1.0)
    with pytest.raises(UndefinedError, match="3 texts"):
        mean_overlap(Grams.of((["a b", "c d", "e f", "g"], 2, 4)))


def test_the_error_of_the_overlap_is_its_spread() -> None:
    runs = [mean_overlap(Grams.of((texts(np.random.default_rng(s), 40, 40), 2, 4))) for s in range(150)]
    values, errors = np.array([(r.value, r.error) for r in runs]).T
    inside = np.abs(values - values.mean()) < 1.96 * errors
    assert 0.9 <= inside.mean() <= 0.99
