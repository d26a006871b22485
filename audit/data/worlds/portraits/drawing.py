"""A portrait of the world, from the backdrop to the glasses."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from audit.core.rows import Images
from audit.data.worlds.portraits.canvas import (
    Field,
    Sheet,
    arc,
    bar,
    box,
    circle,
    ellipse,
    outline,
    overlap,
    sheet,
    union,
)
from audit.data.worlds.portraits.dress import DRESS
from audit.data.worlds.portraits.hair import BEHIND, FRONT
from audit.data.worlds.portraits.headwear import HEADWEAR
from audit.data.worlds.portraits.look import Look, look, mixed
from audit.data.worlds.portraits.people import SIDE, People, noise

Painter: TypeAlias = Callable[[Sheet, Look], None]
_BATCH = 384


def portraits(who: People) -> Images:
    """Return their pictures, shape (n, 32, 32, 3), dtype uint8, in their order.

    People of one occupation and one hair style are drawn side by side, which is faster and changes nothing.
    """
    pictures = np.empty((len(who), SIDE, SIDE, 3), np.uint8)
    order = np.lexsort((who.codes["hair"], who.codes["occupation"]))
    for start in range(0, len(who), _BATCH):
        some = order[start : start + _BATCH]
        pictures[some] = _drawn(who.take(some))
    return pictures


def _drawn(who: People) -> Images:
    seen = look(who)
    page = sheet(len(who), SIDE, seen.across, seen.down, seen.scale)
    _backdrop(page, seen)
    _each(page, seen, "hair", BEHIND)
    _neck(page, seen)
    _each(page, seen, "occupation", DRESS, (-16, 16, 5, 20))
    _necklace(page, seen)
    _head(page, seen)
    _each(page, seen, "age", {"older": _wrinkles, "child": _red_cheeks}, (-7, 7, -6, 6))
    _each(page, seen, "expression", _EXPRESSIONS, (-5, 5, -5, 7))
    _each(page, seen, "facial_hair", {"moustache": _moustache, "beard": _beard}, (-8, 8, 0, 9))
    _eyes(page, seen)
    _each(page, seen, "hair", FRONT, (-13, 13, -13, 14))
    _each(page, seen, "headwear", HEADWEAR, (-14, 14, -16, 14))
    _each(page, seen, "glasses", {"round": _round, "square": _square, "sunglasses": _dark}, (-8, 8, -4, 4))
    _earrings(page, seen)
    noisy = page.pixels + noise(who.grain)
    return np.asarray(np.clip(noisy, 0, 255).astype(np.uint8).transpose(3, 1, 2, 0))


def _each(
    page: Sheet,
    seen: Look,
    factor: str,
    painters: Mapping[str, Painter],
    where: tuple[float, float, float, float] = (-16, 16, -16, 18),
) -> None:
    """Let each value's painter paint on the pictures of those who have it."""
    part = page.within(*where)
    for value, painter in painters.items():
        having = np.flatnonzero(seen.has(factor, value))
        if len(having) == len(seen.scale):
            painter(part, seen)
        elif len(having):
            which = _together(having)
            copy = part.take(which)
            painter(copy, seen.take(which))
            part.pixels[..., which] = copy.pixels


def _together(places: NDArray[np.intp]) -> NDArray[np.intp] | slice:
    """Return places as a slice where they are neighbours: numpy copies it several times as fast."""
    first, last = int(places[0]), int(places[-1])
    return slice(first, last + 1) if last - first + 1 == len(places) else places


def _wave(at: Field, period: int) -> Field:
    """Return the distance from the middle of the nearest of evenly spaced lines; ``period`` is a power of two."""
    turns = at / np.float32(period)
    return np.asarray(np.abs(turns - np.floor(turns) - np.float32(0.5)) * np.float32(period))


def _backdrop(page: Sheet, seen: Look) -> None:
    page.pixels[...] = seen.backdrop[:, None, None, :]
    _each(page, seen, "pattern", {"stripes": _stripes, "dots": _dots, "checks": _checks})


def _stripes(page: Sheet, seen: Look) -> None:
    page.paint(_wave(page.u + page.v + seen.phase_u, 8) - np.float32(1.75), seen.figure)


def _dots(page: Sheet, seen: Look) -> None:
    a, b = _wave(page.u + seen.phase_u, 8), _wave(page.v + seen.phase_v, 8)
    page.paint(np.sqrt(a * a + b * b) - np.float32(2.0), seen.figure)


def _checks(page: Sheet, seen: Look) -> None:
    a = _wave(page.u + seen.phase_u, 8) - np.float32(2)
    b = _wave(page.v + seen.phase_v, 8) - np.float32(2)
    page.paint(np.maximum(np.minimum(a, b), -np.maximum(a, b)), seen.figure)


def _neck(page: Sheet, seen: Look) -> None:
    part = page.within(-5, 5, 3, 12)
    part.paint(box(part, -seen.neck, seen.neck, 4.0, 11.0), seen.throat)


def _necklace(page: Sheet, seen: Look) -> None:
    """A string of pearls goes with feminine presentation."""
    part = page.within(-4, 4, 6.5, 11)
    pearls = arc(part, 9.6, seen.neck + np.float32(0.4), -1.6, 0.3)
    part.paint(pearls, (250, 246, 236), seen.has("presentation", "feminine").astype(np.float32))


def head(on: Sheet, seen: Look, wider: float = 0.0) -> Field:
    """Return the outline of a head: a round skull and a jaw below it."""
    more = np.float32(wider)
    skull = ellipse(on, 0.0, -0.8, seen.face_across + more, seen.face_down - np.float32(0.8) + more)
    down = seen.face_down * np.float32(0.62)
    jaw = ellipse(on, 0.0, seen.face_down - down, seen.face_across * seen.jaw + more, down + more)
    return union(skull, jaw)


def _head(page: Sheet, seen: Look) -> None:
    part = page.within(-8, 8, -8, 8)
    ears = ellipse(part.folded(), seen.face_across, 0.2, 1.1, 1.5)
    part.paint(outline(ears, 0.35), seen.line, 0.6)
    part.paint(ears, seen.shade)
    shape = head(part, seen)
    part.paint(shape - np.float32(0.45), seen.line, 0.6)
    part.paint(shape, seen.skin)
    nose = part.within(-2, 2, -1, 3)
    nose.paint(bar(nose, -0.3, 1.9, 0.5, 1.9, 0.35), seen.line, 0.75)
    nose.paint(bar(nose, 0.35, 0.2, 0.6, 1.5, 0.22), seen.line, 0.45)


def _eyes(page: Sheet, seen: Look) -> None:
    part = page.within(-5, 5, -2.8, 2.4)
    both = part.folded()
    white = ellipse(
        both, seen.eye_gap, seen.eye_v, seen.eye_size * np.float32(1.15), seen.eye_size * np.float32(0.9)
    )
    both.paint(white, (252, 252, 252))
    size = seen.eye_size * np.float32(0.66)
    pupils = union(*(circle(part, side * seen.eye_gap + seen.gaze, seen.eye_v, size) for side in (-1, 1)))
    part.paint(pupils, seen.iris)
    feminine = seen.has("presentation", "feminine").astype(np.float32)
    top = seen.eye_v - seen.eye_size * np.float32(0.8)
    inner, outer = seen.eye_gap - seen.eye_size, seen.eye_gap + seen.eye_size * np.float32(1.35)
    both.paint(bar(both, inner, top, outer, top - np.float32(0.15), 0.3), (24, 16, 20), feminine)


def _brows(page: Sheet, seen: Look, inner: float, outer: float, raised: float) -> None:
    """Brows in the colour of the hair; ``inner`` and ``outer`` are how far each end is below its place."""
    both = page.within(-5, 5, -5, 1).folded()
    v = seen.eye_v - seen.brow_v - np.float32(raised)
    half = np.where(seen.has("presentation", "masculine"), np.float32(0.5), np.float32(0.28))
    reach = seen.eye_gap + np.float32(1.5)
    stroke = bar(
        both, seen.eye_gap - np.float32(1.3), v + np.float32(inner), reach, v + np.float32(outer), half
    )
    both.paint(stroke, seen.brows)


def _smile(page: Sheet, seen: Look) -> None:
    _brows(page, seen, -0.1, 0.2, 0.0)
    part = page.within(-4, 4, 1.5, 6.5)
    across = part.u / seen.mouth_reach
    bend = across * across
    top = seen.mouth_v + np.float32(0.1) - np.float32(0.7) * bend
    bottom = seen.mouth_v + np.float32(1.5) - np.float32(2.1) * bend
    open_ = np.maximum(top - part.v, part.v - bottom)
    part.paint(open_ - np.float32(0.45), seen.lips)
    part.paint(open_ + np.float32(0.05), (252, 250, 248))


def _neutral(page: Sheet, seen: Look) -> None:
    _brows(page, seen, 0.0, 0.0, 0.0)
    part = page.within(-4, 4, 1.5, 6.5)
    part.paint(
        arc(part, seen.mouth_v + np.float32(0.3), seen.mouth_reach * np.float32(0.8), 0.0, 0.42), seen.lips
    )


def _frown(page: Sheet, seen: Look) -> None:
    _brows(page, seen, 1.0, -0.5, 0.1)
    part = page.within(-4, 4, 1.5, 6.5)
    part.paint(arc(part, seen.mouth_v - np.float32(0.1), seen.mouth_reach, 1.5, 0.5), seen.lips)


def _open(page: Sheet, seen: Look) -> None:
    _brows(page, seen, -0.3, 0.1, 0.8)
    part = page.within(-4, 4, 1.5, 7)
    shape = ellipse(part, 0.0, seen.mouth_v + np.float32(0.4), seen.mouth_reach * np.float32(0.6), 1.55)
    part.paint(shape - np.float32(0.2), seen.lips)
    part.paint(shape + np.float32(0.4), (70, 16, 24))


_EXPRESSIONS: Mapping[str, Painter] = {"smile": _smile, "neutral": _neutral, "frown": _frown, "open": _open}


def _red_cheeks(page: Sheet, seen: Look) -> None:
    """Round red cheeks make a child."""
    both = page.within(-6, 6, 0, 5).folded()
    both.paint(ellipse(both, 3.5, 2.6, 1.3, 0.9), mixed(seen.skin, (240, 90, 90), 7))


def _wrinkles(page: Sheet, seen: Look) -> None:
    """Lines from the nose to the mouth, two across the forehead, bags under the eyes, and crow's feet."""
    both = page.within(-6, 6, -6, 6).folded()
    outer = seen.eye_gap + np.float32(1.7)
    strokes = (
        bar(both, 1.9, 1.8, 3.4, 4.4, 0.4),
        bar(both, 0.0, -5.2, 2.4, -5.0, 0.28),
        bar(both, 0.0, -4.0, 2.0, -3.9, 0.28),
        bar(
            both,
            outer,
            seen.eye_v + np.float32(0.3),
            outer + np.float32(0.9),
            seen.eye_v + np.float32(0.8),
            0.25,
        ),
    )
    both.paint(union(*strokes), seen.crease)
    under = seen.eye_v + np.float32(1.7)
    bags = bar(both, seen.eye_gap - np.float32(0.8), under, seen.eye_gap + np.float32(0.9), under, 0.3)
    both.paint(bags, seen.crease, 0.8)


def _moustache(page: Sheet, seen: Look) -> None:
    both = page.within(-5, 5, 0, 6).folded()
    v = seen.mouth_v - np.float32(0.9)
    both.paint(bar(both, 0.2, v - np.float32(0.2), 2.5, v + np.float32(0.6), 0.7), seen.whiskers)


def _beard(page: Sheet, seen: Look) -> None:
    part = page.within(-8, 8, 0, 9)
    below = np.float32(1.4) - part.v
    hole = ellipse(part, 0.0, seen.mouth_v - np.float32(0.3), seen.face_across * np.float32(0.62), 2.0)
    whole = overlap(head(part, seen, 0.5), below, -hole)
    part.paint(whole, seen.whiskers)
    part.paint(outline(whole, 0.3), seen.strand, 0.5)
    _moustache(page, seen)


def _frames(page: Sheet, seen: Look, size: float, square: bool) -> tuple[Sheet, Field]:
    both = page.within(-8, 8, -4, 4).folded()
    u = seen.eye_gap + np.float32(0.1)
    v = seen.eye_v + np.float32(0.15)
    across = np.minimum(np.float32(size), u - np.float32(0.35))
    if square:
        down = np.float32(size * 0.74)
        return both, box(both, u - across, u + across, v - down, v + down)
    return both, circle(both, u, v, across)


def _temples(both: Sheet, seen: Look, colour: tuple[int, int, int], half: float) -> None:
    v = seen.eye_v - np.float32(0.2)
    both.paint(
        bar(both, seen.eye_gap + np.float32(2.0), v, seen.face_across + np.float32(0.4), v, half), colour
    )
    both.paint(bar(both, 0.0, v, 0.7, v, half), colour)


def _round(page: Sheet, seen: Look) -> None:
    both, lens = _frames(page, seen, 2.05, square=False)
    both.paint(lens, (236, 246, 255), 0.22)
    both.paint(outline(lens, 0.32), (206, 150, 30))
    _temples(both, seen, (196, 142, 30), 0.34)


def _square(page: Sheet, seen: Look) -> None:
    both, lens = _frames(page, seen, 2.1, square=True)
    both.paint(lens, (236, 246, 255), 0.35)
    both.paint(outline(lens, 0.36), (24, 26, 44))
    _temples(both, seen, (24, 26, 44), 0.4)


def _dark(page: Sheet, seen: Look) -> None:
    both, lens = _frames(page, seen, 2.4, square=True)
    both.paint(lens, (14, 14, 20))
    both.paint(outline(lens, 0.4), (70, 74, 92))
    _temples(both, seen, (70, 74, 92), 0.45)
    v = seen.eye_v
    both.paint(
        bar(
            both, seen.eye_gap, v - np.float32(0.6), seen.eye_gap + np.float32(0.9), v - np.float32(0.9), 0.3
        ),
        (150, 170, 200),
    )


def _earrings(page: Sheet, seen: Look) -> None:
    both = page.within(-8, 8, 1, 4).folded()
    shown = seen.has("presentation", "feminine") & ~seen.has("headwear", "headscarf")
    both.paint(
        circle(both, seen.face_across + np.float32(0.5), 2.5, 0.6), (250, 206, 60), shown.astype(np.float32)
    )
