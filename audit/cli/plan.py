"""audit plan: say what would run, what is shared, what is skipped and why, and what it takes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from audit.cli.apart import started
from audit.cli.options import format_option, print_json, spec_argument, store_option
from audit.cli.visible import say, visible
from audit.core.errors import InputError
from audit.core.words import counted

if TYPE_CHECKING:
    from rich.console import Console

_EPILOG = """\
\b
Examples:
  audit plan examples/digits.toml
  audit plan examples/digits.toml --probe              # what it would cost, by trying
  audit plan examples/digits.toml --lock before.json   # then: audit run … --lock before.json
  audit plan examples/smollm2.toml --format json | jq .skipped
"""


@click.command("plan", epilog=_EPILOG)
@spec_argument
@store_option
@format_option
@click.option("--probe", is_flag=True, help="Where no earlier run says what it costs, try for five seconds.")
@click.option("-v", "--verbose", is_flag=True, help="List every artifact, with who shares it.")
@click.option(
    "--lock", type=click.Path(dir_okay=False), help="Register the plan in this file, before it is run."
)
def command(
    spec: str,
    samples: int | None,
    seed: int | None,
    only: tuple[str, ...],
    store: str | None,
    form: str,
    lock: str | None,
    probe: bool,
    verbose: bool,
) -> int:
    """Say what the audit of SPEC would do, without loading a model unless with --probe."""
    request = {
        "spec": spec,
        "samples": samples,
        "seed": seed,
        "only": only,
        "store": store,
        "register": lock is not None,
        "probe": probe,
    }
    with started("plan", request) as job:
        from audit.cli.scorecard import terminal  # while the other process works

        (planned,) = job.events()
        described = planned["plan"]
        if lock is not None:
            _write(Path(lock), planned["lock"])
        if form == "json":  # shown while the other process ends
            print_json(described)
        else:
            print_plan(described, terminal(), verbose=verbose)
    return 0


def _write(path: Path, lock: dict[str, Any]) -> None:
    """Write a pre-registration. One that is there already stays: a registration is not changed afterwards."""
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(json.dumps(lock, indent=2, ensure_ascii=False) + "\n")
    except FileExistsError:
        raise InputError(
            f"{visible(str(path))} is there already, and a registration is not changed. Name another file."
        ) from None
    except OSError as error:
        raise InputError(f"{visible(str(path))} cannot be written: {error.strerror}.") from None
    say(f"registered in {visible(str(path))}; 'audit run --lock' reports every deviation from it", err=True)


def print_plan(described: dict[str, Any], console: Console, *, verbose: bool = False) -> None:
    """Print what :func:`audit.cli.planned.describe` found; ``verbose`` adds every artifact."""
    from audit.cli.scorecard import clean, together

    model, data = described["model"], described["data"]
    console.print(f"[bold]{clean(described['name'])}[/]")
    size = f"{model['parameters']:,} parameters, " if model["parameters"] else ""
    console.print(
        f"model: {clean(model['family'])} of {model['modality']}, {size}offers {', '.join(model['offers'])}",
        highlight=False,
    )
    for reference in described["reference_models"]:
        console.print(f"reference model: {clean(reference['called'])}", highlight=False)
    splits = ", ".join(f"{name} {rows:,}" for name, rows in data["splits"].items())
    console.print(f"data: {clean(data['loader'])} ({splits})", highlight=False)
    if described["why_there"]:
        console.print(
            f"device: {clean(described['device'])}: {clean(described['why_there'])}", highlight=False
        )
    for problem in described["model"]["problems"]:
        console.print(f"[yellow]samples[/] {clean(problem)}", highlight=False)
    for problem in data["problems"]:
        console.print(f"[yellow]data[/] {clean(problem)}", highlight=False)
    _print_evaluators(described, console)
    skips = [
        (
            "; ".join(f"needs {u['need']}; found {u['found']}; {u['remedy']}" for u in skip["unmet"]),
            skip["evaluator"],
        )
        for skip in described["skipped"]
    ]
    for why, names in together(skips):
        console.print(f"[cyan]skipped[/]   {clean(names)}: {clean(why)}")
    for forecast in described["preflight"]:
        sure = forecast["passes_clean"] and forecast["fails_from"] is not None
        word = "[green]can decide[/]" if sure else "[yellow]too small[/] "
        console.print(f"{word} {clean(forecast['said'])}", highlight=False)
    for one in described["undecided"]:
        said = f"{one['metric']} will be shown, and no criterion judges it, because of {one['why']}"
        console.print(f"[yellow]undecided[/]  {clean(said)}", highlight=False)
    for said in described["comparable"]:
        console.print(f"[yellow]splits[/]     {clean(said)}", highlight=False)
    if verbose:
        _print_artifacts(described, console)
    if said := price_in_words(described["price"]):
        console.print(f"[cyan]price[/]     {clean(said)}", highlight=False)
    missing = sum(a["shards"] - a["made"] for a in described["artifacts"])
    console.print(
        f"\n{counted(missing, 'shard')} to make{cost_in_words(described['cost'])}; "
        f"{judged_in_words(described['criteria'])} to judge{_left_out(described)}."
        + ("" if verbose else " --verbose lists every artifact."),
        highlight=False,
    )


def judged_in_words(criteria: list[dict[str, Any]]) -> str:
    """Say how many criteria a run judges, at most where one that is not required may find nothing to judge."""
    sure = all(c["required"] for c in criteria)
    return ("" if sure else "up to ") + counted(len(criteria), "criterion", "criteria")


def _left_out(described: dict[str, Any]) -> str:
    """Say how many criteria the run leaves out, and why; nothing where it judges all."""
    found = len(described["left_out"])
    if not found:
        return ""
    said = "1 that is not required is" if found == 1 else f"{found:,} that are not required are"
    return (
        f" ({said} left out: nothing that will run reports {'its metric' if found == 1 else 'their metrics'})"
    )


def price_in_words(price: dict[str, Any] | None) -> str:
    """Say what the samples of a served model cost at most; nothing where the spec states no prices."""
    if price is None:
        return ""
    besides = f"; not in it: what {', '.join(price['besides'])} reads" if price["besides"] else ""
    if price["cost"] is None:
        return f"{price['written']:,} tokens written at most; the server does not count what it reads, so no cost is estimated"
    return (
        f"at most {price['cost']:.4g} {price['currency']} ({price['read']:,} tokens read, {price['written']:,} written), if "
        f"nothing has to be asked again{besides}"
    )


def _print_evaluators(described: dict[str, Any], console: Console) -> None:
    from audit.cli.scorecard import clean

    by_dimension: dict[str, list[str]] = {}
    for evaluator in described["evaluators"]:
        dimension, _, name = evaluator["name"].partition(".")
        by_dimension.setdefault(dimension, []).append(name)
    for dimension, names in by_dimension.items():
        console.print(
            f"[green]will run[/]  [bold]{clean(dimension)}[/]: {clean(', '.join(names))}", highlight=False
        )


def cost_in_words(cost: dict[str, Any] | None) -> str:
    """Say what the missing shards should take, by an earlier run or a probe; nothing where there was neither."""
    if cost is None:
        return ""
    seconds = cost["seconds"]
    said = (
        f"{seconds:.0f} s"
        if seconds < 120
        else f"{seconds / 60:.0f} min"
        if seconds < 7_200
        else f"{seconds / 3_600:.1f} h"
    )
    unknown = f", and {cost['unknown']} artifacts that it did not make" if cost["unknown"] else ""
    if cost["run"] is not None:
        return f", about {said} of one core by run {cost['run']}{unknown}"
    much = "more than" if cost["at_least"] else "about"
    return f", {much} {said} of one core by a probe of {cost['probe']:.1f} s{unknown}"


def _print_artifacts(described: dict[str, Any], console: Console) -> None:
    from rich import box
    from rich.table import Table

    from audit.cli.scorecard import clean

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
