"""Rows that are (almost) the same in two splits that should have nothing in common."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from audit.core.rows import Images
from audit.formats.grids import averaged

GRID = 8
TOLERANCE = 3.0
"""Grey levels (of 255), root mean square over an 8×8 thumbnail. Saving an image
again as JPEG of quality 75, or at half the size, moves it by less."""
OVERLAP = 0.8
"""Share of word 5-grams in common (Jaccard): the usual threshold for near-duplicates of texts."""
_WORDS = 5


@dataclass(frozen=True, slots=True)
class Duplicates:
    """Which rows of ``second`` have a twin in ``first``; ``exact`` of them to the last bit."""

    first: str
    second: str
    rows: tuple[int, ...]
    exact: int
    total: int
    meaning: str

    def sentences(self) -> tuple[str, ...]:
        """Say what was found, or nothing when nothing was."""
        if not self.rows:
            return ()
        return (
            f"{len(self.rows):,} of {self.total:,} rows of '{self.second}' nearly equal a row of '{self.first}' "
            f"({self.exact:,} of them exactly); {self.meaning}",
        )


def thumbnails(images: Images) -> NDArray[np.float64]:
    """Return each image averaged over an 8×8 grid, shape (n, 64 * channels)."""
    return averaged(images, GRID).reshape(len(images), GRID * GRID * images.shape[3])


def image_duplicates(
    first_thumbnails: NDArray[np.float64],
    second_thumbnails: NDArray[np.float64],
    first: str,
    second: str,
    exact: int | None = None,
) -> Duplicates:
    """Find the rows of the second split whose thumbnail lies within ``TOLERANCE`` of one in the first.

    Exact: block means over a 2×2 grid never lie further apart than the
    thumbnails (Jensen), so a k-d tree over them misses no pair, and each
    candidate is then measured. ``exact`` is the number of identical files
    when the caller knows it; otherwise identical thumbnails are counted.
    """
    from scipy.spatial import cKDTree

    meaning = (
        f"measured on {GRID}×{GRID} thumbnails, at most {TOLERANCE:g} of 255 levels apart (root mean square). "
        "Remove them before you rely on a comparison of the two."
    )
    if not len(first_thumbnails) or not len(second_thumbnails):
        return Duplicates(first, second, (), 0, len(second_thumbnails), meaning)
    known = np.unique(first_thumbnails, axis=0)
    tree, coarse = cKDTree(_coarse(known)), _coarse(second_thumbnails)
    radius = TOLERANCE * np.sqrt(coarse.shape[1]) * (1 + 1e-9)
    _, nearest = tree.query(coarse)
    rows = []
    for row, small in enumerate(second_thumbnails):
        # The nearest by block means settles most rows, and keeps thousands of blank images from each meeting all.
        near = [nearest[row]]
        if _apart(known[near], small).min() > TOLERANCE:
            near = tree.query_ball_point(coarse[row], radius)
        if near and _apart(known[near], small).min() <= TOLERANCE:
            rows.append(row)
    if exact is None:
        seen = {small.tobytes() for small in known}
        exact = sum(second_thumbnails[row].tobytes() in seen for row in rows)
    return Duplicates(first, second, tuple(rows), exact, len(second_thumbnails), meaning)


def _apart(one: NDArray[np.float64], other: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(np.sqrt(((one - other) ** 2).mean(axis=-1)))


def _coarse(small: NDArray[np.float64]) -> NDArray[np.float64]:
    half = GRID // 2
    blocks = small.reshape(len(small), 2, half, 2, half, -1)
    return np.asarray(blocks.mean(axis=(2, 4)).reshape(len(small), -1))


def text_duplicates(
    first_texts: Sequence[str], second_texts: Sequence[str], first: str, second: str
) -> Duplicates:
    """Find the texts of the second split that share at least ``OVERLAP`` of their word 5-grams with one of the first.

    Words are compared without case and punctuation. Exact, by prefix
    filtering (Bayardo, Ma, Srikant 2007): two sets with a Jaccard similarity
    of t share one of the |A| - ceil(t |A|) + 1 rarest members of each.
    """
    sets_first = [_shingles(text) for text in dict.fromkeys(first_texts)]
    sets_second = [_shingles(text) for text in second_texts]
    everything = np.concatenate([np.empty(0, np.int64), *sets_first, *sets_second])
    known, counts = np.unique(everything, return_counts=True)

    def prefix(shingles: _Shingles) -> list[int]:
        keep = len(shingles) - int(np.ceil(OVERLAP * len(shingles) - 1e-9)) + 1
        rarity = counts[np.searchsorted(known, shingles)]
        chosen: list[int] = shingles[np.lexsort((shingles, rarity))[:keep]].tolist()
        return chosen

    holders: dict[int, list[int]] = defaultdict(list)
    for row, shingles in enumerate(sets_first):
        for shingle in prefix(shingles):
            holders[shingle].append(row)
    rows = [
        row
        for row, shingles in enumerate(sets_second)
        if any(
            _jaccard(shingles, sets_first[other]) >= OVERLAP
            for other in dict.fromkeys(o for shingle in prefix(shingles) for o in holders.get(shingle, ()))
        )
    ]
    seen = set(first_texts)
    same = sum(second_texts[row] in seen for row in rows)
    meaning = (
        f"at least {OVERLAP:.0%} of the word {_WORDS}-grams of the two are shared. "
        "Remove them before you rely on a comparison of the two."
    )
    return Duplicates(first, second, tuple(rows), same, len(second_texts), meaning)


_Shingles: TypeAlias = NDArray[np.int64]


def _shingles(text: str) -> _Shingles:
    """Return sorted hashes of the word 5-grams of a text; of all its words when it has fewer.

    Which hash is used cannot change the answer, only the order of ties.
    """
    words = re.findall(r"\w+", text.casefold()) or [text.strip()]
    last = max(1, len(words) - _WORDS + 1)
    return np.unique([hash(" ".join(words[start : start + _WORDS])) for start in range(last)])


def _jaccard(first: _Shingles, second: _Shingles) -> float:
    shared = len(np.intersect1d(first, second, assume_unique=True))
    return shared / (len(first) + len(second) - shared)
