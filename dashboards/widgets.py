"""Parts of the dashboard that more than one page shows, and the escaping that all of them use."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Literal, NoReturn

import streamlit as st

from audit.core.errors import InputError
from audit.core.records import AuditRecord
from audit.store.location import StoreAddress
from dashboards import addressed, queries
from reports.redact import shortened, visible

Colour = Literal["red", "orange", "green", "blue", "gray"]
_PUNCTUATION = re.compile(r"([\\`*_{}\[\]()#+\-.!|<>~$^=&\"'/])")
_JOINER = "\N{WORD JOINER}"

SYMBOLS: Mapping[str, str] = {
    "pass": "✓",
    "fail": "✕",
    "inconclusive": "≈",
    "not assessed": "–",
    "unfinished": "…",
}
COLOURS: Mapping[str, Colour] = {
    "pass": "green",
    "fail": "red",
    "inconclusive": "orange",
    "not assessed": "gray",
    "unfinished": "gray",
}
ICONS: Mapping[str, str] = {
    "pass": ":material/check_circle:",
    "fail": ":material/cancel:",
    "inconclusive": ":material/help:",
    "not assessed": ":material/do_not_disturb_on:",
    "unfinished": ":material/pending:",
}


def plain(text: str, most: int = 400) -> str:
    """Return text that Streamlit's Markdown shows as it is, on one line.

    Every character that could begin markup is escaped. Links without markup,
    emoji codes and icon names are found after escapes are gone, so a word joiner
    parts what would make one.

    >>> plain("*a* <b> [x](y)")
    '\\\\*a\\\\* \\\\<b\\\\> \\\\[x\\\\]\\\\(y\\\\)'
    >>> plain(":smile:") == ":" + chr(0x2060) + "smile:" + chr(0x2060)
    True
    """
    line = " ".join(visible(shortened(text, most)).split())
    escaped = _PUNCTUATION.sub(r"\\\1", line)
    parted = re.sub(r"([:@])", rf"\1{_JOINER}", escaped)
    return re.sub(r"(?i)(www)", rf"\1{_JOINER}", parted)


@lru_cache(maxsize=1)
def favicon() -> bytes:
    """Return the icon of the browser's tab as a PNG, drawn here: Streamlit would load a named one from a font server."""
    from PIL import Image, ImageDraw

    image = Image.new("RGBA", (128, 128), (0, 0, 0, 0))
    draw = ImageDraw.Draw(image)
    draw.ellipse((8, 8, 120, 120), outline="#0b5cad", width=14)
    draw.line((38, 66, 58, 86, 92, 44), fill="#0b5cad", width=14, joint="curve")
    drawn = io.BytesIO()
    image.resize((64, 64), Image.Resampling.LANCZOS).save(drawn, format="PNG")
    return drawn.getvalue()


def word(verdict: str) -> str:
    """Return a verdict with its symbol, for tables.

    >>> word("pass"), word("of its own")
    ('✓ pass', '? of its own')
    """
    return f"{SYMBOLS.get(verdict, '?')} {verdict}"


def badge(verdict: str, label: str = "") -> None:
    """Show a verdict as a badge: colour, icon and words."""
    colour = COLOURS.get(verdict, "gray")
    st.badge(plain(label or verdict), icon=ICONS.get(verdict, ":material/help:"), color=colour)


def banner(verdict: str, headline: str, sentence: str) -> None:
    """Show what a run's verdict is and what it means."""
    body = f"**{plain(headline)}**  \n{plain(sentence, 1_200)}"
    show = {"fail": st.error, "pass": st.success, "inconclusive": st.warning}.get(verdict, st.info)
    show(body, icon=ICONS.get(verdict, ":material/pending:"))


def table(
    columns: Sequence[str], rows: Sequence[Sequence[str]], *, empty: str = "None.", key: str | None = None
) -> None:
    """Show rows of text as a table that can be searched, sorted and saved; cells are text and nothing else."""
    import pyarrow as pa

    if not rows:
        st.caption(empty)
        return
    cells: dict[str, list[str]] = {}
    for position, column in enumerate(columns):
        name = visible(column)
        while name in cells:
            name += " "
        cells[name] = [visible(row[position]) for row in rows]
    st.dataframe(pa.table(cells), hide_index=True, width="stretch", key=key)


def runs_or_stop() -> tuple[StoreAddress, list[queries.Overview]]:
    """Return the store and its newest runs; without a run, say what to do and end the page."""
    try:
        address = queries.asked_for()
        found = queries.overview(address)
    except InputError as error:
        _no_store(error)
    if not found:
        _no_run()
    return address, found


def store_or_stop() -> tuple[StoreAddress, queries.Standing]:
    """Return a store that holds a run, and what it holds; without one, say what to do and end the page."""
    try:
        address = queries.asked_for()
        found = queries.standing(address)
    except InputError as error:
        _no_store(error)
    if not found.counts:
        _no_run()
    return address, found


def _no_store(error: InputError) -> NoReturn:
    st.title("No audits to show")
    st.info("There is no store that can be read here.", icon=":material/database_off:")
    st.text(visible(str(error)))
    _how_to_begin()
    st.stop()


def _no_run() -> NoReturn:
    st.title("No audits yet")
    st.info("This store holds no run.", icon=":material/inbox:")
    _how_to_begin()
    st.stop()


def _how_to_begin() -> None:
    st.write("Make a run, then come back and reload this page:")
    st.code("audit run audit.toml", language="shell", wrap_lines=True)
    st.write("Or name another store:")
    st.code("audit dashboard --store FOLDER", language="shell", wrap_lines=True)


def chosen_run(runs: Sequence[queries.Overview]) -> queries.Overview:
    """Return the run the address names, else the newest; the choice goes into the address."""
    return choice(runs, "run", "Run", missing="This store has no such run; the newest is shown.")


def choice(
    runs: Sequence[queries.Overview], parameter: str, label: str, place: int = 0, missing: str = ""
) -> queries.Overview:
    """Let a person choose one of the newest runs, at first that at ``place``; the choice goes into the address.

    The run that the address names is one of them, however old it is; ``missing`` is said where there is no such run.
    """
    by_id, key = _by_id(runs, parameter), f"chosen-{parameter}"
    ids = list(by_id)
    wanted = addressed.follow(parameter, ids, key)
    if missing and wanted and wanted not in by_id:
        st.warning(missing, icon=":material/link_off:")
    if st.session_state.get(key) not in by_id:
        st.session_state[key] = ids[place]
    chosen = st.selectbox(label, ids, format_func=lambda run: _called(by_id[run]), key=key, help=_help(by_id))
    addressed.keep(parameter, chosen, key)
    return by_id[chosen]


def record_or_stop(line: queries.Overview) -> AuditRecord:
    """Return the record of a run; where it cannot be read, say why and end the page."""
    record = line.record
    if record is None:
        st.error("The record of this run cannot be read.", icon=":material/error:")
        st.text(visible(line.problem))
        st.stop()
    return record


def _by_id(runs: Sequence[queries.Overview], key: str) -> dict[str, queries.Overview]:
    """Return runs by their ids, with the one that the address names, however old it is."""
    by_id = {line.run: line for line in runs}
    wanted = st.query_params.get(key, "")
    if wanted and wanted not in by_id and (named := queries.one(runs[0].address, wanted)) is not None:
        by_id[wanted] = named
    return by_id


def _called(line: queries.Overview) -> str:
    return shortened(visible(f"{line.name} · {line.verdict} · {line.run}"), 120)


def _help(by_id: Mapping[str, queries.Overview]) -> str | None:
    if len(by_id) < queries.MOST_RUNS:
        return None
    return f"The newest {queries.MOST_RUNS} runs; open an older one from the overview."
