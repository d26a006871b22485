"""Provenance at a glance: one line for each layer of marks, and one picture of what survives; the details fold away."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from audit.core.evaluators import Dimension
from audit.core.measurements import Measurement
from audit.core.records import AuditRecord
from reports import numbers
from reports.evidence import Exhibit
from reports.sections import Section, dimension_of, owners

COLUMNS = (
    "in the outputs",
    "found if put in",
    "after JPEG or edits",
    "forged by others",
    "accused wrongly",
)
_ASKED = {
    "present": COLUMNS[0],
    "power": COLUMNS[1],
    "after_jpeg": COLUMNS[2],
    "after_edits": COLUMNS[2],
    "forged": COLUMNS[3],
    "false_alarms": COLUMNS[4],
}
"""The column of each metric that a watermark's evaluator reports for each mark."""
_OF_FILES = {
    "carried": ("content credential (C2PA)", COLUMNS[0]),
    "signable": ("content credential (C2PA)", COLUMNS[1]),
    "iptc": ("label: IPTC source type", COLUMNS[0]),
    "aigc": ("label: AIGC", COLUMNS[0]),
}
"""The layer and the column of each metric about files."""


@dataclass(frozen=True, slots=True)
class LayerLine:
    """One layer: its name and, for each of ``COLUMNS``, what was measured in words; empty where nothing was."""

    layer: str
    cells: tuple[str, ...]


def layer_lines(record: AuditRecord) -> tuple[LayerLine, ...]:
    """Return a line for each credential, label and watermark of which something was measured."""
    owned, found = owners(record), dict[str, dict[str, str]]()
    for measurement in record.measurements:
        if dimension_of(measurement.metric, owned) != Dimension.PROVENANCE:
            continue
        word, group = measurement.metric.rpartition(".")[2], dict(measurement.group)
        if word in _OF_FILES and not group:
            layer, column = _OF_FILES[word]
        elif word in _ASKED and set(group) == {"mark"}:
            layer, column = f"watermark {group['mark']}", _ASKED[word]
        else:
            continue
        found.setdefault(layer, {})[column] = _said(measurement)
    return tuple(LayerLine(name, tuple(cells.get(c, "") for c in COLUMNS)) for name, cells in found.items())


def _said(measurement: Measurement) -> str:
    if measurement.void:
        return "void"
    interval = numbers.interval_of(measurement)
    return f"{numbers.value_of(measurement)} ({interval})" if interval else numbers.value_of(measurement)


def survival_of(sections: Iterable[Section]) -> tuple[tuple[Section, ...], Exhibit | None]:
    """Take the picture of what survives out of the sections of provenance, where there is one."""
    every = tuple(sections)
    for place, section in enumerate(every):
        if section.dimension != Dimension.PROVENANCE:
            continue
        for exhibit in section.exhibits:
            if exhibit.kind == "heatmap" and exhibit.drawing is not None:
                kept = replace(section, exhibits=tuple(e for e in section.exhibits if e is not exhibit))
                return (*every[:place], kept, *every[place + 1 :]), exhibit
    return every, None
