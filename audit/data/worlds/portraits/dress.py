"""Dress of the world of portraits: what each occupation wears, told by its cloth and its things."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeAlias

import numpy as np

from audit.data.worlds.portraits.canvas import (
    Colour,
    Field,
    Sheet,
    bar,
    box,
    circle,
    ellipse,
    outline,
    overlap,
    union,
)
from audit.data.worlds.portraits.look import Look, mixed

Painter: TypeAlias = Callable[[Sheet, Look], None]
f32 = np.float32
_WHITE = (248, 248, 250)
_GOLD = (252, 208, 56)


def _torso(on: Sheet, seen: Look) -> Field:
    """Return shoulders and chest, from just below the chin to below the picture."""
    return ellipse(on, 0.0, 18.5, seen.shoulders, 11.2)


def _wear(on: Sheet, seen: Look, colour: Colour) -> Field:
    body = _torso(on, seen)
    on.paint(body - f32(0.4), (30, 26, 34), 0.55)
    on.paint(body, colour)
    return body


def _opening(on: Sheet, half: float, bottom: float, top: float = 6.5) -> Field:
    """Return the V of a neckline: ``half`` wide at the top, closed at ``bottom``."""
    return np.asarray((np.abs(on.u) - (f32(bottom) - on.v) * f32(half / (bottom - top))) * f32(0.8))


def _tie(on: Sheet) -> Field:
    """Return a knot and what hangs from it, a little wider below."""
    hanging = overlap(np.abs(on.u) - f32(0.55) - (on.v - f32(9)) * f32(0.12), f32(9) - on.v)
    return union(bar(on, 0.0, 8.8, 0.0, 9.2, 1.0), hanging)


def _lapels(on: Sheet, half: float, bottom: float, colour: Colour, thick: float = 0.35) -> None:
    both = on.folded()
    both.paint(bar(both, half, 6.8, 0.2, bottom, thick), colour)


def _casual(on: Sheet, seen: Look) -> None:
    """A T-shirt with one broad stripe."""
    body = _wear(on, seen, seen.cloth)
    on.paint(ellipse(on, 0.0, 7.2, seen.neck + f32(0.5), 2.6), seen.throat)
    on.paint(
        outline(ellipse(on, 0.0, 7.2, seen.neck + f32(0.7), 2.9), 0.3), mixed(seen.cloth, (10, 10, 20), 6)
    )
    on.paint(overlap(box(on, -14.0, 14.0, 12.0, 14.2), body + f32(0.5)), seen.trim)


def _doctor(on: Sheet, seen: Look) -> None:
    """A white coat over a blue shirt, and a stethoscope around the neck."""
    _wear(on, seen, _WHITE)
    on.paint(_opening(on, 3.6, 15.0), (120, 172, 224))
    _lapels(on, 3.8, 15.4, (168, 176, 190))
    on.paint(bar(on, 0.0, 15.4, 0.0, 19.0, 0.25), (168, 176, 190))
    both = on.folded()
    tube = union(
        bar(both, 3.0, 6.5, 4.0, 11.0, 0.5),
        bar(on, 4.0, 11.0, 4.0, 12.5, 0.5),
        bar(on, -4.0, 11.0, -2.4, 13.5, 0.5),
    )
    on.paint(tube, (36, 38, 48))
    on.paint(circle(on, 4.0, 13.4, 1.5), (36, 38, 48))
    on.paint(circle(on, 4.0, 13.4, 0.9), (210, 216, 226))


def _nurse(on: Sheet, seen: Look) -> None:
    """Scrubs with a V-neck and a white badge with a red cross."""
    _wear(
        on,
        seen,
        mixed(np.broadcast_to(np.array([[40], [176], [168]], np.int16), seen.cloth.shape), seen.cloth, 1),
    )
    neck = _opening(on, 2.9, 12.4)
    on.paint(neck - f32(0.7), (14, 116, 112))
    on.paint(neck, seen.throat)
    on.paint(box(on, 2.6, 6.8, 11.2, 15.4), (255, 255, 255))
    on.paint(union(box(on, 4.1, 5.3, 11.8, 14.8), box(on, 3.2, 6.2, 12.7, 13.9)), (220, 20, 40))


def _police(on: Sheet, seen: Look) -> None:
    """A navy shirt with a black tie, a golden badge and shoulder marks."""
    _wear(on, seen, (34, 56, 118))
    both = on.folded()
    both.paint(bar(both, 0.6, 8.8, 2.9, 7.4, 0.9), (60, 88, 160))
    on.paint(_tie(on), (12, 14, 26))
    badge = union(circle(on, 4.6, 12.4, 1.7), box(on, 3.6, 5.6, 10.4, 12.4))
    on.paint(badge, _GOLD)
    on.paint(circle(on, 4.6, 12.4, 0.7), (150, 100, 10))
    on.paint(bar(on, -6.4, 12.6, -3.4, 12.6, 0.5), (200, 206, 220))
    both.paint(bar(both, seen.shoulders * f32(0.5), 9.6, seen.shoulders * f32(0.72), 11.0, 0.7), (12, 20, 54))


def _pilot(on: Sheet, seen: Look) -> None:
    """A white shirt with a black tie, black epaulettes with golden bars, and golden wings."""
    _wear(on, seen, _WHITE)
    both = on.folded()
    both.paint(bar(both, 0.6, 8.8, 2.9, 7.4, 0.6), (206, 212, 224))
    on.paint(_tie(on), (16, 18, 30))
    inner, outer = seen.shoulders * f32(0.48), seen.shoulders * f32(0.8)
    both.paint(bar(both, inner, 9.9, outer, 12.2, 1.3), (16, 20, 46))
    for part in (0.3, 0.75):
        u, v = inner + (outer - inner) * f32(part), 9.9 + 2.3 * part
        both.paint(bar(both, u + f32(0.55), v - 1.0, u - f32(0.5), v + 1.0, 0.3), _GOLD)
    on.paint(union(bar(on, 2.6, 13.6, 4.6, 14.3, 0.5), bar(on, 6.6, 13.6, 4.6, 14.3, 0.5)), (222, 160, 16))


def _builder(on: Sheet, seen: Look) -> None:
    """An orange vest with silver reflective stripes over a grey shirt."""
    body = _wear(on, seen, (112, 118, 126))
    vest = overlap(body, np.abs(on.u) - seen.shoulders * f32(0.78))
    on.paint(vest, (255, 118, 22))
    on.paint(_opening(on, 3.0, 12.0), (112, 118, 126))
    both = on.folded()
    silver = (226, 232, 226)
    strap = bar(both, seen.shoulders * f32(0.47), 8.0, seen.shoulders * f32(0.47), 19.0, 0.75)
    both.paint(overlap(strap, vest), silver)
    on.paint(overlap(box(on, -14.0, 14.0, 13.0, 14.7), vest), silver)
    on.paint(bar(on, 0.0, 12.0, 0.0, 19.0, 0.22), (130, 50, 0))


def _chef(on: Sheet, seen: Look) -> None:
    """A white jacket with two rows of black buttons and a red neckerchief."""
    _wear(on, seen, _WHITE)
    on.paint(bar(on, -2.9, 9.5, -2.2, 19.0, 0.25), (178, 184, 196))
    both = on.folded()
    for v in (11.0, 13.3, 15.6):
        both.paint(circle(both, 1.5, v, 0.62), (24, 24, 30))
    both.paint(bar(both, 0.0, 8.8, 3.0, 7.4, 1.0), (214, 30, 38))
    both.paint(bar(both, 0.0, 8.8, 1.2, 10.6, 0.6), (180, 16, 28))


def _judge(on: Sheet, seen: Look) -> None:
    """A black robe with crimson facings and white bands at the throat."""
    body = _wear(on, seen, (26, 24, 30))
    both = on.folded()
    facing = bar(both, 3.4, 7.6, 4.4, 19.0, 1.1)
    both.paint(overlap(facing, body), (176, 22, 44))
    both.paint(bar(both, 5.8, 10.2, 6.6, 19.0, 0.2), (74, 72, 84))
    on.paint(bar(on, -2.2, 8.0, 2.2, 8.0, 0.9), _WHITE)
    both.paint(bar(both, 0.7, 8.6, 1.4, 13.6, 0.85), _WHITE)
    on.paint(bar(on, 0.0, 10.2, 0.0, 14.0, 0.25), (120, 120, 130))


def _farmer(on: Sheet, seen: Look) -> None:
    """Blue dungarees with brass buttons over a red checked shirt."""
    body = _wear(on, seen, (206, 52, 48))
    both = on.folded()
    for u in (2.2, 5.6, 9.0):
        both.paint(overlap(bar(both, u, 5.0, u, 20.0, 0.35), body), (250, 214, 200), 0.9)
    for v in (10.0, 12.6, 15.2):
        on.paint(overlap(bar(on, -14.0, v, 14.0, v, 0.3), body), (250, 214, 200), 0.9)
    on.paint(ellipse(on, 0.0, 6.6, seen.neck + f32(0.3), 2.2), seen.throat)
    denim = (46, 84, 156)
    on.paint(box(on, -4.6, 4.6, 12.4, 20.0), denim)
    both.paint(bar(both, 4.6, 7.6, 3.9, 13.0, 1.0), denim)
    on.paint(outline(box(on, -2.0, 2.0, 14.4, 17.6), 0.25), (140, 170, 220))
    both.paint(circle(both, 3.8, 13.2, 0.75), _GOLD)


def _teacher(on: Sheet, seen: Look) -> None:
    """A mustard cardigan over a white collar, and an open book in front."""
    _wear(on, seen, (202, 150, 40))
    on.paint(_opening(on, 3.0, 13.0), _WHITE)
    _lapels(on, 3.4, 13.4, (150, 100, 16), 0.5)
    both = on.folded()
    both.paint(bar(both, 0.7, 8.6, 2.5, 7.6, 0.7), (255, 255, 255))
    page = overlap(box(both, -1.0, 6.0, 12.0, 17.4), both.u - f32(6.0))
    both.paint(page - f32(0.7), (40, 96, 60))
    both.paint(page, (255, 252, 238))
    on.paint(bar(on, 0.0, 12.0, 0.0, 19.0, 0.3), (120, 110, 96))
    for v in (13.2, 14.6):
        both.paint(bar(both, 1.5, v, 4.8, v, 0.22), (120, 124, 140), 0.9)


def _office(on: Sheet, seen: Look) -> None:
    """A charcoal suit, a white shirt and a coloured tie."""
    _wear(on, seen, (70, 74, 86))
    opening = _opening(on, 3.4, 16.5)
    on.paint(opening, _WHITE)
    on.paint(overlap(opening, _tie(on)), seen.trim)
    _lapels(on, 3.8, 16.6, (40, 42, 52), 0.5)
    on.paint(bar(on, 4.4, 13.2, 6.6, 12.8, 0.4), seen.trim)


DRESS: Mapping[str, Painter] = {
    "casual": _casual,
    "doctor": _doctor,
    "nurse": _nurse,
    "police": _police,
    "builder": _builder,
    "chef": _chef,
    "judge": _judge,
    "pilot": _pilot,
    "farmer": _farmer,
    "teacher": _teacher,
    "office": _office,
}
