"""audit list: what there is to name in a spec or a command."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

import click
from rich import box
from rich.table import Table

from audit.cli.options import address, format_option, print_json, store_option
from audit.cli.scorecard import clean, terminal
from audit.cli.visible import say
from audit.core.errors import InputError
from audit.registry import Unavailable, catalogue, lacking

_EPILOG = """\
\b
Examples:
  audit list models
  audit list evaluators --format json
  audit list runs --store ./audit-store
"""

_PLUGINS = ("evaluators", "datasets", "extractors", "executors", "reports")
KINDS = ("models", *_PLUGINS, "adapters", "assets", "policies", "runs")


@click.command("list", epilog=_EPILOG)
@click.argument("kind", type=click.Choice(KINDS))
@store_option
@format_option
def command(kind: str, store: str | None, form: str) -> int:
    """List everything of one KIND."""
    rows = listing(kind, store)
    if form == "json":
        print_json(rows)
        return 0
    if not rows:
        say(f"There are no {kind} yet.")
        return 0
    if kind == "runs":
        rows = [_brief(row) for row in rows]
    table = Table(box=box.SIMPLE_HEAD)
    for column in rows[0]:
        # people name runs as they like; the rest are identifiers
        whole = column in (("run", "began", "took", "verdict") if kind == "runs" else ("name",))
        table.add_column(column.replace("_", " "), overflow="fold", no_wrap=whole)
    for row in rows:
        table.add_row(*(clean(_shown(value)) for value in row.values()))
    terminal().print(table)
    return 0


def _brief(run: Mapping[str, Any]) -> dict[str, Any]:
    """Return a run as a line of a terminal: when it began, in UTC, and how long it took."""
    began = str(run["began"])
    took = ""
    if run["finished"] is not None:
        with contextlib.suppress(ValueError):  # a ledger that somebody else wrote
            took = str(datetime.fromisoformat(run["finished"]) - datetime.fromisoformat(began))
    return {
        "run": run["run"],
        "name": run["name"],
        "began": began[:16].replace("T", " "),
        "took": took,
        "verdict": run["verdict"] or "not finished",
    }


def _shown(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(value)
    if isinstance(value, list):
        return ", ".join(str(item) for item in value)
    return "" if value is None else str(value)


def listing(kind: str, store: str | None) -> list[dict[str, Any]]:
    """Return the rows of one kind as plain values."""
    listers: Mapping[str, Callable[[], list[dict[str, Any]]]] = {
        "models": _included,
        "evaluators": _evaluators,
        "extractors": _extractors,
        "adapters": lambda: _plugins("models"),
        "assets": _assets,
        "policies": _policies,
        "runs": lambda: _runs(store),
    }
    return listers.get(kind, lambda: _plugins(kind))()


def _included() -> list[dict[str, Any]]:
    adapter = catalogue("models").load("included")
    rows = []
    for name, kind in catalogue("included").survey().items():
        try:
            card, offers = adapter.describe(adapter.refer({"use": name}))
        except InputError as error:  # one damaged file is no reason to hide the others
            row: dict[str, Any] = {
                "family": f"unavailable: {error}",
                "modality": "",
                "parameters": None,
                "offers": [],
            }
        else:
            row = {
                "family": card.family,
                "modality": card.modality,
                "parameters": card.parameters,
                "offers": sorted(offers),
            }
        rows.append({"name": name, **row, "planted_defect": getattr(kind, "defect", "")})
    return rows


def _evaluators() -> list[dict[str, Any]]:
    rows = []
    for name, found in catalogue("evaluators").survey().items():
        if isinstance(found, Unavailable):
            rows.append(
                {
                    "name": name,
                    "measures": f"unavailable: {found.reason}. {found.remedy}",
                    "needs": [],
                    "metrics": {},
                }
            )
            continue
        needs = found.about.needs
        wants = [" or ".join(choice) for choice in needs.choices]
        wants += [f"split {split}" for split in needs.splits] + [f"modality {m}" for m in needs.modalities]
        wants += ["real examples to compare with"] if needs.compares else []
        wants += [f"an extractor in the role {role}" for role in needs.extractors]
        metrics = {full: metric.sentence for full, metric in found.about.declared.items()}
        rows.append({"name": name, "measures": found.about.summary, "needs": wants, "metrics": metrics})
    return rows


def _plugins(kind: str) -> list[dict[str, Any]]:
    rows = []
    known = catalogue(kind)
    for name, found in known.survey().items():
        broken = isinstance(found, Unavailable)
        about = (
            f"unavailable: {found.reason}. {found.remedy}" if broken else (found.__doc__ or "").split("\n")[0]
        )
        rows.append({"name": name, "about": about, "from": known.provider(name)})
    return rows


def _extractors() -> list[dict[str, Any]]:
    known = catalogue("extractors").survey()
    return [{**row, "lacks": _lacking(known[row["name"]])} for row in _plugins("extractors")]


def _lacking(found: Any) -> str | None:
    return None if isinstance(found, Unavailable) else lacking(found)


def _assets() -> list[dict[str, Any]]:
    from audit import assets

    return [
        {
            "name": asset.name,
            "here": asset.present,
            "megabytes": round(asset.bytes / 1e6, 1),
            "licence": asset.licence,
            "about": asset.summary,
        }
        for asset in assets.survey()
    ]


def _policies() -> list[dict[str, Any]]:
    from audit.config.policies import named_policy
    from audit.config.ready import policy_names

    found = [named_policy(name) for name in policy_names()]
    return [
        {"name": p.name, "version": p.version, "criteria": [f"{c.metric} {c.bound}" for c in p.criteria]}
        for p in found
    ]


def _runs(store: str | None) -> list[dict[str, Any]]:
    from audit.store.runs import open_store

    where = address(store)
    if not where.exists():
        return []
    return [
        {
            "run": line.run,
            "name": line.name,
            "began": str(line.began),
            "finished": None if line.finished is None else str(line.finished),
            "verdict": None if line.verdict is None else str(line.verdict),
        }
        for line in open_store(where, create=False, read_only=True).list_runs()
    ]
