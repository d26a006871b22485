"""Put together what a run measured, what it did not, and what that means."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from audit.core.evaluators import Unmet
from audit.core.facts import Failed, Made, Scored
from audit.core.identity import canonical, digest_of
from audit.core.measurements import Measurement, Undefined
from audit.core.plan import AuditPlan, Planned, Skipped, parameters_of
from audit.core.policy import Judgement, overall
from audit.core.records import (
    AuditRecord,
    RecordedArtifact,
    RecordedEvaluator,
    RecordedFailure,
    RecordedSkip,
)
from audit.engine.scoring import source_digest
from audit.store.runs import Store


def build(
    plan: AuditPlan,
    *,
    run: str,
    began: str,
    finished: str | None,
    settings: Mapping[str, Any],
    environment: Mapping[str, str],
    store: Store | None,
    scored: Mapping[str, Scored | Failed],
) -> AuditRecord:
    """Return the record of a run; ``scored`` gives what became of each evaluator, by its position's label.

    With no store, the record of a run that has only begun: what is planned and what is skipped.
    """
    labels = dict(zip((id(step) for step in plan.steps), labels_of(plan), strict=True))
    scored = {label: scored[label] for label in labels.values() if label in scored}  # in the plan's order
    facts = _facts(plan, store)
    failures = _failures(plan, labels, facts, scored)
    outcomes = [o for fact in scored.values() if isinstance(fact, Scored) for o in fact.outcomes]
    judgements = plan.policy.judge(
        outcomes, _missing(plan, labels, failures, finished is not None), plan.subject.card.modality
    )
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
        },
        evaluators=tuple(
            _evaluator(step, _status(step, labels[id(step)], scored, failures, finished is not None))
            for step in plan.steps
        ),
        measurements=tuple(o for o in outcomes if isinstance(o, Measurement)),
        undefined=tuple(o for o in outcomes if isinstance(o, Undefined)),
        judgements=judgements,
        skipped=tuple(RecordedSkip(s.evaluator.about.name, s.unmet) for s in plan.skipped),
        failures=failures,
        artifacts=tuple(_artifacts(plan, facts)),
        verdict=overall(judgements),
    )


def now() -> str:
    """Return the time as the record spells it: ISO 8601, UTC, whole seconds."""
    return datetime.now(UTC).replace(microsecond=0).isoformat()


def labels_of(plan: AuditPlan) -> list[str]:
    """Return a label for each step: the evaluator's name, numbered when it is asked for more than once."""
    seen: dict[str, int] = {}
    labels = []
    for step in plan.steps:
        name = step.evaluator.about.name
        seen[name] = seen.get(name, 0) + 1
        labels.append(name if seen[name] == 1 else f"{name}#{seen[name]}")
    return labels


_Facts = dict[str, tuple[dict[int, Made], dict[int, Failed]]]


def _facts(plan: AuditPlan, store: Store | None) -> _Facts:
    if store is None:
        return {}
    return {r.key: (dict(store.made(r.key)), dict(store.failed(r.key))) for r in plan.recipes()}


def _artifacts(plan: AuditPlan, facts: _Facts) -> Iterable[RecordedArtifact]:
    for recipe in plan.recipes():
        made, _ = facts.get(recipe.key, ({}, {}))
        if len(made) == recipe.shards:
            digests = [made[shard].digest for shard in range(recipe.shards)]
            seconds = sum(fact.seconds for fact in made.values())
            yield RecordedArtifact(
                recipe.title, recipe.key, recipe.shards, digest_of(canonical(digests)), round(seconds, 3)
            )


def _failures(
    plan: AuditPlan, labels: Mapping[int, str], facts: _Facts, scored: Mapping[str, Scored | Failed]
) -> tuple[RecordedFailure, ...]:
    """Return what failed, each with the evaluators that are without a result for it."""
    resting: dict[str, list[str]] = {}
    for step in plan.planned:
        alone = AuditPlan(plan.name, plan.subject, (step,), plan.policy)
        for recipe in alone.recipes():
            resting.setdefault(recipe.key, []).append(labels[id(step)])
    found = [
        RecordedFailure(
            recipe.title, f.key, f.shard, f.error, f.detail, f.attempts, tuple(resting.get(recipe.key, ()))
        )
        for recipe in plan.recipes()
        for f in facts.get(recipe.key, ({}, {}))[1].values()
    ]
    found += [
        RecordedFailure(label, f.key, f.shard, f.error, f.detail, f.attempts, (label,))
        for label, f in scored.items()
        if isinstance(f, Failed)
    ]
    return tuple(found)


def _missing(
    plan: AuditPlan, labels: Mapping[int, str], failures: tuple[RecordedFailure, ...], finished: bool
) -> dict[str, tuple[Unmet, ...]]:
    """Say, for each metric nobody measured, why not."""
    reasons: dict[str, tuple[Unmet, ...]] = {}
    for step in plan.steps:
        if isinstance(step, Planned):
            label = labels[id(step)]
            why = next((f.error for f in failures if label in f.evaluators), None)
            if why is None and finished:
                continue
            unmet: tuple[Unmet, ...] = (
                Unmet(
                    need=f"a result of {label}",
                    found=f"it failed: {why}" if why else "the run has not finished",
                    remedy="mend the cause and run again with --retry-failed"
                    if why
                    else "run it again to resume",
                ),
            )
        else:
            unmet = step.unmet
        for metric in step.evaluator.about.metrics:
            reasons.setdefault(metric, unmet)
    return reasons


def _status(
    step: Any,
    label: str,
    scored: Mapping[str, Scored | Failed],
    failures: tuple[RecordedFailure, ...],
    finished: bool,
) -> str:
    if not isinstance(step, Planned):
        return "skipped"
    if isinstance(scored.get(label), Scored):
        return "scored"
    return "failed" if finished or any(label in f.evaluators for f in failures) else "unfinished"


def _evaluator(step: Planned | Skipped, status: str) -> RecordedEvaluator:
    about = step.evaluator.about
    return RecordedEvaluator(
        name=about.name,
        dimension=about.dimension.value,
        summary=about.summary,
        parameters=parameters_of(step.evaluator),
        source=source_digest(type(step.evaluator)),
        metrics=dict(about.metrics),
        references=tuple(about.references),
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
        "withheld": {capability.value: reason for capability, reason in subject.card.withheld},
        "notes": list(subject.card.notes),
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
        "problems": list(subject.data_card.problems),
        "notes": list(subject.data_card.notes),
    }


def judgement_counts(judgements: Iterable[Judgement]) -> dict[str, int]:
    """Return how many criteria got each verdict."""
    counts: dict[str, int] = {}
    for judgement in judgements:
        counts[judgement.verdict.value] = counts.get(judgement.verdict.value, 0) + 1
    return counts
