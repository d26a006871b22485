"""audit run: run an audit, or resume an unfinished one."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from audit.cli.apart import started
from audit.cli.journal import Journal
from audit.cli.main import FAILED, PASSED, RESUMES, UNDECIDED, UNFINISHED, JobError
from audit.cli.options import address, format_option, print_json, spec_argument, store_option
from audit.core.errors import InputError

if TYPE_CHECKING:
    from audit.core.records import AuditRecord

_EPILOG = """\
\b
Examples:
  audit run examples/digits.toml
  audit run examples/digits.toml --samples 500 --only quality.frechet
  audit run audit.toml --format json > record.json
  audit run audit.toml --store postgresql+psycopg://audit@db/audits
  audit run audit.toml --executor ray --address 10.0.0.5:6379 --store /shared/audits
  audit run audit.toml --store 'postgresql+psycopg://audit@db/audits?blobs=s3://team/audits'

\b
A spec in full:
  name = "digits-vae before 1.0"
  seed = 0
  samples = 2000
  [model]
  use = "digits-vae"
  [data]
  use = "digits"
  # [[reference_models]]    # keys of [model]: like it, but did not see its members
  [[evaluators]]            # leave the list out to run everything that applies
  name = "quality.frechet"
  [policy]
  use = "default"
  [run]
  executor = "pool"         # or "inline", "ray"
  workers = 2

\b
Exit codes: 0 passed, 1 failed, 2 bad input, 3 undecided, 4 unfinished or a
part failed (try again with --retry-failed), 130 interrupted, 143 terminated.
"""


@click.command("run", epilog=_EPILOG)
@spec_argument
@store_option
@format_option
@click.option("--executor", help="Where to run: inline, pool, ray, or an installed plugin.")
@click.option(
    "--workers",
    type=click.IntRange(min=1),
    help="Worker processes. Default: one per core, or per GPU of a cluster.",
)
@click.option(
    "--address",
    metavar="HOST:PORT",
    help="The Ray cluster to use. Default: $RAY_ADDRESS, then this machine alone.",
)
@click.option("--device", help="cpu, cuda or cuda:N. Default: the freest GPU where the model fits, else cpu.")
@click.option(
    "--log", type=click.Path(dir_okay=False), help="Append every event to this file, as JSON lines."
)
@click.option(
    "--lock", type=click.Path(dir_okay=False), help="A plan registered before; every deviation is reported."
)
@click.option("--retry-failed", is_flag=True, help="Try again what failed in earlier runs.")
def command(
    spec: str,
    samples: int | None,
    seed: int | None,
    only: tuple[str, ...],
    store: str | None,
    form: str,
    executor: str | None,
    workers: int | None,
    address: str | None,
    device: str | None,
    log: str | None,
    lock: str | None,
    retry_failed: bool,
) -> int:
    """Run the audit that SPEC describes, or resume it where it stopped."""
    from audit.engine.locks import read_lock

    request = {
        "spec": spec,
        "samples": samples,
        "seed": seed,
        "only": only,
        "store": store,
        "executor": executor,
        "workers": workers,
        "address": address,
        "device": device,
        "retry_failed": retry_failed,
        "lock": None if lock is None else read_lock(Path(lock)),
    }
    record = audited(request, log=Path(log) if log else None)
    with suppress(BrokenPipeError):  # a reader who leaves does not change the verdict
        if form == "json":
            from audit.core.records import to_plain

            print_json(to_plain(record))
        else:
            from audit.cli.scorecard import print_record, terminal

            print_record(record, terminal())
    return exit_code(record)


def audited(request: Mapping[str, Any], *, log: Path | None = None) -> AuditRecord:
    """Have an audit run, showing progress on standard error, and return its record as the store keeps it."""
    address(request["store"])  # one that cannot be used is refused first
    run = ""
    try:
        with Journal(log) as journal, started("run", request) as job:
            from audit.cli.progress import Quiet, RunDisplay  # while the other process begins

            with RunDisplay(Quiet(stderr=True)) as display, closing(job.events(display.say)) as events:
                for event in events:
                    journal.note(event)
                    display.show(event)
                    run = event.get("run", run)
    except BrokenPipeError as error:
        raise JobError(UNFINISHED, f"{error}; {RESUMES}") from error
    return _kept(run, request["store"])


def _kept(run: str, store: str | None) -> AuditRecord:
    """Return the record that the store keeps of a finished run. Raises JobError when it keeps none."""
    from audit.store.runs import open_store

    try:
        with open_store(address(store), create=False, read_only=True) as opened:
            record = opened.read(run)
    except InputError as error:
        raise JobError(UNFINISHED, f"the store does not keep the record of this run. {error}") from error
    if record.finished is None or record.run != run:
        raise JobError(UNFINISHED, f"the store says that run {run} has not finished; {RESUMES}")
    return record


def exit_code(record: AuditRecord) -> int:
    """Return the exit code that says a record's verdict: 4 when something planned could not be made."""
    from audit.core.policy import Verdict

    if record.verdict is Verdict.FAIL:
        return FAILED
    if record.failures:
        return UNFINISHED
    return PASSED if record.verdict is Verdict.PASS else UNDECIDED
