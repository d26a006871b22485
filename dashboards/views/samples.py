"""Samples and evidence of one run: pictures, pairs, texts and tables, a page at a time; what is sensitive stays hidden until revealed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import streamlit as st

from audit.core.errors import InputError
from audit.core.rows import FILE, IMAGE, PREFIX, TEXT
from audit.core.words import counted
from audit.store.location import StoreAddress
from dashboards import addressed, gallery, reveals, widgets
from dashboards.gallery import Drawn, Exhibit, Index, Places
from dashboards.thumbnails import width_of
from dashboards.widgets import plain
from reports import numbers
from reports.evidence import attributes_of, cell_of
from reports.redact import shortened, visible
from reports.sections import group_name

# comments, not docstrings, in a page: Streamlit would show a string that stands alone
_SIZES = {"images": 24, "texts": 10, "table": 50}  # rows on a page
_AS_RECORDED = "as recorded"
_MOST_WORDS, _MOST_FILTERS = 200, 4
_LEAST_TILE, _GAP = 128, 16  # pixels


def show() -> None:
    """Show the page."""
    address, runs = widgets.runs_or_stop()
    st.title("Samples and evidence")
    line = widgets.chosen_run(runs)
    found = gallery.exhibits(widgets.record_or_stop(line))
    if not found:
        st.info(
            "This run kept no pictures, texts or tables to look at.", icon=":material/image_not_supported:"
        )
        st.stop()
    exhibit = _picked(found)
    _gallery(address, line.run, exhibit)


def _picked(found: Sequence[Exhibit]) -> Exhibit:
    """Return the evidence that the address names, else the first of the kind that a person picks; the choice goes into the address."""
    by_digest = {str(e.digest): e for e in found}
    asked = addressed.follow("evidence", list(by_digest), "evidence")
    if asked in by_digest:
        st.session_state["kind"] = by_digest[asked].kind
    elif asked:
        st.warning("This run has no such evidence; the first is shown.", icon=":material/link_off:")
    kinds = [kind for kind in gallery.KINDS if any(e.kind == kind for e in found)]
    if st.session_state.get("kind") not in kinds:
        st.session_state["kind"] = kinds[0]
    left, right = st.columns([1, 3], vertical_alignment="bottom")
    kind = left.segmented_control(
        "Kind", kinds, required=True, format_func=lambda one: gallery.KINDS[one], key="kind"
    )
    among = [digest for digest, e in by_digest.items() if e.kind == kind]
    if st.session_state.get("evidence") not in among:
        st.session_state["evidence"] = among[0]
    digest = right.selectbox(
        "Evidence", among, format_func=lambda one: _title(by_digest[one]), key="evidence"
    )
    addressed.keep("evidence", digest, "evidence")
    return by_digest[digest]


def _title(exhibit: Exhibit) -> str:
    about = " ".join(part for part in (exhibit.metric, group_name(exhibit.group)) if part)
    hidden = " · sensitive" if exhibit.sensitive else ""
    return shortened(visible(f"{exhibit.caption} · {about}{hidden}"), _MOST_WORDS)


@dataclass(frozen=True, slots=True)
class _Uncovered:
    """What a person has revealed of one table of evidence in this session."""

    everything: bool = False
    rows: frozenset[int] = frozenset()

    def shows(self, place: int) -> bool:
        return self.everything or place in self.rows


@st.fragment
def _gallery(address: StoreAddress, run: str, exhibit: Exhibit) -> None:
    st.caption(
        plain(f"{exhibit.caption} · {exhibit.metric} {group_name(exhibit.group)} · {exhibit.digest[:12]}")
    )
    try:
        held = gallery.index(address, exhibit.digest, exhibit.kind)
    except InputError as error:
        st.error("The store's copy of this evidence is damaged.", icon=":material/broken_image:")
        st.text(visible(str(error)))
        return
    if held is None:
        st.info("The store no longer holds the content of this evidence.", icon=":material/delete:")
        return
    if not held.rows:
        st.info("There is not a single example to show.", icon=":material/inbox:")
        return
    uncovered = _uncovered(run, exhibit, held)
    # what is hidden is neither searched nor sorted: the answer would tell what it says
    places = _arranged(exhibit, held) if uncovered.everything else np.arange(held.rows)
    if not len(places):
        st.caption("Nothing fits this search.")
        return
    size = _SIZES[exhibit.kind]
    pages = math.ceil(len(places) / size)
    number = 1
    with st.container(horizontal=True, vertical_alignment="center"):
        if pages > 1:
            number = st.pagination(pages, key=f"page-{exhibit.digest}-{pages}")
        st.caption(
            f"{numbers.count(len(places))} of {counted(held.rows, 'row')}"
            if len(places) < held.rows
            else counted(held.rows, "row")
        )
    _page(address, run, exhibit, held, gallery.page_of(places, number, size), uncovered)


def _uncovered(run: str, exhibit: Exhibit, held: Index) -> _Uncovered:
    """Return what may be shown, having offered to reveal or hide all of it."""
    if not exhibit.sensitive:
        return _Uncovered(everything=True)
    name = _state(run, exhibit)
    now: _Uncovered = st.session_state.get(name, _Uncovered())
    if refused := st.session_state.pop(f"refused-{name}", ""):
        st.error(plain(f"It stays hidden, for the reveal could not be recorded. {refused}", 1_200))
    if now == _Uncovered():
        st.info(
            "Hidden: it may show training examples, maybe of people. Reveal what you need to see.",
            icon=":material/visibility_off:",
        )
    with st.container(horizontal=True):
        if not now.everything:
            st.button(
                f"Reveal all {counted(held.rows, 'row')}",
                icon=":material/visibility:",
                on_click=_reveal,
                args=(run, exhibit, None),
                key=f"reveal-all-{exhibit.digest}",
            )
        if now != _Uncovered():
            st.button(
                "Hide again",
                icon=":material/visibility_off:",
                on_click=lambda: st.session_state.pop(name, None),
                key=f"hide-{exhibit.digest}",
            )
    return now


def _state(run: str, exhibit: Exhibit) -> str:
    return f"uncovered-{run}-{exhibit.digest}"


def _reveal(run: str, exhibit: Exhibit, row: int | None) -> None:
    """Show one row, or with None all of them, once the reveal was heard of; where it was not, say so and show nothing."""
    name = _state(run, exhibit)
    try:
        reveals.on_reveal(run, reveals.Item(exhibit.digest, exhibit.caption, row))
    except (InputError, OSError) as error:
        st.session_state[f"refused-{name}"] = str(error)
        return
    now: _Uncovered = st.session_state.get(name, _Uncovered())
    st.session_state[name] = (
        replace(now, everything=True) if row is None else replace(now, rows=now.rows | {row})
    )


def _arranged(exhibit: Exhibit, held: Index) -> Places:
    """Return the places of the rows to show, as a person searches, filters and sorts them."""
    key = exhibit.digest
    search, by, descending, wanted = "", _AS_RECORDED, False, {}
    with st.container(horizontal=True, vertical_alignment="bottom"):
        if held.words:
            search = st.text_input(
                "Search", placeholder="Words in it", icon=":material/search:", key=f"search-{key}", width=260
            )
        if held.scores:
            by = st.selectbox(
                "Sort by",
                [_AS_RECORDED, *held.scores],
                format_func=lambda name: shortened(visible(name), 60),
                key=f"sort-{key}",
                width=200,
            )
            descending = by != _AS_RECORDED and st.toggle("Highest first", key=f"descending-{key}")
        for name, values in list(held.groups.items())[:_MOST_FILTERS]:
            wanted[name] = st.multiselect(
                shortened(visible(name), 40),
                values,
                format_func=lambda value: shortened(visible(value), 60),
                key=f"group-{key}-{name}",
                width=260,
            )
    return gallery.chosen(
        held, search=search, wanted=wanted, by="" if by == _AS_RECORDED else by, descending=descending
    )


def _page(
    address: StoreAddress, run: str, exhibit: Exhibit, held: Index, places: Places, uncovered: _Uncovered
) -> None:
    shown = [int(place) for place in places]
    if exhibit.kind == "images" and held.pictures:
        _pictures(address, run, exhibit, held, shown, uncovered)
    elif exhibit.kind == "texts" and TEXT in held.columns.column_names:
        _texts(run, exhibit, held, shown, uncovered)
    elif uncovered.everything:
        _table(held, shown, exhibit.digest)
    else:
        st.caption(f"{counted(len(shown), 'row')} on this page, hidden.")


def _pictures(
    address: StoreAddress,
    run: str,
    exhibit: Exhibit,
    held: Index,
    places: Sequence[int],
    uncovered: _Uncovered,
) -> None:
    """Show pictures, or pairs side by side, each under its number and what is known of it."""
    bare = tuple(place for place in places if uncovered.shows(place))
    try:
        found = dict(zip(bare, gallery.drawn(address, exhibit.digest, held.pictures, bare), strict=True))
    except InputError as error:
        st.error("The pictures cannot be read.", icon=":material/broken_image:")
        st.text(visible(str(error)))
        return
    words = dict(zip(bare, _said(held, bare), strict=True))
    with st.container(horizontal=True, gap="medium"):
        for place in places:
            if place in found:
                _tile(found[place], f"{place + 1}. {words[place]}", held.rows)
            else:
                _hidden(run, exhibit, place)


def _tile(one: Drawn, words: str, rows: int) -> None:
    """Show the pictures of one row side by side, and beneath them, no wider, what is known of it."""
    widths = [width_of(data) for _, data in one.pictures]
    with st.container(width=max(_LEAST_TILE, sum(widths) + _GAP * (len(widths) - 1)), gap=None):
        with st.container(horizontal=True, gap="small", width="content"):
            for name, data in one.pictures:
                title = shortened(visible(name), 40)
                alone = len(widths) == 1 or name == IMAGE
                st.image(
                    data,
                    caption=None if alone else plain(title),
                    alt=f"{title} of {rows}: {words}",
                    output_format="PNG",
                )
        st.caption(plain(f"{words} {one.problem}".strip()))


def _hidden(run: str, exhibit: Exhibit, place: int) -> None:
    """Show the place of a hidden row: the button that reveals it. Nothing of the row, its scores included: a score may be an age."""
    st.button(
        f"Reveal {place + 1}",
        icon=":material/visibility:",
        on_click=_reveal,
        args=(run, exhibit, place),
        key=f"reveal-{exhibit.digest}-{place}",
    )


def _texts(run: str, exhibit: Exhibit, held: Index, places: Sequence[int], uncovered: _Uncovered) -> None:
    """Show texts, each after what it continues, with what is known of it."""
    rows = held.columns.take(np.array(places, np.int64))
    texts = rows.column(TEXT).to_pylist()
    given = rows.column(PREFIX).to_pylist() if PREFIX in rows.column_names else [""] * len(texts)
    for place, prefix, text, words in zip(places, given, texts, _said(held, places), strict=True):
        with st.container(border=True, gap="small"):
            if not uncovered.shows(place):
                _hidden(run, exhibit, place)
                continue
            if prefix:
                st.caption("Given")
                st.code(visible(shortened(str(prefix))), language=None, wrap_lines=True)
                st.caption("Said")
            st.code(visible(shortened(str(text or ""))), language=None, wrap_lines=True)
            st.caption(plain(f"{place + 1}. {words}"))


def _table(held: Index, places: Sequence[int], key: str) -> None:
    rows = held.columns.take(np.array(places, np.int64))
    columns = [[cell_of(value) for value in rows.column(name).to_pylist()] for name in rows.column_names]
    names = [shortened(name, 80) for name in rows.column_names]
    if not names:
        st.caption("Its columns cannot be told apart, or hold nothing that can be shown.")
        return
    widgets.table(
        ("No.", *names), list(zip([str(p + 1) for p in places], *columns, strict=True)), key=f"rows-{key}"
    )


def _said(held: Index, places: Sequence[int]) -> list[str]:
    """Return what is known of each row, in a few words."""
    known = held.columns.drop_columns([n for n in (TEXT, PREFIX, FILE) if n in held.columns.column_names])
    return (
        attributes_of(known.take(np.array(places, np.int64)), set())
        if known.num_columns
        else [""] * len(places)
    )


if __name__ == "__main__":  # Streamlit runs a page as the main module
    show()
