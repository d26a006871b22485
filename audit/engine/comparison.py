"""What changed between two runs, beyond noise."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Any

from audit.core.errors import InputError, UndefinedError
from audit.core.identity import Digest
from audit.core.measurements import Direction, Group, Interval, Measurement, Unquantified
from audit.core.records import AuditRecord
from audit.core.renderers import EvidenceReader
from audit.core.units import UNITS
from audit.stats.differences import difference_interval
from audit.stats.paired import Paired, paired_means, paired_ratios, shared_rows


class Change(enum.StrEnum):
    BETTER = "better"
    WORSE = "worse"
    CHANGED = "changed"
    WITHIN_NOISE = "within noise"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Difference:
    """One metric on one group in two runs; ``value`` is the second run's minus the first's."""

    metric: str
    group: Group
    first: float
    second: float
    value: float
    uncertainty: Interval | Unquantified
    change: Change
    shared: int = 0
    """How many units both runs measured and were compared in pairs; 0 where the runs are taken as independent."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two runs side by side. ``unlike`` names what else differs between them, so a change is not blamed on the model."""

    first: str
    second: str
    differences: tuple[Difference, ...]
    only_first: tuple[str, ...]
    only_second: tuple[str, ...]
    unlike: tuple[str, ...]


def compare(first: AuditRecord, second: AuditRecord, read: EvidenceReader | None = None) -> Comparison:
    """Return the difference of every metric that both runs measured.

    Where both kept what each unit adds (``audit.core.units``) and ``read`` finds it, units that both
    measured are compared in pairs. Raise InputError for runs of different modalities: no number of one has a counterpart.
    """
    kinds = [str(record.model.get("modality", "")) for record in (first, second)]
    if all(kinds) and kinds[0] != kinds[1]:
        raise InputError(
            f"Run {first.run} is of a model of {kinds[0]} and run {second.run} of one of {kinds[1]}; nothing in them compares."
        )
    a = {(m.metric, m.group): m for m in first.measurements}
    b = {(m.metric, m.group): m for m in second.measurements}
    return Comparison(
        first=first.run,
        second=second.run,
        differences=tuple(_difference(a[key], b[key], read) for key in a if key in b),
        only_first=tuple(sorted({metric for metric, group in a if (metric, group) not in b})),
        only_second=tuple(sorted({metric for metric, group in b if (metric, group) not in a})),
        unlike=tuple(_unlike(first, second)),
    )


def _difference(a: Measurement, b: Measurement, read: EvidenceReader | None) -> Difference:
    place = (a.metric, a.group, a.value, b.value)
    paired = None if read is None else _paired(a, b, read)
    if paired is not None:
        change = _change(paired.interval, b.direction)
        return Difference(*place, paired.value, paired.interval, change, paired.rows)
    match a.uncertainty, b.uncertainty:
        case Interval() as left, Interval() as right if left.level == right.level:
            uncertainty: Interval | Unquantified = difference_interval(a.value, left, b.value, right)
        case Interval(), Interval():
            uncertainty = Unquantified("the two intervals have different levels")
        case _:
            uncertainty = Unquantified("at least one of the two values has no interval")
    return Difference(*place, b.value - a.value, uncertainty, _change(uncertainty, b.direction))


def _paired(a: Measurement, b: Measurement, read: EvidenceReader) -> Paired | None:
    """Compare two numbers on the units that both rest on; None where they share fewer than half of the fewer units."""
    kept = [read(Digest(str(e.content))) for m in (a, b) for e in m.evidence if e.kind == UNITS]
    tables = [table for table in kept if table is not None]
    if len(tables) != 2:
        return None
    names = [table.column("unit").to_pylist() for table in tables]
    if any(len(set(one)) != len(one) for one in names):
        return None
    places = shared_rows(names[0], names[1])
    if len(places[0]) < max(2, min(len(one) for one in names) / 2):
        return None

    def column(name: str, which: int) -> Any:
        return tables[which].column(name).to_numpy()[places[which]]

    try:
        if "value" in tables[0].column_names:
            return paired_means(column("value", 0), column("value", 1))
        parts = [(column("numerator", which), column("denominator", which)) for which in (0, 1)]
        return paired_ratios(parts[0], parts[1])
    except UndefinedError:
        return None


def _change(uncertainty: Interval | Unquantified, direction: Direction) -> Change:
    if isinstance(uncertainty, Unquantified):
        return Change.UNKNOWN
    if uncertainty.low <= 0 <= uncertainty.high:
        return Change.WITHIN_NOISE
    rose = uncertainty.low > 0
    match direction:
        case Direction.HIGHER_IS_BETTER:
            return Change.BETTER if rose else Change.WORSE
        case Direction.LOWER_IS_BETTER:
            return Change.WORSE if rose else Change.BETTER
        case Direction.NEITHER:
            return Change.CHANGED


_MAY_DIFFER = {"run", "problems", "notes"}
"""Where a run ran changes no number, and what a card remarks is no difference of its own."""


def _unlike(first: AuditRecord, second: AuditRecord) -> list[str]:
    found = [f"run {r.run} has not finished" for r in (first, second) if r.finished is None]
    for what, one, other in (
        ("data", first.data, second.data),
        ("settings", first.settings, second.settings),
        ("environment", first.environment, second.environment),
    ):
        found += [
            f"{what}.{key}: {one.get(key)} and {other.get(key)}"
            for key in sorted({*one, *other} - _MAY_DIFFER)
            if one.get(key) != other.get(key)
        ]
    sources = {e.name: (e.source, e.parameters) for e in first.evaluators}
    found += [
        f"the code or the parameters of {e.name} differ"
        for e in second.evaluators
        if e.name in sources and sources[e.name] != (e.source, e.parameters)
    ]
    return found
