"""Headwear of the world of portraits: hats, hats of an occupation, and wraps."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeAlias

import numpy as np

from audit.data.worlds.portraits.canvas import (
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


def _dome(on: Sheet, seen: Look, wider: float, top: float, edge: float) -> Field:
    """Return the upper half of an ellipse over the head, from ``top`` down to ``edge``."""
    whole = ellipse(on, 0.0, edge, seen.face_across + f32(wider), edge - top)
    return overlap(whole, on.v - f32(edge))


def _brim(on: Sheet, seen: Look, wider: float, v: float, down: float) -> Field:
    return ellipse(on, 0.0, v, seen.face_across + f32(wider), down)


def _cap(on: Sheet, seen: Look) -> None:
    """A baseball cap: a dome with seams and a button, and a peak bent over the brow."""
    part = on.within(-9, 9, -12, 0)
    part.paint(_dome(part, seen, 0.7, -9.2, -3.4), seen.hat)
    part.paint(outline(_dome(part, seen, -2.6, -9.2, -3.4), 0.25), mixed(seen.hat, (20, 20, 30), 6), 0.8)
    part.paint(circle(part, 0.0, -9.2, 0.7), seen.trim)
    peak = overlap(_brim(part, seen, 0.9, -2.9, 2.2), part.v + f32(2.7))
    part.paint(peak, mixed(seen.hat, (10, 10, 20), 7))
    part.paint(circle(part, 0.0, -6.3, 1.1), (250, 250, 250))


def _beanie(on: Sheet, seen: Look) -> None:
    """Knitted, with a turned-up cuff and a pompom."""
    part = on.within(-9, 9, -14, 0)
    part.paint(circle(part, 0.0, -10.0, 1.9), (248, 246, 240))
    part.paint(_dome(part, seen, 0.5, -9.6, -4.0), seen.hat)
    reach = seen.face_across + f32(0.8)
    part.paint(box(part, -reach, reach, -5.8, -3.0), mixed(seen.hat, (255, 255, 255), 7))
    ribs = part.folded()
    for u in (0.0, 2.0, 4.0, 6.0):
        ribs.paint(bar(ribs, u, -5.5, u, -3.4, 0.2), mixed(seen.hat, (20, 20, 30), 3), 0.8)


def _headscarf(on: Sheet, seen: Look) -> None:
    """Covers hair, ears and neck and leaves the face free."""
    part = on.within(-11, 11, -11, 13)
    around = ellipse(part, 0.0, 0.2, seen.face_across + f32(1.9), seen.face_down + f32(1.6))
    drape = ellipse(part, 0.0, 8.2, seen.face_across + f32(1.4), 3.9)
    face = ellipse(part, 0.0, 0.5, seen.face_across * f32(0.9), seen.face_down * f32(0.9))
    part.paint(overlap(union(around, drape), -face), seen.hat)
    part.paint(outline(face, 0.3), mixed(seen.hat, (20, 10, 30), 6))
    fold = mixed(seen.hat, (20, 10, 30), 5)
    part.paint(bar(part, -5.5, 6.4, 4.4, 10.4, 0.3), fold)
    part.paint(bar(part, 5.4, 5.6, -1.0, 8.6, 0.3), fold)
    part.paint(bar(part, -4.2, -6.2, 3.2, -7.0, 0.25), mixed(seen.hat, (255, 255, 255), 7), 0.7)


def _turban(on: Sheet, seen: Look) -> None:
    """Cloth wound around the head, crossing over the brow."""
    part = on.within(-11, 11, -14, 1)
    whole = ellipse(part, 0.0, -5.6, seen.face_across + f32(1.7), 4.9)
    across = part.u / seen.face_across
    edge = part.v + f32(4.2) - f32(2.4) * (across * across)
    shape = overlap(whole, edge)
    part.paint(shape, seen.hat)
    both = part.folded()
    fold, light = mixed(seen.hat, (20, 10, 30), 6), mixed(seen.hat, (255, 255, 255), 6)
    for high, outer in ((-4.6, -4.0), (-6.2, -6.6), (-7.8, -8.8)):
        both.paint(overlap(bar(both, 0.2, high, 6.5, outer - 1.4, 0.3), shape), fold)
    both.paint(overlap(bar(both, 0.2, -5.5, 6.5, -6.6, 0.25), shape), light, 0.8)


def _hard_hat(on: Sheet, seen: Look) -> None:
    """A yellow shell with ridges and a rim all around."""
    part = on.within(-10, 10, -12, 0)
    part.paint(_dome(part, seen, 0.8, -9.6, -3.8), (250, 200, 24))
    both = part.folded()
    both.paint(bar(both, 1.6, -9.0, 2.0, -4.4, 0.3), (196, 140, 6))
    part.paint(bar(part, -0.1, -9.6, 0.1, -4.6, 0.5), (255, 236, 130))
    reach = seen.face_across + f32(2.2)
    part.paint(box(part, -reach, reach, -4.4, -3.0), (255, 214, 50))
    part.paint(box(part, -reach, reach, -3.4, -2.8), (186, 130, 0))


def _peaked_cap(on: Sheet, seen: Look) -> None:
    """A wide flat crown, a dark band with a golden badge, a black shiny peak; a pilot's crown is white."""
    part = on.within(-11, 11, -13, 0)
    crown = np.where(
        seen.has("occupation", "pilot"), np.array([[246], [246], [250]]), np.array([[30], [48], [104]])
    ).astype(np.int16)
    part.paint(ellipse(part, 0.0, -7.0, seen.face_across + f32(2.2), 2.5), crown)
    reach = seen.face_across + f32(0.5)
    part.paint(box(part, -reach, reach, -6.2, -3.8), (14, 16, 34))
    part.paint(overlap(_brim(part, seen, 0.3, -3.9, 2.0), -(part.v + f32(3.9))), (8, 8, 12))
    part.paint(bar(part, -3.0, -2.8, 3.0, -2.8, 0.2), (120, 124, 140))
    part.paint(circle(part, 0.0, -6.0, 1.5), (250, 204, 50))


def _toque(on: Sheet, seen: Look) -> None:
    """A cook's tall white hat, puffed above a straight band."""
    part = on.within(-10, 10, -16, 0)
    both = part.folded()
    puffs = union(circle(both, 4.2, -9.0, 2.9), circle(both, 0.0, -9.6, 3.4))
    grey = (206, 210, 220)
    part.paint(puffs - f32(0.4), grey)
    part.paint(puffs, (252, 252, 252))
    reach = seen.face_across + f32(0.1)
    part.paint(box(part, -reach - f32(0.4), reach + f32(0.4), -7.8, -3.4), grey)
    part.paint(box(part, -reach, reach, -7.8, -3.8), (246, 246, 248))
    for u in (0.0, 2.6):
        both.paint(bar(both, u, -9.8, u, -7.4, 0.25), grey)


def _straw_hat(on: Sheet, seen: Look) -> None:
    """A broad brim of straw and a red ribbon."""
    part = on.within(-14, 14, -13, 0)
    part.paint(_brim(part, seen, 5.0, -3.9, 1.7), (176, 126, 48))
    part.paint(_brim(part, seen, 5.0, -4.3, 1.5), (238, 202, 112))
    part.paint(_dome(part, seen, -0.4, -10.0, -4.4), (238, 202, 112))
    reach = seen.face_across - f32(0.4)
    part.paint(box(part, -reach, reach, -6.2, -4.6), (190, 40, 40))
    both = part.folded()
    both.paint(bar(both, 1.6, -9.0, 1.8, -6.8, 0.2), (188, 144, 60))


HEADWEAR: Mapping[str, Painter] = {
    "cap": _cap,
    "beanie": _beanie,
    "headscarf": _headscarf,
    "turban": _turban,
    "hard-hat": _hard_hat,
    "peaked-cap": _peaked_cap,
    "toque": _toque,
    "straw-hat": _straw_hat,
}
