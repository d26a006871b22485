"""audit compare: two runs side by side."""

from __future__ import annotations

from dataclasses import asdict

import click
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from audit.cli.options import address, format_option, print_json, store_option
from audit.cli.scorecard import clean, number, terminal, word
from audit.cli.show import evidence_reader
from audit.cli.visible import visible
from audit.core.measurements import Group, Interval
from audit.core.words import counted
from audit.engine.comparison import Change, Comparison, Difference, compare

_EPILOG = """\
\b
Examples:
  audit list runs
  audit compare 20260102-1f3a 20260109-77b0
  audit compare 20260102-1f3a 20260109-77b0 --format json
  audit compare 20260102-1f3a 20260109-77b0 --fail-on worse   # for continuous integration: exit code 1

\b
Units that both runs measured (documents, occupations) are compared in pairs;
otherwise the interval treats the runs as independent, by the method of
variance estimates recovery (Zou and Donner 2008). Of many metrics some look
changed by chance: "beyond chance" is what stays by Holm's method.

\b
Exit codes of compare:
  0    compared; with --fail-on, nothing of that kind was found
  1    with --fail-on verdict: the verdict of the audit or of a criterion is graver;
       with --fail-on worse: the same, or a metric is worse beyond chance
  2    bad input
"""
_STYLES = {Change.BETTER: "green", Change.WORSE: "red", Change.CHANGED: "yellow"}
_PLACES = ("first", "second")
_TITLES = {
    Change.WORSE: "Worse",
    Change.BETTER: "Better",
    Change.CHANGED: "Changed, where neither direction is better",
}
_REST = {Change.WITHIN_NOISE: "Within noise", Change.UNKNOWN: "Without an interval"}


@click.command("compare", epilog=_EPILOG)
@click.argument("first")
@click.argument("second")
@store_option
@format_option
@click.option(
    "--all", "everything", is_flag=True, help="List what is within noise or without an interval, too."
)
@click.option(
    "--fail-on", type=click.Choice(["worse", "verdict"]), help="End with 1 where the second run is worse."
)
def command(
    first: str, second: str, store: str | None, form: str, everything: bool, fail_on: str | None
) -> int:
    """Compare the run FIRST with the run SECOND: differences with their intervals."""
    from audit.store.runs import open_store

    opened = open_store(address(store), create=False, read_only=True)
    records = opened.read(first), opened.read(second)
    comparison = compare(*records, evidence_reader(opened))
    if form == "json":
        print_json(_plain(comparison))
    else:
        console = terminal()
        for place, record in zip(_PLACES, records, strict=True):
            console.print(f"[bold]{place:6}[/]  {record.run}  {clean(record.name)}", highlight=False)
        _print(comparison, console, everything)
    return exit_code(comparison, fail_on)


def exit_code(comparison: Comparison, fail_on: str | None) -> int:
    """Return 1 where the second run is worse in the way that ``--fail-on`` names, else 0."""
    graver = comparison.graver or any(v.graver for v in comparison.verdicts)
    worse = [d for d in comparison.of(Change.WORSE) if d.beyond_chance]
    return int((bool(fail_on) and graver) or bool(fail_on == "worse" and worse))


def _plain(comparison: Comparison) -> dict[str, object]:
    plain = asdict(comparison)
    plain["differences"] = [
        {
            "metric": d.metric,
            "group": dict(d.group),
            "first": d.first,
            "second": d.second,
            "difference": d.value,
            "interval": asdict(d.uncertainty) if isinstance(d.uncertainty, Interval) else None,
            "unquantified": None if isinstance(d.uncertainty, Interval) else d.uncertainty.reason,
            "change": d.change.value,
            "shared": d.shared,
            "p_value": d.p_value,
            "beyond_chance": d.beyond_chance,
            "judged": d.judged,
        }
        for d in comparison.differences
    ]
    first, second = comparison.overall
    plain["overall"] = {"first": first.value, "second": second.value, "graver": comparison.graver}
    plain["standings"] = [
        {**asdict(s), "group": dict(s.group), "verdict": s.verdict.value} for s in comparison.standings
    ]
    plain["verdicts"] = [
        {
            "metric": v.metric,
            "group": dict(v.group),
            "bound": v.bound,
            "first": v.first and v.first.value,
            "second": v.second and v.second.value,
            "graver": v.graver,
        }
        for v in comparison.verdicts
    ]
    return plain


def _print(comparison: Comparison, console: Console, everything: bool) -> None:
    _print_overall(comparison, console)
    for note in comparison.unlike:
        console.print(f"[yellow]not alike[/]  {clean(note)}")
    _print_verdicts(comparison, console)
    for change, title in _TITLES.items():
        found = comparison.of(change)
        if found:
            sure = sum(d.beyond_chance for d in found)
            console.print(f"\n[bold {_STYLES[change]}]{title}[/]: {len(found)}, of them {sure} beyond chance")
            _print_table(found, console)
    console.print(
        f"{len(comparison.differences)} metrics compared; if nothing had changed, about {comparison.by_chance:.1f} would look "
        "changed by chance."
    )
    for change, title in _REST.items():
        found = comparison.of(change)
        if found and everything:
            console.print(f"\n[bold]{title}[/]: {len(found)}")
            _print_table(found, console)
        elif found:
            console.print(f"{title}: {len(found)} (--all lists them)", highlight=False)
    for place, metrics in zip(_PLACES, (comparison.only_first, comparison.only_second), strict=True):
        if metrics:
            console.print(f"only in the {place}: {clean(', '.join(metrics))}", highlight=False)


def _print_overall(comparison: Comparison, console: Console) -> None:
    """Print the verdict of both audits, and what it rests on in one of them alone."""
    first, second = comparison.overall
    if first is second:
        console.print(Text.assemble("The audit's verdict did not change: ", word(first)))
    else:
        said = Text.assemble("The audit's verdict changed from ", word(first), " to ", word(second))
        console.print(said.append(": it is graver" if comparison.graver else ""))
    for s in comparison.standings:
        named = Text.assemble(visible(f"{s.metric}{_grouped(s.group)} {s.bound}: "), word(s.verdict))
        console.print(
            Text.assemble("  ", named, visible(f"; in the first run {s.first}; in the second {s.second}"))
        )


def _print_verdicts(comparison: Comparison, console: Console) -> None:
    if not comparison.verdicts:
        console.print(
            f"[bold]No criterion changed its verdict[/] ({counted(comparison.kept, 'criterion', 'criteria')} in both runs)",
            highlight=False,
        )
        return
    console.print(
        f"[bold]Verdicts that changed[/]: {len(comparison.verdicts)}; {comparison.kept} did not",
        highlight=False,
    )
    table = Table(box=box.SIMPLE_HEAD)
    for column in ("criterion", *_PLACES):
        table.add_column(column, overflow="fold")
    for v in comparison.verdicts:
        named = f"{v.metric}{_grouped(v.group)} {v.bound}"
        table.add_row(clean(named), *("not asked" if x is None else word(x) for x in (v.first, v.second)))
    console.print(table)


def _print_table(found: list[Difference], console: Console) -> None:
    table = Table(box=box.SIMPLE_HEAD)
    for column in ("metric", *_PLACES, "difference and interval", "change"):
        table.add_column(column, overflow="fold", no_wrap=column in _PLACES or column == "change")
    for d in found:
        table.add_row(*_row(d))
    console.print(table)


def _grouped(group: Group) -> str:
    return f" ({', '.join(f'{key}={value}' for key, value in group)})" if group else ""


def _row(d: Difference) -> list[str]:
    match d.uncertainty:
        case Interval(low=low, high=high):
            told = f"[{number(low)}, {number(high)}]"
        case unquantified:
            told = unquantified.reason
    style = _STYLES.get(d.change)
    said = "beyond chance" if d.beyond_chance else str(d.change)
    change = f"[{style}]{said}[/]" if style else said
    return [
        clean(d.metric) + (f"\n{clean(_grouped(d.group))}" if d.group else ""),
        number(d.first),
        number(d.second),
        f"{d.value:+.4g}  {clean(told)}",
        change,
    ]
