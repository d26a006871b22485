"""How each person of the world of portraits looks in particular: place, proportions and colours."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from audit.data.worlds.portraits.canvas import LARGEST, REACH
from audit.data.worlds.portraits.factors import FACTORS
from audit.data.worlds.portraits.people import People

Lengths: TypeAlias = NDArray[np.float32]
Colours: TypeAlias = NDArray[np.int16]

MONK = (
    "f6ede4", "f3e7db", "f7ead0", "eadaba", "d7bd96", "a07e56", "825c43", "604134", "3a312a", "292420",
)  # fmt: skip
"""The Monk Skin Tone Scale by Ellis Monk, published by Google under CC BY 4.0: sRGB, lightest first."""

_HAIR = ((26, 22, 26), (104, 66, 38), (176, 74, 32), (232, 196, 104), (188, 190, 196))
_BACKDROPS = (
    (128, 182, 236), (146, 206, 150), (244, 166, 184), (240, 212, 140), (186, 158, 230), (176, 182, 188),
)  # fmt: skip
_CLOTH = (
    (200, 60, 62), (62, 110, 190), (70, 148, 90), (230, 168, 48), (146, 86, 170), (60, 150, 160),
    (226, 120, 90), (120, 130, 60),
)  # fmt: skip
_IRISES = ((58, 38, 26), (38, 60, 110), (46, 84, 56), (70, 60, 60))


@dataclass(frozen=True, slots=True, eq=False)
class Look:
    """Numbers of each person: lengths in units of about a pixel, shape (n,); colours, shape (3, n)."""

    codes: Mapping[str, NDArray[np.intp]]
    across: Lengths
    down: Lengths
    scale: Lengths
    face_across: Lengths
    face_down: Lengths
    jaw: Lengths
    shoulders: Lengths
    neck: Lengths
    eye_gap: Lengths
    eye_size: Lengths
    eye_v: Lengths
    brow_v: Lengths
    mouth_v: Lengths
    mouth_reach: Lengths
    gaze: Lengths
    tie: Lengths
    phase_u: Lengths
    phase_v: Lengths
    skin: Colours
    shade: Colours
    throat: Colours
    line: Colours
    crease: Colours
    hair: Colours
    strand: Colours
    brows: Colours
    whiskers: Colours
    lips: Colours
    iris: Colours
    cloth: Colours
    trim: Colours
    hat: Colours
    backdrop: Colours
    figure: Colours

    def take(self, which: NDArray[np.intp] | slice) -> Look:
        """Return the looks of some of the people."""
        parts = {f.name: getattr(self, f.name)[..., which] for f in fields(self) if f.name != "codes"}
        return Look(codes={name: values[which] for name, values in self.codes.items()}, **parts)

    def has(self, factor: str, value: str) -> NDArray[np.bool_]:
        """Return who has this value of a factor."""
        return np.asarray(self.codes[factor] == FACTORS[factor].index(value))


def mixed(one: Colours, other: Colours | tuple[int, int, int], parts: int) -> Colours:
    """Return a colour with ``parts`` of 16 of the other one in it, in whole numbers."""
    second = np.asarray(other, np.int16).reshape(3, -1)
    return np.asarray((one * (16 - parts) + second * parts + 8) >> 4, dtype=np.int16)


def look(who: People) -> Look:
    """Return the looks that follow from the factors and the chances of these people."""
    chance = _Chances(who.chances)
    parts: dict[str, Any] = {
        **_lengths(who, chance),
        **_body_colours(who, chance),
        **_other_colours(who, chance),
    }
    return Look(codes=who.codes, **parts)


def _lengths(who: People, chance: _Chances) -> dict[str, Lengths]:
    """Return place, size and proportions."""
    child, masculine = _has(who, "age", "child"), _has(who, "presentation", "masculine")
    return {
        "across": chance.between(10, -REACH, REACH),
        "down": chance.between(11, -0.75, 0.75),
        "scale": chance.between(12, 1.015625, LARGEST),
        "face_across": _where(child, chance.between(13, 5.7, 6.2), chance.between(13, 5.2, 6.0)),
        "face_down": _where(child, chance.between(14, 5.9, 6.3), chance.between(14, 6.5, 7.1)),
        "jaw": _where(masculine & ~child, chance.between(15, 0.84, 0.95), chance.between(15, 0.66, 0.8)),
        "shoulders": _where(
            child,
            chance.between(16, 7.4, 8.2),
            _where(masculine, chance.between(16, 11.4, 12.6), chance.between(16, 9.4, 10.6)),
        ),
        "neck": _where(
            child,
            chance.between(17, 1.6, 1.9),
            _where(masculine, chance.between(17, 2.7, 3.2), chance.between(17, 2.0, 2.4)),
        ),
        "eye_gap": chance.between(18, 2.4, 2.9),
        "eye_size": _where(child, chance.between(19, 1.45, 1.65), chance.between(19, 1.05, 1.3)),
        "eye_v": _where(child, chance.between(20, 0.2, 0.6), chance.between(20, -0.9, -0.4)),
        "brow_v": chance.between(21, 2.0, 2.4),
        "mouth_v": _where(child, chance.between(22, 3.5, 3.8), chance.between(22, 3.6, 4.1)),
        "mouth_reach": _where(child, chance.between(23, 1.7, 2.1), chance.between(23, 2.1, 2.7)),
        "gaze": chance.between(24, -0.35, 0.35),
        "tie": chance.between(25, -0.3, 0.3),
        "phase_u": chance.between(26, 0.0, 16.0),
        "phase_v": chance.between(27, 0.0, 16.0),
    }


def _body_colours(who: People, chance: _Chances) -> dict[str, Colours]:
    """Return the colours of skin, hair, lips and eyes, with their shadows and lines."""
    older, masculine = _has(who, "age", "older"), _has(who, "presentation", "masculine")
    skin = _palette([_rgb(code) for code in MONK])[:, who.codes["skin_tone"]] + chance.whole(0, -1, 1)
    dark = who.codes["skin_tone"] >= 7
    shade = _where(dark, mixed(skin, (255, 214, 180), 2), mixed(skin, (120, 60, 40), 4))
    hair = _palette(_HAIR)[:, who.codes["hair_colour"]] + chance.whole(1, -6, 6)
    greyed = mixed(hair, (200, 200, 206), 12)
    natural = _where(dark, mixed(skin, (236, 120, 116), 9), mixed(skin, (136, 40, 40), 10))
    painted = _palette(((206, 30, 60), (178, 24, 82), (226, 62, 70)))[:, chance.pick(2, 3)]
    return {
        "skin": skin,
        "shade": shade,
        "throat": _where(dark, mixed(skin, (0, 0, 0), 5), shade),
        "line": _where(dark, mixed(skin, (255, 214, 180), 4), mixed(skin, (70, 30, 20), 6)),
        "crease": _where(dark, mixed(skin, (255, 214, 180), 6), mixed(skin, (60, 20, 16), 9)),
        "hair": hair,
        "strand": _where(
            hair.max(axis=0) < 90, mixed(hair, (255, 240, 230), 4), mixed(hair, (40, 20, 20), 5)
        ),
        "brows": _where(older, greyed, mixed(hair, (40, 26, 24), 5)),
        "whiskers": _where(older, greyed, hair),
        "lips": _where(masculine, natural, painted),
        "iris": _palette(_IRISES)[:, chance.pick(7, len(_IRISES))],
    }


def _other_colours(who: People, chance: _Chances) -> dict[str, Colours]:
    """Return the colours of clothes, hat and backdrop."""
    cloth = _palette(_CLOTH)
    first = chance.pick(3, len(_CLOTH))
    second = (first + 1 + chance.pick(4, len(_CLOTH) - 1)) % len(_CLOTH)
    backdrop = _palette(_BACKDROPS)[:, who.codes["backdrop"]] + chance.whole(5, -8, 8)
    lighter = chance.pick(6, 2) == 0
    return {
        "cloth": cloth[:, first] + chance.whole(8, -10, 10),
        "trim": cloth[:, second],
        "hat": cloth[:, (first + 3 + chance.pick(9, len(_CLOTH) - 3)) % len(_CLOTH)],
        "backdrop": backdrop,
        "figure": _where(lighter, mixed(backdrop, (255, 255, 255), 8), mixed(backdrop, (40, 40, 60), 4)),
    }


def _has(who: People, factor: str, value: str) -> NDArray[np.bool_]:
    return np.asarray(who.codes[factor] == FACTORS[factor].index(value))


@dataclass(frozen=True, slots=True, eq=False)
class _Chances:
    """Uniform 16-bit numbers, shape (n, 64), read by place; a place is read for one purpose."""

    numbers: NDArray[np.uint16]

    def between(self, place: int, low: float, high: float) -> Lengths:
        """Return lengths in steps of 2⁻¹⁶ of the stretch: one product and one sum of float64, then rounded."""
        return (low + (high - low) * (self.numbers[:, place] / 65_536)).astype(np.float32)

    def pick(self, place: int, of: int) -> NDArray[np.intp]:
        """Return whole numbers from 0 below ``of``."""
        return ((self.numbers[:, place].astype(np.int64) * of) >> 16).astype(np.intp)

    def whole(self, place: int, least: int, most: int) -> Colours:
        """Return whole numbers from ``least`` to ``most``."""
        return (least + self.pick(place, most - least + 1)).astype(np.int16)


_Kind = TypeVar("_Kind", np.float32, np.int16)


def _where(condition: NDArray[np.bool_], yes: NDArray[_Kind], no: NDArray[_Kind]) -> NDArray[_Kind]:
    return np.asarray(np.where(condition, yes, no), dtype=yes.dtype)


def _rgb(code: str) -> tuple[int, ...]:
    return tuple(bytes.fromhex(code))


def _palette(colours: object) -> Colours:
    return np.asarray(colours, np.int16).T
