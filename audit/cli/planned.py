"""A plan as plain values: what ``audit plan`` shows, and what of it the store already has."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from audit.core.plan import AuditPlan, Planned
    from audit.core.policy import Criterion
    from audit.store.location import StoreAddress


def made_so_far(plan: AuditPlan, where: StoreAddress) -> dict[str, int]:
    """Return how many shards of each artifact the store already has; nothing where there is no store."""
    if not where.exists():
        return {}
    from audit.store.runs import open_store  # a third of a second, which a first plan does not need

    store = open_store(where, create=False, read_only=True)
    made = store.made_of([recipe.key for recipe in plan.recipes()])
    return {key: len(shards) for key, shards in made.items()}


_LOOKED_AT = 8
"""Runs that are looked at for what artifacts of the same model cost."""


def cost(plan: AuditPlan, made: dict[str, int], where: StoreAddress) -> dict[str, Any] | None:
    """Return the seconds of processor time that the missing shards should take, by what they took in the last run of the same weights.

    ``unknown`` counts artifacts that no such run made; None where there is no such run.
    """
    if not where.exists():
        return None
    from audit.store.runs import open_store

    with open_store(where, create=False, read_only=True) as store:
        finished = [line.run for line in store.list_runs() if line.finished is not None][:_LOOKED_AT]
        records = (store.read(run) for run in finished)
        last = next((r for r in records if r.model.get("weights") == plan.subject.model.weights), None)
    if last is None:
        return None
    each = {a.label: a.seconds / a.shards for a in last.artifacts if a.shards}
    missing = [(r.label, r.shards - made.get(r.key, 0)) for r in plan.recipes()]
    return {
        "seconds": sum(each.get(label, 0.0) * shards for label, shards in missing),
        "unknown": sum(label not in each for label, shards in missing if shards),
        "run": last.run,
    }


def price(plan: AuditPlan, made: dict[str, int]) -> dict[str, Any] | None:
    """Return the most that the missing samples of a served model cost, by the prices of the spec; None where it states none.

    ``read`` and ``written`` are tokens at most; ``read`` and ``cost`` are None where nothing bounds what free samples read.
    ``besides`` names what else asks the model, whose texts nobody has counted yet; what of it is written is bounded all the same.
    """
    from audit.core.artifacts import Samples

    subject = plan.subject
    billing = subject.card.billing
    if billing is None:
        return None
    free = asked = 0
    besides: dict[str, None] = {}
    for recipe in plan.recipes():
        if getattr(recipe, "model", None) != subject.model:
            continue
        missing = recipe.shards - made.get(recipe.key, 0)
        sizes = sorted((recipe.examples(shard) for shard in range(recipe.shards)), reverse=True)
        examples = sum(sizes[:missing])  # at most: which shards are missing is not looked at
        if isinstance(recipe, Samples) and recipe.condition is None:
            free += examples
        elif missing:
            besides[recipe.label] = None
            asked += examples if isinstance(recipe, Samples) else 0
    read = None if billing.most_read is None else free * billing.most_read
    written = (free + asked) * billing.most_written
    return {
        "samples": free,
        "read": read,
        "written": written,
        "cost": None if read is None else billing.cost(read, written),
        "currency": billing.currency,
        "besides": list(besides),
    }


def describe(plan: AuditPlan, made: dict[str, int]) -> dict[str, Any]:
    """Return a plan as plain values: artifacts with who shares them, evaluators, skips, criteria."""
    from audit.core.preflight import exchangeable, forecasts

    subject, asked = plan.subject, _asked(plan)
    concerned = [c for c in plan.policy.criteria if c.concerns(subject.card.modality)]
    return {
        "name": plan.name,
        "key": plan.key,
        "model": {
            "adapter": subject.model.adapter,
            "weights": subject.model.weights,
            "family": subject.card.family,
            "modality": subject.card.modality,
            "parameters": subject.card.parameters,
            "offers": sorted(subject.offers),
            "problems": list(subject.card.problems),
        },
        "reference_models": [
            {"adapter": r.model.adapter, "weights": r.model.weights, "called": r.called}
            for r in subject.reference_models
        ],
        "data": {
            "loader": subject.data.loader,
            "content": subject.data.content,
            "splits": subject.splits,
            "problems": [*subject.data_card.problems, *_unlike(plan)],
        },
        "artifacts": _artifacts(plan, made),
        "evaluators": [_evaluator(step) for step in plan.planned],
        "skipped": [
            {
                "evaluator": step.about.called,
                "unmet": [{"need": u.need, "found": u.found, "remedy": u.remedy} for u in step.unmet],
            }
            for step in plan.skipped
        ],
        "criteria": [
            {"metric": c.metric, "bound": c.bound, "why": c.why, "required": c.required} for c in asked
        ],
        "left_out": [{"metric": c.metric, "bound": c.bound} for c in concerned if c not in asked],
        "preflight": [
            {
                "metric": f.metric,
                "bound": f.bound,
                "passes_clean": f.passes_clean,
                "fails_from": f.fails_from,
                "said": f.sentence(),
            }
            for f in forecasts(plan)
        ],
        "undecided": [
            {"metric": c.metric, "why": plan.undecided[c.metric].found}
            for c in concerned
            if c.metric in plan.undecided
        ],
        "comparable": list(exchangeable(plan)),
        "price": price(plan, made),
    }


def _asked(plan: AuditPlan) -> tuple[Criterion, ...]:
    """Return the criteria that the run will judge.

    One that is not required may be left out all the same, where its evaluator runs and finds nothing to report on it.
    """
    reported = {metric for step in plan.planned for metric in step.about.declared}
    return plan.policy.asked(plan.subject.card.modality, reported)


def _artifacts(plan: AuditPlan, made: dict[str, int]) -> list[dict[str, Any]]:
    users: dict[str, list[str]] = {}
    for step in plan.planned:
        for recipe in step.recipes():
            users.setdefault(recipe.key, []).append(step.about.called)
    return [
        {
            "label": recipe.label,
            "key": recipe.key,
            "shards": recipe.shards,
            "made": made.get(recipe.key, 0),
            "examples": sum(recipe.examples(shard) for shard in range(recipe.shards)),
            "evaluators": users[recipe.key],
        }
        for recipe in plan.recipes()
    ]


def _evaluator(step: Planned) -> dict[str, Any]:
    from audit.core.plan import parameters_of

    return {
        "name": step.about.called,
        "evaluator": step.about.name,
        "parameters": parameters_of(step.evaluator),
        "metrics": {name: metric.sentence for name, metric in step.about.declared.items()},
        "questions": [metric.question for metric in step.about.metrics if metric.question],
    }


def _unlike(plan: AuditPlan) -> list[str]:
    return list(dict.fromkeys(note for step in plan.planned for note in step.cases.notes))
