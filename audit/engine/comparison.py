"""What changed between two runs, beyond noise."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from audit.core.measurements import Direction, Group, Interval, Measurement, Unquantified
from audit.core.records import AuditRecord
from audit.stats.differences import difference_interval


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


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two runs side by side. ``unlike`` names what else differs between them, so a change is not blamed on the model."""

    first: str
    second: str
    differences: tuple[Difference, ...]
    only_first: tuple[str, ...]
    only_second: tuple[str, ...]
    unlike: tuple[str, ...]


def compare(first: AuditRecord, second: AuditRecord) -> Comparison:
    """Return the difference of every metric that both runs measured."""
    a = {(m.metric, m.group): m for m in first.measurements}
    b = {(m.metric, m.group): m for m in second.measurements}
    return Comparison(
        first=first.run,
        second=second.run,
        differences=tuple(_difference(a[key], b[key]) for key in a if key in b),
        only_first=tuple(sorted({metric for metric, group in a if (metric, group) not in b})),
        only_second=tuple(sorted({metric for metric, group in b if (metric, group) not in a})),
        unlike=tuple(_unlike(first, second)),
    )


def _difference(a: Measurement, b: Measurement) -> Difference:
    value = b.value - a.value
    match a.uncertainty, b.uncertainty:
        case Interval() as left, Interval() as right if left.level == right.level:
            uncertainty: Interval | Unquantified = difference_interval(a.value, left, b.value, right)
        case Interval(), Interval():
            uncertainty = Unquantified("the two intervals have different levels")
        case _:
            uncertainty = Unquantified("at least one of the two values has no interval")
    return Difference(
        a.metric, a.group, a.value, b.value, value, uncertainty, _change(uncertainty, b.direction)
    )


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
