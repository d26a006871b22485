"""Longest matches against brute force, at the edges, and hostile repetition."""

from __future__ import annotations

import time

import numpy as np
import pytest

from audit.stats import suffixes
from audit.stats.suffixes import Corpus


def brute(documents: list[bytes], text: bytes) -> int:
    best = 0
    for document in documents:
        for at in range(len(text)):
            while at + best < len(text) and text[at : at + best + 1] in document:
                best += 1
    return best


@pytest.mark.parametrize("letters", [1, 2, 4])
@pytest.mark.parametrize("block", [20, 200_000])
def test_matches_are_those_of_brute_force(letters: int, block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(suffixes, "_BLOCK", block)
    rng = np.random.default_rng(letters)

    def some(count: int) -> list[bytes]:
        sizes = rng.integers(0, 40, count)
        return [rng.integers(97, 97 + letters, size).astype(np.uint8).tobytes() for size in sizes]

    for _ in range(20):
        documents, texts = some(5), some(6)
        found = Corpus.of(documents).longest(texts)
        for row, text in enumerate(texts):
            length, start = int(found.length[row]), int(found.start[row])
            assert length == brute(documents, text)
            if length:
                document, at = documents[found.document[row]], int(found.offset[row])
                assert document[at : at + length] == text[start : start + length]


def test_nothing_to_search_and_nothing_to_search_for() -> None:
    assert Corpus.of([]).longest([b"a"]).length.tolist() == [0]
    assert Corpus.of([b"abc"]).longest([]).length.tolist() == []
    found = Corpus.of([b"", b"abc"]).longest([b"", b"xbcx", b"\x00\x00"])
    assert found.length.tolist() == [0, 2, 0]
    assert found.document.tolist() == [-1, 1, -1]
    assert Corpus.of(["Zoë".encode()]).longest(["ë!".encode()]).length.tolist() == [2]


def test_one_letter_repeated_takes_no_time() -> None:
    began = time.process_time()
    found = Corpus.of([b"a" * 20_000] * 3).longest([b"a" * 5_000, b"b"])
    assert found.length.tolist() == [5_000, 0]
    assert time.process_time() - began < 10


def test_too_much_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(suffixes, "MOST_BYTES", 10)
    with pytest.raises(ValueError, match="holds 10 at most"):
        Corpus.of([b"abcdefghijk"])
