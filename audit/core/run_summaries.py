"""A run in a few hundred bytes: what a list of runs shows, so that nobody reads whole records to draw it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from audit.core.evaluators import Dimension
from audit.core.identity import digest_of
from audit.core.measurements import Group, Interval, Measurement
from audit.core.policy import GRAVEST_FIRST, Judgement, Verdict, overall
from audit.core.records import AuditRecord, RecordedEvaluator
from audit.core.register import looked_for

OTHER = "other"
"""The dimension of metrics that no evaluator of a record describes."""
UNFINISHED = "unfinished"
_LONGEST = 200
"""Characters of a name that a summary keeps."""


@dataclass(frozen=True, slots=True)
class Decisive:
    """The gravest criterion that did not pass: which it is, its bound, and the number it rests on.

    ``value``, ``low`` and ``high`` are in ``unit``; None where nothing was measured or the number has no interval.
    """

    metric: str
    group: Group
    verdict: str
    bound: str
    value: float | None = None
    low: float | None = None
    high: float | None = None
    unit: str = ""


@dataclass(frozen=True, slots=True)
class Summary:
    """One run in a list.

    ``finished`` is None while it has not come to its end, and its ``verdict`` is then ``unfinished``.
    ``model_key`` and ``data_key`` tell two models or two data sets of one name apart: the digest of the weights, and of what named
    the rows (source, bytes, options). ``registers`` says that the run looked for single training records.
    ``dimensions`` has the verdict of each dimension the policy asks about, ``counts`` how many criteria got each verdict.
    ``problem`` says why nothing but the first lines is known of a run whose record cannot be read.
    """

    run: str
    name: str
    began: str
    finished: str | None
    verdict: str
    model: str = ""
    model_key: str = ""
    data: str = ""
    data_key: str = ""
    dimensions: Mapping[str, str] | None = None
    counts: Mapping[str, int] | None = None
    measurements: int = 0
    failures: int = 0
    decisive: Decisive | None = None
    registers: bool = False
    problem: str = ""


def summary_of(record: AuditRecord) -> Summary:
    """Return the summary of a finished or unfinished run."""
    owned = owners(record)
    judged: dict[str, list[Judgement]] = {}
    for judgement in record.judgements:
        judged.setdefault(dimension_of(judgement.criterion.metric, owned), []).append(judgement)
    done = record.finished is not None
    model = record.model
    return Summary(
        run=record.run,
        name=record.name[:_LONGEST],
        began=record.began,
        finished=record.finished,
        verdict=record.verdict.value if done else UNFINISHED,
        model=(model_name(model) or str(model.get("family") or model.get("adapter") or ""))[:_LONGEST],
        model_key=str(model.get("weights") or "")[:64],
        data=data_name(record.data)[:_LONGEST],
        data_key=_data_key(record.data),
        dimensions={
            name: overall(found).value
            for name, found in judged.items()
            if done and any(j.criterion.blocking for j in found)
        },
        counts={
            v.value: n
            for v in GRAVEST_FIRST
            if (n := sum(j.verdict is v for j in record.judgements)) and done
        },
        measurements=len(record.measurements),
        failures=len(record.failures),
        decisive=_decisive(record) if done else None,
        registers=looked_for(record),
    )


def _data_key(data: Mapping[str, Any]) -> str:
    named = [data.get(name) for name in ("loader", "content", "options")]
    return digest_of(json.dumps(named, sort_keys=True).encode())


def _decisive(record: AuditRecord) -> Decisive | None:
    grave = [j for j in record.judgements if j.verdict is not Verdict.PASS and j.decides]
    if not grave:
        return None
    judgement = min(grave, key=lambda j: GRAVEST_FIRST.index(j.verdict))
    criterion, because = judgement.criterion, judgement.because
    if not isinstance(because, Measurement):
        return Decisive(criterion.metric, (), judgement.verdict.value, criterion.bound)
    interval = because.uncertainty if isinstance(because.uncertainty, Interval) else None
    return Decisive(
        metric=criterion.metric,
        group=because.group,
        verdict=judgement.verdict.value,
        bound=(criterion.on(because) or criterion).bound,
        value=because.value,
        low=None if interval is None else interval.low,
        high=None if interval is None else interval.high,
        unit=because.unit[:_LONGEST],
    )


def owners(record: AuditRecord) -> dict[str, RecordedEvaluator]:
    """Return, for each metric, the first evaluator of the record that describes it; one that ran goes before one that did not."""
    found: dict[str, RecordedEvaluator] = {}
    for evaluator in sorted(record.evaluators, key=lambda e: e.status != "scored"):
        for metric in evaluator.metrics:
            found.setdefault(metric, evaluator)
    return found


def dimension_of(metric: str, owned: Mapping[str, RecordedEvaluator]) -> str:
    """Return the dimension of the evaluator that describes a metric, else the one its name begins with."""
    if metric in owned:
        return owned[metric].dimension
    beginning = metric.partition(".")[0]
    return beginning if beginning in set(Dimension) else OTHER


def model_name(model: Mapping[str, Any]) -> str:
    """Return what the audit calls its model, or an empty string: an included model's name, a hub id, a factory."""
    options = model.get("options")
    if not isinstance(options, Mapping):
        return ""
    return next((str(options[key]) for key in ("use", "name", "id", "factory") if options.get(key)), "")


def data_name(data: Mapping[str, Any]) -> str:
    """Return what the audit calls its data: the source it was read with."""
    return str(data.get("loader") or "")
