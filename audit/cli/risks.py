"""audit risks: the register of training records that a run found at risk."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING, Any

import click

from audit.cli.options import address, print_json, store_option
from audit.cli.report import write
from audit.cli.show import evidence_reader
from audit.cli.visible import say, visible
from audit.core.errors import InputError
from audit.core.records import AuditRecord
from audit.core.register import Entry, Status, looked_for, lost_evidence, register, same_data

if TYPE_CHECKING:
    from rich.console import Console

    from audit.store.runs import Store

HIDDEN = "(hidden)"
COLUMNS = (
    "rank", "split", "row", "attack", "found", "chance", "times", "score", "status", "metric", "evidence", "void", "content",
)  # fmt: skip
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""What a spreadsheet takes for the beginning of a formula."""

_EPILOG = """\
\b
Examples:
  audit risks                                        # the last run
  audit risks 20260102-1f3a --format csv -o risks.csv
  audit risks 20260109-77b0 --since 20260102-1f3a    # what is open, closed and new
  audit risks 20260109-77b0 --format json --show-sensitive

\b
A record is named by its split and its row, counted from 0. Without --since, the newest
earlier run of the same kind of model against the same data is compared with. An entry is closed when what found
it ran again and did not find it, unchecked when it did not run.
"""


@click.command("risks", epilog=_EPILOG)
@click.argument("run", required=False)
@store_option
@click.option("--since", metavar="RUN", help="The earlier run to compare with; 'none' for no comparison.")
@click.option(
    "--format", "form", type=click.Choice(["table", "csv", "json"]), default="table", show_default=True,
    help="What to print.",
)  # fmt: skip
@click.option(
    "-o", "--output", type=click.Path(dir_okay=False), help="Where to write. Default: standard output."
)
@click.option("--show-sensitive", is_flag=True, help="Include what the records say.")
def command(
    run: str | None, store: str | None, since: str | None, form: str, output: str | None, show_sensitive: bool
) -> int:
    """List the training records that RUN, or the last run, found at risk."""
    from pathlib import Path

    from audit.store.runs import open_store

    opened = open_store(address(store), create=False, read_only=True)
    record = opened.read(_run_of(opened, run))
    before = _before(opened, record, since)
    read = evidence_reader(opened)
    entries = register(record, read, before, reveal=show_sensitive)
    for line in _remarks(record, before, lost_evidence(record, read)):
        say(visible(line), err=True)
    if form == "table" and output is None:
        from audit.cli.scorecard import terminal

        print_entries(entries, terminal(), show_sensitive)
        return 0
    plain = [described(entry) for entry in entries]
    if form == "json" and output is None:
        print_json({"run": record.run, "since": before and before.run, "entries": plain})
        return 0
    document = as_json(record, before, plain) if form == "json" else as_csv(plain)
    if output is None:
        say(document.rstrip("\n"))
    else:
        write(Path(output), document.encode())
        say(f"wrote {visible(output)} ({len(entries):,} entries)", err=True)
    return 0


def _run_of(store: Store, run: str | None) -> str:
    if run is not None:
        return run
    latest = store.latest()
    if latest is None:
        raise InputError("There is no run in this store yet. Begin with: audit demo")
    return latest.run


def _before(store: Store, record: AuditRecord, since: str | None) -> AuditRecord | None:
    """Return the run to compare with: the one named, else the newest finished one before it of the same data and kind of model
    that looked for records at risk."""
    if since == "none":
        return None
    if since is not None:
        named = store.read(since)
        if not same_data(record, named):
            raise InputError(
                f"The runs {record.run} and {named.run} read different data, and rows of one are not rows of the other. "
                "Name a run against the same data, or --since none."
            )
        return named
    lines = store.list_runs()
    place = next((i for i, line in enumerate(lines) if line.run == record.run), len(lines))
    for line in lines[place + 1 :]:
        if line.finished is not None and _comparable(record, found := store.read(line.run)):
            return found
    return None


def _comparable(record: AuditRecord, other: AuditRecord) -> bool:
    kind = ("adapter", "family")
    same_kind = all(record.model.get(name) == other.model.get(name) for name in kind)
    return same_kind and same_data(record, other) and looked_for(other)


def _remarks(record: AuditRecord, before: AuditRecord | None, lost: int) -> list[str]:
    said = [
        f"run {record.run}"
        + (f", compared with {before.run}" if before else ", no earlier run against the same data")
    ]
    if record.finished is None:
        said.append("This run has not finished; what it has not measured is not in the register.")
    if before is not None and before.model != record.model:
        said.append("The earlier run audited another model, or another version of it.")
    if lost:
        said.append(f"{lost} lists of records are no longer in the store; run the audit again.")
    return said


def described(entry: Entry) -> dict[str, Any]:
    """Return one entry as plain values; content that was not asked for is masked."""
    found = entry.found
    content = HIDDEN if entry.content is None else entry.content
    values = (
        entry.rank, found.split, found.row, found.attack, found.found, found.chance, found.times, found.score,
        entry.status.value, entry.metric, str(entry.evidence), entry.void, content,
    )  # fmt: skip
    return dict(zip(COLUMNS, values, strict=True))


def as_csv(entries: list[dict[str, Any]]) -> str:
    """Return entries as CSV that a spreadsheet reads as text and numbers, never as formulas."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    for entry in entries:
        writer.writerow([_cell(entry[name]) for name in COLUMNS])
    return out.getvalue()


def _cell(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    shown = visible(value)
    return f"'{shown}" if shown.startswith(_FORMULA) else shown


def as_json(record: AuditRecord, before: AuditRecord | None, entries: list[dict[str, Any]]) -> str:
    """Return entries as one JSON document."""
    import json

    plain = {"run": record.run, "since": None if before is None else before.run, "entries": entries}
    return json.dumps(plain, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def print_entries(entries: tuple[Entry, ...], console: Console, revealed: bool) -> None:
    """Print the register as a table."""
    from rich import box
    from rich.table import Table

    from audit.cli.scorecard import clean, number

    if not entries:
        console.print("No training record is in the register of this run.")
        return
    table = Table(box=box.SIMPLE_HEAD)
    for column in (
        "rank",
        "record",
        "attack",
        "found",
        "chance",
        "status",
        *(["content"] if revealed else []),
    ):
        table.add_column(column, overflow="fold")
    for e in entries:
        cells = [
            str(e.rank),
            clean(f"{e.found.split} {e.found.row}"),
            clean(e.found.attack),
            clean(e.found.found) + (" [yellow](void)[/]" if e.void else ""),
            "" if e.found.chance is None else number(e.found.chance),
            e.status.value,
        ]
        table.add_row(*cells, *([clean(e.content or "")] if revealed else []))
    console.print(table)
    counts = {status: sum(e.status is status for e in entries) for status in Status}
    said = ", ".join(f"{count:,} {status}" for status, count in counts.items() if count)
    console.print(f"{len({e.key[:2] for e in entries}):,} records: {said}.", highlight=False)
