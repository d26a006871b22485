"""Intervals as pictures: inline SVG, laid out in per cent so that text keeps its size at every width."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from markupsafe import Markup, escape

from audit.core.measurements import Interval, Measurement
from reports import numbers
from reports.axes import Axis
from reports.redact import visible


@dataclass(frozen=True, slots=True)
class Bounds:
    """Where a policy drew its lines for one metric; either end may be open."""

    at_least: float | None = None
    at_most: float | None = None

    @property
    def lines(self) -> tuple[float, ...]:
        return tuple(b for b in (self.at_least, self.at_most) if b is not None)


def element(name: str, attributes: Mapping[str, object], *children: Markup | str) -> Markup:
    """Return one SVG element; attribute values and text children are escaped."""
    opening = "".join(f' {key}="{escape(visible(str(value)))}"' for key, value in attributes.items())
    inner = Markup("").join(escape(visible(c)) if not isinstance(c, Markup) else c for c in children)
    return Markup(f"<{name}{opening}>{inner}</{name}>")  # noqa: S704 - names are ours, values escaped above


def interval_plot(measurement: Measurement, axis: Axis, bounds: Bounds, verdict: str = "") -> Markup:
    """Return one row of a forest plot: value, interval, baseline, noise floor and the policy's bounds.

    ``verdict`` (``pass``, ``fail``, ``inconclusive``) chooses the class the
    stylesheet colours; the words beside the plot say the same.
    """
    said = described(measurement, bounds)
    marks = [
        element("title", {}, said),
        *_allowed(axis, bounds),
        *_reference(axis, measurement.baseline, "baseline"),
        *_reference(axis, measurement.noise_floor, "floor"),
        *_value(axis, measurement),
        *(mark for line in bounds.lines for mark in _threshold(axis, line)),
    ]
    kind = f"plot-row {verdict.replace(' ', '-')}".strip()
    return element("svg", {"class": kind, "role": "img", "aria-label": said, "width": "100%"}, *marks)


def described(measurement: Measurement, bounds: Bounds) -> str:
    """Return in words what an interval plot shows."""
    parts = [f"{measurement.metric}: {numbers.value_of(measurement)} {measurement.unit}".strip()]
    if isinstance(measurement.uncertainty, Interval):
        level = numbers.percent(measurement.uncertainty.level)
        parts.append(f"{level} interval {numbers.interval_of(measurement)}")
    else:
        parts.append("no interval")
    if measurement.baseline is not None:
        parts.append(f"baseline {numbers.plain(measurement.baseline)}")
    if measurement.noise_floor is not None:
        parts.append(f"noise floor {numbers.plain(measurement.noise_floor)}")
    if bounds.lines:
        parts.append(f"bound {numbers.bound(bounds.at_least, bounds.at_most)}")
    return ", ".join(parts)


def axis_figure(axis: Axis) -> Markup:
    """Return the axis under a forest plot: a line, round numbers and their ticks. Decoration for a screen reader."""
    ticks = axis.ticks()
    parts = [element("line", {"class": "axis", "x1": "0", "x2": "100%", "y1": "1", "y2": "1"})]
    for tick in ticks:
        x = axis.at(tick)
        parts.append(
            element("line", {"class": "axis", "x1": f"{x}%", "x2": f"{x}%", "y1": "1", "y2": "6"}),
        )
        parts.append(element("text", {"x": f"{x}%", "y": "19", "text-anchor": "middle"}, numbers.plain(tick)))
    return element(
        "svg", {"class": "plot-axis", "aria-hidden": "true", "width": "100%", "height": "24"}, *parts
    )


def _value(axis: Axis, measurement: Measurement) -> list[Markup]:
    """Draw the value as a dot on the bar of its interval; hollow where there is no interval."""
    x = axis.at(measurement.value)
    if not isinstance(measurement.uncertainty, Interval):
        return [element("circle", {"class": "value hollow", "cx": f"{x}%", "cy": "50%", "r": "5"})]
    low, high = axis.at(measurement.uncertainty.low), axis.at(measurement.uncertainty.high)
    bar = {"class": "interval", "x1": f"{low}%", "x2": f"{high}%", "y1": "50%", "y2": "50%"}
    ends = [
        element("line", {"class": "interval-end", "x1": f"{end}%", "x2": f"{end}%", "y1": "38%", "y2": "62%"})
        for end in (low, high)
    ]
    return [
        element("line", bar),
        *ends,
        element("circle", {"class": "value", "cx": f"{x}%", "cy": "50%", "r": "4.5"}),
    ]


def _allowed(axis: Axis, bounds: Bounds) -> list[Markup]:
    """Shade what the policy accepts."""
    if not bounds.lines:
        return []
    beyond = (bounds.at_most is not None and bounds.at_most < axis.low) or (
        bounds.at_least is not None and bounds.at_least > axis.high
    )
    if beyond:
        return []
    start = 0.0 if bounds.at_least is None or bounds.at_least < axis.low else axis.at(bounds.at_least)
    end = 100.0 if bounds.at_most is None or bounds.at_most > axis.high else axis.at(bounds.at_most)
    box = {
        "class": "allowed",
        "x": f"{start}%",
        "y": "0",
        "width": f"{round(end - start, 3)}%",
        "height": "100%",
    }
    return [element("rect", box)]


def _threshold(axis: Axis, line: float) -> list[Markup]:
    """Draw a bound as a dashed line; beyond the axis, as an arrow at the edge that names the number."""
    if axis.holds(line):
        x = axis.at(line)
        return [
            element("line", {"class": "threshold", "x1": f"{x}%", "x2": f"{x}%", "y1": "0", "y2": "100%"})
        ]
    right = line > axis.high
    label = f"bound {numbers.plain(line)} →" if right else f"← bound {numbers.plain(line)}"
    where = {
        "class": "beyond",
        "x": "99%" if right else "1%",
        "y": "11",
        "text-anchor": "end" if right else "start",
    }
    return [element("text", where, label)]


def _reference(axis: Axis, value: float | None, kind: str) -> list[Markup]:
    """Draw a baseline or a noise floor over the whole height, so that the rows of a forest plot join up."""
    if value is None or not axis.holds(value):
        return []
    x = axis.at(value)
    return [element("line", {"class": kind, "x1": f"{x}%", "x2": f"{x}%", "y1": "0", "y2": "100%"})]
