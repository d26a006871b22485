"""What an image watermark is, and what its detector says."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from audit.marks.image.blocks import Pixels
from audit.marks.text.detection import Detection, keyed
from audit.marks.text.exact import binomial_tail


class ImageMark(Protocol):
    """A watermark in pixels, with its key."""

    @property
    def name(self) -> str: ...

    def embed(self, images: Pixels) -> Pixels:
        """Return the images with the mark, of the same size."""
        ...

    def detect(self, images: Pixels) -> list[Detection]:
        """Test each image for this key."""
        ...

    def rekeyed(self, key: int) -> ImageMark:
        """Return the same mark with another key."""
        ...


def message(key: int, bits: int) -> NDArray[np.bool_]:
    """Return the bits that a key stands for."""
    return np.asarray(keyed("message", key).integers(0, 2, bits), np.bool_)


def agreement(found: NDArray[np.bool_], wanted: NDArray[np.bool_]) -> list[Detection]:
    """Test how many bits of each row are as wanted: over random messages, Bin(k, 1/2) whatever was read."""
    k = found.shape[1]
    if not k:
        return [Detection.nothing()] * len(found)
    matches = (found == wanted).sum(axis=1).tolist()
    return [Detection(binomial_tail(m, k, 0.5), binomial_tail(m + 1, k, 0.5), k, m / k, 0.5) for m in matches]


@dataclass(frozen=True)
class Codec:
    """Any watermark that writes bits into an image and reads them back, such as one of a neural network.

    ``embed(image, bits) -> image`` and ``decode(image) -> bits`` take one image, (height, width, channels) uint8, and
    ``bits`` booleans. Error-correcting codes belong outside: the test counts bits as they are read.
    """

    name: str
    key: int
    bits: int
    write: Callable[[Pixels, NDArray[np.bool_]], Any]
    read: Callable[[Pixels], Sequence[Any] | NDArray[Any]]
    _kept: dict[bytes, NDArray[np.bool_]] = field(default_factory=dict, repr=False, compare=False)
    """What was read of the last image: other keys are tried on it."""

    def embed(self, images: Pixels) -> Pixels:
        wanted = message(self.key, self.bits)
        out = [np.asarray(self.write(image, wanted)) for image in images]
        if any(o.shape != i.shape or o.dtype != np.uint8 for o, i in zip(out, images, strict=True)):
            raise ValueError(f"'{self.name}' must return an image of the same shape, uint8")
        return np.stack(out) if out else images

    def detect(self, images: Pixels) -> list[Detection]:
        found = [self._bits_in(image) for image in images]
        if any(len(row) != self.bits for row in found):
            raise ValueError(f"'{self.name}' reads {len(found[0])} bits, and {self.bits} were declared")
        return agreement(np.stack(found), message(self.key, self.bits)) if found else []

    def _bits_in(self, image: Pixels) -> NDArray[np.bool_]:
        name = hashlib.blake2b(image.tobytes(), digest_size=16).digest() + bytes(image.shape[2:])
        if name not in self._kept:
            self._kept.clear()
            self._kept[name] = np.asarray(self.read(image)).astype(np.bool_).ravel()
        return self._kept[name]

    def rekeyed(self, key: int) -> Codec:
        return replace(self, key=key)
