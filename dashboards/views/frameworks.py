"""Clause by clause of each framework: the evidence with its verdict, or the gap."""

from __future__ import annotations

import streamlit as st

from dashboards import widgets
from dashboards.widgets import plain
from reports.frameworks import Framework, Spoken, frameworks, spoken


def show() -> None:
    """Show the page."""
    _, runs = widgets.runs_or_stop()
    st.title("Frameworks")
    line = widgets.chosen_run(runs)
    record = widgets.record_or_stop(line)
    st.info(
        "No legal conclusion is drawn: whether a duty applies, and whether it is met, is for people to decide. "
        "Titles of clauses are in our own words.",
        icon=":material/gavel:",
    )
    for tab, framework in zip(st.tabs([f.name for f in frameworks()]), frameworks(), strict=True):
        with tab:
            _framework(framework, spoken(record, framework))


def _framework(framework: Framework, clauses: tuple[Spoken, ...]) -> None:
    st.caption(plain(f"{framework.full}. Read on {framework.as_of}. {framework.note}", 1_000))
    widgets.table(
        ("Clause", "What it asks", "Verdict on the evidence", "Evidence", "Stays manual", "Who", "From"),
        [
            (
                one.clause.id,
                one.clause.title,
                _verdict(one),
                _evidence(one),
                one.clause.manual,
                one.clause.role,
                one.clause.applies_from,
            )
            for one in clauses
        ],
        key=f"clauses-{framework.name}",
    )
    gaps = [one for one in clauses if one.gap]
    if gaps:
        st.subheader("Gaps")
        widgets.table(("Clause", "What is missing"), [(one.clause.id, one.gap) for one in gaps])


def _verdict(one: Spoken) -> str:
    if one.verdict:
        return widgets.word(one.verdict)
    return "none" if one.clause.verified else "none: unverified, not read at its source"


def _evidence(one: Spoken) -> str:
    judged = ", ".join(f"{j.criterion.metric} ({j.verdict.value})" for j in one.judgements)
    return f"{judged}; {len(one.measured)} measurements" if judged else f"{len(one.measured)} measurements"


if __name__ == "__main__":  # Streamlit runs a page as the main module
    show()
