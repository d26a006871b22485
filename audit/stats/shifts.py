"""By how many pixels one picture lies beside another, to a fraction of a pixel."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
_HIGHEST = np.pi / 2
"""Frequencies above half of the Nyquist rate hold more of interpolation and noise than of the picture."""
_NOTHING = 1e-9
_ROUNDS, _SETTLED, _FARTHEST = 15, 1e-3, 3.0
_THINNEST = 1e6
"""Ratio of structure across to structure along beyond which a picture is a set of stripes: its shift along them is not seen."""


def displacements(before: Floats, after: Floats) -> Floats:
    """Return how far each picture of ``after`` lies to the right of and below its partner in ``before``, shape (n, 2), in pixels.

    Both are grey, shape (n, height, width). A shift turns the phase of each frequency in proportion to it, so the shift is the
    slope of the phases of the cross spectrum, here fitted by least squares with their amplitudes as weights (Stone, Orchard,
    Chang & Martucci 2001), under a Hann window. The second picture is moved back by what was found and the rest is fitted
    again, for a window draws the first slope towards 0. Blur by a symmetric kernel, more contrast and noise turn no phase. The row
    of a pair is NaN where a picture has no structure in one direction or the fit does not settle within three pixels.

    >>> ramp = np.sin(np.arange(24) / 3.0) * np.cos(np.arange(24)[:, None] / 4.0)
    >>> displacements(ramp[None, :-1, :-1], ramp[None, 1:, 1:]).round(1)
    array([[-1., -1.]])
    """
    if before.shape != after.shape or before.ndim != 3:
        raise ValueError(
            f"pairs of grey pictures are (n, height, width) both, not {before.shape} and {after.shape}"
        )
    found, left = np.zeros((len(before), 2)), np.ones(len(before), np.bool_)
    steps, splines, reference = _Slopes.of(before.shape[1:]), _splines(after), _spectrum(before)
    for _ in range(_ROUNDS):
        if not left.any():
            break
        moved = np.stack([_moved(spline, -at) for spline, at in zip(splines[left], found[left], strict=True)])
        step = steps.of_spectra(reference[left], _spectrum(moved))
        found[left] += np.where(np.isnan(step), step, np.clip(step, -1.0, 1.0))
        found[np.abs(found).max(axis=1) > _FARTHEST] = np.nan
        still = np.zeros(len(left), np.bool_)
        still[left] = (np.abs(step) > _SETTLED).any(axis=1)
        left = still & np.isfinite(found).all(axis=1)
    found[left] = np.nan
    return found


@dataclass(frozen=True, slots=True)
class _Slopes:
    """The low frequencies of pictures of one shape, in radians a pixel to the right and down."""

    waves: Floats
    low: NDArray[np.bool_]

    @classmethod
    def of(cls, shape: tuple[int, ...]) -> _Slopes:
        down, right = (2 * np.pi * np.fft.fftfreq(side) for side in shape)
        far = np.hypot(down[:, None], right)
        low = (far <= _HIGHEST) & (far > 0)
        return cls(np.stack(np.broadcast_arrays(right, down[:, None]), axis=-1)[low], low)

    def of_spectra(self, before: NDArray[np.complex128], after: NDArray[np.complex128]) -> Floats:
        """Return the slope of the phases between spectra of pairs, shape (n, 2); NaN where no frequency holds anything."""
        cross = before[:, self.low].conj() * after[:, self.low]
        weight = np.abs(cross)
        normal = np.einsum("nk,ki,kj->nij", weight, self.waves, self.waves)
        flat = ~(np.linalg.cond(normal) < _THINNEST)
        normal[flat] = np.eye(2)
        found = -np.linalg.solve(
            normal, np.einsum("nk,ki->ni", weight * np.angle(cross), self.waves)[..., None]
        )[..., 0]
        found[flat] = np.nan
        return np.asarray(found)


def _splines(pictures: Floats) -> Floats:
    from scipy import ndimage

    return (
        np.stack([ndimage.spline_filter(one, order=3, mode="nearest") for one in pictures])
        if len(pictures)
        else pictures
    )


def _moved(spline: Floats, by: Floats) -> Floats:
    """Return a picture moved to the right and down, by cubic splines."""
    from scipy import ndimage

    found: Floats = ndimage.shift(spline, by[::-1], order=3, mode="nearest", prefilter=False)
    return found


def _spectrum(pictures: Floats) -> NDArray[np.complex128]:
    """Return the spectrum of pictures without their mean, under a window that ends in nothing at the edges."""
    window = np.outer(*(np.hanning(side + 2)[1:-1] for side in pictures.shape[1:]))
    mean = (pictures * window).sum(axis=(1, 2), keepdims=True) / window.sum()
    apart = (pictures - mean) * window
    apart[np.abs(apart).max(axis=(1, 2)) <= _NOTHING * np.abs(mean)[:, 0, 0]] = (
        0  # what is left of a flat picture is rounding
    )
    return np.fft.fft2(apart)
