"""What changed between two runs, beyond noise."""

from __future__ import annotations

import enum
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from statistics import NormalDist
from typing import Any

import numpy as np

from audit.core.errors import InputError, UndefinedError
from audit.core.identity import Digest
from audit.core.measurements import Direction, Group, Interval, Measurement, Unquantified
from audit.core.policy import GRAVEST_FIRST, Judgement, Verdict, Waiver, gravest
from audit.core.records import AuditRecord
from audit.core.renderers import EvidenceReader
from audit.core.units import UNITS
from audit.stats.differences import difference_interval
from audit.stats.paired import Paired, paired_means, paired_rates, paired_ratios, shared_rows
from audit.stats.permutation import holm

_DECIDES = "the verdict of the audit rests on it"


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
    p_value: float | None = None
    """Of no difference, read off the interval as if it were normal on the side of 0; None without an interval."""
    beyond_chance: bool = False
    """Whether it is there even though so many metrics were compared: Holm's correction over all that have an interval."""
    judged: bool = False
    """Whether a criterion of the second run rests on the metric."""


@dataclass(frozen=True, slots=True)
class VerdictChange:
    """A criterion of which the two runs think differently; None where a run's policy did not ask it."""

    metric: str
    group: Group
    bound: str
    first: Verdict | None
    second: Verdict | None

    @property
    def graver(self) -> bool:
        """Whether the second verdict is worse than the first; what was not asked before counts as passed."""
        if self.second is None:
            return False
        return GRAVEST_FIRST.index(self.second) < GRAVEST_FIRST.index(self.first or Verdict.PASS)


@dataclass(frozen=True, slots=True)
class StandingChange:
    """A criterion that both runs asked and that one run's verdict rests on otherwise: waived, or advice, in one of them.

    ``first`` and ``second`` say how it stands in each run, ``verdict`` is the second run's.
    """

    metric: str
    group: Group
    bound: str
    verdict: Verdict
    first: str
    second: str


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two runs side by side. ``unlike`` names what else differs between them, so a change is not blamed on the model."""

    first: str
    second: str
    differences: tuple[Difference, ...]
    only_first: tuple[str, ...]
    only_second: tuple[str, ...]
    unlike: tuple[str, ...]
    overall: tuple[Verdict, Verdict] = (Verdict.NOT_ASSESSED, Verdict.NOT_ASSESSED)
    """The verdict of the whole audit in each run."""
    standings: tuple[StandingChange, ...] = ()
    """Criteria whose waiver is gone, new or expired, or that became advice or ceased to be."""
    verdicts: tuple[VerdictChange, ...] = ()
    """Criteria whose verdict changed, the gravest change first."""
    kept: int = 0
    """How many criteria have the same verdict in both runs."""
    by_chance: float = 0.0
    """How many differences can be expected to look real if none were: the sum of one minus the intervals' levels."""

    @property
    def graver(self) -> bool:
        """Whether the verdict of the whole audit is worse in the second run."""
        first, second = map(GRAVEST_FIRST.index, self.overall)
        return second < first

    def of(self, change: Change) -> list[Difference]:
        """Return the differences of one kind: what a criterion rests on first, then the surest."""
        return sorted(
            (d for d in self.differences if d.change is change),
            key=lambda d: (not d.beyond_chance, not d.judged, 1.0 if d.p_value is None else d.p_value),
        )


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
    judged = {j.criterion.metric for j in second.judgements}
    found = [replace(difference(a[key], b[key], read), judged=key[0] in judged) for key in a if key in b]
    changes, kept = _verdicts(first, second)
    return Comparison(
        first=first.run,
        second=second.run,
        differences=tuple(_corrected(found)),
        only_first=tuple(sorted({metric for metric, group in a if (metric, group) not in b})),
        only_second=tuple(sorted({metric for metric, group in b if (metric, group) not in a})),
        unlike=tuple(_unlike(first, second)),
        overall=(first.verdict, second.verdict),
        standings=tuple(_standings(first, second)),
        verdicts=changes,
        kept=kept,
        by_chance=sum(1 - d.uncertainty.level for d in found if isinstance(d.uncertainty, Interval)),
    )


def _corrected(found: Sequence[Difference]) -> list[Difference]:
    """Return the differences with a p-value each and, by Holm's method, which are real among so many."""
    with_p = [replace(d, p_value=_p_value(d)) for d in found]
    places = [i for i, d in enumerate(with_p) if d.p_value is not None]
    adjusted = holm([float(with_p[i].p_value or 0.0) for i in places])
    for i, p in zip(places, adjusted, strict=True):
        level = with_p[i].uncertainty.level  # type: ignore[union-attr]
        with_p[i] = replace(with_p[i], beyond_chance=p < 1 - level)
    return with_p


def _p_value(d: Difference) -> float | None:
    if not isinstance(d.uncertainty, Interval):
        return None
    side = d.value - d.uncertainty.low if d.value > 0 else d.uncertainty.high - d.value
    if d.value == 0 or not math.isfinite(side):
        return 1.0
    normal = NormalDist()
    z = normal.inv_cdf((1 + d.uncertainty.level) / 2) * abs(d.value) / side if side > 0 else math.inf
    return 2 * normal.cdf(-z)


def _verdicts(first: AuditRecord, second: AuditRecord) -> tuple[tuple[VerdictChange, ...], int]:
    """Return which criteria changed their verdict, and how many did not."""
    a, b = _judged(first), _judged(second)
    both = [VerdictChange(*key, a.get(key), b.get(key)) for key in dict.fromkeys([*b, *a])]
    changed = [change for change in both if change.first is not change.second]
    order = sorted(changed, key=lambda c: (not c.graver, GRAVEST_FIRST.index(c.second or Verdict.PASS)))
    return tuple(order), len(both) - len(changed)


def _standings(first: AuditRecord, second: AuditRecord) -> Iterator[StandingChange]:
    """Yield what both runs asked and what is waived, or advice, in one of them alone, or waived anew."""
    a, b = _by_criterion(first), _by_criterion(second)
    for key in (key for key in b if key in a):
        before, now = a[key][-1], b[key][-1]
        if _standing(before) != _standing(now):
            verdict = gravest(j.verdict for j in b[key])
            yield StandingChange(*key, verdict, before.status or _DECIDES, now.status or _DECIDES)


def _standing(judgement: Judgement) -> tuple[bool, Waiver | None]:
    return judgement.criterion.blocking, None if judgement.expired else judgement.waiver


def _judged(record: AuditRecord) -> dict[tuple[str, Group, str], Verdict]:
    return {key: gravest(j.verdict for j in found) for key, found in _by_criterion(record).items()}


def _by_criterion(record: AuditRecord) -> dict[tuple[str, Group, str], list[Judgement]]:
    found: dict[tuple[str, Group, str], list[Judgement]] = {}
    for j in record.judgements:
        group = j.because.group if isinstance(j.because, Measurement) else ()
        found.setdefault((j.criterion.metric, group, j.criterion.bound), []).append(j)
    return found


def difference(a: Measurement, b: Measurement, read: EvidenceReader | None) -> Difference:
    """Return how far the second measurement is from the first: in pairs where they share units, else as independent."""
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
            values = column("value", 0), column("value", 1)
            rates = all(np.isin(one, (0.0, 1.0)).all() for one in values)
            return paired_rates(*values) if rates else paired_means(*values)
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


_MAY_DIFFER = {"run", "problems", "notes", "lock", "imported"}
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
