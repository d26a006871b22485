"""A record as a report shows it: every string chosen, nothing left to compute."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from markupsafe import Markup

from audit.core.evaluators import Dimension, Unmet
from audit.core.measurements import Interval, Measurement
from audit.core.policy import GRAVEST_FIRST, Judgement, Verdict, in_order, overall
from audit.core.records import AuditRecord, RecordedFailure
from audit.core.renderers import EvidenceReader
from audit.core.run_summaries import model_name as model_name
from audit.core.words import counted
from reports import numbers
from reports.axes import axis_over
from reports.evidence import Exhibit
from reports.figures import Bounds, interval_plot
from reports.findings import Finding, bound_of, findings
from reports.frameworks import Framework, Spoken, frameworks, spoken
from reports.layers import LayerLine, layer_lines, survival_of
from reports.limits import limits
from reports.redact import flattened, shortened
from reports.review import Reviewed, reviewed
from reports.sections import (
    OTHER,
    QUESTIONS,
    Section,
    dimension_of,
    ends_of,
    group_name,
    owners,
    sections,
)
from reports.verdict_words import headline, sentence

SHOWS = ("quality.samples", "quality.reconstruction")
"""Evaluators whose evidence stands before any number."""


@dataclass(frozen=True, slots=True)
class Tally:
    """How many criteria got one verdict."""

    verdict: str
    count: int


@dataclass(frozen=True, slots=True)
class Card:
    """One dimension of the scorecard; ``verdict`` is empty when the policy asks nothing about it."""

    dimension: str
    question: str
    verdict: str
    tallies: tuple[Tally, ...]
    measurements: int
    evaluators: str


@dataclass(frozen=True, slots=True)
class CriterionLine:
    """One criterion's verdict and what it rests on, written out."""

    verdict: str
    metric: str
    group: str
    bound: str
    value: str
    interval: str
    method: str
    n: str
    n_to_decide: str
    why: str
    unmet: tuple[Unmet, ...]
    basis: str = ""
    """What the verdict rests on where that is not the number's own interval."""
    status: str = ""
    """That it is advice, waived or no more waived; empty otherwise."""
    plot: str = ""
    """Value and interval against the bound and the noise floor; empty where nothing was measured."""

    @property
    def standing(self) -> str:
        """Both in one: what a reader has to know besides the verdict."""
        return "; ".join(part for part in (self.basis, self.status) if part)


@dataclass(frozen=True, slots=True)
class Reproduction:
    """What is needed to make the same run again and to notice a difference."""

    tables: tuple[tuple[str, tuple[tuple[str, str], ...]], ...]
    evaluators: tuple[tuple[str, str, str, tuple[tuple[str, str], ...]], ...]
    """Name, status, digest of the source, parameters."""
    artifacts: tuple[tuple[str, str, str, str, str], ...]
    """Label, key, shards, digest, time."""
    total: str


@dataclass(frozen=True, slots=True)
class View:
    """Everything a report shows, in the order it shows it."""

    title: str
    run: str
    schema_version: int | str
    verdict: str
    headline: str
    sentence: str
    finished: bool
    facts: tuple[tuple[str, str], ...]
    cards: tuple[Card, ...]
    findings: tuple[Finding, ...]
    """What did not pass, the gravest first, in sentences."""
    criteria: tuple[CriterionLine, ...]
    samples: tuple[Exhibit, ...]
    """What the model makes, to be looked at before any number."""
    layers: tuple[LayerLine, ...]
    """Provenance at a glance: a line for each layer of marks."""
    survival: Exhibit | None
    """What of each layer survives, as one picture."""
    sections: tuple[Section, ...]
    skipped: tuple[tuple[str, str, tuple[Unmet, ...]], ...]
    """Evaluator, summary, every reason."""
    failures: tuple[RecordedFailure, ...]
    limits: tuple[str, ...]
    frameworks: tuple[tuple[Framework, tuple[Spoken, ...]], ...]
    """Clause by clause what speaks to it, or the gap."""
    reproduction: Reproduction
    hidden: int
    """How many items of sensitive evidence are not shown."""
    review: Reviewed | None = None
    """What people said of the run; None where nobody did."""


def view(record: AuditRecord, read: EvidenceReader, *, show_sensitive: bool = False) -> View:
    """Return what a report of a record shows; sensitive evidence is read only when asked for."""
    sensitive = sum(e.sensitive for m in record.measurements for e in m.evidence)
    measured, samples = _apart(record, sections(record, read, show_sensitive))
    measured, survival = survival_of(measured)
    return View(
        title=shortened(record.name, 200) or "An audit without a name",
        run=record.run,
        schema_version=record.schema_version,
        verdict=record.verdict.value,
        headline=headline(record),
        sentence=sentence(record),
        finished=record.finished is not None,
        facts=facts(record),
        cards=cards(record),
        findings=tuple(f for f in findings(record) if f.verdict is not Verdict.PASS),
        criteria=criteria(record),
        samples=samples,
        layers=layer_lines(record),
        survival=survival,
        sections=measured,
        skipped=_skipped(record),
        failures=record.failures,
        limits=limits(record),
        frameworks=tuple((framework, spoken(record, framework)) for framework in frameworks()),
        reproduction=_reproduction(record),
        hidden=0 if show_sensitive else sensitive,
        review=reviewed(record),
    )


def _apart(
    record: AuditRecord, every: tuple[Section, ...]
) -> tuple[tuple[Section, ...], tuple[Exhibit, ...]]:
    """Take the evidence of evaluators that show outputs out of their sections: it stands by itself."""
    places = {
        e.name: SHOWS.index(e.evaluator or e.name)
        for e in record.evaluators
        if (e.evaluator or e.name) in SHOWS
    }
    apart = sorted((s for s in every if s.name in places), key=lambda s: places[s.name])
    samples = tuple(item for section in apart for item in section.exhibits)
    return tuple(replace(s, exhibits=()) if s.name in places else s for s in every), samples


def facts(record: AuditRecord) -> tuple[tuple[str, str], ...]:
    """Return the few facts at the head of a report."""
    model, data, policy = record.model, record.data, record.policy
    seconds = numbers.elapsed(record.began, record.finished)
    parameters = model.get("parameters")
    size = f"{numbers.count(parameters)} parameters" if isinstance(parameters, int) and parameters else ""
    found = [
        ("Model", _joined(model_name(model), model.get("family"), model.get("modality"), size)),
        ("Weights", str(model.get("weights", ""))[:12]),
        ("Data", _joined(data.get("loader"), _splits(data))),
        ("Policy", _joined(" ".join(str(policy.get(k, "")) for k in ("name", "version")).strip())),
        ("Began", numbers.moment(record.began)),
        ("Took", "" if seconds is None else numbers.duration(seconds)),
        ("Registered", registered(record)),
    ]
    return tuple((name, shortened(value, 120)) for name, value in found if value)


def registered(record: AuditRecord) -> str:
    """Return when the plan of a run was registered and in how much the run departs from it; empty where it was not."""
    lock = record.settings.get("lock")
    if not isinstance(lock, Mapping):
        return ""
    departs = lock.get("deviations") or ()
    return f"{numbers.moment(str(lock.get('written', '')))} · {counted(len(departs), 'deviation') if departs else 'no deviation'}"


def _splits(data: Mapping[str, Any]) -> str:
    splits = data.get("splits")
    if not isinstance(splits, Mapping):
        return ""
    return ", ".join(f"{name} {numbers.count(n) if isinstance(n, int) else n}" for name, n in splits.items())


def _joined(*parts: Any) -> str:
    return " · ".join(str(part) for part in parts if part)


def cards(record: AuditRecord) -> tuple[Card, ...]:
    """Return the scorecard: the four dimensions, and a fifth when something belongs to none."""
    owned = owners(record)
    judged: dict[str, list[Judgement]] = {}
    for judgement in record.judgements:
        judged.setdefault(dimension_of(judgement.criterion.metric, owned), []).append(judgement)
    measured = [dimension_of(m.metric, owned) for m in record.measurements]
    names = [d.value for d in Dimension]
    if OTHER in judged or OTHER in measured:
        names.append(OTHER)
    return tuple(_card(record, name, judged.get(name, []), measured.count(name)) for name in names)


def _card(record: AuditRecord, dimension: str, judged: Sequence[Judgement], measured: int) -> Card:
    statuses = [e.status for e in record.evaluators if e.dimension == dimension]
    counted = [f"{statuses.count(s)} {s}" for s in dict.fromkeys(sorted(statuses))]
    return Card(
        dimension=dimension,
        question=QUESTIONS[dimension],
        verdict=overall(judged).value if any(j.criterion.blocking for j in judged) else "",
        tallies=tuple(Tally(v.value, n) for v in GRAVEST_FIRST if (n := sum(j.verdict is v for j in judged))),
        measurements=measured,
        evaluators=", ".join(counted),
    )


def criteria(record: AuditRecord) -> tuple[CriterionLine, ...]:
    """Return every judgement, the gravest first and otherwise as the policy has them."""
    return tuple(_criterion(judgement) for judgement in in_order(record.judgements))


def _criterion(judgement: Judgement) -> CriterionLine:
    because, criterion = judgement.because, judgement.criterion
    needed = judgement.n_to_decide
    common = {
        "verdict": judgement.verdict.value,
        "metric": criterion.metric,
        "bound": bound_of(judgement),
        "n_to_decide": judgement.to_decide
        or ("" if needed is None else f"About {numbers.count(needed)} units would decide."),
        "why": criterion.why,
        "basis": "" if judgement.basis is None else judgement.basis.said,
        "status": judgement.status,
    }
    if not isinstance(because, Measurement):
        empty = dict.fromkeys(("value", "interval", "method", "n"), "")
        group = "each group" if criterion.every_group else ""
        return CriterionLine(**common, **empty, group=group, unmet=because)
    uncertainty = because.uncertainty
    return CriterionLine(
        **common,
        group=group_name(because.group),
        value=f"{numbers.value_of(because)} {because.unit}".strip(),
        interval=numbers.interval_of(because),
        method=f"{numbers.percent(uncertainty.level)}, {uncertainty.method}"
        if isinstance(uncertainty, Interval)
        else f"no interval: {uncertainty.reason}",
        n=numbers.count(because.n),
        unmet=(),
        plot=_plot(judgement, because),
    )


def _plot(judgement: Judgement, measured: Measurement) -> Markup:
    resolved = judgement.criterion.on(measured)
    bounds = Bounds() if resolved is None else Bounds(resolved.at_least, resolved.at_most)
    references = [r for r in (measured.baseline, measured.noise_floor) if r is not None]
    axis = axis_over([*ends_of(measured), *bounds.lines], references)
    return interval_plot(measured, axis, bounds, judgement.verdict.value)


def _skipped(record: AuditRecord) -> tuple[tuple[str, str, tuple[Unmet, ...]], ...]:
    summaries = {e.name: e.summary for e in record.evaluators}
    return tuple((s.evaluator, summaries.get(s.evaluator, ""), s.unmet) for s in record.skipped)


def _reproduction(record: AuditRecord) -> Reproduction:
    tables = {
        "Model": record.model,
        "Data": record.data,
        "Settings": record.settings,
        "Policy": {k: v for k, v in record.policy.items() if k != "criteria"},
        "Environment": record.environment,
    }
    if record.spending:
        tables["Tokens and cost"] = dict(s.sentence().split(": ", 1) for s in record.spending)
    return Reproduction(
        tables=tuple((title, tuple(flattened(values))) for title, values in tables.items()),
        evaluators=tuple(
            (e.name, e.status, e.source, tuple(flattened(e.parameters))) for e in record.evaluators
        ),
        artifacts=tuple(
            (a.label, a.key, numbers.count(a.shards), a.digest, numbers.duration(a.seconds))
            for a in record.artifacts
        ),
        total=numbers.duration(sum(a.seconds for a in record.artifacts)),
    )
