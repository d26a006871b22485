"""Evidence to page through: which there is, what its rows can be sorted and filtered by, and one page of it at a time.

Nothing here keeps a table of pictures: a page reads the blob, makes the thumbnails of its rows and lets go of the rest. What is
kept, within bounds, are the columns without pictures and the thumbnails, both by the digest of the evidence.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from audit.core.errors import InputError
from audit.core.identity import Digest
from audit.core.measurements import Group
from audit.core.records import AuditRecord
from audit.core.rows import FILE, IMAGE, PREFIX, TEXT, Rows, images_of
from audit.store.location import StoreAddress
from dashboards import small_groups
from dashboards.queries import reading
from dashboards.thumbnails import thumbnail
from reports.evidence import MOST_TOGETHER, cell_of, is_image

KINDS: Mapping[str, str] = {"images": "Pictures", "texts": "Texts", "table": "Tables"}
"""Kinds of evidence that have rows to look at, and what a reader calls them."""
MOST_VALUES = 50
"""A column of more different values is no group to filter by."""
_MOST_CHARACTERS = 4_000
_KEPT_INDEX, _KEPT_THUMBNAILS = "64MB", "128MB"

Places = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Exhibit:
    """One table of evidence of a run, and the first measurement that rests on it."""

    kind: str
    caption: str
    digest: Digest
    sensitive: bool
    metric: str
    group: Group = ()


@dataclass(frozen=True, slots=True)
class Index:
    """What a table of evidence says beside its pictures.

    ``columns`` has every column but pictures and files; ``pictures`` names the columns of pictures, ``scores`` those of numbers, ``groups``
    those of few different values with these values, the commonest first, and ``words`` those of text.
    """

    rows: int
    columns: Rows
    pictures: tuple[str, ...]
    scores: tuple[str, ...]
    groups: Mapping[str, tuple[str, ...]]
    words: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Drawn:
    """The pictures of one row as PNGs, each under its column's name; ``problem`` says why there are no pictures."""

    pictures: tuple[tuple[str, bytes], ...]
    problem: str = ""


def exhibits(record: AuditRecord) -> list[Exhibit]:
    """Return the evidence of a record that has rows to look at, each table once, what is hidden at first last."""
    found: dict[Digest, Exhibit] = {}
    for m in record.measurements:
        for e in m.evidence:
            if e.kind in KINDS:
                digest = Digest(str(e.content))
                found.setdefault(digest, Exhibit(e.kind, e.caption, digest, e.sensitive, m.metric, m.group))
    return sorted(found.values(), key=lambda exhibit: exhibit.sensitive)


@st.cache_data(max_size=_KEPT_INDEX, show_spinner="Reading evidence")
def index(address: StoreAddress, digest: Digest, kind: str = "") -> Index | None:
    """Return what can be said of a table of evidence, or None where the store does not hold it; InputError where it is damaged.

    Where its ``kind`` is "table", the numbers of small groups are left out of it.
    """
    rows = _read(address, digest)
    if rows is not None and kind == "table":
        rows = small_groups.of_table(rows)
    return None if rows is None else index_of(rows)


def index_of(rows: Rows) -> Index:
    """Return the same of rows at hand."""
    pictures = [n for n in _single(rows) if is_image(rows.schema.field(n).type)]
    pictures = sorted(pictures, key=lambda name: name != IMAGE)[:MOST_TOGETHER]
    kept = [n for n in _single(rows) if n != FILE and not _holds_pixels(rows.schema.field(n).type)]
    columns = rows.select(kept).combine_chunks()
    scores, words, groups = [], [], {}
    for name in kept:
        kind = str(columns.schema.field(name).type)
        if kind.startswith(("int", "uint", "float", "double", "halffloat")):
            scores.append(name)
        if kind in ("string", "large_string"):
            words.append(name)
        if kind in ("string", "large_string", "bool") and name not in (TEXT, PREFIX):
            values = _values(columns.column(name))
            if values:
                groups[name] = values
    return Index(rows.num_rows, columns, tuple(pictures), tuple(scores), groups, tuple(words))


def chosen(
    held: Index,
    *,
    search: str = "",
    wanted: Mapping[str, Sequence[str]] | None = None,
    by: str = "",
    descending: bool = False,
) -> Places:
    """Return the places of the rows to show, in order.

    ``search`` is looked for in every column of text, case aside; ``wanted`` has for some columns the values to keep; ``by`` names a
    score to sort by, rows without one last, equal ones in their old order.
    """
    keep = np.ones(held.rows, dtype=bool)
    if search:
        looked = search.casefold()
        keep &= [any(looked in text for text in texts) for texts in _texts(held)]
    for name, values in (wanted or {}).items():
        if values:
            among = set(values)
            keep &= [_said(value) in among for value in held.columns.column(name).to_pylist()]
    places = np.flatnonzero(keep)
    if not by:
        return places
    score = np.array(
        [np.nan if v is None else float(v) for v in held.columns.column(by).to_pylist()], np.float64
    )[places]
    order = np.argsort(-score if descending else score, kind="stable")  # not-a-numbers come last either way
    return np.asarray(places[order], dtype=np.int64)


@st.cache_data(max_size=_KEPT_THUMBNAILS, show_spinner=False)
def drawn(
    address: StoreAddress, digest: Digest, names: tuple[str, ...], places: tuple[int, ...]
) -> tuple[Drawn, ...]:
    """Return the thumbnails of some rows; InputError where the store has lost them."""
    rows = _read(address, digest)
    if rows is None:
        raise InputError("The store no longer holds the content of this evidence.")
    found = []
    for place in places:
        row = rows.slice(place, 1)
        try:
            found.append(Drawn(tuple((name, thumbnail(images_of(row, name)[0])) for name in names)))
        except ValueError as error:
            found.append(Drawn((), str(error)))
    return tuple(found)


def page_of(places: Places, number: int, size: int) -> Places:
    """Return the places on a page, which counts from 1."""
    return places[(number - 1) * size : number * size]


def _read(address: StoreAddress, digest: Digest) -> Rows | None:
    with reading(address) as store:
        return store.rows(digest)


def _single(rows: Rows) -> list[str]:
    """Return the names that only one column has: others cannot be asked for by name."""
    names = list(rows.column_names)
    return [name for name in names if names.count(name) == 1]


def _holds_pixels(kind: Any) -> bool:
    return is_image(kind) or "tensor" in str(kind) or "binary" in str(kind)


def _values(column: Any) -> tuple[str, ...]:
    """Return the values of a column, the commonest first; none where there are too many, or only one."""
    counts = column.value_counts()
    if not 1 < len(counts) <= MOST_VALUES:
        return ()
    pairs = sorted(counts.to_pylist(), key=lambda pair: -pair["counts"])
    return tuple(_said(pair["values"]) for pair in pairs)


def _said(value: Any) -> str:
    return "none" if value is None else cell_of(value)


def _texts(held: Index) -> Iterable[list[str]]:
    columns = [held.columns.column(name).to_pylist() for name in held.words]
    for place in range(held.rows):
        yield [(column[place] or "").casefold() for column in columns]
