"""Two runs side by side: verdicts that changed, then what is worse and better beyond chance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import streamlit as st

from audit.core.errors import InputError
from audit.core.measurements import Interval
from audit.core.words import counted
from audit.engine.comparison import Change, Comparison, Difference, compare
from dashboards import charts, queries, small_groups, widgets
from dashboards.queries import Overview
from dashboards.widgets import plain
from reports import numbers
from reports.redact import shortened, visible
from reports.sections import group_name

_SHOWN = (Change.WORSE, Change.BETTER, Change.CHANGED)
_REST = (Change.WITHIN_NOISE, Change.UNKNOWN)


def show() -> None:
    """Show the page."""
    address, runs = widgets.runs_or_stop()
    st.title("Compare two runs")
    readable = [line for line in runs if not line.summary.problem]
    if len(readable) < 2:
        st.info(
            "A comparison takes two runs; this store has fewer that can be read.",
            icon=":material/compare_arrows:",
        )
        st.stop()
    second = widgets.choice(readable, "second", "The run in question")
    others = [line for line in readable if line.run != second.run]
    first = widgets.choice(others, "first", "The run before", _nearest(second, others))
    before, now = first.record, second.record
    if before is None or now is None:
        st.error("The record of one of these runs cannot be read.", icon=":material/error:")
        st.text(visible(first.problem or second.problem))
        st.stop()
    try:
        with st.spinner("Comparing"):
            found = compare(before, now, partial(queries.evidence, address))
    except InputError as error:
        st.error("These runs cannot be compared.", icon=":material/compare_arrows:")
        st.text(visible(str(error)))
        st.stop()
    _unlike(found)
    _verdicts(found)
    hidden = small_groups.withheld(before) | small_groups.withheld(now)
    _changes(replace(found, differences=_shown(found, hidden)))
    if note := small_groups.said(len(found.differences) - len(_shown(found, hidden))):
        st.caption(plain(note))


def _shown(found: Comparison, hidden: frozenset[small_groups.Named]) -> tuple[Difference, ...]:
    return tuple(d for d in found.differences if (d.metric, d.group) not in hidden)


def _nearest(second: Overview, others: Sequence[Overview]) -> int:
    """Return the place of the newest run before ``second`` of the same model and data, else of the same data, else the first."""
    now = second.summary
    earlier = [(place, line.summary) for place, line in enumerate(others) if line.began <= second.began]
    same_data = [(place, one) for place, one in earlier if one.data_key == now.data_key]
    same_model = [(place, one) for place, one in same_data if one.model == now.model]
    return next((place for place, _ in (*same_model, *same_data)), 0)


def _unlike(found: Comparison) -> None:
    if found.unlike:
        with st.expander(
            f"What else differs between them: {len(found.unlike)}", icon=":material/difference:"
        ):
            for note in found.unlike:
                st.text(visible(shortened(note, 400)))


def _overall(found: Comparison) -> None:
    """Show that the verdict of the whole audit changed, and which waivers did."""
    first, second = (widgets.word(verdict.value) for verdict in found.overall)
    if first != second:
        show = st.error if found.graver else st.info
        show(f"The audit's verdict changed from {first} to {second}.", icon=":material/gavel:")
    if found.standings:
        widgets.table(
            ("Criterion", "Verdict", "Before", "Now"),
            [
                (
                    f"{s.metric} {group_name(s.group)} {s.bound}",
                    widgets.word(s.verdict.value),
                    s.first,
                    s.second,
                )
                for s in found.standings
            ],
        )


def _verdicts(found: Comparison) -> None:
    st.subheader("Verdicts")
    _overall(found)
    if not found.verdicts:
        st.success(
            f"No criterion changed its verdict; both runs judged {counted(found.kept, 'criterion', 'criteria')}.",
            icon=":material/check_circle:",
        )
        return
    widgets.table(
        ("Criterion", "Before", "Now", ""),
        [
            (
                f"{v.metric} {group_name(v.group)} {v.bound}",
                *("not asked" if x is None else widgets.word(x.value) for x in (v.first, v.second)),
                "graver" if v.graver else "",
            )
            for v in found.verdicts
        ],
    )
    st.caption(
        f"{counted(found.kept, 'criterion', 'criteria')} kept {'its' if found.kept == 1 else 'their'} verdict."
    )


def _changes(found: Comparison) -> None:
    st.subheader("Metrics")
    changed = [d for change in _SHOWN for d in found.of(change)]
    st.caption(
        f"{len(found.differences)} metrics compared. If nothing had changed, about {found.by_chance:.1f} would look changed "
        "by chance; what is beyond chance stays by Holm's method."
    )
    if changed:
        st.vega_lite_chart(charts.differences(changed), width="stretch")
        _table(changed)
    else:
        st.success("Nothing changed beyond noise.", icon=":material/check_circle:")
    rest = [d for change in _REST for d in found.of(change)]
    with st.expander(f"Within noise or without an interval: {len(rest)}"):
        _table(rest)
    for run, names in ((found.first, found.only_first), (found.second, found.only_second)):
        if names:
            with st.expander(f"Measured only in {visible(run)}: {len(names)}"):
                st.text(visible(", ".join(names)))


def _table(differences: Sequence[Difference]) -> None:
    widgets.table(
        ("Metric", "Before", "Now", "Difference", "Interval", "Change", "Pairs"),
        [
            (
                f"{d.metric} {group_name(d.group)}".strip(),
                numbers.plain(d.first),
                numbers.plain(d.second),
                numbers.plain(d.value),
                f"{numbers.plain(d.uncertainty.low)} to {numbers.plain(d.uncertainty.high)}"
                if isinstance(d.uncertainty, Interval)
                else d.uncertainty.reason,
                f"{d.change.value}{', beyond chance' if d.beyond_chance else ''}",
                numbers.count(d.shared) if d.shared else "",
            )
            for d in differences
        ],
    )


if __name__ == "__main__":  # Streamlit runs a page as the main module
    show()
