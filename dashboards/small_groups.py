"""The numbers of small groups, withheld: which they are, and a record and its tables of evidence without them.

A page that shows numbers of groups takes them from here, so that what one withholds no other shows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TypeAlias

from audit.core.evaluators import Unmet
from audit.core.identity import Digest
from audit.core.measurements import Group, Measurement
from audit.core.policy import Judgement
from audit.core.records import AuditRecord
from audit.core.renderers import EvidenceReader
from audit.core.rows import Rows
from audit.stats.shrinkage import LEAST, suppressed
from reports.charts import HEATMAP
from reports.sections import group_name

Named: TypeAlias = tuple[str, Group]
"""A metric and a group of it."""

REASON = f"fewer than {LEAST} examples, or needed to hide such a group"
COUNTS = ("n", "rows", "examples", "count", "samples")
"""Columns of evidence that say how many examples a row is about, as evaluators name them."""
_NOT_TABLES = ("images", "texts", "curve")
_WHY = "why not shown"


def too_few(sizes: Sequence[int | None]) -> list[bool]:
    """Return which groups of one family to withhold by how many examples each has; one whose size is not known stays.

    >>> too_few([120, 4, None, 60])
    [False, True, False, True]
    """
    known = [place for place, n in enumerate(sizes) if n is not None]
    hidden = suppressed([sizes[place] or 0 for place in known])
    withheld = {place for place, hide in zip(known, hidden, strict=True) if hide}
    return [place in withheld for place in range(len(sizes))]


def families(record: AuditRecord) -> Mapping[tuple[str, tuple[str, ...]], list[Measurement]]:
    """Return the measurements of groups that belong together: those of one metric by the same attributes."""
    found: dict[tuple[str, tuple[str, ...]], list[Measurement]] = {}
    for m in record.measurements:
        if m.group:
            found.setdefault((m.metric, tuple(name for name, _ in m.group)), []).append(m)
    return found


def withheld(record: AuditRecord) -> frozenset[Named]:
    """Return the metrics and groups of a record whose numbers are not shown."""
    return frozenset(
        (m.metric, m.group)
        for family in families(record).values()
        for m, hide in zip(family, too_few([m.n for m in family]), strict=True)
        if hide
    )


def without(record: AuditRecord) -> AuditRecord:
    """Return a record without those numbers: measurements and controls are gone, verdicts stay without what they rest on."""
    hidden = withheld(record)
    if not hidden:
        return record
    return replace(
        record,
        measurements=tuple(m for m in record.measurements if (m.metric, m.group) not in hidden),
        controls=tuple(c for c in record.controls if (c.metric, c.group) not in hidden),
        judgements=tuple(_covered(j, hidden) for j in record.judgements),
    )


def reader(record: AuditRecord, read: EvidenceReader) -> EvidenceReader:
    """Return a reader of a record's evidence that leaves the numbers of small groups out of its tables."""
    tables = {str(e.content) for m in record.measurements for e in m.evidence if e.kind not in _NOT_TABLES}

    def covered(digest: Digest) -> Rows | None:
        rows = read(digest)
        return rows if rows is None or str(digest) not in tables else of_table(rows)

    return covered


def of_table(rows: Rows) -> Rows:
    """Return a table of evidence with nothing but the name left of each small group, and a column that says why.

    A table lists groups where it says how many examples each row is about (:data:`COUNTS`) and names the row, by ``label`` or by its
    first column of text. In a heat map such a count may be that of a whole line, so only its ``n`` is taken for that of a cell.
    """
    import pyarrow as pa

    names = list(rows.column_names)
    crossed = set(names) >= HEATMAP
    counts = next((name for name in COUNTS[: 1 if crossed else None] if names.count(name) == 1), None)
    kept = {"row", "column"} if crossed else _naming(rows)
    if counts is None or not kept or not pa.types.is_integer(rows.schema.field(counts).type):
        return rows
    hidden = too_few(rows.column(counts).to_pylist())
    if not any(hidden):
        return rows
    bare = rows.take(pa.array([None if hide else place for place, hide in enumerate(hidden)], pa.int64()))
    for place, name in enumerate(names):
        if name in kept:
            bare = bare.set_column(place, name, rows.column(place))
    return bare.append_column(_WHY, pa.array([f"withheld: {REASON}" if hide else "" for hide in hidden]))


def said(number: int) -> str:
    """Return the sentence that stands where numbers are withheld; empty where none are."""
    return f"Numbers of groups not shown: {number} ({REASON})." if number else ""


def _naming(rows: Rows) -> set[str]:
    """Return the column that names the rows of a table; none where it has no text."""
    texts = [field.name for field in rows.schema if str(field.type) in ("string", "large_string")]
    return set(["label"] if "label" in texts else texts[:1])


def _covered(judgement: Judgement, hidden: frozenset[Named]) -> Judgement:
    m = judgement.because
    if not isinstance(m, Measurement) or (m.metric, m.group) not in hidden:
        return judgement
    gap = Unmet(
        f"{LEAST} or more examples of {group_name(m.group)} to show its numbers", REASON, "Draw more samples"
    )
    return replace(judgement, because=(gap,), basis=None, n_to_decide=None, to_decide="")
