"""Hair of the world of portraits: what lies behind the neck and what frames the face."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeAlias

import numpy as np

from audit.data.worlds.portraits.canvas import Field, Sheet, bar, box, circle, ellipse, overlap, union
from audit.data.worlds.portraits.look import Look

Painter: TypeAlias = Callable[[Sheet, Look], None]
f32 = np.float32


def _cap(on: Sheet, seen: Look, thick: float, line: float, bend: float) -> Field:
    """Return hair over the skull, ``thick`` around it, down to a hairline ``line`` that drops by ``bend`` at the temples."""
    skull = ellipse(on, 0.0, -0.8, seen.face_across + f32(thick), seen.face_down - f32(0.8) + f32(thick))
    across = on.u / seen.face_across
    return overlap(skull, on.v - f32(line) - f32(bend) * (across * across))


def _gloss(on: Sheet, seen: Look) -> None:
    """A parting and a few strands, so that hair is no helmet."""
    part = on.within(-4, 4, -7.5, -4)
    part.paint(bar(part, -1.5, -6.8, -3.6, -4.6, 0.26), seen.strand, 0.8)
    part.paint(bar(part, 1.0, -7.0, 3.4, -5.2, 0.26), seen.strand, 0.8)


def _bald(on: Sheet, _: Look) -> None:
    """Nothing but a shine."""
    on = on.within(-4, 4, -7, -4)
    on.paint(ellipse(on, -2.0, -5.2, 1.3, 0.7), (255, 255, 255), 0.45)


def _short(on: Sheet, seen: Look) -> None:
    top = on.within(-8, 8, -9, 3)
    top.paint(_cap(top, seen, 0.5, -5.0, 3.4), seen.hair)
    _gloss(on, seen)


def _spiky(on: Sheet, seen: Look) -> None:
    on = on.within(-9, 9, -12, 3)
    on.paint(_cap(on, seen, 0.6, -4.6, 2.4), seen.hair)
    for u, tip, lean in ((-4.6, -8.6, -1.6), (-1.7, -11.0, -0.6), (1.7, -11.0, 0.6), (4.6, -8.6, 1.6)):
        left = (on.u - f32(u + lean)) - (on.v - f32(tip)) * f32(0.42 - lean * 0.12)
        right = -(on.u - f32(u + lean)) - (on.v - f32(tip)) * f32(0.42 + lean * 0.12)
        on.paint(overlap(left, right, on.v + f32(4.6)), seen.hair)
    _gloss(on, seen)


_CURLS = ((-6.4, -1.2), (-6.6, -4.2), (-4.8, -7.0), (-1.8, -8.6))


def _curly_behind(on: Sheet, seen: Look) -> None:
    both = on.within(-12, 12, -13, 5).folded()
    curls = [circle(both, -u + 0.4, v, 2.7) for u, v in _CURLS]
    both.paint(union(*curls, circle(both, 0.0, -3.0, 7.6)), seen.hair)


def _curly(on: Sheet, seen: Look) -> None:
    top = on.within(-8, 8, -9, 3)
    top.paint(_cap(top, seen, 1.0, -4.4, 2.2), seen.hair)
    both = on.within(-10, 10, -12, 3).folded()
    both.paint(union(circle(both, 1.3, -4.9, 1.3), circle(both, 3.7, -4.1, 1.4)), seen.hair)
    for u, v in ((1.5, -7.4), (4.2, -6.0), (6.6, -3.2), (6.8, -0.2), (3.2, -9.4)):
        both.paint(np.abs(circle(both, u, v, 1.0)) - f32(0.25), seen.strand, 0.75)


def _bob_behind(on: Sheet, seen: Look) -> None:
    both = on.within(-11, 11, -10, 8)
    reach = seen.face_across + f32(2.3)
    both.paint(union(ellipse(both, 0.0, -1.0, reach, 7.8), box(both, -reach, reach, -1.0, 5.2)), seen.hair)


def _bob(on: Sheet, seen: Look) -> None:
    """Cut straight at the chin, with a straight fringe."""
    top = on.within(-8, 8, -9, 3)
    top.paint(_cap(top, seen, 1.0, -3.7, 0.6), seen.hair)
    both = on.within(-10, 10, -6, 7).folded()
    edge = seen.face_across - f32(0.5)
    both.paint(box(both, edge, edge + f32(2.8), -3.5, 5.2), seen.hair)
    both.paint(bar(both, edge + f32(1.5), -3.0, edge + f32(1.5), 4.6, 0.25), seen.strand, 0.7)
    _gloss(on, seen)


def _long_behind(on: Sheet, seen: Look) -> None:
    part = on.within(-12, 12, -10, 18)
    reach = seen.face_across + f32(1.6)
    part.paint(union(ellipse(part, 0.0, -1.2, reach, 7.8), box(part, -reach, reach, -1.0, 12.0)), seen.hair)


def _long(on: Sheet, seen: Look) -> None:
    """Parted in the middle and falling in front of the shoulders."""
    both = on.within(-11, 11, -10, 14).folded()
    edge = seen.face_across + f32(0.6)
    parting = overlap(
        ellipse(both, 0.0, -0.8, seen.face_across + f32(1.0), seen.face_down + f32(0.2)),
        on.within(-11, 11, -10, 14).v + f32(5.2) - both.u * f32(0.85),
    )
    both.paint(union(parting, bar(both, edge - f32(0.2), -2.0, edge + f32(0.6), 11.0, 1.5)), seen.hair)
    both.paint(bar(both, edge, 0.0, edge + f32(0.6), 10.5, 0.25), seen.strand, 0.7)
    _gloss(on, seen)


def _bun(on: Sheet, seen: Look) -> None:
    knot = on.within(-4, 4, -14, -5)
    knot.paint(circle(knot, 0.0, -9.2, 2.5), seen.hair)
    knot.paint(np.abs(circle(knot, 0.0, -9.2, 1.4)) - f32(0.28), seen.strand, 0.8)
    top = on.within(-8, 8, -9, 3)
    top.paint(_cap(top, seen, 0.6, -4.8, 3.0), seen.hair)
    knot.paint(box(knot, -1.9, 1.9, -7.6, -6.8), seen.trim)


BEHIND: Mapping[str, Painter] = {"curly": _curly_behind, "bob": _bob_behind, "long": _long_behind}
"""Painted before neck and dress."""

FRONT: Mapping[str, Painter] = {
    "bald": _bald,
    "short": _short,
    "spiky": _spiky,
    "curly": _curly,
    "bob": _bob,
    "long": _long,
    "bun": _bun,
}
"""Painted over the face. Hair that is covered is not painted."""
