"""Spread spectrum (Cox et al. 1997): a key's pattern of plus and minus is added to the cosine coefficients of an image.

The detector compares signs alone: how large a coefficient is depends on the picture, and one edge would outweigh all else.

Formula: of n coefficients, m have the sign of the key's pattern; p = P(Bin(n, 1/2) >= m), exact over random keys.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from audit.marks.image.blocks import SIDE, Pixels, Places, changed, coefficients, resized
from audit.marks.image.detection import agreement, message
from audit.marks.image.dwt_dct import carried_over
from audit.marks.text.detection import Detection

_PLACES = Places((0, 1, 1, 0, 2, 1, 2, 2), (1, 0, 1, 2, 0, 2, 1, 2))


@dataclass(frozen=True)
class SpreadSpectrum:
    """``strength`` is how much is added to each coefficient."""

    key: int
    size: int = 256
    strength: float = 6.0
    name: str = field(default="spread_spectrum", init=False)

    def __post_init__(self) -> None:
        if self.size < 2 * SIDE or self.size % SIDE:
            raise ValueError(
                f"spread_spectrum: size is {self.size}; it is a multiple of {SIDE}, at least {2 * SIDE}"
            )

    def embed(self, images: Pixels) -> Pixels:
        small = resized(images, self.size)
        places = (self.size // SIDE) ** 2 * len(_PLACES.rows)
        by = np.where(message(self.key, places), self.strength, -self.strength).astype(np.float32)
        return carried_over(images, small, changed(small, _PLACES, np.broadcast_to(by, (len(small), places))))

    def detect(self, images: Pixels) -> list[Detection]:
        if not len(images):
            return []
        values = coefficients(resized(images, self.size), _PLACES)
        return agreement(values > 0, message(self.key, values.shape[1]))

    def rekeyed(self, key: int) -> SpreadSpectrum:
        return replace(self, key=key)
