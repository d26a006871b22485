"""Put together what a run measured, what it did not, and what that means."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, replace
from datetime import UTC, date, datetime
from typing import Any, TypeAlias

from audit.core.cases import Controlled, controlled
from audit.core.evaluators import Unmet
from audit.core.facts import Failed, Made, Scored
from audit.core.identity import canonical, digest_of
from audit.core.measurements import Measurement, Outcome, Undefined
from audit.core.plan import AuditPlan, Planned, Skipped, parameters_of
from audit.core.policy import Judgement, overall
from audit.core.records import (
    AuditRecord,
    RecordedArtifact,
    RecordedEvaluator,
    RecordedFailure,
    RecordedSkip,
    waiver_to_plain,
)
from audit.engine.baselines import against
from audit.engine.deciding import deciding
from audit.engine.families import corrected
from audit.engine.places import placeless
from audit.engine.scoring import source_digest, without_value
from audit.store.runs import Store

Scores: TypeAlias = Mapping[tuple[str, int], Scored | Failed]
"""What became of each case of each evaluator: by what the audit calls it and the case's number, the subject's being 0."""


def build(
    plan: AuditPlan,
    *,
    run: str,
    began: str,
    finished: str | None,
    settings: Mapping[str, Any],
    environment: Mapping[str, str],
    store: Store | None,
    scored: Scores,
) -> AuditRecord:
    """Return the record of a run; ``scored`` gives what became of each case of each evaluator.

    With no store, the record of a run that has only begun: what is planned and what is skipped.
    """
    facts = _facts(plan, store)
    failures = _failures(plan, facts, scored)
    found = [controlled_of(step, scored, plan.undecided) for step in plan.planned]
    outcomes = [outcome for one in found for outcome in one.outcomes]
    judgements = plan.policy.judge(
        outcomes,
        _missing(plan, failures, finished is not None),
        plan.subject.card.modality,
        deciding,
        {metric for step in plan.skipped for metric in step.about.declared},
        date.fromisoformat(began[:10]),
        plan.undecided,
        against(plan, None if store is None else store.rows) if plan.baselines else None,
    )
    judgements = corrected(judgements, deciding)
    return AuditRecord(
        run=run,
        name=plan.name,
        began=began,
        finished=finished,
        model=_model(plan),
        data=_data(plan),
        environment=environment,
        settings=settings,
        policy={
            "name": plan.policy.name,
            "version": plan.policy.version,
            "criteria": [asdict(criterion) for criterion in plan.policy.criteria],
            "waivers": [
                waiver_to_plain(w, not w.holds(date.fromisoformat(began[:10]))) for w in plan.policy.waivers
            ],
        },
        evaluators=tuple(
            _evaluator(step, _status(step, scored, failures, finished is not None)) for step in plan.steps
        ),
        measurements=tuple(o for o in outcomes if isinstance(o, Measurement)),
        undefined=tuple(o for o in outcomes if isinstance(o, Undefined)),
        judgements=judgements,
        skipped=tuple(RecordedSkip(step.about.called, _unmet(step)) for step in plan.skipped),
        failures=failures,
        artifacts=tuple(_artifacts(plan, facts)),
        controls=tuple(control for one in found for control in one.controls),
        verdict=overall(judgements),
        spending=() if store is None else store.spending(run, [recipe.key for recipe in plan.recipes()]),
    )


def controlled_of(step: Planned, scored: Scores, undecided: Mapping[str, Unmet]) -> Controlled:
    """Return what an evaluator found under the names of this audit, with noise floors, controls and what they void."""
    names = {step.evaluator.about.full(m.name): step.about.full(m.name) for m in step.about.metrics}
    subject, *others = [_found(scored.get((step.about.called, i)), names) for i in range(len(step.cases.all))]
    if isinstance(subject, str):
        return Controlled(())
    cases = zip(step.cases.all[1:], others, strict=True)
    found = controlled(subject, list(cases), step.about.declared, step.cases.no_null, step.cases.notes)
    return replace(found, outcomes=tuple(_said(outcome, undecided) for outcome in found.outcomes))


def _said(outcome: Outcome, undecided: Mapping[str, Unmet]) -> Outcome:
    """Say beside a number that no policy judges it, where that is so."""
    if outcome.metric not in undecided or not isinstance(outcome, Measurement):
        return outcome
    said = f"Shown, and judged by no policy, because of {undecided[outcome.metric].found}."
    return replace(outcome, notes=(said, *outcome.notes))


def _found(fact: Scored | Failed | None, names: Mapping[str, str]) -> tuple[Outcome, ...] | str:
    match fact:
        case Scored(outcomes=outcomes):
            return tuple(replace(o, metric=names.get(o.metric, o.metric)) for o in outcomes)
        case Failed(error=error):
            return f"it failed: {error}"
        case None:
            return "it was not measured"


def now() -> str:
    """Return the time as the record spells it: ISO 8601, UTC, whole seconds."""
    return datetime.now(UTC).replace(microsecond=0).isoformat()


_Facts = dict[str, tuple[dict[int, Made], dict[int, Failed]]]


def _facts(plan: AuditPlan, store: Store | None) -> _Facts:
    if store is None:
        return {}
    keys = [recipe.key for recipe in plan.recipes()]
    made, failed = store.made_of(keys), store.failed_of(keys)
    return {key: (made[key], failed[key]) for key in keys}


def _artifacts(plan: AuditPlan, facts: _Facts) -> Iterable[RecordedArtifact]:
    for recipe in plan.recipes():
        made, _ = facts.get(recipe.key, ({}, {}))
        if len(made) == recipe.shards:
            digests = [made[shard].digest for shard in range(recipe.shards)]
            seconds = sum(fact.seconds for fact in made.values())
            yield RecordedArtifact(
                recipe.label, recipe.key, recipe.shards, digest_of(canonical(digests)), round(seconds, 3)
            )


def _failures(plan: AuditPlan, facts: _Facts, scored: Scores) -> tuple[RecordedFailure, ...]:
    """Return what failed, each with the evaluators that are without a result for it."""
    resting: dict[str, list[str]] = {}
    for step in plan.planned:
        for recipe in step.recipes():
            resting.setdefault(recipe.key, []).append(step.about.called)
    found = [
        _failure(recipe.label, f, tuple(resting.get(recipe.key, ())))
        for recipe in plan.recipes()
        for f in facts.get(recipe.key, ({}, {}))[1].values()
        if without_value(f) is None
    ]
    found += [_failure(label, f, (label,)) for (label, _), f in scored.items() if isinstance(f, Failed)]
    return tuple(found)


def _failure(what: str, fact: Failed, evaluators: tuple[str, ...]) -> RecordedFailure:
    error, detail = placeless(fact.error), placeless(fact.detail)
    return RecordedFailure(what, fact.key, fact.shard, error, detail, fact.attempts, evaluators)


def _unmet(step: Skipped) -> tuple[Unmet, ...]:
    return tuple(Unmet(u.need, placeless(u.found), placeless(u.remedy)) for u in step.unmet)


def _missing(
    plan: AuditPlan, failures: tuple[RecordedFailure, ...], finished: bool
) -> dict[str, tuple[Unmet, ...]]:
    """Say, for each metric nobody measured, why not."""
    reasons: dict[str, tuple[Unmet, ...]] = {}
    for step in plan.steps:
        if isinstance(step, Planned):
            label = step.about.called
            why = next((f.error for f in failures if label in f.evaluators), None)
            if why is None and finished:
                continue
            unmet: tuple[Unmet, ...] = (
                Unmet(
                    need=f"a result of {label}",
                    found=f"it failed: {why}" if why else "the run has not finished",
                    remedy="fix the cause and run again with --retry-failed"
                    if why
                    else "run it again to resume",
                ),
            )
        else:
            unmet = _unmet(step)
        for metric in step.about.declared:
            reasons.setdefault(metric, unmet)
    return reasons


def _status(
    step: Planned | Skipped, scored: Scores, failures: tuple[RecordedFailure, ...], finished: bool
) -> str:
    label = step.about.called
    if not isinstance(step, Planned):
        return "skipped"
    if isinstance(scored.get((label, 0)), Scored):
        return "scored"
    return "failed" if finished or any(label in f.evaluators for f in failures) else "unfinished"


def _evaluator(step: Planned | Skipped, status: str) -> RecordedEvaluator:
    about = step.about
    return RecordedEvaluator(
        name=about.called,
        evaluator=about.name,
        dimension=about.dimension.value,
        summary=about.summary,
        parameters=parameters_of(step.evaluator),
        source=source_digest(type(step.evaluator)),
        metrics={name: metric.sentence for name, metric in about.declared.items()},
        declared={
            name: {
                "meaning": metric.meaning,
                "direction": metric.direction.value,
                "unit": metric.unit,
                "baseline": metric.baseline,
                "null": metric.null,
                "question": metric.question,
            }
            for name, metric in about.declared.items()
        },
        references=tuple(about.references),
        caveats=tuple(about.caveats),
        extractors={role: ref.name for role, ref in step.asked.extractors},
        status=status,
    )


def _model(plan: AuditPlan) -> dict[str, Any]:
    subject = plan.subject
    return {
        "adapter": subject.model.adapter,
        "weights": subject.model.weights,
        "options": dict(subject.model.options),
        "family": subject.card.family,
        "modality": subject.card.modality,
        "parameters": subject.card.parameters,
        "deterministic": subject.card.deterministic,
        "offers": sorted(subject.offers),
        "withheld": {capability.value: placeless(reason) for capability, reason in subject.card.withheld},
        "problems": [placeless(problem) for problem in subject.card.problems],
        "notes": [placeless(note) for note in subject.card.notes],
        "pictures": subject.card.pictures.counted() if subject.card.pictures else None,
    }


def _data(plan: AuditPlan) -> dict[str, Any]:
    subject = plan.subject
    return {
        "loader": subject.data.loader,
        "content": subject.data.content,
        "options": dict(subject.data.options),
        "splits": dict(subject.data_card.splits),
        "groups": list(subject.data_card.groups),
        "randomised": subject.data_card.randomised,
        "problems": [placeless(problem) for problem in subject.data_card.problems],
        "notes": [placeless(note) for note in subject.data_card.notes],
        "overlaps": [overlap.counted() for overlap in subject.data_card.overlaps],
        "copies": [copies.counted() for copies in subject.data_card.copies],
        "pictures": [pictures.counted() for pictures in subject.data_card.pictures],
        "texts": [texts.counted() for texts in subject.data_card.texts],
    }


def judgement_counts(judgements: Iterable[Judgement]) -> dict[str, int]:
    """Return how many criteria got each verdict."""
    counts: dict[str, int] = {}
    for judgement in judgements:
        counts[judgement.verdict.value] = counts.get(judgement.verdict.value, 0) + 1
    return counts
