"""A curve as a picture: inline SVG with its band, its axes and a text alternative."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from markupsafe import Markup

from audit.core.words import counted
from reports import numbers
from reports.axes import Axis, axis_over
from reports.figures import element

_WIDTH, _HEIGHT = 640, 300
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 16, 14, 36
_MOST_POINTS = 1_500

Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Curve:
    """Points in the order they came, the lower and upper edge of their band and a line to compare them with, where there is one."""

    points: tuple[Point, ...]
    lower: tuple[Point, ...] = ()
    upper: tuple[Point, ...] = ()
    reference: tuple[Point, ...] = ()

    @classmethod
    def of(
        cls,
        xs: Sequence[float | None],
        ys: Sequence[float | None],
        lows: Sequence[float | None] | None = None,
        highs: Sequence[float | None] | None = None,
        reference: Sequence[float | None] | None = None,
    ) -> Self | None:
        """Return the curve through the finite points, or None when there is not one."""
        points = _finite(xs, ys)
        if not points:
            return None
        banded = lows is not None and highs is not None
        band = (_finite(xs, lows), _finite(xs, highs)) if banded else ((), ())
        return cls(points, *band, _finite(xs, reference))


def curve_figure(curve: Curve, caption: str) -> Markup:
    """Return a curve with its band as SVG; ``caption`` begins its text alternative."""
    across = axis_over([x for x, _ in curve.points])
    up = axis_over([y for _, y in [*curve.points, *curve.lower, *curve.upper, *curve.reference]])
    said = _described(caption, curve.points)
    parts = [element("title", {}, said), *_frame(across, up)]
    if curve.lower and curve.upper:
        outline = [*curve.lower, *reversed(curve.upper)]
        parts.append(element("polygon", {"class": "band", "points": _path(outline, across, up)}))
    if curve.reference:
        parts.append(
            element("polyline", {"class": "reference", "points": _path(curve.reference, across, up)})
        )
    if len(curve.points) == 1:
        (x, y) = curve.points[0]
        centre = {"cx": place_x(across, x), "cy": place_y(up, y)}
        parts.append(element("circle", {"class": "value", **centre, "r": "4"}))
    else:
        parts.append(element("polyline", {"class": "curve", "points": _path(curve.points, across, up)}))
    size = f"0 0 {_WIDTH} {_HEIGHT}"
    return element(
        "svg", {"class": "curve-figure", "role": "img", "aria-label": said, "viewBox": size}, *parts
    )


def place_x(axis: Axis, x: float) -> float:
    """Return the horizontal position of a value, in the units of the picture."""
    return round(_LEFT + axis.at(x) / 100 * (_WIDTH - _LEFT - _RIGHT), 2)


def place_y(axis: Axis, y: float) -> float:
    """Return the vertical position of a value, in the units of the picture; larger values lie higher."""
    return round(_TOP + (1 - axis.at(y) / 100) * (_HEIGHT - _TOP - _BOTTOM), 2)


def _finite(xs: Sequence[float | None], ys: Sequence[float | None] | None) -> tuple[Point, ...]:
    points = tuple(
        (float(x), float(y))
        for x, y in zip(xs, ys or (), strict=False)
        if x is not None and y is not None and math.isfinite(x) and math.isfinite(y)
    )
    step = math.ceil(len(points) / _MOST_POINTS) or 1
    return points if step == 1 else (*points[::step], points[-1])


def _path(points: Sequence[Point], across: Axis, up: Axis) -> str:
    return " ".join(f"{place_x(across, x)},{place_y(up, y)}" for x, y in points)


def _frame(across: Axis, up: Axis) -> list[Markup]:
    floor, right = _HEIGHT - _BOTTOM, _WIDTH - _RIGHT
    parts = [element("line", {"class": "axis", "x1": _LEFT, "x2": right, "y1": floor, "y2": floor})]
    for tick in up.ticks(5):
        y = place_y(up, tick)
        parts.append(element("line", {"class": "grid", "x1": _LEFT, "x2": right, "y1": y, "y2": y}))
        parts.append(element("text", {"x": _LEFT - 8, "y": y + 4, "text-anchor": "end"}, numbers.plain(tick)))
    for tick in across.ticks(7):
        x = place_x(across, tick)
        parts.append(element("line", {"class": "axis", "x1": x, "x2": x, "y1": floor, "y2": floor + 5}))
        parts.append(element("text", {"x": x, "y": floor + 20, "text-anchor": "middle"}, numbers.plain(tick)))
    return parts


def _described(caption: str, points: Sequence[Point]) -> str:
    xs, ys = [x for x, _ in points], [y for _, y in points]
    return (
        f"{caption}: a curve of {counted(len(points), 'point')}, "
        f"x from {numbers.plain(min(xs))} to {numbers.plain(max(xs))}, "
        f"y from {numbers.plain(min(ys))} to {numbers.plain(max(ys))}"
    )
