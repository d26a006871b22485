"""What an audit would have caught, as plain values and as a table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from audit.cli.scorecard import clean

if TYPE_CHECKING:
    from rich.console import Console

    from audit.engine.qualifying import Qualification, Qualified, Share


def plain(found: Qualification) -> dict[str, Any]:
    """Return a qualification as plain values, each share with its exact interval."""
    return {
        "name": found.name,
        "doses": list(found.doses),
        "repeats": found.repeats,
        "qualified": [_plain(one) for one in found.qualified],
        "without": [{"evaluator": name, "reason": reason} for name, reason in found.without],
        "failures": [{"evaluator": name, "error": error} for name, error in found.failures],
    }


def _plain(one: Qualified) -> dict[str, Any]:
    limit = one.limit
    reached: dict[str, Any] | None = (
        None if limit is None else {"value": limit.value if limit.reached else None, "beyond": limit.beyond}
    )
    if reached is not None and limit is not None:
        reached |= {"low": limit.interval.low, "high": limit.interval.high, "method": limit.interval.method}
    return {
        "metric": one.metric,
        "group": dict(one.group),
        "defect": one.defect,
        "sensitivity": [{"dose": dose, **_share(share)} for dose, share in one.sensitivity],
        "limit_of_detection": reached,
        "specificity": _share(one.specificity) if one.specificity else None,
        "limit_of_blank": one.blank,
    }


def _share(share: Share) -> dict[str, Any]:
    interval = share.interval
    return {"found": share.found, "tried": share.tried, "low": interval.low, "high": interval.high}


def print_qualified(found: Mapping[str, Any], console: Console) -> None:
    """Print what :func:`plain` returned."""
    from rich import box
    from rich.table import Table

    console.print(
        f"\n[bold]{clean(found['name'])}[/]: what its evaluators would have caught, {found['repeats']} draws of real "
        "examples with defects planted in them",
        highlight=False,
    )
    table = Table(box=box.SIMPLE_HEAD)
    doses = found["doses"]
    table.add_column("metric", overflow="fold", min_width=34)
    table.add_column("quiet", no_wrap=True)
    for column in ("defect", *(f"{dose:g}" for dose in doses), "found from"):
        table.add_column(column, overflow="fold")
    for one in found["qualified"]:
        at = {s["dose"]: f"{s['found']}/{s['tried']}" for s in one["sensitivity"]}
        quiet = one["specificity"]
        table.add_row(
            clean(_named(one)),
            f"{quiet['found']}/{quiet['tried']}" if quiet else "",
            clean(one["defect"]),
            *(at.get(dose, "") for dose in doses),
            _limit(one["limit_of_detection"]),
        )
    console.print(table)
    console.print(
        "A dose is the share of what is planted. [bold]Found[/]: the whole interval lies beyond the noise floor. "
        "[bold]Found from[/]: the smallest dose that 95 % of draws find, with an exact 95 % interval. "
        "[bold]Quiet[/]: draws without a defect that raise no alarm; empty where all draws are one.",
        highlight=False,
    )
    if found["without"]:
        names = ", ".join(absent["evaluator"] for absent in found["without"])
        console.print(f"nothing can be planted in what these read: {clean(names)}", highlight=False)
    for failure in found["failures"]:
        console.print(
            f"[red]failed[/] {clean(failure['evaluator'])}: {clean(failure['error'])}", highlight=False
        )


def _named(one: Mapping[str, Any]) -> str:
    group = ", ".join(f"{key}={value}" for key, value in one["group"].items())
    return f"{one['metric']} ({group})" if group else str(one["metric"])


def _limit(limit: Mapping[str, Any] | None) -> str:
    if limit is None:
        return ""
    low, high, beyond = limit["low"], limit["high"], limit["beyond"]
    top = "more" if high >= beyond else f"{high:g}"
    value = f"more than {beyond / 2:g}" if limit["value"] is None else f"{limit['value']:g}"
    return f"{value} [{'more' if low >= beyond else f'{low:g}'}, {top}]"
