"""The register: training records that a run found at risk, open, closed or new since an earlier run."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import streamlit as st

from audit.core.register import Entry, Status, looked_for, register
from dashboards import queries, widgets
from dashboards.queries import Overview
from dashboards.reveals import revealed
from reports import numbers
from reports.redact import shortened, visible


def show() -> None:
    """Show the page."""
    address, runs = widgets.runs_or_stop()
    st.title("Training records at risk")
    line = widgets.chosen_run(runs)
    record = widgets.record_or_stop(line)
    if not looked_for(record):
        st.info("Nothing in this run looks for single training records.", icon=":material/search_off:")
        st.stop()
    before = _before(line, queries.of_data(address, line))
    reveal = revealed(
        address,
        line.run,
        "Show what the records say",
        "training records at risk",
        key=f"reveal-{line.run}",
        help="These are training examples, maybe of people.",
    )
    entries = register(
        record, partial(queries.evidence, address), None if before is None else before.record, reveal=reveal
    )
    _figures(entries)
    if not entries:
        st.success("No training record was found at risk by what was tried.", icon=":material/check_circle:")
        return
    wanted = st.pills("Status", [s.value for s in Status], selection_mode="multi", key="status")
    shown = [e for e in entries if not wanted or e.status.value in wanted]
    _table(shown, reveal)


def _before(line: Overview, runs: Sequence[Overview]) -> Overview | None:
    """Return the run that a person compares with: the newest one before it of the same data unless another is chosen."""
    earlier = {
        one.run: one
        for one in runs
        if one.run != line.run
        and one.finished is not None
        and one.began <= line.began
        and one.summary.data_key == line.summary.data_key
        and one.summary.registers
    }
    choices = ["", *earlier]
    chosen = st.selectbox(
        "Since",
        choices,
        index=min(1, len(choices) - 1),
        format_func=lambda run: (
            shortened(visible(f"{earlier[run].name} · {run}"), 120) if run else "no earlier run"
        ),
        key=f"since-{line.run}",
    )
    return earlier.get(chosen)


def _figures(entries: Sequence[Entry]) -> None:
    columns = st.columns(len(Status) + 1)
    columns[0].metric("Records", len({(e.found.split, e.found.row) for e in entries}), border=True)
    for column, status in zip(columns[1:], Status, strict=True):
        column.metric(status.value, sum(e.status is status for e in entries), border=True)


def _table(entries: Sequence[Entry], reveal: bool) -> None:
    said = ("What it says",) if reveal else ()
    widgets.table(
        ("Rank", "Split", "Row", "Attack", "Found", "By chance", "Times", "Status", "Void", *said),
        [
            (
                numbers.count(e.rank),
                e.found.split,
                numbers.count(e.found.row),
                e.found.attack,
                shortened(e.found.found, 300),
                "" if e.found.chance is None else numbers.percent(e.found.chance),
                "" if e.found.times is None else numbers.count(e.found.times),
                e.status.value,
                e.void,
                *((shortened(e.content or "", 500),) if reveal else ()),
            )
            for e in entries
        ],
        key="entries",
    )
    if not reveal:
        st.caption("What the records say is hidden.")


if __name__ == "__main__":  # Streamlit runs a page as the main module
    show()
