"""Intervals and curves as native charts."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import altair as alt

from audit.core.measurements import Interval, Measurement
from audit.engine.comparison import Difference
from audit.store.summaries import Seen
from reports import numbers
from reports.curves import Curve
from reports.judged import Judged
from reports.redact import shortened, visible
from reports.sections import Family, group_name

_ROW = 34
_BLUE, _GREEN, _RED, _AMBER, _GREY, _PURPLE = "#2878c8", "#0f8f7a", "#d1552b", "#b98512", "#8593a0", "#a566bf"
_MARKS = {"bound": _GREEN, "baseline": _GREY, "noise floor": _PURPLE}
_SERIES = (_BLUE, _AMBER, _GREEN, _PURPLE, _RED, _GREY)
_CHANGES = {
    "worse, beyond chance": _RED,
    "worse": "#e8a48f",
    "better, beyond chance": _GREEN,
    "better": "#8cc9bd",
    "changed, beyond chance": _AMBER,
    "changed": "#d9c28f",
}
_VERDICTS = {"": _BLUE, "pass": _GREEN, "fail": _RED, "inconclusive": _AMBER, "not assessed": _GREY}


def forest(family: Family, judged: Judged) -> Any:
    """Return the measurements of a family on one axis: value, interval, baseline, noise floor and bounds."""
    labels = row_labels(family)
    rows = [
        _row(m, label, line.verdict)
        for m, label, line in zip(family.measured, labels, family.lines, strict=True)
    ]
    marks = [mark for m, row in zip(family.measured, rows, strict=True) for mark in _marks(m, row, judged)]
    inside = [mark for mark in marks if family.scale.holds(mark["at"])]
    pad = (family.scale.high - family.scale.low) * 0.04
    scale = alt.Scale(domain=[family.scale.low - pad, family.scale.high + pad], nice=False, zero=False)
    order = [row["label"] for row in rows]
    y = alt.Y("label:N", sort=order, title=None, axis=alt.Axis(labelLimit=320, domain=False, ticks=False))
    colour = alt.Color(
        "verdict:N", scale=alt.Scale(domain=list(_VERDICTS), range=list(_VERDICTS.values())), legend=None
    )
    tips = [alt.Tooltip(f"{field}:N", title=title) for field, title in _TIPS]
    base = alt.Chart(alt.InlineData(values=rows)).encode(y=y)
    unit = shortened(visible(family.measured[0].unit), 40)
    title = f"{unit} ({family.direction})".strip() if unit else family.direction
    axis = alt.Axis(tickCount=6)
    x = alt.X("value:Q", scale=scale, title=title, axis=axis)
    kinds = [kind for kind in _MARKS if any(mark["kind"] == kind for mark in inside)]
    return (
        alt.layer(
            alt.Chart(alt.InlineData(values=inside))
            .mark_tick(thickness=2, size=_ROW)
            .encode(
                x=alt.X("at:Q", scale=scale, title=title, axis=axis),
                y=y,
                color=alt.Color(
                    "kind:N",
                    scale=alt.Scale(domain=kinds, range=[_MARKS[kind] for kind in kinds]),
                    legend=alt.Legend(title=None, orient="top") if kinds else None,
                ),
                tooltip=[alt.Tooltip("kind:N", title="Mark"), alt.Tooltip("shown:N", title="At")],
            ),
            base.mark_rule(strokeWidth=3).encode(
                x=alt.X("low:Q", scale=scale, title=title, axis=axis), x2="high:Q", color=colour, tooltip=tips
            ),
            base.mark_point(filled=True, size=90, opacity=1).encode(x=x, color=colour, tooltip=tips),
        )
        .resolve_scale(color="independent")
        .properties(height=alt.Step(_ROW), autosize=alt.AutoSizeParams(type="fit-x", contains="padding"))
    )


_TIPS = (
    ("label", "Measured"),
    ("shown", "Value"),
    ("interval", "Interval"),
    ("method", "Method"),
    ("n", "n"),
    ("verdict", "Verdict"),
)


def row_labels(family: Family) -> list[str]:
    """Return a label for each row, no two alike: a chart would lay rows of one label over one another."""
    metrics = {line.metric for line in family.lines}
    labels: list[str] = []
    for line in family.lines:
        named = f"{line.metric} · {line.group}" if line.group else line.metric
        label = shortened(visible(line.group if len(metrics) == 1 and line.group else named), 90)
        seen = sum(known == label or known.startswith(f"{label} (") for known in labels)
        labels.append(f"{label} ({seen + 1})" if label in labels else label)
    return labels


def _row(m: Measurement, label: str, verdict: str) -> dict[str, Any]:
    interval = m.uncertainty if isinstance(m.uncertainty, Interval) else None
    return {
        "label": label,
        "value": m.value,
        "low": interval.low if interval else m.value,
        "high": interval.high if interval else m.value,
        "shown": shortened(visible(f"{numbers.value_of(m)} {m.unit}".strip()), 90),
        "interval": numbers.interval_of(m) or "none",
        "method": shortened(visible(interval.method if interval else ""), 90),
        "n": numbers.count(m.n),
        "verdict": verdict,
    }


def _marks(m: Measurement, row: dict[str, Any], judged: Judged) -> list[dict[str, Any]]:
    found = [("bound", line) for line in judged.bounds(m).lines]
    found += [("baseline", m.baseline)] if m.baseline is not None else []
    found += [("noise floor", m.noise_floor)] if m.noise_floor is not None else []
    return [{"label": row["label"], "kind": kind, "at": at, "shown": numbers.plain(at)} for kind, at in found]


def trend(points: Sequence[Seen]) -> dict[str, Any]:
    """Return one metric over runs, each with its interval, the oldest on the left; lines join runs of one model on one data set."""
    rows = _points(points)
    metric = shortened(visible(points[0].measurement.metric), 60)
    frame = _trend_frame(metric, len(rows) > _CROWDED, len({row["series"] for row in rows}) > 1)
    return _filled(frame, rows)


@lru_cache(maxsize=64)
def _trend_frame(metric: str, crowded: bool, several: bool) -> str:
    """Return a trend without its rows, as JSON. It is kept: to make it is a third of the work on an overview."""
    tips = [alt.Tooltip("label:N", title="Run"), alt.Tooltip("began:N", title="Began")]
    tips += [alt.Tooltip(f"{field}:N", title=title) for field, title in _TIPS[1:5]]
    tips += [alt.Tooltip("changed:N", title="Since the run before"), alt.Tooltip("void:N", title="Void")]
    labels = alt.Axis(labels=not crowded, ticks=not crowded, labelAngle=-25, labelLimit=220)
    x = alt.X(
        "run:N", sort=alt.SortField("order"), title="oldest to newest run" if crowded else None, axis=labels
    )
    scale = alt.Scale(zero=False)
    legend = alt.Legend(title=None, orient="top", labelLimit=320) if several else None
    colour = alt.Color("series:N", scale=alt.Scale(range=list(_SERIES)), legend=legend)
    base = alt.Chart(alt.NamedData(_ROWS)).encode(x=x, tooltip=tips, color=colour)
    dots = base.mark_point(size=30 if crowded else 90, opacity=1).encode(
        y=alt.Y("value:Q", scale=scale, title=metric),
        shape=alt.Shape("series:N", legend=legend),
        fill=alt.condition("datum.void != ''", alt.value("transparent"), colour),
    )
    drawn = alt.layer(
        base.mark_line(opacity=0.5).encode(y=alt.Y("value:Q", scale=scale, title=metric), detail="stretch:N"),
        base.mark_rule(strokeWidth=1 if crowded else 3).encode(
            y=alt.Y("low:Q", scale=scale, title=metric), y2="high:Q"
        ),
        dots,
        height=320,
    )
    return json.dumps(drawn.to_dict())


_ROWS = "rows"


def _filled(frame: str, rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Return a chart with rows in it; Altair would look through them with every step."""
    drawn: dict[str, Any] = json.loads(frame)
    return {**drawn, "datasets": {**drawn.get("datasets", {}), _ROWS: rows}}


_CROWDED = 24
"""Runs beyond which a trend names none of them on its axis."""


def _points(points: Sequence[Seen]) -> list[dict[str, Any]]:
    """Return a row for each point. Runs of one ``stretch`` are joined: same series, same weights, same data, none other between."""
    last: dict[str, tuple[str, str]] = {}
    stretches: dict[str, int] = {}
    rows = []
    for place, p in enumerate(points):
        series = shortened(visible(f"{p.model} on {p.data}"), 60)
        keys, before = (p.model_key, p.data_key), last.get(series)
        changed = [
            word
            for word, new, old in zip(("other weights", "other data"), keys, before or keys, strict=True)
            if new != old
        ]
        stretches[series] = stretches.get(series, 0) + bool(changed)
        last[series] = keys
        rows.append(
            _row(p.measurement, shortened(visible(f"{p.name} ({p.run})"), 120), "")
            | {
                "run": f"{place + 1}. {visible(p.name)[:24]} · {visible(p.run)[-6:]}",
                "began": numbers.moment(p.began),
                "order": place,
                "series": series,
                "stretch": f"{series} {stretches[series]}",
                "changed": ", ".join(changed) or ("nothing" if before else "the first"),
                "void": shortened(visible(p.measurement.void), 90),
            }
        )
    return rows


def differences(found: Sequence[Difference]) -> dict[str, Any]:
    """Return differences between two runs on one axis: each divided by the half-width of its interval, so that 1 is the edge of noise."""
    rows: list[dict[str, Any]] = [
        {
            "label": shortened(visible(f"{d.metric} {group_name(d.group)}".strip()), 80),
            "change": f"{d.change.value}{', beyond chance' if d.beyond_chance else ''}",
            "at": d.value / d.uncertainty.half_width,
            "low": d.uncertainty.low / d.uncertainty.half_width,
            "high": d.uncertainty.high / d.uncertainty.half_width,
            "shown": numbers.plain(d.value),
        }
        for d in found
        if isinstance(d.uncertainty, Interval) and d.uncertainty.half_width > 0
    ]
    return _filled(_differences_frame(), rows)


@lru_cache(maxsize=1)
def _differences_frame() -> str:
    y = alt.Y("label:N", sort=None, title=None, axis=alt.Axis(labelLimit=320))
    x = alt.X("at:Q", title="difference over the half-width of its interval: beyond 1 is beyond noise")
    colour = alt.Color(
        "change:N",
        scale=alt.Scale(domain=list(_CHANGES), range=list(_CHANGES.values())),
        legend=alt.Legend(title=None, orient="top"),
    )
    tips = [alt.Tooltip("label:N"), alt.Tooltip("shown:N", title="Difference"), alt.Tooltip("change:N")]
    base = alt.Chart(alt.NamedData(_ROWS)).encode(y=y, color=colour, tooltip=tips)
    nothing = (
        alt.Chart(alt.InlineData(values=[{"at": 0}]))
        .mark_rule(color=_GREY, strokeDash=[4, 3])
        .encode(x="at:Q")
    )
    drawn = alt.layer(
        nothing,
        base.mark_rule(strokeWidth=3).encode(x=alt.X("low:Q", title=None), x2="high:Q"),
        base.mark_point(filled=True, size=90, opacity=1).encode(
            x=x, shape=alt.Shape("change:N", legend=None)
        ),
    ).properties(height=alt.Step(_ROW))
    return json.dumps(drawn.to_dict())


def curve(shown: Curve) -> Any:
    """Return a curve with its band."""
    scale = alt.Scale(zero=False)
    rows = [{"x": x, "y": y} for x, y in shown.points]
    line = (
        alt.Chart(alt.InlineData(values=rows))
        .mark_line(color=_BLUE, point=len(rows) == 1)
        .encode(x=alt.X("x:Q", scale=scale, title=None), y=alt.Y("y:Q", scale=scale, title=None))
    )
    edges = dict(shown.lower)
    band = [{"x": x, "low": edges[x], "high": high} for x, high in shown.upper if x in edges]
    if not band:
        return line.properties(height=280)
    area = (
        alt.Chart(alt.InlineData(values=band))
        .mark_area(color=_BLUE, opacity=0.18)
        .encode(
            x=alt.X("x:Q", scale=scale, title=None), y=alt.Y("low:Q", scale=scale, title=None), y2="high:Q"
        )
    )
    return alt.layer(area, line).properties(height=280)
