"""Which images look almost the same, told by their thumbnails."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from audit.core.identity import Digest, digest_of
from audit.core.rows import Images
from audit.data.near_duplicates import Flags, Found, Numbers, find_copies
from audit.formats.grids import averaged

GRID = 8
TOLERANCE = 3.0
"""Grey levels (of 255), root mean square over an 8×8 thumbnail. Saving an image
again as JPEG of quality 75, or at half the size, moves it by less."""
_MOST = 50_000
"""Rows of a split that are compared: 40 seconds on one core at worst (independent noise), a few on photographs."""
_BLOCK = 256


def thumbnails(images: Images) -> NDArray[np.float64]:
    """Return each image averaged over an 8×8 grid, shape (n, 64 * channels)."""
    return averaged(images, GRID).reshape(len(images), GRID * GRID * images.shape[3])


def pixel_digest(image: NDArray[np.uint8]) -> Digest:
    """Return the digest of an image, shape (height, width, channels): of what it shows, not of how it is stored."""
    pixels = digest_of(np.ascontiguousarray(image).data)
    return digest_of(f"{image.shape} {pixels}".encode())


def copies_of(images: Mapping[str, Images]) -> Found:
    """Find copies within and across splits of images, shape (n, height, width, channels)."""
    digests = {split: [pixel_digest(image) for image in rows] for split, rows in images.items()}
    return find_copies(digests, SimilarImages({split: thumbnails(rows) for split, rows in images.items()}))


@dataclass(frozen=True, slots=True, eq=False)
class SimilarImages:
    """Two images are nearly equal when their thumbnails are at most ``TOLERANCE`` apart (root mean square)."""

    small: Mapping[str, NDArray[np.float64]]
    most: int = _MOST

    @property
    def meaning(self) -> str:
        return f"measured on {GRID}×{GRID} thumbnails, at most {TOLERANCE:g} of 255 levels apart (root mean square)"

    def linked(self, split: str, rows: Numbers) -> tuple[Numbers, int]:
        """Return a number for each row, the same for rows joined by a chain of near copies, and how many were compared."""
        small = self.small[split][rows]
        number = np.arange(len(rows))
        for row, others in _near(small, small):
            apart = number[others] != number[row]
            for merged in np.unique(number[others[apart]]):
                number[number == merged] = number[row]
        return number, len(rows)

    def met(self, first: str, known: Numbers, second: str, rows: Numbers) -> tuple[Flags, int]:
        """Say of each row of ``second`` whether a known row of ``first`` is nearly equal, and how many were compared."""
        found = np.zeros(len(rows), dtype=bool)
        for row, _ in _near(self.small[first][known], self.small[second][rows]):
            found[row] = True
        return found, len(rows)


def _near(known: NDArray[np.float64], asked: NDArray[np.float64]) -> Iterator[tuple[int, Numbers]]:
    """Yield each row of ``asked`` that has rows of ``known`` within the tolerance, and these.

    Exact. Both are put in the order of their projection on the direction in
    which ``known`` varies most, and a row is compared with those alone whose
    projection is within the tolerance of its own: a projection never
    lengthens a distance. On photographs that leaves a few rows in a hundred.
    """
    if not len(known) or not len(asked):
        return
    centre = known.mean(axis=0)
    known, asked = known - centre, asked - centre
    direction = _widest(known)
    along, across = known @ direction, asked @ direction
    order, rows = np.argsort(along, kind="stable"), np.argsort(across, kind="stable")
    known, along = known[order], along[order]
    lengths = (known**2).sum(axis=1)
    limit = (
        TOLERANCE**2 * known.shape[1] * (1 + 1e-12)
    )  # the sums of squares below carry errors of some 1e-13
    reach = np.sqrt(limit) * (1 + 1e-9)
    for start in range(0, len(rows), _BLOCK):
        block = rows[start : start + _BLOCK]
        low = np.searchsorted(along, across[block[0]] - reach, "left")
        high = np.searchsorted(along, across[block[-1]] + reach, "right")
        some = asked[block]
        apart = (some**2).sum(axis=1)[:, None] + lengths[low:high] - 2 * some @ known[low:high].T
        close = apart <= limit
        for place in np.flatnonzero(close.any(axis=1)):
            yield int(block[place]), order[low + np.flatnonzero(close[place])]


def _widest(centred: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the direction of largest variance as a unit vector."""
    return np.asarray(np.linalg.eigh(centred.T @ centred)[1][:, -1])
