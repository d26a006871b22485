"""Turn the logs of other evaluation tools into a record like that of a run, judged by a policy and kept in the store."""

from __future__ import annotations

import difflib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import date
from typing import Any

import numpy as np

from audit.core.errors import InputError, UndefinedError
from audit.core.evaluators import Unmet
from audit.core.identity import Digest, canonical, digest_of
from audit.core.imported import Formula, Log, Scores, Task
from audit.core.measurements import Evidence, Measurement, Outcome, Undefined, Ungraded, Unquantified
from audit.core.policy import Criterion, Policy, overall
from audit.core.records import AuditRecord, RecordedEvaluator, to_plain, waiver_to_plain
from audit.core.rows import Rows
from audit.core.units import unit_names, units_evidence
from audit.engine.deciding import deciding
from audit.engine.record import now
from audit.stats.graded import Graded, graded_mean, graded_ratio
from audit.store import codec
from audit.store.runs import Store

ADAPTER = "imported"
"""What a record calls the adapter of a model that another tool evaluated."""
_FEWEST_UNITS = 2
_MOST_METRICS = 20_000


@dataclass(frozen=True, slots=True)
class Imported:
    """Logs of one model and what they measured: all that a record says, before it is judged and kept."""

    logs: tuple[Log, ...]
    model: str
    evaluators: tuple[RecordedEvaluator, ...]
    outcomes: tuple[Outcome, ...]


def measured(
    logs: Sequence[Log],
    dimension: Callable[[str], str],
    model: str | None = None,
    ranges: Callable[[str], tuple[float, float] | None] = lambda metric: None,
) -> Imported:
    """Return what some logs of one model measured; ``dimension`` says where a task stands, ``model`` what they are about.

    ``ranges`` gives the least and the most that a score of a metric can be, where somebody knows. Raises InputError for logs of
    several models, where two of them have a metric in common, and for a score outside its range.
    """
    models = sorted({log.origin.model for log in logs})
    if model is None and len(models) > 1:
        raise InputError(
            f"The files are about {len(models)} models: {', '.join(models[:5])}. Import those of one model at a time; where the tools "
            "only call one model by several names, say --model NAME."
        )
    evaluators: dict[str, RecordedEvaluator] = {}
    outcomes: list[Outcome] = []
    seen: set[str] = set()
    for log in logs:
        for task in log.tasks:
            called = f"{log.origin.tool}.{task.name}"
            if called in evaluators:
                raise InputError(f"Two of the files have results of {called}. Import them one at a time.")
            evaluators[called] = _evaluator(called, task, log, dimension(called))
            for scores in task.scores:
                metric = f"{called}.{scores.metric}"
                if metric in seen:
                    raise InputError(f"The files have two metrics called {metric}. Nothing was imported.")
                seen.add(metric)
                outcomes.append(outcome(metric, _ranged(metric, scores, ranges(metric))))
    if len(outcomes) > _MOST_METRICS:
        raise InputError(
            f"The files have {len(outcomes):,} metrics; at most {_MOST_METRICS:,} are imported at once."
        )
    return Imported(tuple(logs), model or models[0], tuple(evaluators.values()), tuple(outcomes))


def _ranged(metric: str, scores: Scores, ends: tuple[float, float] | None) -> Scores:
    if ends is None or scores.values is None:
        return scores
    least, most = ends
    if (np.nan_to_num(scores.values, nan=least) < least).any() or (scores.values > most).any():
        low, high = float(np.nanmin(scores.values)), float(np.nanmax(scores.values))
        raise InputError(
            f"{metric}: scores lie from {low:g} to {high:g}, outside the range of {least:g} to {most:g} that --range gives."
        )
    return replace(scores, least=least, most=most)


def outcome(metric: str, scores: Scores) -> Outcome:
    """Return one metric with its interval computed again from samples, or with the reason why that cannot be."""
    if scores.formula is Formula.NONE or scores.values is None:
        if scores.reported is None:
            return Undefined(
                metric, f"the log has no number here that can be used; {scores.reason}", scores.group
            )
        own = scores.reported_error
        notes = (
            () if own is None else (f"The log's own standard error is {own:.4g}; nothing here confirms it.",)
        )
        return Measurement(
            metric,
            scores.reported,
            Unquantified(scores.reason),
            scores.n,
            scores.direction,
            scores.group,
            unit=scores.unit,
            notes=(*scores.notes, *notes),
        )
    try:
        found = _graded(scores)
    except UndefinedError as error:
        return Undefined(metric, str(error), scores.group)
    return Measurement(
        metric,
        found.value,
        found.uncertainty,
        found.n,
        scores.direction,
        scores.group,
        unit=scores.unit,
        notes=(*_notes(scores, found), *scores.notes),
        evidence=_evidence(scores, found),
        ungraded=Ungraded(found.missing, scores.errored, found.low, found.high) if found.missing else None,
    )


def _graded(scores: Scores) -> Graded:
    assert scores.values is not None
    if scores.formula is Formula.MEAN:
        return graded_mean(scores.values, scores.units, scores.least, scores.most)
    assert scores.weights is not None
    exponential = scores.formula is Formula.EXPONENTIAL
    return graded_ratio(scores.values, scores.weights, scores.units, exponential=exponential)


def _notes(scores: Scores, found: Graded) -> Iterator[str]:
    if found.missing:
        total = found.n + found.missing
        said = f"{found.missing:,} of {total:,} have no score, {scores.errored:,} of them because of an error"
        if found.low is not None and found.high is not None:
            said += f": the metric lies between {found.low:.4g} and {found.high:.4g}, whatever they would have scored"
        yield f"{said}."
    own = scores.reported
    if own is not None and abs(own - found.value) > 1e-6 * max(1.0, abs(found.value)):
        yield f"The log itself says {own:.6g}; computed again from its samples it is {found.value:.6g}."


def _evidence(scores: Scores, found: Graded) -> tuple[Evidence, ...]:
    """Return what each sample adds, where two imports can be compared sample by sample."""
    assert scores.values is not None
    if found.missing or found.units < _FEWEST_UNITS or scores.formula is Formula.EXPONENTIAL:
        return ()
    names, which = np.unique(np.asarray(scores.units, dtype=np.str_), return_inverse=True)
    sums = np.asarray(np.bincount(which, weights=scores.values), dtype=np.float64)
    kept = unit_names(str(name) for name in names)
    if scores.weights is not None:
        below = np.asarray(np.bincount(which, weights=scores.weights), dtype=np.float64)
        return (units_evidence(kept, numerator=sums, denominator=below),)
    return (units_evidence(kept, value=sums / np.bincount(which)),)


def _evaluator(called: str, task: Task, log: Log, dimension: str) -> RecordedEvaluator:
    declared = {
        f"{called}.{s.metric}": {
            "meaning": s.meaning,
            "direction": s.direction.value,
            "unit": s.unit,
            "baseline": None,
            "null": None,
            "question": "",
        }
        for s in task.scores
    }
    origin = log.origin
    return RecordedEvaluator(
        name=called,
        evaluator=f"{ADAPTER}.{origin.tool}",
        dimension=dimension,
        summary=task.summary,
        parameters=json.loads(canonical(dict(task.parameters))),
        source=f"{origin.tool} {origin.version}".strip(),
        metrics={name: str(d["meaning"]) for name, d in declared.items()},
        declared=declared,
        references=(),
        caveats=(f"Measured by {origin.tool}, not by this tool; intervals are computed here.", *task.caveats),
        status="scored",
    )


def import_run(
    store: Store, found: Imported, policy: Policy | None, name: str, environment: Mapping[str, str]
) -> AuditRecord:
    """Keep a record of an import in the store, with what a policy says of it, and return it."""

    def kept(measurement: Measurement) -> Measurement:
        return replace(
            measurement, evidence=tuple(replace(e, content=put(e.content)) for e in measurement.evidence)
        )

    def put(content: Rows | Digest) -> Digest:
        return Digest(content) if isinstance(content, str) else store.blobs.put(codec.encode(content))

    # Evidence first and the run last: an import that is killed leaves no run that nothing can resume.
    outcomes = tuple(kept(o) if isinstance(o, Measurement) else o for o in found.outcomes)
    record = _record(replace(found, outcomes=outcomes), policy, name, environment)
    files = [str(origin.digest) for log in found.logs for origin in log.origins]
    key = digest_of(canonical({"imported": files, "at": record.began}))
    run = store.begin(f"import-{key}", name, to_plain(record))
    store.finish(run, replace(record, run=run, finished=now()))
    return store.read(run)


def _record(found: Imported, policy: Policy | None, name: str, environment: Mapping[str, str]) -> AuditRecord:
    began = now()
    judgements = (
        ()
        if policy is None
        else policy.judge(
            found.outcomes, _missing(found, policy), "text", _deciding, on=date.fromisoformat(began[:10])
        )
    )
    return AuditRecord(
        run="importing",
        name=name,
        began=began,
        finished=None,
        model={
            "adapter": ADAPTER,
            "weights": "",
            "options": {"name": found.model},
            "modality": "text",
            "notes": ["Another tool evaluated this model; its weights were not seen here."],
        },
        data=_data(found),
        environment={**environment, **{k: v for log in found.logs for k, v in log.environment.items()}},
        settings={"imported": [asdict(origin) for log in found.logs for origin in log.origins]},
        policy={
            "name": "none" if policy is None else policy.name,
            "version": "" if policy is None else policy.version,
            "criteria": [] if policy is None else [asdict(criterion) for criterion in policy.criteria],
            "waivers": []
            if policy is None
            else [waiver_to_plain(w, not w.holds(date.fromisoformat(began[:10]))) for w in policy.waivers],
        },
        evaluators=found.evaluators,
        measurements=tuple(o for o in found.outcomes if isinstance(o, Measurement)),
        undefined=tuple(o for o in found.outcomes if isinstance(o, Undefined)),
        judgements=judgements,
        skipped=(),
        failures=(),
        artifacts=(),
        verdict=overall(judgements),
    )


def _data(found: Imported) -> dict[str, Any]:
    tasks = [(f"{log.origin.tool}.{task.name}", task) for log in found.logs for task in log.tasks]
    units = {called: sorted({u for s in task.scores for u in s.units}) for called, task in tasks}
    return {
        "loader": ADAPTER,
        "content": digest_of(canonical(units)),
        "options": {called: task.dataset for called, task in tasks if task.dataset},
        "splits": {called: task.samples for called, task in tasks},
        "groups": [],
        "problems": [note for log in found.logs for note in log.notes],
        "notes": [],
    }


def _missing(found: Imported, policy: Policy) -> dict[str, tuple[Unmet, ...]]:
    """Say, for each metric that a policy asks for and no file has, what there is instead."""
    there = sorted({o.metric for o in found.outcomes})
    reasons: dict[str, tuple[Unmet, ...]] = {}
    for metric in {c.metric for c in policy.criteria} - set(there):
        close = difflib.get_close_matches(metric, there, n=1, cutoff=0.5)
        instead = f", but they have '{close[0]}'" if close else ""
        remedy = "import the file that has it as well, or leave the criterion out of the policy"
        reasons[metric] = (
            Unmet(f"a measurement of {metric}", f"none in the imported files{instead}", remedy),
        )
    return reasons


def _deciding(criterion: Criterion, measurement: Measurement) -> tuple[int | None, str]:
    """Say what would settle an inconclusive verdict: more samples, or the scores that are missing."""
    if measurement.ungraded is not None:
        return None, f"Grade the {measurement.ungraded.count:,} that have no score: they widen the interval."
    return deciding(criterion, measurement)
