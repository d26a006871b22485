"""audit doctor: what is installed, what is usable, and what each missing part would give."""

from __future__ import annotations

import re
from importlib import resources
from importlib.metadata import PackageNotFoundError, metadata, requires, version
from inspect import signature
from pathlib import Path
from typing import Any

import click
from rich import box
from rich.console import Console
from rich.table import Table

from audit.cli.options import address, format_option, print_json, store_option
from audit.cli.scorecard import clean, terminal
from audit.core.errors import InputError
from audit.engine.environment import best_device, environment
from audit.registry import GROUPS, Unavailable, catalogue, lacking

_EPILOG = """\
\b
Examples:
  audit doctor
  audit doctor --format json | jq .plugins
"""

_GIVES = {
    "postgres": "a ledger in PostgreSQL, for several drivers on one store",
    "ray": "the executor 'ray', for a cluster of machines",
    "shared": "blobs in a bucket: s3://, gs://, az://",
    "login": "a login by OpenID Connect for the dashboard",
    "browser": "the slow tests that drive a browser",
    "bench": "the peers that benchmarks/ compares with",
    "rivagan": "the neural watermark of images",
    "text-credentials": "credentials inside plain texts",
    "dev": "the tests, the linters and the type checker",
}
"""What each extra of this package is for."""


@click.command("doctor", epilog=_EPILOG)
@store_option
@format_option
def command(store: str | None, form: str) -> int:
    """Say what works here, and what to do where something does not."""
    found = examine(store)
    if form == "json":
        print_json(found)
    else:
        _print(found, terminal())
    return 0 if found["usable"] else 2


def examine(store: str | None) -> dict[str, Any]:
    """Return what is installed and usable, as plain values."""
    plugins = [
        {"kind": kind, "name": name, **_state(kind, found)}
        for kind in GROUPS
        for name, found in catalogue(kind).survey().items()
    ]
    where = _store(store)
    return {
        "usable": where["usable"] and all(plugin["usable"] for plugin in plugins),
        "environment": environment(best_device()),
        "store": where,
        "plugins": plugins,
        "assets": _assets(),
        "extras": _extras(),
    }


def _state(kind: str, found: Any) -> dict[str, Any]:
    """Return the state of a plugin. One that waits for an asset is sound: ``lacks`` says what to fetch."""
    if isinstance(found, Unavailable):
        return {"usable": False, "reason": found.reason, "remedy": found.remedy, "lacks": None}
    own = (
        kind == "extractors" and signature(found.refer).parameters
    )  # it waits for options of a spec, not for a file
    lacks = lacking(found) if kind == "extractors" and not own else None
    return {"usable": True, "reason": None, "remedy": None, "lacks": lacks}


def _store(store: str | None) -> dict[str, Any]:
    from audit.store.runs import open_store

    try:
        where = address(store)
        runs = len(open_store(where, create=False, read_only=True).list_runs()) if where.exists() else 0
    except InputError as error:
        return {"usable": False, "at": None, "runs": 0, "reason": str(error)}
    return {"usable": True, "at": str(where), "runs": runs, "reason": None}


def _assets() -> list[dict[str, Any]]:
    """Return which assets are here; of one that the package ships in another form, none is asked for."""
    from audit import assets

    weights = resources.files("audit") / "features" / "weights"
    shipped = {Path(file.name).stem for file in weights.iterdir()}
    return [
        {
            "name": a.name,
            "here": a.present,
            "shipped": a.name in shipped,
            "remedy": None if a.present or a.name in shipped else f"audit fetch {a.name}",
        }
        for a in assets.survey()
    ]


def _extras() -> list[dict[str, Any]]:
    names = metadata("generative-audit").get_all("Provides-Extra") or []
    return [_extra(name) for name in names]


def _extra(name: str) -> dict[str, Any]:
    wanted = [
        re.split(r"[\s\[<>=!~;(]", line, maxsplit=1)[0]
        for line in requires("generative-audit") or []
        if re.search(rf"extra\s*==\s*['\"]{re.escape(name)}['\"]", line)
    ]
    missing = [package for package in wanted if not _installed(package)]
    return {
        "name": name,
        "gives": _GIVES.get(name, ""),
        "installed": not missing,
        "missing": missing,
        "remedy": f"pip install 'generative-audit[{name}]'" if missing else None,
    }


def _installed(package: str) -> bool:
    try:
        version(package)
    except PackageNotFoundError:
        return False
    return True


def _print(found: dict[str, Any], console: Console) -> None:
    table = Table(title="Environment", box=box.SIMPLE, title_justify="left", show_header=False)
    for key, value in found["environment"].items():
        table.add_row(clean(key), clean(value))
    console.print(table)
    where = found["store"]
    if where["usable"]:
        console.print(f"store: {clean(where['at'])}, {where['runs']} runs", highlight=False)
    else:
        console.print(f"[red]store[/]: {clean(where['reason'])}", highlight=False)
    usable = [p for p in found["plugins"] if p["usable"]]
    console.print(f"plugins: {len(usable)} of {len(found['plugins'])} usable", highlight=False)
    for plugin in found["plugins"]:
        if not plugin["usable"]:
            said = clean(f"{plugin['kind']} {plugin['name']}: {plugin['reason']}. {plugin['remedy']}")
            console.print(f"  [yellow]unusable[/] {said}", highlight=False)
        elif plugin["lacks"]:
            said = clean(f"{plugin['kind']} {plugin['name']}: {plugin['lacks']}")
            console.print(f"  [yellow]waiting[/] {said}", highlight=False)
    for asset in found["assets"]:
        if asset["shipped"]:
            state = "[green]here[/]: its weights ship with this package"
        else:
            state = "[green]here[/]" if asset["here"] else f"[yellow]absent[/]: run {clean(asset['remedy'])}"
        console.print(f"asset {clean(asset['name'])}: {state}", highlight=False)
    for extra in found["extras"]:
        state = "[green]installed[/]" if extra["installed"] else f"missing: {clean(extra['remedy'])}"
        console.print(f"extra {extra['name']} ({extra['gives']}): {state}", highlight=False)
