"""Earlier runs that criteria compare with: found and checked before an audit runs, and how far it is from them afterwards."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from audit.core.errors import InputError, nearest
from audit.core.evaluators import Unmet
from audit.core.measurements import Interval, Measurement, Unquantified
from audit.core.plan import AuditPlan, Planned, Skipped, parameters_of
from audit.core.policy import Against, Basis, Criterion
from audit.core.records import AuditRecord
from audit.core.renderers import EvidenceReader
from audit.engine.comparison import Difference, difference
from audit.engine.scoring import source_digest


def with_baselines(plan: AuditPlan, read: Callable[[str], AuditRecord]) -> AuditPlan:
    """Return the plan with the record of every baseline that its criteria name; they name it by its run from then on.

    ``read`` finds a run or the file of a record by what the policy calls it. Raise InputError where it finds no record, or
    one that cannot be compared: unfinished, of another modality, other data or other parameters, without the metric.
    """
    found: dict[str, AuditRecord] = {}
    criteria: list[Criterion] = []
    for criterion in plan.policy.criteria:
        if criterion.baseline and criterion.concerns(plan.subject.card.modality):
            where = f"Policy '{plan.policy.name}', criterion on '{criterion.metric}'"
            try:
                record = read(criterion.baseline)
            except InputError as error:
                raise type(error)(f"{where}: its baseline cannot be read. {error}") from None
            if why := _unlike(plan, criterion, record):
                raise InputError(f"{where}: its baseline, run {record.run}, {why}")
            found[record.run] = record
            criterion = replace(criterion, baseline=record.run)
        elif criterion.baseline:
            criterion = replace(criterion, baseline=Path(criterion.baseline).name)  # no place of this machine
        criteria.append(criterion)
    return replace(plan, policy=replace(plan.policy, criteria=tuple(criteria)), baselines=found)


def _unlike(plan: AuditPlan, criterion: Criterion, record: AuditRecord) -> str:
    """Return why a difference from this record would not be the model's, or an empty string."""
    subject, metric = plan.subject, criterion.metric
    if record.finished is None:
        return "has not finished. Resume it, or name another."
    if (made := record.model.get("modality")) != subject.card.modality:
        return f"is of a model of {made}, and this one makes {subject.card.modality}. Name a run of its own kind."
    theirs, ours = _data(record.data), _data({**asdict(subject.data), "splits": subject.data_card.splits})
    if theirs != ours:
        return f"is on other data: {theirs}, here {ours}. Audit the earlier model on these data first."
    step = next((s for s in plan.steps if metric in s.about.declared), None)
    if isinstance(step, Skipped) or step is None:
        return ""  # not assessed, or left out where it is not required
    measured = {m.metric for m in record.measurements}
    if metric not in measured:
        return f"has no value of it. {nearest(metric, measured)}"
    return _asked_otherwise(step, record)


def _data(said: Mapping[str, Any]) -> dict[str, Any]:
    """Return what makes two data the same: their content, and how it is taken."""
    return {
        "loader": said.get("loader"),
        "content": said.get("content"),
        **{name: dict(said.get(name) or ()) for name in ("options", "splits")},
    }


def _asked_otherwise(step: Planned, record: AuditRecord) -> str:
    name = step.about.called
    theirs = next((e for e in record.evaluators if e.name == name), None)
    if theirs is None:
        return f"has the metric from another evaluator than '{name}'."
    ours = json.loads(json.dumps(parameters_of(step.evaluator)))
    if json.loads(json.dumps(theirs.parameters)) != ours:
        return (
            f"asked {name} with other parameters: {dict(theirs.parameters)}, here {ours}. Give both the same."
        )
    extractors = {role: ref.name for role, ref in step.asked.extractors}
    if dict(theirs.extractors) != extractors:
        return (
            f"gave {name} other extractors: {dict(theirs.extractors)}, here {extractors}. Give both the same."
        )
    return ""


def against(plan: AuditPlan, read: EvidenceReader | None) -> Against:
    """Return what says how far a measurement is from its criterion's baseline, as ``audit compare`` does.

    In pairs where both runs kept what each unit adds and ``read`` finds it, else as independent.
    """

    def found(criterion: Criterion, measurement: Measurement) -> Basis | Unmet:
        record = plan.baselines.get(criterion.baseline)
        if record is None:
            return Unmet(f"the record of run {criterion.baseline}", "nobody read it", "run 'audit run'")
        place = (measurement.metric, measurement.group)
        first = next((m for m in record.measurements if (m.metric, m.group) == place), None)
        of = f" for {dict(measurement.group)}" if measurement.group else ""
        need = f"a value of {measurement.metric}{of} in the baseline, run {record.run}"
        if first is None or first.void:
            why = "it has none" if first is None else f"it is void: {first.void}"
            return Unmet(need, why, "name another baseline")
        told = difference(first, measurement, read)
        if isinstance(told.uncertainty, Unquantified):
            return Unmet("an interval of the difference from the baseline", told.uncertainty.reason, need)
        return Basis(told.value, told.uncertainty, _said(plan, record, first, told))

    return found


def _said(plan: AuditPlan, record: AuditRecord, first: Measurement, told: Difference) -> str:
    how = (
        f"in pairs over {told.shared:,} units that both runs measured"
        if told.shared
        else "the two runs taken as independent"
    )
    between = told.uncertainty
    assert isinstance(between, Interval), "a difference without one has no basis"
    said = (
        f"judged by the difference from run {record.run}, which has {first.value:.4g}: {told.value:+.4g}, "
        f"{between.low:+.4g} to {between.high:+.4g}, {how}"
    )
    step = next(s for s in plan.steps if first.metric in s.about.declared)
    sources: Mapping[str, str] = {e.name: e.source for e in record.evaluators}
    if sources.get(step.about.called) != source_digest(type(step.evaluator)):
        said += f"; the code of {step.about.called} is not the same in both"
    return said
