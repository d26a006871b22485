"""The overview: the runs of a store a page at a time, and what fails over the runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Any
from urllib.parse import quote

import streamlit as st

from audit.core.evaluators import Dimension
from audit.core.policy import Verdict
from audit.core.run_summaries import OTHER, UNFINISHED, Decisive, Summary
from audit.core.words import counted
from audit.store.location import StoreAddress
from audit.store.summaries import Choices, Seen, Wanted
from dashboards import charts, queries, widgets
from reports import numbers
from reports.redact import shortened, visible
from reports.sections import group_name

AT_ONCE = 50  # runs on one page
_VERDICT = 118  # pixels, which hold the longest verdict
_VERDICTS = (*(v.value for v in Verdict), UNFINISHED)


def show() -> None:
    """Show the page."""
    address, found = widgets.store_or_stop()
    st.title("Audits")
    with st.container(horizontal=True, vertical_alignment="center"):
        _figures(found.counts)
        st.text(f"Store: {visible(str(address))}", width="content")
    wanted = _wanted(found.choices)
    first = _first(wanted)
    page = queries.page(address, wanted, first, AT_ONCE)
    _table(page.runs)
    _turn(first, page.total)
    _unreadable([line for line in page.runs if line.problem])
    _trend(address, wanted)


def _figures(counts: Mapping[str, int]) -> None:
    st.badge(counted(sum(counts.values()), "run"), color="blue")
    for verdict in _VERDICTS:
        widgets.badge(verdict, f"{numbers.count(counts.get(verdict, 0))} {verdict}")


def _wanted(choices: Choices) -> Wanted:
    search, model, data, began = st.columns([3, 2, 2, 3])
    words = search.text_input(
        "Search", placeholder="Name, model or run", icon=":material/search:", key="search"
    )
    models = model.multiselect("Model", choices.models, format_func=_short, key="models")
    sources = data.multiselect("Data", choices.data, format_func=_short, key="data")
    days = began.date_input("Began between", value=[], min_value=date(2000, 1, 1), key="days")
    verdicts = st.pills(
        "Verdict", _VERDICTS, selection_mode="multi", key="verdicts", label_visibility="collapsed"
    )
    since, until = _days(days)
    return Wanted(words or "", tuple(models), tuple(sources), tuple(verdicts or ()), since, until)


def _short(text: str) -> str:
    return shortened(visible(text), 60)


def _days(chosen: Any) -> tuple[str, str]:
    """Return the first and the last day that were chosen; one alone is where to begin."""
    days = [d.isoformat() for d in chosen if isinstance(d, date)] if isinstance(chosen, tuple) else []
    return (days[0] if days else "", days[1] if len(days) > 1 else "")


def _first(wanted: Wanted) -> int:
    """Return the place of the first run on this page; another filter begins at the first page."""
    if st.session_state.get("filtered-by") != wanted:
        st.session_state["filtered-by"] = wanted
        st.session_state["first-run"] = 0
    return int(st.session_state.get("first-run", 0))


def _turn(first: int, total: int) -> None:
    """Offer the pages before and after, where there are more runs than one page holds."""
    if total <= AT_ONCE:
        return
    with st.container(horizontal=True, vertical_alignment="center"):
        st.button(
            "Newer",
            icon=":material/chevron_left:",
            disabled=first == 0,
            on_click=_go,
            args=(first - AT_ONCE,),
        )
        st.button(
            "Older",
            icon=":material/chevron_right:",
            disabled=first + AT_ONCE >= total,
            on_click=_go,
            args=(first + AT_ONCE,),
        )
        st.caption(f"Runs {first + 1} to {min(first + AT_ONCE, total)} of {numbers.count(total)}")


def _go(first: int) -> None:
    st.session_state["first-run"] = max(0, first)


def _table(runs: Sequence[Summary]) -> None:
    import pyarrow as pa

    if not runs:
        st.info("No run fits this search.", icon=":material/search_off:")
        return
    st.caption(
        "Select a row to open its run. A dimension shows the verdict of its criteria; empty: nothing is asked of it."
    )
    dimensions = [d.value for d in Dimension]
    if any(OTHER in (line.dimensions or {}) for line in runs):
        dimensions.append(OTHER)
    chosen = st.dataframe(
        pa.Table.from_pylist([_row(line, dimensions) for line in runs]),
        hide_index=True,
        width="stretch",
        key="runs",
        on_select="rerun",
        selection_mode="single-row",
        column_config={
            "Open": st.column_config.LinkColumn("New tab", display_text="open", width="small"),
            "Began": st.column_config.DatetimeColumn("Began (UTC)", format="YYYY-MM-DD HH:mm"),
            "Seconds": st.column_config.NumberColumn("Took", format="%.0f s", help="Wall time in seconds"),
            "Lost": st.column_config.NumberColumn("Failed pieces", help="Work that failed in this run"),
            "Decisive": st.column_config.TextColumn(
                "Gravest criterion",
                width="large",
                help="What did not pass: its value, its interval and its bound",
            ),
            **{d: st.column_config.TextColumn(d.capitalize(), width=_VERDICT) for d in dimensions},
        },
    )
    for position in chosen.selection.rows[:1]:
        st.switch_page("views/run.py", query_params={"run": runs[position].run})


def _row(line: Summary, dimensions: Sequence[str]) -> dict[str, Any]:
    said = line.dimensions or {}
    return {
        "Verdict": widgets.word(line.verdict),
        "Name": shortened(visible(line.name), 200),
        **{d: widgets.word(said[d]) if d in said else "" for d in dimensions},
        "Decisive": _decisive(line.decisive),
        "Model": shortened(visible(line.model), 80),
        "Data": shortened(visible(line.data), 80),
        "Began": _when(line.began),
        "Seconds": numbers.elapsed(line.began, line.finished),
        "Lost": line.failures,
        "Measurements": line.measurements,
        "Run": visible(line.run),
        "Open": f"run?run={quote(line.run, safe='', errors='replace')}",
    }


def _decisive(found: Decisive | None) -> str:
    if found is None:
        return ""
    what = f"{found.metric} {group_name(found.group)}".strip()
    if found.value is None:
        return shortened(visible(f"{what}: not measured, asked for {found.bound}"), 200)
    between = (
        ""
        if found.low is None or found.high is None
        else f" ({numbers.plain(found.low)} to {numbers.plain(found.high)})"
    )
    return shortened(visible(f"{what}: {numbers.plain(found.value)}{between}, asked for {found.bound}"), 200)


def _when(began: str) -> datetime | None:
    try:
        moment = datetime.fromisoformat(began)
    except ValueError:
        return None
    return (moment.astimezone(UTC) if moment.tzinfo else moment).replace(tzinfo=None)


def _unreadable(lines: Sequence[Summary]) -> None:
    if lines:
        with st.expander(f"Records that cannot be read: {len(lines)}", icon=":material/error:"):
            widgets.table(
                ("Run", "Name", "Why"),
                [(line.run, line.name, shortened(line.problem, 300)) for line in lines],
            )


@st.fragment
def _trend(address: StoreAddress, wanted: Wanted) -> None:
    """Show one metric over the runs; choosing another redraws this part alone."""
    choices = queries.metrics(address, wanted)
    if not choices:
        return
    st.subheader("One metric over the runs")
    labels = {(m, g): visible(f"{m} · {group_name(g)}" if g else m) for m, g in choices}
    metric, group = st.selectbox(
        "Metric", choices, format_func=lambda choice: shortened(labels[choice], 120), key="metric"
    )
    points = queries.trend(address, wanted, metric, group)
    if not points:
        st.caption("No run of this search has it.")
        return
    st.vega_lite_chart(charts.trend(points), width="stretch")
    st.caption(
        "Bars are intervals; a hollow point is void. A line joins runs of the same weights on the same data, and breaks where either "
        "changed. It begins with the criterion that fails in the newest run."
    )
    with st.expander("The same as a table", key="trend-as-table", on_change="rerun") as same:
        if same.open:
            _points(points)


def _points(points: Sequence[Seen]) -> None:
    widgets.table(
        ("Run", "Name", "Model", "Data", "Began", "Value", "Interval", "n", "Void"),
        [
            (
                p.run,
                p.name,
                p.model,
                p.data,
                numbers.moment(p.began),
                f"{numbers.value_of(p.measurement)} {p.measurement.unit}".strip(),
                numbers.interval_of(p.measurement) or "none",
                numbers.count(p.measurement.n),
                p.measurement.void,
            )
            for p in points
        ],
    )


if __name__ == "__main__":  # Streamlit runs a page as the main module
    show()
