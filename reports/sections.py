"""Measurements in the order a reader meets them: by dimension, evaluator and family of metrics that share an axis."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from audit.core.cases import Control
from audit.core.evaluators import Dimension
from audit.core.measurements import Direction, Group, Interval, Measurement, Undefined, Unquantified
from audit.core.policy import GRAVEST_FIRST
from audit.core.records import AuditRecord, RecordedEvaluator
from audit.core.renderers import EvidenceReader
from audit.core.run_summaries import OTHER as OTHER
from audit.core.run_summaries import dimension_of as dimension_of
from audit.core.run_summaries import owners as owners
from audit.core.units import UNITS
from reports import numbers
from reports.axes import Axis, axis_over, fits
from reports.evidence import Exhibit, Exhibition
from reports.figures import axis_figure, interval_plot
from reports.judged import Judged
from reports.redact import flattened, shortened

MOST_GROUPS = 4
"""Groups in one family of metrics that stand in the open; where more were measured, those that no criterion asks for are folded away."""
QUESTIONS: Mapping[str, str] = {
    Dimension.QUALITY: "Are the outputs good, varied and useful?",
    Dimension.FAIRNESS: "Who is represented, who is stereotyped, who gets worse quality?",
    Dimension.PRIVACY: "What of the training data can be got back out?",
    Dimension.PROVENANCE: "Can anyone tell, later, that this was generated?",
    OTHER: "Metrics that no evaluator of this record describes.",
}
DIRECTIONS: Mapping[Direction, str] = {
    Direction.HIGHER_IS_BETTER: "higher is better",
    Direction.LOWER_IS_BETTER: "lower is better",
    Direction.NEITHER: "neither direction is better",
}


@dataclass(frozen=True, slots=True)
class Line:
    """One measurement, written out; a ``nested`` one is a group of the metric above it, named by its group alone.

    ``question`` is what the metric answers, in plain words; ``void`` why a control makes the number worthless;
    ``folded`` says that it is one of many groups that nobody asked about.
    """

    label: str
    question: str
    nested: bool
    metric: str
    group: str
    plot: Markup
    verdict: str
    value: str
    unit: str
    interval: str
    level: str
    method: str
    unquantified: str
    n: str
    references: tuple[str, ...]
    notes: tuple[str, ...]
    void: str
    folded: bool


@dataclass(frozen=True, slots=True)
class ControlLine:
    """What a control case gave for one metric, written out; ``right`` is empty where nothing can be said."""

    metric: str
    asked: str
    value: str
    interval: str
    right: str
    because: str


@dataclass(frozen=True, slots=True)
class Family:
    """Metrics that share a unit, a direction and an axis; ``lines`` writes out ``measured``, in order."""

    direction: str
    measured: tuple[Measurement, ...]
    lines: tuple[Line, ...]
    scale: Axis
    axis: Markup


@dataclass(frozen=True, slots=True)
class Section:
    """One evaluator's part of a report; ``caveats`` are sentences about every one of its numbers."""

    name: str
    dimension: str
    summary: str
    descriptions: tuple[tuple[str, str], ...]
    references: tuple[str, ...]
    parameters: tuple[tuple[str, str], ...]
    caveats: tuple[str, ...]
    controls: tuple[ControlLine, ...]
    families: tuple[Family, ...]
    exhibits: tuple[Exhibit, ...]
    undefined: tuple[tuple[str, str], ...]


def group_name(group: Group) -> str:
    """Return a group in words.

    >>> group_name((("sex", "F"), ("age", "60+"))), group_name(())
    ('sex = F, age = 60+', '')
    """
    return ", ".join(f"{name} = {value}" for name, value in group)


def sections(record: AuditRecord, read: EvidenceReader, show_sensitive: bool) -> tuple[Section, ...]:
    """Return a section for each evaluator that measured something, and one for metrics nobody describes.

    Dimensions and their evaluators come by verdict, the gravest first; what no criterion asks for comes last.
    """
    owned = owners(record)
    measured: dict[str, list[Measurement]] = {}
    undefined: dict[str, list[Undefined]] = {}
    for measurement in record.measurements:
        measured.setdefault(_owner_name(measurement.metric, owned), []).append(measurement)
    for gap in record.undefined:
        undefined.setdefault(_owner_name(gap.metric, owned), []).append(gap)
    judged, exhibition = Judged.of(record.judgements), Exhibition(read, show_sensitive)
    controls: dict[str, list[Control]] = {}
    for control in record.controls:
        controls.setdefault(_owner_name(control.metric, owned), []).append(control)
    known = {e.name: e for e in _by_verdict(record, measured, judged)}
    return tuple(
        _section(
            known.get(name),
            measured.get(name, []),
            undefined.get(name, []),
            controls.get(name, []),
            judged,
            exhibition,
        )
        for name in (*known, OTHER)
        if name in measured or name in undefined
    )


def _by_verdict(
    record: AuditRecord, measured: Mapping[str, Iterable[Measurement]], judged: Judged
) -> list[RecordedEvaluator]:
    def grave(evaluator: RecordedEvaluator) -> int:
        verdicts = [v for m in measured.get(evaluator.name, ()) if (v := judged.verdict(m)) is not None]
        return min(map(GRAVEST_FIRST.index, verdicts), default=len(GRAVEST_FIRST))

    own = {evaluator.name: grave(evaluator) for evaluator in record.evaluators}
    dimensions = [d.value for d in Dimension]
    shared = {
        d: min((own[e.name] for e in record.evaluators if e.dimension == d), default=len(GRAVEST_FIRST))
        for d in dimensions
    }

    def order(evaluator: RecordedEvaluator) -> tuple[int, int, int]:
        d = evaluator.dimension
        place = dimensions.index(d) if d in dimensions else len(dimensions)
        return (shared.get(d, len(GRAVEST_FIRST)), place, own[evaluator.name])

    return sorted(record.evaluators, key=order)


def _owner_name(metric: str, owned: Mapping[str, RecordedEvaluator]) -> str:
    return owned[metric].name if metric in owned else OTHER


def _section(
    evaluator: RecordedEvaluator | None,
    measured: Sequence[Measurement],
    undefined: Sequence[Undefined],
    controls: Sequence[Control],
    judged: Judged,
    exhibition: Exhibition,
) -> Section:
    reported = {m.metric for m in measured} | {u.metric for u in undefined}
    return Section(
        name=evaluator.name if evaluator else "Other measurements",
        dimension=evaluator.dimension if evaluator else OTHER,
        summary=evaluator.summary if evaluator else QUESTIONS[OTHER],
        descriptions=tuple((m, text) for m, text in evaluator.metrics.items() if m in reported)
        if evaluator
        else (),
        references=evaluator.references if evaluator else (),
        parameters=tuple(flattened(evaluator.parameters)) if evaluator else (),
        caveats=evaluator.caveats if evaluator else (),
        controls=tuple(_control(control) for control in controls),
        families=tuple(_family(family, judged, evaluator) for family in families(measured, judged)),
        exhibits=tuple(exhibition.show(e) for m in measured for e in m.evidence if e.kind != UNITS),
        undefined=tuple((_label(u.metric, u.group), u.reason) for u in undefined),
    )


def _control(control: Control) -> ControlLine:
    planted = f"{control.defect}, dose {numbers.plain(control.dose)}: " if control.dose is not None else ""
    interval = control.interval
    return ControlLine(
        metric=_label(control.metric, control.group),
        asked=f"{planted}{control.asked}",
        value="" if control.value is None else numbers.plain(control.value),
        interval=f"{numbers.plain(interval.low)} … {numbers.plain(interval.high)}" if interval else "",
        right={True: "as it should be", False: "wrong", None: ""}[control.right],
        because=control.because,
    )


def families(measured: Iterable[Measurement], judged: Judged) -> list[tuple[tuple[Measurement, ...], Axis]]:
    """Return measurements that can be read on one axis together, with that axis.

    Metrics join when they have the same unit and direction and none would
    be squashed; the groups of one metric always stay together.
    """
    by_metric: dict[str, list[Measurement]] = {}
    for measurement in measured:
        by_metric.setdefault(measurement.metric, []).append(measurement)
    found: list[tuple[Measurement, ...]] = []
    for metric in by_metric.values():
        ordered = tuple(sorted(metric, key=lambda m: bool(m.group)))
        for position, family in enumerate(found):
            if _alike(family[0], ordered[0]) and _readable((*family, *ordered), judged):
                found[position] = (*family, *ordered)
                break
        else:
            found.append(ordered)
    return [(family, shared_axis(family, judged)) for family in found]


def _alike(a: Measurement, b: Measurement) -> bool:
    return a.unit == b.unit and a.direction == b.direction


def _readable(family: Sequence[Measurement], judged: Judged) -> bool:
    axis = shared_axis(family, judged)
    spans: dict[str, list[float]] = {}
    for m in family:
        spans.setdefault(m.metric, []).extend((*ends_of(m), m.value * 0.9, m.value * 1.1))
    return fits(axis, ((min(ends), max(ends)) for ends in spans.values()))


def shared_axis(family: Sequence[Measurement], judged: Judged) -> Axis:
    """Return an axis for everything a family's plots show."""
    references = [r for m in family for r in (m.baseline, m.noise_floor) if r is not None]
    references += [line for m in family for line in judged.bounds(m).lines]
    return axis_over([end for m in family for end in ends_of(m)], references)


def ends_of(measurement: Measurement) -> tuple[float, ...]:
    """Return the value, between the ends of its interval where it has one."""
    match measurement.uncertainty:
        case Interval(low=low, high=high):
            return (low, measurement.value, high)
        case Unquantified():
            return (measurement.value,)


def _family(
    family: tuple[tuple[Measurement, ...], Axis], judged: Judged, evaluator: RecordedEvaluator | None
) -> Family:
    measured, axis = family
    before = (None, *measured)
    crowded = sum(bool(m.group) and judged.verdict(m) is None for m in measured) > MOST_GROUPS
    return Family(
        direction=DIRECTIONS[measured[0].direction],
        measured=measured,
        lines=tuple(
            _line(
                m,
                axis,
                judged,
                evaluator,
                nested=(nested := above is not None and above.metric == m.metric),
                folded=crowded and nested and judged.verdict(m) is None and not m.void,
            )
            for above, m in zip(before, measured, strict=False)
        ),
        scale=axis,
        axis=axis_figure(axis),
    )


def _line(
    m: Measurement,
    axis: Axis,
    judged: Judged,
    evaluator: RecordedEvaluator | None,
    *,
    nested: bool,
    folded: bool,
) -> Line:
    verdict = judged.verdict(m)
    said = verdict.value if verdict is not None else ""
    interval = m.uncertainty if isinstance(m.uncertainty, Interval) else None
    group, owner = group_name(m.group), evaluator.name if evaluator else OTHER
    return Line(
        label=group if nested and group else _label(m.metric.removeprefix(f"{owner}."), m.group),
        question="" if nested or evaluator is None else evaluator.question(m.metric),
        nested=nested,
        metric=m.metric,
        group=group,
        plot=interval_plot(m, axis, judged.bounds(m), said),
        verdict=said,
        value=numbers.value_of(m),
        unit=shortened(m.unit, 40),
        interval=numbers.interval_of(m),
        level=numbers.percent(interval.level) if interval else "",
        method=interval.method if interval else "",
        unquantified=m.uncertainty.reason if isinstance(m.uncertainty, Unquantified) else "",
        n=numbers.count(m.n),
        references=_references(m),
        notes=m.notes,
        void=m.void,
        folded=folded,
    )


def _references(m: Measurement) -> tuple[str, ...]:
    found = [] if m.baseline is None else [f"baseline {numbers.plain(m.baseline)}"]
    found += [] if m.noise_floor is None else [f"noise floor {numbers.plain(m.noise_floor)}"]
    found += [] if m.p_value is None else [numbers.p_value(m.p_value)]
    return tuple(found)


def _label(metric: str, group: Group) -> str:
    return f"{metric} · {group_name(group)}" if group else metric
