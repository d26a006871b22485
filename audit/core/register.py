"""The register: every training record that an attack found, by what, how surely, and whether it is still found.

An evaluator that finds single training records reports them beside one of its measurements with :func:`register_evidence`;
``audit risks`` collects what a run found. A record is named by its split and row: the same data, the same names, in any run.
What a record says is evidence of its own, sensitive, and read only when a person asks for it.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from audit.core.identity import Digest
from audit.core.measurements import Evidence, Measurement
from audit.core.records import AuditRecord
from audit.core.renderers import EvidenceReader
from audit.core.rows import Rows

AT_RISK, AT_RISK_CONTENT = "at-risk", "at-risk-content"
"""Kinds of evidence: what was found, and, sensitive, what these records say."""

MOST_CONTENT = 500
"""Characters of a record's content that are kept."""


@dataclass(frozen=True, slots=True)
class AtRisk:
    """One training record that one attack found.

    ``row`` counts from 0 in ``split``; of several copies of a record it is the first. ``found`` says in words what happened, and
    must not repeat what the record says: that is ``content``, and stays empty where the row says enough (a picture). ``score``
    ranks within an attack, higher is surer. ``chance`` is the share of like records the model was never trained on that the same
    attack finds at least as surely; None where nobody counted. ``times`` is how often the record came back.
    """

    row: int
    attack: str
    found: str
    score: float
    chance: float | None = None
    times: int | None = None
    content: str = ""
    split: str = "train"

    def __post_init__(self) -> None:
        if self.row < 0 or not self.attack or not self.found:
            raise ValueError(
                f"a record at risk has a row, an attack and a finding, not {self.row}, '{self.attack}'"
            )
        if self.chance is not None and not 0 <= self.chance <= 1:
            raise ValueError(f"chance is a share, not {self.chance}")


def register_evidence(entries: Iterable[AtRisk]) -> tuple[Evidence, ...]:
    """Return the evidence that puts records into the register, to be attached to the measurement of the attack.

    Attach it where nothing was found as well: an entry of an earlier run counts as closed only where the measurement
    that found it looked again.
    """
    import pyarrow as pa

    listed = list(entries)
    columns = {
        "split": pa.array([e.split for e in listed], pa.string()),
        "row": pa.array([e.row for e in listed], pa.int64()),
        "attack": pa.array([e.attack for e in listed], pa.string()),
        "found": pa.array([e.found for e in listed], pa.string()),
        "score": pa.array([float(e.score) for e in listed], pa.float64()),
        "chance": pa.array([e.chance for e in listed], pa.float64()),
        "times": pa.array([e.times for e in listed], pa.int64()),
    }
    public = Evidence(AT_RISK, "Training records found at risk", pa.table(columns), sensitive=False)
    if not any(e.content for e in listed):
        return (public,)
    said = pa.table({**{name: columns[name] for name in ("split", "row", "attack")},
                     "content": pa.array([e.content[:MOST_CONTENT] for e in listed], pa.string())})  # fmt: skip
    return (
        public,
        Evidence(AT_RISK_CONTENT, "What the training records found at risk say", said, sensitive=True),
    )


class Status(enum.StrEnum):
    """What became of an entry since an earlier run against the same data."""

    NEW = "new"
    OPEN = "open"
    CLOSED = "closed"
    UNCHECKED = "unchecked"
    """It was found before, and what found it did not run again."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the register: a record, an attack that found it, and the measurement and evidence that say so.

    ``rank`` is the record's place, 1 for the one at greatest risk; every attack on a record has the same. ``void`` says why
    the measurement it stands beside cannot be relied on. ``content`` is None where it was not asked for.
    """

    rank: int
    found: AtRisk
    metric: str
    evidence: Digest
    status: Status
    void: str = ""
    content: str | None = None

    @property
    def key(self) -> tuple[str, int, str]:
        return (self.found.split, self.found.row, self.found.attack)


def same_data(one: AuditRecord, other: AuditRecord) -> bool:
    """Say whether two audits named the same rows: the same bytes read with the same options."""
    return _named(one.data) == _named(other.data)


def _named(data: Mapping[str, Any]) -> tuple[Any, ...]:
    return tuple(data.get(name) for name in ("loader", "content", "options"))


def register(
    record: AuditRecord,
    read: EvidenceReader,
    before: AuditRecord | None = None,
    *,
    reveal: bool = False,
) -> tuple[Entry, ...]:
    """Return every training record that a run found, the ones at greatest risk first, then those found only ``before``.

    Without an earlier run every entry is new. ``read`` returns the rows kept under a digest, or None where they are gone;
    sensitive content is read only with ``reveal``.
    """
    now = _entries(record, read, reveal)
    earlier = () if before is None else _entries(before, read, reveal)
    known, found = {e.key for e in earlier}, {e.key for e in now}
    looked = {measurement.metric for measurement, _ in _lists(record)}
    current = [replace(e, status=Status.OPEN if e.key in known else Status.NEW) for e in now]
    gone = [
        replace(e, status=Status.CLOSED if e.metric in looked else Status.UNCHECKED)
        for e in earlier
        if e.key not in found
    ]
    return (*_ranked(current), *_ranked(gone, len({e.key[:2] for e in current})))


def looked_for(record: AuditRecord) -> bool:
    """Say whether any measurement of a run looked for single records, whether or not it found one."""
    return bool(_lists(record))


def lost_evidence(record: AuditRecord, read: EvidenceReader) -> int:
    """Return how many lists of records the store no longer holds."""
    return sum(read(Digest(str(e.content))) is None for _, e in _lists(record))


def _lists(record: AuditRecord) -> list[tuple[Measurement, Evidence]]:
    return [(m, e) for m in record.measurements for e in m.evidence if e.kind == AT_RISK]


def _entries(record: AuditRecord, read: EvidenceReader, reveal: bool) -> tuple[Entry, ...]:
    """Return what a run found, each record and attack once: as its surest measurement has it."""
    found: dict[tuple[str, int, str], Entry] = {}
    for measurement, evidence in _lists(record):
        rows = read(Digest(str(evidence.content)))
        if rows is None:
            continue
        said = _content(measurement, read) if reveal else {}
        for one in _at_risk(rows):
            key = (one.split, one.row, one.attack)
            entry = Entry(
                0, one, measurement.metric, Digest(str(evidence.content)), Status.NEW, measurement.void,
                said.get(key, "") if reveal else None,
            )  # fmt: skip
            if key not in found or _weight([entry]) < _weight([found[key]]):
                found[key] = entry
    return tuple(found.values())


def _at_risk(rows: Rows) -> Iterable[AtRisk]:
    for row in rows.to_pylist():
        yield AtRisk(**{name: row[name] for name in AtRisk.__dataclass_fields__ if name in row})


def _content(measurement: Measurement, read: EvidenceReader) -> dict[tuple[str, int, str], str]:
    tables = [read(Digest(str(e.content))) for e in measurement.evidence if e.kind == AT_RISK_CONTENT]
    return {
        (row["split"], row["row"], row["attack"]): row["content"]
        for table in tables
        if table is not None
        for row in table.to_pylist()
    }


def _ranked(entries: Iterable[Entry], after: int = 0) -> list[Entry]:
    """Return entries with the rank of their records: by chance, then by how many attacks agree, then by how often it came back."""
    by_record: dict[tuple[str, int], list[Entry]] = {}
    for entry in entries:
        by_record.setdefault(entry.key[:2], []).append(entry)
    order = sorted(by_record, key=lambda name: (*_weight(by_record[name]), name))
    return [
        replace(entry, rank=place)
        for place, name in enumerate(order, start=after + 1)
        for entry in sorted(by_record[name], key=lambda e: (*_weight([e]), e.found.attack))
    ]


def _weight(entries: Sequence[Entry]) -> tuple[float, int, int, float]:
    """Return what sorts records: smaller is at greater risk."""
    chances = [1.0 if e.found.chance is None else e.found.chance for e in entries]
    return (
        min(chances),
        -len(entries),
        -max(e.found.times or 0 for e in entries),
        -max(e.found.score for e in entries),
    )
