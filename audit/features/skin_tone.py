"""Skin tone from pixels: the individual typology angle of what looks like skin, and the nearest tone of the Monk scale."""

from __future__ import annotations

import itertools
from functools import cache
from typing import Self

import numpy as np
from numpy.typing import NDArray

from audit.core.identity import canonical, digest_of
from audit.core.references import Attribute, ExtractorRef
from audit.core.rows import Images, Matrix, Rows, images_read_by

Floats = NDArray[np.float64]

MONK = (
    *("f6ede4", "f3e7db", "f7ead0", "eadaba", "d7bd96"),
    *("a07e56", "825c43", "604134", "3a312a", "292420"),
)
"""The ten tones of the Monk Skin Tone Scale, lightest first (Ellis Monk, Google; CC BY 4.0)."""
ITA_BOUNDS = (55.0, 41.0, 28.0, 10.0, -30.0)
"""Degrees between the six classes of Chardon, Cretois & Hourseau (1991) and Del Bino et al. (2006)."""
ITA_CLASSES = ("very light", "light", "intermediate", "tan", "brown", "dark")
NEAR, SPREAD = 14.0, 3.0
"""A pixel may be skin that is so near to the line through the ten tones, in CIELAB (Delta E 1976); its weight falls off as a normal density of this width."""
LEAST_SHARE = 0.06
"""Below this share of the middle of a picture that may be skin, nothing is read."""
_VERSION = 1
_WHITE = (0.95047, 1.0, 1.08883)
_XYZ = ((0.4124564, 0.3575761, 0.1804375), (0.2126729, 0.7151522, 0.072175), (0.0193339, 0.119192, 0.9503041))


class SkinTone:
    """The class of the individual typology angle (ITA) and the nearest Monk tone of what may be skin in the middle of a picture; zeros where that is too little.

    A pixel may be skin when its colour is near the line through the ten Monk tones in CIELAB, so that every tone is found as easily: rules in YCbCr or HSV lose
    dark skin. Of these pixels, within an ellipse in the middle, the tone that most are nearest to is taken, weighted by how near they are to the line, and the ITA,
    ``atan((L - 50) / b)``, of the median colour of those. On drawn people of the world 'portraits' 95 % of tones are read right, the lightest least often; on photographs nobody counted. Limits: light and white balance move the angle as much as a class; wood, sand, hair, white and black cloth look like skin; nobody looks for a face, so it is for portraits alone. It
    is the colour of pixels, never anybody's ethnicity. How often it errs is not known for your pictures: label some of them by hand.
    """

    @classmethod
    def refer(cls) -> ExtractorRef:
        named = {
            "skin-tone": _VERSION,
            "near": NEAR,
            "spread": SPREAD,
            "least": LEAST_SHARE,
            "monk": MONK,
            "ita": ITA_BOUNDS,
        }
        attributes = (
            Attribute("ita", ITA_CLASSES),
            Attribute("monk_tone", tuple(f"{i:02}" for i in range(1, 11))),
        )
        return ExtractorRef("skin-tone", digest_of(canonical(named)), 16, "image", attributes)

    @classmethod
    def open(cls, ref: ExtractorRef, device: str) -> Self:
        ref.check_same_as(cls.refer())
        return cls()

    def extract(self, rows: Rows) -> Matrix:
        """Return 1 for the class and the tone that were read, shape (rows, 16). Raise ValueError for rows that are no colour images."""
        images = images_read_by("skin-tone", rows, channels=(3,))
        found = np.zeros((len(images), 16))
        for row, image in enumerate(images):
            if (read := tone_of(image)) is not None:
                angle, tone = read
                found[row, int(np.searchsorted(-np.array(ITA_BOUNDS), -angle))] = 1.0
                found[row, len(ITA_CLASSES) + tone] = 1.0
        return found


def tone_of(image: Images) -> tuple[float, int] | None:
    """Return the ITA in degrees and the place of the nearest Monk tone, None where too little may be skin; shape (h, w, 3)."""
    lab = lab_of(image[_middle(image.shape[0], image.shape[1])])
    apart = _from_line(lab)
    near = apart <= NEAR
    if near.mean() < LEAST_SHARE:
        return None
    skin = lab[near]
    tones = np.square(skin[:, None] - monk_lab()).sum(axis=2).argmin(axis=1)
    weights = np.exp(-0.5 * (apart[near] / SPREAD) ** 2)
    tone = int(np.bincount(tones, weights=weights, minlength=10).argmax())
    lightness, _, b = np.median(skin[tones == tone], axis=0)
    return ita(float(lightness), float(b)), tone


def ita(lightness: float, b: float) -> float:
    """Return the individual typology angle in degrees (Chardon et al. 1991).

    >>> round(ita(70.0, 20.0), 1), round(ita(30.0, 10.0), 1)
    (45.0, -63.4)
    """
    return float(np.degrees(np.arctan2(lightness - 50.0, max(b, 1e-6))))


def lab_of(pixels: NDArray[np.uint8]) -> Floats:
    """Return CIELAB (D65) of sRGB bytes, last axis of three."""
    share = np.asarray(pixels, np.float64) / 255
    linear = np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)
    xyz = linear @ np.array(_XYZ).T / np.array(_WHITE)
    root = np.where(xyz > (6 / 29) ** 3, np.cbrt(xyz), xyz / (3 * (6 / 29) ** 2) + 4 / 29)
    x, y, z = (root[..., i] for i in range(3))
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=-1)


@cache
def monk_lab() -> Floats:
    """Return the ten tones in CIELAB, shape (10, 3)."""
    return lab_of(np.array([[int(tone[i : i + 2], 16) for i in (0, 2, 4)] for tone in MONK], np.uint8))


def _from_line(lab: Floats) -> Floats:
    """Return the distance of each colour (n, 3) from the line through the ten tones, shape (n,)."""
    points = monk_lab()
    nearest = np.full(len(lab), np.inf)
    for start, stop in itertools.pairwise(points):
        step = stop - start
        place = np.clip((lab - start) @ step / (step @ step), 0.0, 1.0)
        nearest = np.minimum(nearest, np.linalg.norm(lab - start - place[:, None] * step, axis=1))
    return nearest


@cache
def _middle(height: int, width: int) -> NDArray[np.bool_]:
    """Return which pixels are in the ellipse over the middle, half as wide and two thirds as high as the picture."""
    y, x = (np.arange(n) + 0.5 for n in (height, width))
    return np.asarray(
        ((x / width - 0.5) / 0.25)[None, :] ** 2 + ((y / height - 0.5) / 0.34)[:, None] ** 2 <= 1
    )
