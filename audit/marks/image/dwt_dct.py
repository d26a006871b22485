"""DWT-DCT: bits written into the cosine coefficients of an image's coarse wavelet band by choosing between two lattices.

A coefficient is moved to the nearest point of one of two lattices, half a step apart: which one is the bit (quantisation index modulation, Chen & Wornell
2001). Each bit stands in many places of the image, and a reader adds up how near each place is to either lattice. Larger images are read, and the change
made, at ``size`` × ``size``, so that resizing does not move the blocks; cropping and turning do.

Formula: of ``bits`` bits of the key's message, m are read as they should be; p = P(Bin(bits, 1/2) >= m), exact over random messages.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from audit.marks.image.blocks import SIDE, Floats, Pixels, Places, changed, coefficients, resized
from audit.marks.image.detection import agreement, message
from audit.marks.text.detection import Detection, keyed

_PLACES = Places((0, 1, 1), (1, 0, 1))


@dataclass(frozen=True)
class DwtDct:
    """``step`` is the distance of lattice points: a larger one survives more and shows more."""

    key: int
    size: int = 256
    bits: int = 64
    step: float = 36.0
    name: str = field(default="dwt_dct", init=False)

    def __post_init__(self) -> None:
        if self.size < 2 * SIDE or self.size % SIDE:
            raise ValueError(f"dwt_dct: size is {self.size}; it is a multiple of {SIDE}, at least {2 * SIDE}")

    def embed(self, images: Pixels) -> Pixels:
        small = resized(images, self.size)
        values = coefficients(small, _PLACES)
        slots, wanted = self._slots(values.shape[1])
        offset = np.where(wanted[slots], 0.75, 0.25).astype(np.float32)
        target = (np.rint(values / self.step - offset) + offset) * self.step
        return carried_over(images, small, changed(small, _PLACES, target - values))

    def detect(self, images: Pixels) -> list[Detection]:
        if not len(images):
            return []
        values = coefficients(resized(images, self.size), _PLACES)
        slots, wanted = self._slots(values.shape[1])
        nearness = np.sin(2 * np.pi * values / self.step)  # 1 on the lattice of zeros, -1 on that of ones
        sums = np.zeros((len(values), len(wanted)), np.float64)
        order = np.argsort(slots, kind="stable")
        starts = np.searchsorted(slots[order], np.arange(len(wanted)))
        sums = np.add.reduceat(nearness[:, order], starts, axis=1)
        return agreement(sums < 0, wanted)

    def _slots(self, places: int) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Return which bit stands in each place, and the message."""
        bits = min(self.bits, places)
        slots = keyed("places", self.key).permutation(places) % bits
        return slots, message(self.key, bits)

    def rekeyed(self, key: int) -> DwtDct:
        return replace(self, key=key)


def carried_over(images: Pixels, small: Pixels, marked: Pixels) -> Pixels:
    """Return images with the change that was made to their small versions, spread to their size."""
    if small is images:
        return marked
    from PIL import Image

    height, width = images.shape[1:3]
    change = marked.astype(np.float32) - small.astype(np.float32)
    out = np.empty_like(images)
    for i in range(len(images)):
        planes = [
            np.asarray(Image.fromarray(change[i, :, :, c]).resize((width, height), Image.Resampling.BICUBIC))
            for c in range(images.shape[3])
        ]
        wide: Floats = images[i].astype(np.float32) + np.stack(planes, axis=2)
        out[i] = np.rint(np.clip(wide, 0, 255)).astype(np.uint8)
    return out
