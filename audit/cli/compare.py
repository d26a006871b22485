"""audit compare: two runs side by side."""

from __future__ import annotations

from dataclasses import asdict

import click
from rich import box
from rich.console import Console
from rich.table import Table

from audit.cli.options import address, format_option, print_json, store_option
from audit.cli.scorecard import clean, number, terminal
from audit.cli.show import evidence_reader
from audit.core.measurements import Interval
from audit.engine.comparison import Change, Comparison, Difference, compare

_EPILOG = """\
\b
Examples:
  audit list runs
  audit compare 20260102-1f3a 20260109-77b0
  audit compare 20260102-1f3a 20260109-77b0 --format json

\b
Units that both runs measured (documents, occupations) are compared in pairs;
otherwise the interval treats the runs as independent, by the method of
variance estimates recovery (Zou and Donner 2008).
"""
_STYLES = {Change.BETTER: "green", Change.WORSE: "red", Change.CHANGED: "yellow"}


@click.command("compare", epilog=_EPILOG)
@click.argument("first")
@click.argument("second")
@store_option
@format_option
def command(first: str, second: str, store: str | None, form: str) -> int:
    """Compare the run FIRST with the run SECOND: differences with their intervals."""
    from audit.store.runs import open_store

    opened = open_store(address(store), create=False, read_only=True)
    comparison = compare(opened.read(first), opened.read(second), evidence_reader(opened))
    if form == "json":
        print_json(_plain(comparison))
    else:
        _print(comparison, terminal())
    return 0


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
        }
        for d in comparison.differences
    ]
    return plain


def _print(comparison: Comparison, console: Console) -> None:
    for note in comparison.unlike:
        console.print(f"[yellow]not alike[/]  {clean(note)}")
    table = Table(box=box.SIMPLE_HEAD)
    for column in ("metric", comparison.first, comparison.second, "difference", "interval", "change"):
        table.add_column(column, overflow="fold")
    for d in comparison.differences:
        table.add_row(*_row(d))
    console.print(table)
    for run, metrics in (
        (comparison.first, comparison.only_first),
        (comparison.second, comparison.only_second),
    ):
        if metrics:
            console.print(f"only in {run}: {clean(', '.join(metrics))}", highlight=False)


def _row(d: Difference) -> list[str]:
    group = ", ".join(f"{key}={value}" for key, value in d.group)
    match d.uncertainty:
        case Interval(low=low, high=high):
            told = f"[{number(low)}, {number(high)}]"
        case unquantified:
            told = unquantified.reason
    style = _STYLES.get(d.change)
    change = f"[{style}]{d.change}[/]" if style else str(d.change)
    name = f"{d.metric} ({group})" if group else d.metric
    return [clean(name), number(d.first), number(d.second), f"{d.value:+.4g}", clean(told), change]
