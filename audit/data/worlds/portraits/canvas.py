"""Antialiased drawing of many pictures at once, to the same bytes on every machine.

Shapes are signed distances (below 0 inside) on a grid of pixel centres; a
picture is painted by blending colours with coverage. The batch is the last
axis, so that every numpy loop runs over it.

Exactness: distances use float32 addition, subtraction, multiplication,
division, square root, minimum, maximum and floor alone. IEEE 754 defines the
result of each to the last bit, and numpy evaluates each in a loop of its own,
so nothing can be fused or reordered; there are no sums over an axis, no powers
and no transcendental functions. Coverage is then cut to 64 steps, and colours
are blended in 16-bit whole numbers.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Field: TypeAlias = "NDArray[np.floating[Any]]"
"""A signed distance in units of the figure, shape (height, width, n), dtype float32."""
Number: TypeAlias = "float | NDArray[np.floating[Any]]"
"""A length or place: the same for everybody, or one for each, shape (n,)."""
Colour: TypeAlias = "tuple[int, int, int] | NDArray[np.int16]"
"""Red, green, blue: the same for everybody, or one for each, shape (3, n)."""

_STEPS = 64
REACH = 1.25
"""Figures move by at most this many pixels sideways and up or down."""
LARGEST = 1.140625
"""Figures are drawn at 1 to this many pixels a unit."""
ORIGIN = (16.0, 14.5)
"""Where the middle of a face lies on average, in pixels."""


@dataclass(frozen=True, slots=True, eq=False)
class Sheet:
    """A rectangle of pixels of ``n`` pictures with the coordinates of each figure on it.

    ``pixels`` is (3, height, width, n) int16, painted in place; ``u`` runs to the
    right, shape (1, width, n), and ``v`` down, shape (height, 1, n), from the middle of
    the face; ``scale`` is pixels a unit, shape (n,); ``corner`` is the first row and column.
    """

    pixels: NDArray[np.int16]
    u: Field
    v: Field
    scale: NDArray[np.float32]
    corner: tuple[int, int] = (0, 0)

    def within(self, left: float, right: float, top: float, bottom: float) -> Sheet:
        """Return the part that can hold this much of the figure wherever it moved; painting it paints the whole."""
        height, width = self.pixels.shape[1:3]
        row, column = self.corner
        rows = _span(top, bottom, ORIGIN[1], row, height)
        columns = _span(left, right, ORIGIN[0], column, width)
        return replace(
            self,
            pixels=self.pixels[:, rows, columns],
            u=self.u[:, columns],
            v=self.v[rows],
            corner=(row + rows.start, column + columns.start),
        )

    def folded(self) -> Sheet:
        """Return the same pixels with left and right laid upon each other: what is painted there appears twice."""
        return replace(self, u=np.abs(self.u))

    def take(self, which: NDArray[np.intp] | slice) -> Sheet:
        """Return a copy of some of the pictures."""
        if isinstance(which, slice):
            u, v = self.u[..., which], self.v[..., which]
            return replace(self, pixels=self.pixels[..., which].copy(), u=u, v=v, scale=self.scale[which])
        u, v = self.u.take(which, axis=-1), self.v.take(which, axis=-1)
        return replace(self, pixels=self.pixels.take(which, axis=-1), u=u, v=v, scale=self.scale[which])

    def paint(self, shape: Field, colour: Colour, opacity: Number = 1.0) -> None:
        """Blend a colour into the pixels by how much of each the shape covers."""
        covered = shape * (self.scale * np.float32(-_STEPS))
        covered += np.float32(_STEPS / 2 + 0.5)
        np.maximum(covered, np.float32(0), out=covered)
        np.minimum(covered, np.float32(_STEPS), out=covered)
        if not isinstance(opacity, float) or opacity != 1.0:
            covered = covered * np.asarray(opacity, np.float32)
        parts = covered.astype(np.int16)
        wanted = np.asarray(colour, np.int16).reshape(3, 1, 1, -1)
        change = wanted - self.pixels
        change *= parts
        change += np.int16(_STEPS // 2)
        change >>= 6
        self.pixels[...] += change


def _span(low: float, high: float, origin: float, first: int, size: int) -> slice:
    """Return the pixels of one axis that a stretch of the figure can touch."""
    reach = REACH + 1.0
    start = int(origin + min(low * LARGEST, low) - reach) - first
    stop = int(origin + max(high * LARGEST, high) + reach) + 1 - first
    return slice(min(max(start, 0), size), max(min(stop, size), 0))


def sheet(n: int, side: int, across: NDArray[np.float32], down: NDArray[np.float32], scale: Number) -> Sheet:
    """Return a blank sheet for ``n`` figures moved by ``across`` and ``down`` pixels."""
    size = np.broadcast_to(np.asarray(scale, np.float32), (n,))
    centres = np.arange(side, dtype=np.float32) + np.float32(0.5)
    u = (centres[:, None] - (np.float32(ORIGIN[0]) + across)) / size
    v = (centres[:, None] - (np.float32(ORIGIN[1]) + down)) / size
    return Sheet(np.zeros((3, side, side, n), np.int16), u[None], v[:, None], size)


def ellipse(on: Sheet, u: Number, v: Number, across: Number, down: Number) -> Field:
    """Return an ellipse with these radii.

    The distance is that of the first order, the value of the implicit function over its gradient: exact on the outline.
    """
    a, b = (on.u - u) / across, (on.v - v) / down
    unit = np.sqrt(a * a + b * b)
    a, b = a / across, b / down
    steepness = np.maximum(np.sqrt(a * a + b * b), np.float32(1e-3))
    return np.asarray(unit * (unit - np.float32(1)) / steepness)


def circle(on: Sheet, u: Number, v: Number, radius: Number) -> Field:
    """Return a disc."""
    a, b = on.u - u, on.v - v
    return np.asarray(np.sqrt(a * a + b * b) - radius)


def box(on: Sheet, left: Number, right: Number, top: Number, bottom: Number) -> Field:
    """Return an upright rectangle."""
    across = np.maximum(left - on.u, on.u - right)
    down = np.maximum(top - on.v, on.v - bottom)
    return np.asarray(np.maximum(across, down))


def bar(on: Sheet, u: Number, v: Number, to_u: Number, to_v: Number, half: Number) -> Field:
    """Return a stroke with round ends from one point to another, ``2 * half`` wide."""
    du, dv = np.asarray(to_u - u, np.float32), np.asarray(to_v - v, np.float32)
    a, b = on.u - u, on.v - v
    along = (a * du + b * dv) / (du * du + dv * dv)
    np.maximum(along, np.float32(0), out=along)
    np.minimum(along, np.float32(1), out=along)
    a, b = a - along * du, b - along * dv
    return np.asarray(np.sqrt(a * a + b * b) - half)


def arc(on: Sheet, v: Number, reach: Number, sag: Number, half: Number) -> Field:
    """Return a parabola across the middle: ``sag`` lower at its ends (higher when negative) than at ``v``."""
    across = on.u / reach
    off = np.abs(on.v - v - sag * (across * across)) - half
    return np.asarray(np.maximum(off, np.abs(on.u) - reach))


def outline(shape: Field, half: Number) -> Field:
    """Return the stroke along the edge of a shape."""
    return np.asarray(np.abs(shape) - half)


def union(*shapes: Field) -> Field:
    """Return which pixels are inside any of the shapes."""
    joined = shapes[0]
    for shape in shapes[1:]:
        joined = np.minimum(joined, shape)
    return joined


def overlap(*shapes: Field) -> Field:
    """Return which pixels are inside all of the shapes."""
    joined = shapes[0]
    for shape in shapes[1:]:
        joined = np.maximum(joined, shape)
    return joined
