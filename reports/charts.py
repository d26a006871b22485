"""Tables that are easier seen: shares with intervals beside their target, and a heat map. Inline SVG with a text alternative."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from audit.core.rows import Rows
from reports import numbers
from reports.axes import Axis
from reports.figures import element
from reports.redact import shortened

MOST_BARS, MOST_CELLS = 40, 30
_LABEL, _RIGHT, _ROW = 150, 16, 24
_WIDTH = 640

INTERVALS = {"label", "value", "low", "high"}
HEATMAP = {"row", "column", "value"}


@dataclass(frozen=True, slots=True)
class _Bar:
    label: str
    value: float
    low: float
    high: float
    target: float | None


def interval_chart(rows: Rows, caption: str) -> Markup | None:
    """Draw ``label``, ``value``, ``low``, ``high`` and perhaps ``target`` (a tick) as one row each; None where nothing is finite."""
    columns = _columns(rows, ("label", "value", "low", "high", "target"), MOST_BARS)
    bars = []
    for label, value, low, high, target in zip(*columns, strict=True):
        found = _finite([value, low, high])
        if found is not None:
            aim = _finite([target])
            words = shortened(str(label), 24)
            bars.append(_Bar(words, found[0], found[1], found[2], aim[0] if aim is not None else None))
    if not bars:
        return None
    measured = [x for bar in bars for x in (bar.value, bar.low, bar.high, bar.target) if x is not None]
    low, high = min(0.0, *measured), max(measured)
    axis = Axis(low, high if high > low else low + 1.0, margin=0.0)
    height = _ROW * len(bars) + 34
    said = f"{caption}: " + "; ".join(_said(bar) for bar in bars)
    parts = [element("title", {}, said), *_scale(axis, _ROW * len(bars))]
    for number, bar in enumerate(bars):
        y = _ROW * number + _ROW / 2
        parts.append(element("text", {"x": _LABEL - 8, "y": y + 4, "text-anchor": "end"}, bar.label))
        line: dict[str, object] = {"x1": _x(axis, bar.low), "x2": _x(axis, bar.high), "y1": y, "y2": y}
        parts.append(element("line", {"class": "interval", **line}))
        parts.append(element("circle", {"class": "value", "cx": _x(axis, bar.value), "cy": y, "r": 4}))
        if bar.target is not None:
            x = _x(axis, bar.target)
            parts.append(element("line", {"class": "target", "x1": x, "x2": x, "y1": y - 8, "y2": y + 8}))
    return _figure(said, _WIDTH, height, parts)


def heat_map(rows: Rows, caption: str) -> Markup | None:
    """Draw ``value`` (0 to 1) at each ``row`` and ``column``; what is withheld stays empty. None where nothing is finite."""
    columns = _columns(rows, ("row", "column", "value"), MOST_CELLS * MOST_CELLS)
    named = [[shortened(str(name), 24) for name in column] for column in columns[:2]]
    down, across = (list(dict.fromkeys(names))[:MOST_CELLS] for names in named)
    cells = {
        (row, column): found[0]
        for row, column, value in zip(*named, columns[2], strict=True)
        if (found := _finite([value])) is not None
    }
    if not cells:
        return None
    top = max(max(cells.values()), 1e-9)
    width = max(min(80.0, (_WIDTH - _LABEL - _RIGHT) / len(across)), 14.0)
    said = f"{caption}: " + "; ".join(f"{r}, {c} {numbers.plain(v)}" for (r, c), v in cells.items())
    heads = [_in_lines(column, max(int(width / 7), 2)) for column in across]
    top_rows = max(map(len, heads))
    parts = [element("title", {}, said)]
    for i, row in enumerate(down):
        y = _ROW * i + 16 * top_rows + 8
        parts.append(element("text", {"x": _LABEL - 8, "y": y + 16, "text-anchor": "end"}, row))
        for j, column in enumerate(across):
            x = round(_LABEL + j * width, 2)
            parts += _cell(x, y, width, cells.get((row, column)), top)
    for j, head in enumerate(heads):
        place = {"x": round(_LABEL + (j + 0.5) * width, 2), "text-anchor": "middle"}
        for k, words in enumerate(head, start=top_rows - len(head) + 1):
            parts.append(element("text", {**place, "y": 16 * k}, words))
    height = _ROW * len(down) + 16 * top_rows + 12
    return _figure(said, round(_LABEL + width * len(across) + _RIGHT, 2), height, parts)


def _in_lines(words: str, width: int) -> list[str]:
    """Return words in at most two lines of ``width`` characters, the second cut where they are more.

    >>> _in_lines("spread spectrum", 11), _in_lines("pneumonia", 5), _in_lines("a b c", 1)
    (['spread', 'spectrum'], ['pneu…'], ['a', '…'])
    """
    lines = textwrap.wrap(words, width, break_long_words=False) or [""]
    if len(lines) > 2:
        lines = [lines[0], f"{lines[1]}…" if width > 1 else "…"]
    return [line if len(line) <= width else f"{line[: max(width - 1, 0)]}…" for line in lines]


def _cell(x: float, y: float, width: float, value: float | None, top: float) -> Iterable[Markup]:
    shape = {"x": x, "y": y, "width": round(width - 2, 2), "height": _ROW - 2}
    if value is None:
        yield element("rect", {"class": "cell empty", **shape})
        return
    share = min(max(value / top, 0.0), 1.0)
    yield element("rect", {"class": "cell", **shape, "fill-opacity": round(0.06 + 0.6 * share, 3)})
    if width >= 34:
        place = {"x": round(x + width / 2 - 1, 2), "y": y + 15, "text-anchor": "middle"}
        yield element("text", place, f"{value:.2f}")


def _columns(rows: Rows, names: Sequence[str], most: int) -> list[list[Any]]:
    shown = rows.slice(0, most)
    known = set(rows.column_names)
    return [shown.column(n).to_pylist() if n in known else [None] * shown.num_rows for n in names]


def _finite(values: Sequence[Any]) -> tuple[float, ...] | None:
    kept = tuple(float(v) for v in values if isinstance(v, int | float) and math.isfinite(v))
    return kept if len(kept) == len(values) else None


def _x(axis: Axis, value: float) -> float:
    return round(_LABEL + axis.at(value) / 100 * (_WIDTH - _LABEL - _RIGHT), 2)


def _scale(axis: Axis, bottom: float) -> Iterable[Markup]:
    for tick in axis.ticks(6):
        x = _x(axis, tick)
        yield element("line", {"class": "grid", "x1": x, "x2": x, "y1": 0, "y2": bottom})
        yield element("text", {"x": x, "y": bottom + 20, "text-anchor": "middle"}, numbers.plain(tick))


def _said(bar: _Bar) -> str:
    aim = "" if bar.target is None else f", target {numbers.plain(bar.target)}"
    return (
        f"{bar.label} {numbers.plain(bar.value)} [{numbers.plain(bar.low)}, {numbers.plain(bar.high)}]{aim}"
    )


def _figure(said: str, width: float, height: float, parts: Sequence[Markup]) -> Markup:
    size = {"class": "chart-figure", "role": "img", "aria-label": said, "viewBox": f"0 0 {width} {height}"}
    return element("svg", size, *parts)
