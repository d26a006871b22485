"""audit plan: say what would run, what is shared, what is skipped and why, and what it takes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from audit.cli.apart import started
from audit.cli.options import format_option, print_json, spec_argument, store_option

if TYPE_CHECKING:
    from rich.console import Console

    from audit.core.plan import AuditPlan
    from audit.store.location import StoreAddress

_EPILOG = """\
\b
Examples:
  audit plan examples/digits.toml
  audit plan examples/smollm2.toml --format json | jq .skipped
"""


@click.command("plan", epilog=_EPILOG)
@spec_argument
@store_option
@format_option
def command(
    spec: str, samples: int | None, seed: int | None, only: tuple[str, ...], store: str | None, form: str
) -> int:
    """Say what the audit of SPEC would do, without loading a model or writing anything."""
    request = {"spec": spec, "samples": samples, "seed": seed, "only": only, "store": store}
    with started("plan", request) as job:
        from audit.cli.scorecard import terminal  # while the other process works

        (described,) = (event["plan"] for event in job.events())
    if form == "json":
        print_json(described)
    else:
        print_plan(described, terminal())
    return 0


def made_so_far(plan: AuditPlan, where: StoreAddress) -> dict[str, int]:
    """Return how many shards of each artifact the store already has; nothing where there is no store."""
    from audit.store.runs import open_store

    if not where.exists():
        return {}
    store = open_store(where, create=False, read_only=True)
    return {recipe.key: len(store.made(recipe.key)) for recipe in plan.recipes()}


def describe(plan: AuditPlan, made: dict[str, int]) -> dict[str, Any]:
    """Return a plan as plain values: artifacts with who shares them, evaluators, skips, criteria."""
    from audit.core.plan import parameters_of
    from audit.core.preflight import exchangeable, forecasts

    users: dict[str, list[str]] = {}
    for step in plan.planned:
        for recipe in step.recipes():
            users.setdefault(recipe.key, []).append(step.about.called)
    subject = plan.subject
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
        },
        "data": {
            "loader": subject.data.loader,
            "content": subject.data.content,
            "splits": subject.splits,
            "problems": [*subject.data_card.problems, *_unlike(plan)],
        },
        "artifacts": [
            {
                "label": recipe.label,
                "key": recipe.key,
                "shards": recipe.shards,
                "made": made.get(recipe.key, 0),
                "examples": sum(recipe.examples(shard) for shard in range(recipe.shards)),
                "evaluators": users[recipe.key],
            }
            for recipe in plan.recipes()
        ],
        "evaluators": [
            {
                "name": step.about.called,
                "evaluator": step.about.name,
                "parameters": parameters_of(step.evaluator),
                "metrics": {name: metric.sentence for name, metric in step.about.declared.items()},
                "questions": [metric.question for metric in step.about.metrics if metric.question],
            }
            for step in plan.planned
        ],
        "skipped": [
            {
                "evaluator": step.about.called,
                "unmet": [{"need": u.need, "found": u.found, "remedy": u.remedy} for u in step.unmet],
            }
            for step in plan.skipped
        ],
        "criteria": [
            {"metric": c.metric, "bound": c.bound, "why": c.why}
            for c in plan.policy.criteria
            if c.concerns(subject.card.modality)
        ],
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
        "comparable": list(exchangeable(plan)),
    }


def _unlike(plan: AuditPlan) -> list[str]:
    return list(dict.fromkeys(note for step in plan.planned for note in step.cases.notes))


def print_plan(described: dict[str, Any], console: Console) -> None:
    """Print what :func:`describe` found."""
    from rich import box
    from rich.table import Table

    from audit.cli.scorecard import clean

    model, data = described["model"], described["data"]
    console.print(f"[bold]{clean(described['name'])}[/]")
    console.print(
        f"model: {clean(model['family'])} of {model['modality']}, {model['parameters']:,} parameters, "
        f"offers {', '.join(model['offers'])}",
        highlight=False,
    )
    splits = ", ".join(f"{name} {rows:,}" for name, rows in data["splits"].items())
    console.print(f"data: {clean(data['loader'])} ({splits})", highlight=False)
    for problem in data["problems"]:
        console.print(f"[yellow]data[/] {clean(problem)}", highlight=False)
    table = Table(title="Artifacts", box=box.SIMPLE_HEAD, title_justify="left")
    for column in ("artifact", "shards", "here", "examples", "for"):
        table.add_column(column, overflow="fold")
    for artifact in described["artifacts"]:
        table.add_row(
            clean(artifact["label"]),
            str(artifact["shards"]),
            str(artifact["made"]),
            f"{artifact['examples']:,}" if artifact["examples"] else "",
            ", ".join(artifact["evaluators"]),
        )
    console.print(table)
    for evaluator in described["evaluators"]:
        console.print(f"[green]will run[/]  {clean(evaluator['name'])}")
    for skip in described["skipped"]:
        why = "; ".join(f"needs {u['need']}; found {u['found']}; {u['remedy']}" for u in skip["unmet"])
        console.print(f"[cyan]skipped[/]   {clean(skip['evaluator'])}: {clean(why)}")
    for forecast in described["preflight"]:
        sure = forecast["passes_clean"] and forecast["fails_from"] is not None
        word = "[green]can decide[/]" if sure else "[yellow]too small[/] "
        console.print(f"{word} {clean(forecast['said'])}", highlight=False)
    for said in described["comparable"]:
        console.print(f"[yellow]splits[/]     {clean(said)}", highlight=False)
    missing = sum(a["shards"] - a["made"] for a in described["artifacts"])
    console.print(f"\n{missing} shards to make; {len(described['criteria'])} criteria to judge.")
