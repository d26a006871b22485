"""What a record and its evidence say of groups: a number for each of them, and for each crossing of two attributes.

A cell of fewer than ten examples is withheld, and one more where a total would give it away (``audit.stats.shrinkage``).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from audit.core.identity import Digest
from audit.core.measurements import Evidence, Interval, Measurement
from audit.core.records import AuditRecord
from audit.core.renderers import EvidenceReader
from audit.core.rows import Rows
from audit.stats.shrinkage import ALONE
from dashboards import small_groups
from reports.charts import HEATMAP, INTERVALS
from reports.sections import dimension_of, group_name, owners

MOST_GROUPS, MOST_CELLS = 60, 900
"""Groups in one chart, and cells in one heat map; the table beneath has the rest."""


@dataclass(frozen=True, slots=True)
class Slice:
    """A number about one group. ``value`` is None where it is withheld or was not measured; ``note`` then says why.

    ``n`` is None where the evidence does not say how many examples there are. ``target`` is what the number is held against.
    """

    label: str
    value: float | None
    low: float | None = None
    high: float | None = None
    n: int | None = None
    target: float | None = None
    note: str = ""

    @property
    def few(self) -> bool:
        """Whether it is about so few examples that it should not be read by itself."""
        return self.n is not None and self.n < ALONE


@dataclass(frozen=True, slots=True)
class Slices:
    """One number over groups that belong together, with its ``unit`` and which way is better."""

    title: str
    slices: tuple[Slice, ...]
    unit: str = ""
    direction: str = ""


@dataclass(frozen=True, slots=True)
class Crossing:
    """One number where two attributes cross: a cell for each pair of values, as (row, column, number)."""

    title: str
    rows: str
    columns: str
    cells: tuple[tuple[str, str, Slice], ...]


def metrics(record: AuditRecord) -> list[str]:
    """Return the metrics that were measured for groups: those of fairness first, then by name."""
    owned = owners(record)
    names = {m.metric for m in record.measurements if m.group}
    return sorted(names, key=lambda name: (dimension_of(name, owned) != "fairness", name))


def measured(record: AuditRecord, metric: str) -> tuple[list[Slices], list[Crossing]]:
    """Return what was measured of a metric: a family for each set of attributes, and a crossing where two of them have several values."""
    slices, crossings = [], []
    for (of, names), family in small_groups.families(record).items():
        if of != metric:
            continue
        varied = [i for i in range(len(names)) if len({m.group[i][1] for m in family}) > 1] or [
            len(names) - 1
        ]
        constant = [family[0].group[i] for i in range(len(names)) if i not in varied]
        cells = _withheld([_slice(m, varied) for m in family])
        title = f"{metric} by {' and '.join(names[i] for i in varied)}"
        title += f", {group_name(tuple(constant))}" if constant else ""
        slices.append(Slices(title, tuple(cells), family[0].unit, family[0].direction.value))
        if len(varied) == 2:
            first, second = varied
            at = [
                (m.group[first][1], m.group[second][1], cell) for m, cell in zip(family, cells, strict=True)
            ]
            crossings.append(Crossing(title, names[first], names[second], tuple(at)))
    return slices, crossings


def tables(record: AuditRecord, metric: str) -> list[Evidence]:
    """Return the evidence of a metric that has a number for each group or crossing, each once; sensitive evidence is left out."""
    found = {
        str(e.content): e
        for e in _evidence(record, metric)
        if e.kind in ("intervals", "heatmap") and not e.sensitive
    }
    return list(found.values())


def shown(e: Evidence, read: EvidenceReader) -> Slices | Crossing | None:
    """Return what a table of evidence says of groups; None where the store does not hold it, or it says nothing of them."""
    rows = read(Digest(str(e.content)))
    names = set() if rows is None or not rows.num_rows else set(rows.column_names)
    if e.kind == "intervals" and names >= INTERVALS:
        return Slices(e.caption, tuple(_withheld(list(_lines(rows)))))
    if e.kind == "heatmap" and names >= HEATMAP:
        return _crossing(e.caption, rows)
    return None


def grids(record: AuditRecord, metric: str) -> list[Evidence]:
    """Return the evidence of pictures or texts of a metric, in which a column ``group`` may say whose they are; each once."""
    found = {str(e.content): e for e in _evidence(record, metric) if e.kind in ("images", "texts")}
    return list(found.values())


def _evidence(record: AuditRecord, metric: str) -> Iterator[Evidence]:
    for m in record.measurements:
        if m.metric == metric:
            yield from m.evidence


def _slice(m: Measurement, varied: Sequence[int]) -> Slice:
    named = tuple(m.group[i] for i in varied)
    label = named[0][1] if len(named) == 1 else group_name(named)
    interval = m.uncertainty if isinstance(m.uncertainty, Interval) else None
    note = "" if interval else f"no interval: {m.uncertainty.reason}"  # type: ignore[union-attr]
    if m.void:
        note = f"void: {m.void}"
    return Slice(
        label,
        m.value,
        interval.low if interval else None,
        interval.high if interval else None,
        m.n,
        m.baseline,
        note,
    )


def _lines(rows: Rows) -> Iterator[Slice]:
    counts = next((name for name in small_groups.COUNTS if name in rows.column_names), None)
    for row in rows.to_pylist():
        value, low, high = (_finite(row[name]) for name in ("value", "low", "high"))
        n = row[counts] if counts and isinstance(row[counts], int) else None
        note = "" if value is not None else "not measured"
        yield Slice(str(row["label"]), value, low, high, n, _finite(row.get("target")), note)


def _crossing(caption: str, rows: Rows) -> Crossing:
    """Return a heat map's cells. A count there may be that of a whole line, so no cell is withheld by it; those that the evaluator withheld stay so."""
    cells = []
    for row in rows.to_pylist():
        value, low, high = (_finite(row.get(name)) for name in ("value", "low", "high"))
        note = "" if value is not None else "withheld or not measured"
        n = row.get("n")
        cell = Slice("", value, low, high, n if isinstance(n, int) else None, None, note)
        cells.append((str(row["row"]), str(row["column"]), cell))
    kept = _withheld([cell for _, _, cell in cells])
    return Crossing(caption, "", "", tuple((r, c, cell) for (r, c, _), cell in zip(cells, kept, strict=True)))


def _withheld(found: Sequence[Slice]) -> list[Slice]:
    """Return slices without the numbers of groups of too few examples, their size included."""
    hidden = small_groups.too_few([one.n for one in found])
    note = f"withheld: {small_groups.REASON}"
    return [
        Slice(one.label, None, note=note) if hide else one for one, hide in zip(found, hidden, strict=True)
    ]


def _finite(value: Any) -> float | None:
    ok = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    return float(value) if ok else None


def by_group(column: Sequence[str | None]) -> Mapping[str, list[int]]:
    """Return the places of each value, in the order in which values come first.

    >>> by_group(["b", "a", "b", None])
    {'b': [0, 2], 'a': [1], 'none': [3]}
    """
    found: dict[str, list[int]] = {}
    for place, value in enumerate(column):
        found.setdefault("none" if value is None else value, []).append(place)
    return found
