"""audit store: see that a store is sound, and free what no run needs."""

from __future__ import annotations

from typing import Any

import click

from audit.cli.options import address, format_option, print_json, store_option
from audit.cli.visible import say, visible

_EPILOG = """\
\b
Examples:
  audit store check                # reads every blob; exit code 1 when one is lost or damaged
  audit store gc --dry-run         # say what would be freed
  audit store gc --store ./audits
"""


@click.group("store", epilog=_EPILOG)
def command() -> None:
    """Look after a store: what runs have made, and the ledger that says what it is."""


@command.command("check")
@store_option
@format_option
def check(store: str | None, form: str) -> int:
    """Read everything a store keeps, and name what is lost or damaged.

    Exit codes: 0 all is there and sound, 1 something is lost or damaged,
    2 there is no store or its ledger cannot be read.
    """
    from audit.store.check import faults
    from audit.store.runs import open_store

    with open_store(address(store), create=False, read_only=True) as opened:
        found = [{"digest": f.digest, "path": str(f.path), "problem": f.problem} for f in faults(opened)]
        runs, blobs = len(opened.list_runs()), len(opened.wanted_blobs())
    if form == "json":
        print_json({"runs": runs, "blobs": blobs, "faults": found})
        return 1 if found else 0
    for fault in found:
        say(f"{fault['problem']}: {visible(fault['path'])}")
    if not found:
        say(f"sound: {_many(blobs, 'blob')} of {_many(runs, 'run')}")
        return 0
    say(f"{len(found):,} of {blobs:,} blobs are lost or damaged. Run the audits that made them again with")
    say("--retry-failed: all of them are made again at once, and all that is sound is kept.")
    return 1


@command.command("gc")
@store_option
@format_option
@click.option("--dry-run", is_flag=True, help="Delete nothing; say what would be freed.")
def gc(store: str | None, form: str, dry_run: bool) -> int:
    """Delete the blobs that no run refers to, such as killed runs leave.

    Safe beside a running audit: what was written or asked for in the last 24
    hours is left alone.
    """
    from audit.store.collect import collect
    from audit.store.runs import open_store

    with open_store(address(store), create=False, read_only=dry_run) as opened:
        found = collect(opened, dry_run=dry_run)
    said: dict[str, Any] = {
        "dry_run": dry_run,
        "blobs": len(found.digests),
        "bytes": found.bytes,
        "young": found.young,
    }
    if form == "json":
        print_json(said)
        return 0
    verb = "would free" if dry_run else "freed"
    say(f"{verb} {found.bytes:,} bytes in {_many(len(found.digests), 'blob')} that no run refers to")
    if found.young:
        say(f"{_many(found.young, 'blob')} younger than 24 hours left alone: a run in progress may want them")
    return 0


def _many(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'s' * (count != 1)}"
