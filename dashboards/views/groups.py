"""Groups: each number by group with its interval, where attributes cross, and what the model makes of each group."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial

import numpy as np
import streamlit as st

from audit.core.errors import InputError
from audit.core.identity import Digest
from audit.core.measurements import Evidence
from audit.core.records import AuditRecord
from audit.core.rows import TEXT
from audit.core.words import counted
from audit.store.location import StoreAddress
from dashboards import addressed, gallery, group_charts, groups, queries, widgets
from dashboards.groups import Crossing, Slice, Slices
from dashboards.widgets import plain
from reports import numbers
from reports.redact import shortened, visible
from reports.sections import owners

_EACH = 6  # pictures or texts shown of one group; the page of samples has the rest
_GROUP = "group"
_MOST_SHOWN = 12


def show() -> None:
    """Show the page."""
    address, runs = widgets.runs_or_stop()
    st.title("Groups")
    line = widgets.chosen_run(runs)
    record = widgets.record_or_stop(line)
    found = groups.metrics(record)
    if not found:
        st.info("Nothing in this run was measured for groups.", icon=":material/group_off:")
        st.stop()
    metric = _picked(found)
    _about(record, metric)
    families, crossings = groups.measured(record, metric)
    _drawn(families[0])
    _rest(address, [*families[1:], *crossings, *groups.tables(record, metric)], metric)
    _grids(address, line.run, groups.grids(record, metric))


def _rest(address: StoreAddress, found: Sequence[Slices | Crossing | Evidence], metric: str) -> None:
    """Show one of what else there is: an evaluator keeps a table for every attribute."""
    if not found:
        return
    titles = [e.caption if isinstance(e, Evidence) else e.title for e in found]
    place = st.selectbox(
        "Group by group",
        range(len(found)),
        format_func=lambda i: shortened(visible(f"{titles[i]}{_kind(found[i])}"), 160),
        key=f"rest-{metric}-{len(found)}",
    )
    picked = found[place or 0]
    try:
        one = (
            groups.shown(picked, partial(queries.evidence, address))
            if isinstance(picked, Evidence)
            else picked
        )
    except InputError as error:
        st.error("The store's copy of this evidence is damaged.", icon=":material/broken_image:")
        st.text(visible(str(error)))
        return
    if one is None:
        st.info(
            "The store no longer holds this evidence, or it says nothing of groups.", icon=":material/delete:"
        )
        return
    _drawn(one)


def _kind(one: Slices | Crossing | Evidence) -> str:
    crossing = isinstance(one, Crossing) or (isinstance(one, Evidence) and one.kind == "heatmap")
    return " · heat map" if crossing else ""


def _drawn(one: Slices | Crossing) -> None:
    with st.container(border=True):
        if isinstance(one, Crossing):
            _crossed(one)
        else:
            _sliced(one)


def _picked(found: Sequence[str]) -> str:
    """Return the metric that the address names, else the first; the choice goes into the address."""
    addressed.follow("metric", found, "metric")
    metric = st.selectbox(
        "Metric", found, format_func=lambda name: shortened(visible(name), 120), key="metric"
    )
    addressed.keep("metric", metric, "metric")
    return metric


def _about(record: AuditRecord, metric: str) -> None:
    owner = owners(record).get(metric)
    if owner is not None:
        said = owner.question(metric) or owner.metrics.get(metric, "")
        st.caption(plain(f"{said} {owner.summary}", 600))


def _sliced(family: Slices) -> None:
    st.markdown(f"**{plain(family.title)}**")
    if any(one.value is not None for one in family.slices):
        said = "; ".join(
            f"{one.label} {numbers.plain(one.value)}"
            for one in family.slices[:_MOST_SHOWN]
            if one.value is not None
        )
        st.altair_chart(
            group_charts.dots(family), width="stretch", alt=shortened(visible(f"{family.title}: {said}"), 600)
        )
    _withheld(family.slices)
    with st.expander(f"Numbers ({len(family.slices)})"):
        widgets.table(
            ("Group", "Value", "Interval", "n", "Held against", "Note"),
            [(one.label, *_cells(one)) for one in family.slices],
            key=f"slices-{family.title}",
        )


def _crossed(crossing: Crossing) -> None:
    st.markdown(f"**{plain(crossing.title)}**")
    cells = [cell for _, _, cell in crossing.cells]
    if any(cell.value is not None for cell in cells):
        said = "; ".join(
            f"{row}, {column} {numbers.plain(cell.value)}"
            for row, column, cell in crossing.cells[:_MOST_SHOWN]
            if cell.value is not None
        )
        st.altair_chart(
            group_charts.heat_map(crossing),
            width="stretch",
            alt=shortened(visible(f"{crossing.title}: {said}"), 600),
        )
    if any(cell.few for cell in cells):
        st.caption("An asterisk marks a cell of fewer than 50 examples.")
    if len(cells) > groups.MOST_CELLS:
        st.caption(
            f"The first {groups.MOST_CELLS} of {counted(len(cells), 'cell')} are drawn; the table has all."
        )
    _withheld(cells)
    with st.expander(f"Numbers ({len(cells)})"):
        widgets.table(
            (
                crossing.rows or "Row",
                crossing.columns or "Column",
                "Value",
                "Interval",
                "n",
                "Held against",
                "Note",
            ),
            [(row, column, *_cells(cell)) for row, column, cell in crossing.cells],
            key=f"cells-{crossing.title}",
        )


def _withheld(cells: Sequence[Slice]) -> None:
    hidden = sum(one.value is None for one in cells)
    if hidden:
        st.caption(
            f"{counted(hidden, 'group')} of {len(cells)} not shown: too few examples to say anything without saying it of "
            "single ones, or nothing measured."
        )


def _cells(one: Slice) -> tuple[str, str, str, str, str]:
    return (
        "" if one.value is None else numbers.plain(one.value),
        f"{numbers.plain(one.low)} to {numbers.plain(one.high)}"
        if one.low is not None and one.high is not None
        else "",
        "" if one.n is None else numbers.count(one.n),
        "" if one.target is None else numbers.plain(one.target),
        one.note,
    )


def _grids(address: StoreAddress, run: str, found: Iterable[Evidence]) -> None:
    """Show a few pictures or texts of each group, where the evidence says which are whose."""
    for e in found:
        digest = Digest(str(e.content))
        if e.sensitive:
            st.info(
                "Examples by group are sensitive; the page of samples reveals them.",
                icon=":material/visibility_off:",
            )
            _more(run, digest)
            continue
        try:
            held = gallery.index(address, digest)
        except InputError:
            st.error("The store's copy of some examples is damaged.", icon=":material/broken_image:")
            continue
        if held is None:
            st.info("The store no longer holds the examples by group.", icon=":material/delete:")
            continue
        if _GROUP not in held.columns.column_names:
            continue
        st.header("Examples by group")
        st.caption(plain(e.caption))
        _more(run, digest)
        for group, places in list(groups.by_group(held.columns.column(_GROUP).to_pylist()).items())[
            : groups.MOST_GROUPS
        ]:
            st.markdown(f"**{plain(group)}**")
            _examples(address, digest, held, tuple(places[:_EACH]), group)


def _examples(
    address: StoreAddress, digest: Digest, held: gallery.Index, places: tuple[int, ...], group: str
) -> None:
    if held.pictures:
        with st.container(horizontal=True, gap="small"):
            for number, drawn in enumerate(gallery.drawn(address, digest, held.pictures[:1], places)):
                for _, data in drawn.pictures:
                    st.image(
                        data,
                        alt=visible(shortened(f"{group}, example {number + 1}", 200)),
                        output_format="PNG",
                    )
                if drawn.problem:
                    st.caption(plain(drawn.problem))
    elif TEXT in held.columns.column_names:
        for text in held.columns.take(np.array(places, np.int64)).column(TEXT).to_pylist():
            st.code(visible(shortened(str(text or ""))), language=None, wrap_lines=True)


def _more(run: str, digest: Digest) -> None:
    st.page_link(
        "views/samples.py",
        label="All of them",
        icon=":material/photo_library:",
        query_params={"run": run, "evidence": str(digest)},
    )


if __name__ == "__main__":  # Streamlit runs a page as the main module
    show()
