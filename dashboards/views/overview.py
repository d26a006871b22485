"""The overview: every run of a store, and one metric over the runs."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

import streamlit as st

from audit.core.policy import Verdict
from dashboards import charts, queries, widgets
from dashboards.queries import Overview
from reports import numbers
from reports.redact import shortened, visible
from reports.sections import group_name

UNFINISHED = "unfinished"


def show() -> None:
    """Show the page."""
    address, runs = widgets.runs_or_stop()
    st.title("Audits")
    st.text(f"Store: {visible(str(address))}")
    _figures(runs)
    shown = _filtered(runs)
    st.caption("Select a row to open its run.")
    _table(shown)
    _unreadable([line for line in shown if line.record is None])
    if len(runs) == queries.MOST_RUNS:
        st.caption(f"The newest {queries.MOST_RUNS} runs of this store.")
    _trend(shown)


def _figures(runs: Sequence[Overview]) -> None:
    columns = st.columns(6)
    columns[0].metric("Runs", len(runs), border=True)
    for column, verdict in zip(columns[1:], (*(v.value for v in Verdict), UNFINISHED), strict=True):
        count = sum(line.verdict == verdict for line in runs)
        column.metric(f"{widgets.SYMBOLS[verdict]} {verdict}", count, border=True)


def _filtered(runs: Sequence[Overview]) -> list[Overview]:
    left, right = st.columns([2, 3], vertical_alignment="bottom")
    wanted = left.text_input(
        "Search", placeholder="Name, model or run", icon=":material/search:", key="search"
    )
    verdicts = right.pills(
        "Verdict",
        [*(v.value for v in Verdict), UNFINISHED],
        selection_mode="multi",
        key="verdicts",
    )
    return [
        line
        for line in runs
        if wanted.casefold() in f"{line.name} {line.model} {line.run}".casefold()
        and (not verdicts or line.verdict in verdicts)
    ]


def _table(runs: Sequence[Overview]) -> None:
    import pyarrow as pa

    if not runs:
        st.info("No run fits this search.", icon=":material/search_off:")
        return
    chosen = st.dataframe(
        pa.Table.from_pylist([_row(line) for line in runs]),
        hide_index=True,
        width="stretch",
        key="runs",
        on_select="rerun",
        selection_mode="single-row",
        column_config={
            "Open": st.column_config.LinkColumn("New tab", display_text="open", width="small"),
            "Began": st.column_config.DatetimeColumn("Began (UTC)", format="YYYY-MM-DD HH:mm"),
            "Seconds": st.column_config.NumberColumn("Took", format="%.0f s", help="Wall time in seconds"),
            **{
                verdict.value: st.column_config.NumberColumn(
                    widgets.SYMBOLS[verdict.value], width="small", help=f"Judgements: {verdict.value}"
                )
                for verdict in Verdict
            },
        },
    )
    for position in chosen.selection.rows[:1]:
        st.switch_page("views/run.py", query_params={"run": runs[position].run})


def _row(line: Overview) -> dict[str, Any]:
    return {
        "Verdict": widgets.word(line.verdict),
        "Name": shortened(visible(line.name), 200),
        "Model": shortened(visible(line.model), 80),
        "Began": _when(line.began),
        "Seconds": line.seconds,
        **{verdict.value: line.count(verdict) for verdict in Verdict},
        "Measurements": None if line.record is None else len(line.record.measurements),
        "Run": visible(line.run),
        "Open": f"run?run={quote(line.run, safe='', errors='replace')}",
    }


def _when(began: str) -> datetime | None:
    try:
        moment = datetime.fromisoformat(began)
    except ValueError:
        return None
    return (moment.astimezone(UTC) if moment.tzinfo else moment).replace(tzinfo=None)


def _unreadable(lines: Sequence[Overview]) -> None:
    if lines:
        with st.expander(f"Records that cannot be read: {len(lines)}", icon=":material/error:"):
            widgets.table(
                ("Run", "Name", "Why"),
                [(line.run, line.name, shortened(line.problem, 300)) for line in lines],
            )


def _trend(runs: Sequence[Overview]) -> None:
    choices = queries.metrics(runs)
    if not choices:
        return
    st.subheader("One metric over the runs")
    labels = {(m, g): visible(f"{m} · {group_name(g)}" if g else m) for m, g in choices}
    metric, group = st.selectbox(
        "Metric", choices, format_func=lambda choice: shortened(labels[choice], 120), key="metric"
    )
    points = queries.trend(runs, metric, group)
    st.altair_chart(charts.trend(points), width="stretch")
    st.caption(
        "Bars are intervals. Runs of different models, data or settings share this chart: compare with care."
    )
    with st.expander("The same as a table"):
        widgets.table(
            ("Run", "Name", "Began", "Value", "Interval", "n"),
            [
                (
                    p.run,
                    p.name,
                    numbers.moment(p.began),
                    f"{numbers.value_of(p.measurement)} {p.measurement.unit}".strip(),
                    numbers.interval_of(p.measurement) or "none",
                    numbers.count(p.measurement.n),
                )
                for p in points
            ],
        )


if __name__ == "__main__":  # Streamlit runs a page as the main module
    show()
