"""Watermarks in the noise that a model starts from: put in while it generates, read from the noise that its inversion gives back.

Both need the model to read them. Latent vectors are rows of standard normal numbers, shape (n, values).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from audit.core.rows import Rng
from audit.marks.text.detection import Detection, keyed
from audit.marks.text.exact import binomial_tail

Latents = NDArray[np.float64]


class LatentMark(Protocol):
    """A watermark in starting noise, with its key."""

    @property
    def name(self) -> str: ...

    def mark(self, noise: Latents, rng: Rng) -> Latents:
        """Return noise with the mark."""
        ...

    def detect(self, noise: Latents) -> list[Detection]:
        """Test each row for this key."""
        ...

    def rekeyed(self, key: int) -> LatentMark:
        """Return the same mark with another key."""
        ...


@dataclass(frozen=True)
class GaussianShading:
    """Gaussian Shading (Yang et al. 2024): the signs of the noise are a stream that the key decides, its sizes are left to chance.

    One stream for all outputs would make them alike, so each output takes one of ``streams`` at random. Of those the detector takes the best
    and pays for the choice.

    Formula: m of n signs agree with a stream; p1 = P(Bin(n, 1/2) >= m), exact over random keys, whatever was read; of k independent
    streams the least p1 has p = 1 - (1 - p1)^k.
    """

    key: int
    values: int
    streams: int = 64
    name: str = field(default="gaussian_shading", init=False)

    @cached_property
    def signs(self) -> NDArray[np.float32]:
        """The streams of +1 and -1, shape (streams, values)."""
        drawn = keyed("gaussian shading", self.key).integers(0, 2, (self.streams, self.values), np.int8)
        return (2 * drawn - 1).astype(np.float32)

    def mark(self, noise: Latents, rng: Rng) -> Latents:
        return np.abs(noise) * self.signs[rng.integers(0, self.streams, len(noise))]

    def detect(self, noise: Latents) -> list[Detection]:
        read = np.where(noise > 0, 1.0, -1.0).astype(np.float32)
        matches = np.rint((read @ self.signs.T + self.values) / 2).max(axis=1, initial=0).astype(int)
        return [self._found(m) for m in matches.tolist()]

    def _found(self, m: int) -> Detection:
        n = self.values
        p, above = (self._of_best(binomial_tail(k, n, 0.5)) for k in (m, m + 1))
        return Detection(p, above, n, m / n, 0.5)

    def _of_best(self, p: float) -> float:
        return -math.expm1(self.streams * math.log1p(-p)) if p < 1 else 1.0

    def rekeyed(self, key: int) -> GaussianShading:
        return replace(self, key=key)


@dataclass(frozen=True)
class TreeRing:
    """Tree-Ring (Wen et al. 2023): rings in the Fourier transform of the noise's channels are set to values that the key decides.

    Formula: d is the mean squared distance of the rings read from those of the key; p = (1 + #{d' <= d}) / (N + 1) over the
    rings of N other keys, drawn alike: exact whatever was read. The published p-value takes the coefficients for independent and their
    variance for known; on pure noise it is not uniform.
    """

    key: int
    shape: tuple[int, int, int]
    """Channels, height and width of the noise."""
    others: int = 4999
    name: str = field(default="tree_ring", init=False)

    def __post_init__(self) -> None:
        if min(self.shape[1:]) < 16:
            raise ValueError(f"tree_ring: the noise is {self.shape[1]}×{self.shape[2]}; it takes 16 a side")

    @cached_property
    def rings(self) -> NDArray[np.intp]:
        """Which ring each coefficient is in, -1 for none; shape (height, width)."""
        _, height, width = self.shape
        y, x = np.fft.fftfreq(height)[:, None] * height, np.fft.fftfreq(width)[None, :] * width
        ring = np.rint(np.hypot(y, x)).astype(np.intp)
        outermost = min(height, width) * 5 // 32
        return np.where((ring >= 1) & (ring <= outermost), ring - 1, -1)

    @cached_property
    def _count(self) -> NDArray[np.float64]:
        return np.bincount(self.rings[self.rings >= 0]).astype(np.float64)

    def values(self, keys: int, name: str) -> NDArray[np.float64]:
        """Return what the rings of ``keys`` keys are set to, shape (keys, channels, rings): real, as symmetry asks, and of noise's size."""
        _, height, width = self.shape
        drawn = keyed(name, self.key).standard_normal((keys, self.shape[0], len(self._count)))
        return np.asarray(drawn * math.sqrt(height * width))

    def mark(self, noise: Latents, rng: Rng) -> Latents:
        spectrum = np.fft.fft2(noise.reshape(-1, *self.shape))
        inside = self.rings >= 0
        spectrum[:, :, inside] = self.values(1, "tree ring")[0][:, self.rings[inside]]
        return np.asarray(np.fft.ifft2(spectrum).real.reshape(len(noise), -1))

    def detect(self, noise: Latents) -> list[Detection]:
        spectrum = np.fft.fft2(noise.reshape(-1, *self.shape))
        inside = self.rings >= 0
        ring = self.rings[inside]
        sums = np.stack(
            [spectrum[:, :, inside][..., ring == r].real.sum(axis=2) for r in range(len(self._count))], 2
        )
        own, others = self.values(1, "tree ring"), self.values(self.others, "other rings")
        return [self._rank(one, own, others) for one in sums]

    def _rank(
        self, sums: NDArray[np.float64], own: NDArray[np.float64], others: NDArray[np.float64]
    ) -> Detection:
        d, wrong = self._distance(sums, own)[0], self._distance(sums, others)
        n = self.others + 1
        p, above = (1 + int((wrong <= d).sum())) / n, int((wrong < d).sum()) / n
        return Detection(p, above, int(self._count.sum()) * self.shape[0], float(-d), float(-wrong.mean()))

    def _distance(self, sums: NDArray[np.float64], values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return squared distances to the rings of keys, without what is the same for all."""
        return np.asarray((self._count * values**2 - 2 * values * sums).sum(axis=(1, 2)))

    def rekeyed(self, key: int) -> TreeRing:
        return replace(self, key=key)


LATENT_MARKS: Mapping[str, Callable[[int, int, tuple[int, int, int] | None], LatentMark | None]] = {
    "gaussian_shading": lambda key, values, shape: GaussianShading(key, values),
    "tree_ring": lambda key, values, shape: (
        None if shape is None or min(shape[1:]) < 16 else TreeRing(key, shape)
    ),
}
"""Each takes a key, how many values a latent vector has, and its form as channels, height and width, None where it has none."""
