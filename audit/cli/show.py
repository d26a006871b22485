"""audit show: the scorecard of a run."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from audit.cli.options import address, format_option, print_json, store_option
from audit.core.errors import InputError
from audit.core.records import AuditRecord, to_plain
from audit.core.renderers import EvidenceReader

if TYPE_CHECKING:
    from audit.store.runs import Store

_EPILOG = """\
\b
Examples:
  audit show                   # the last run
  audit show 20260102-1f3a     # a run by its id, or the beginning of it
  audit show --format json | jq .verdict
"""


@click.command("show", epilog=_EPILOG)
@click.argument("run", required=False)
@store_option
@format_option
@click.option("--groups", is_flag=True, help="Also show the measurements on groups of examples.")
def command(run: str | None, store: str | None, form: str, groups: bool) -> int:
    """Show the scorecard of RUN, or of the last run."""
    record = read_record(run, store)
    if form == "json":
        print_json(to_plain(record))
    else:
        from audit.cli.scorecard import print_record, terminal

        print_record(record, terminal(), groups=groups)
    return 0


def read_record(run: str | None, store: str | None) -> AuditRecord:
    """Return the record of a run, or of the newest one."""
    from audit.store.runs import open_store

    opened = open_store(address(store), create=False, read_only=True)
    if run is not None:
        return opened.read(run)
    lines = opened.list_runs()
    if not lines:
        raise InputError("There is no run in this store yet. Begin with: audit demo")
    return opened.read(lines[0].run)


def evidence_reader(store: Store) -> EvidenceReader:
    """Return what reads the rows that a store keeps under a digest, or None where they are gone."""
    return store.rows
