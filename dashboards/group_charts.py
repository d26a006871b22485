"""Numbers of groups as native charts, in colours and shapes that stay apart for colour-blind readers."""

from __future__ import annotations

from typing import Any

import altair as alt

from dashboards.groups import MOST_CELLS, MOST_GROUPS, Crossing, Slice, Slices
from reports import numbers
from reports.redact import shortened, visible

_BLUE, _ORANGE = "#0072b2", "#d55e00"
"""Two colours of the palette of Okabe and Ito (2008)."""
_INKS = {"light": "#ffffff", "dark": "#111111", "absent": "#74808c"}
_ROW, _CELL = 26, 34
_ENOUGH, _FEW = "50 examples or more, or not counted", "fewer than 50 examples: read with care"
_TARGET = "target or baseline"
_FIT = alt.AutoSizeParams(type="fit-x", contains="padding")


def dots(family: Slices) -> Any:
    """Return a dot for each group with its interval as a whisker, and a tick where it is held against something."""
    drawn = [one for one in family.slices if one.value is not None][:MOST_GROUPS]
    labels = _apart([one.label for one in drawn])
    rows = [_row(one, label) for one, label in zip(drawn, labels, strict=True)]
    title = " ".join(
        part
        for part in (
            visible(family.unit)[:40],
            f"({family.direction} is better)" if _one_sided(family) else "",
        )
        if part
    )
    scale = alt.Scale(zero=False)
    y = alt.Y(
        "label:N", sort=labels, title=None, axis=alt.Axis(labelLimit=220, ticks=False, labelFlush=False)
    )
    tips = [
        alt.Tooltip("label:N", title="Group"),
        alt.Tooltip("shown:N", title="Value"),
        alt.Tooltip("interval:N", title="Interval"),
        alt.Tooltip("n:N", title="n"),
        alt.Tooltip("target:N", title=_TARGET.capitalize()),
    ]
    base = alt.Chart(alt.InlineData(values=rows)).encode(y=y, tooltip=tips)
    kinds = [kind for kind in (_ENOUGH, _FEW) if any(row["size"] == kind for row in rows)]
    fills = {_ENOUGH: _BLUE, _FEW: "transparent"}
    layers = [
        base.mark_rule(strokeWidth=3, color=_BLUE).encode(x=alt.X("low:Q", scale=scale, title=title or None, axis=alt.Axis(tickCount=6)), x2="high:Q"),
        base.mark_point(size=80, opacity=1, strokeWidth=2, color=_BLUE).encode(
            x=alt.X("value:Q", scale=scale, title=title or None, axis=alt.Axis(tickCount=6)),
            fill=alt.Fill("size:N", scale=alt.Scale(domain=kinds, range=[fills[k] for k in kinds]), legend=alt.Legend(title=None, orient="top", labelLimit=320) if _FEW in kinds else None),
        ),
    ]  # fmt: skip
    aims = [row for row in rows if row["aim"] is not None]
    if aims:
        ticks = alt.Chart(alt.InlineData(values=[{**row, "mark": _TARGET} for row in aims]))
        layers.append(
            ticks.mark_tick(thickness=3, size=_ROW - 6).encode(
                x=alt.X("aim:Q", scale=scale, title=title or None, axis=alt.Axis(tickCount=6)),
                y=y,
                color=alt.Color(
                    "mark:N",
                    scale=alt.Scale(domain=[_TARGET], range=[_ORANGE]),
                    legend=alt.Legend(title=None, orient="top", symbolType="stroke"),
                ),
                tooltip=tips,
            )
        )
    return (
        alt.layer(*layers).resolve_scale(color="independent").properties(height=alt.Step(_ROW), autosize=_FIT)
    )


def heat_map(crossing: Crossing) -> Any:
    """Return the cells where two attributes cross, each with its number; a withheld one is grey with a dash."""
    cells = crossing.cells[:MOST_CELLS]
    values = [cell.value for _, _, cell in cells if cell.value is not None]
    low, high = min(values, default=0.0), max(values, default=1.0)
    middle = (low + high) / 2
    rows = [
        {
            **_row(cell, ""),
            "row": shortened(visible(row), 40),
            "column": shortened(visible(column), 40),
            "words": "–" if cell.value is None else f"{cell.value:.2g}{'*' if cell.few else ''}",
            "note": shortened(visible(cell.note), 120),
            "ink": "absent" if cell.value is None else "dark" if cell.value > middle else "light",
        }
        for row, column, cell in cells
    ]
    down, across = (list(dict.fromkeys(row[name] for row in rows)) for name in ("row", "column"))
    x = alt.X(
        "column:N",
        sort=across,
        title=visible(crossing.columns) or None,
        axis=alt.Axis(labelAngle=-40, labelLimit=140),
    )
    y = alt.Y(
        "row:N",
        sort=down,
        title=visible(crossing.rows) or None,
        axis=alt.Axis(labelLimit=160, labelFlush=False),
    )
    tips = [alt.Tooltip("row:N", title=visible(crossing.rows) or "Row"), alt.Tooltip("column:N", title=visible(crossing.columns) or "Column"), alt.Tooltip("shown:N", title="Value"), alt.Tooltip("interval:N", title="Interval"), alt.Tooltip("n:N", title="n"), alt.Tooltip("note:N", title="Note")]  # fmt: skip
    base = alt.Chart(alt.InlineData(values=rows)).encode(x=x, y=y, tooltip=tips)
    colour = alt.condition(
        "isValid(datum.value)",
        alt.Color("value:Q", scale=alt.Scale(scheme="cividis", domain=[low, high if high > low else low + 1.0]), legend=alt.Legend(title=None)),
        alt.value("#8593a033"),
    )  # fmt: skip
    ink = alt.Color("ink:N", scale=alt.Scale(domain=list(_INKS), range=list(_INKS.values())), legend=None)
    return (
        alt.layer(
            base.mark_rect(stroke="#8593a0", strokeWidth=0.3).encode(color=colour),
            base.mark_text(fontSize=11).encode(text="words:N", color=ink),
        )
        .resolve_scale(color="independent")
        .properties(height=alt.Step(_CELL), autosize=_FIT)
    )


def _row(one: Slice, label: str) -> dict[str, Any]:
    bounded = one.low is not None and one.high is not None
    return {
        "label": label,
        "value": one.value,
        "low": one.low if bounded else one.value,
        "high": one.high if bounded else one.value,
        "aim": one.target,
        "shown": "" if one.value is None else numbers.plain(one.value),
        "interval": f"{numbers.plain(one.low)} to {numbers.plain(one.high)}"
        if one.low is not None and one.high is not None
        else "none",
        "n": "" if one.n is None else numbers.count(one.n),
        "target": "none" if one.target is None else numbers.plain(one.target),
        "size": _FEW if one.few else _ENOUGH,
    }


def _apart(labels: list[str]) -> list[str]:
    """Return labels that can be shown, no two alike: a chart would lay rows of one label over one another."""
    found: list[str] = []
    for label in labels:
        short = shortened(visible(label), 60)
        name, times = short, 1
        while name in found:
            times += 1
            name = f"{short} ({times})"
        found.append(name)
    return found


def _one_sided(family: Slices) -> bool:
    return family.direction in ("higher", "lower")
