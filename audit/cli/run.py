"""audit run: run an audit, or resume an unfinished one."""

from __future__ import annotations

from contextlib import ExitStack, closing, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from audit.cli.main import FAILED, PASSED, UNDECIDED, UNFINISHED
from audit.cli.options import address, format_option, print_json, spec_argument, store_option
from audit.config.assemble import Assembled, assemble
from audit.config.spec import AuditSpec, RunSettings, read_spec
from audit.core.policy import Verdict
from audit.core.records import AuditRecord, to_plain
from audit.store.location import StoreAddress

_EPILOG = """\
\b
Examples:
  audit run examples/digits.toml
  audit run examples/digits.toml --samples 500 --only quality.frechet
  audit run audit.toml --format json > record.json
  audit run audit.toml --store postgresql+psycopg://audit@db/audits

\b
A spec in full:
  name = "digits-vae before 1.0"
  seed = 0
  samples = 2000
  [model]
  use = "digits-vae"
  [data]
  use = "digits"
  [[evaluators]]            # leave the list out to run everything that applies
  name = "quality.frechet"
  [policy]
  use = "default"
  [run]
  executor = "pool"         # or "inline"
  workers = 2

\b
Exit codes: 0 passed, 1 failed, 2 bad input, 3 undecided, 4 unfinished or a
part failed (try again with --retry-failed), 130 interrupted, 143 terminated.
"""


@click.command("run", epilog=_EPILOG)
@spec_argument
@store_option
@format_option
@click.option("--executor", help="Where to run: inline, pool, or an installed plugin.")
@click.option(
    "--workers", type=click.IntRange(min=1), help="Worker processes of the pool. Default: one per core."
)
@click.option("--device", help="cpu, cuda or cuda:N. Default: cuda where there is one.")
@click.option(
    "--log", type=click.Path(dir_okay=False), help="Append every event to this file, as JSON lines."
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
    device: str | None,
    log: str | None,
    retry_failed: bool,
) -> int:
    """Run the audit that SPEC describes, or resume it where it stopped."""
    read = override(read_spec(Path(spec)), samples, seed, only)
    settings = read.run
    settings = replace(
        settings,
        executor=executor or settings.executor,
        workers=workers or settings.workers,
        device=device or settings.device,
    )
    assembled = assemble(replace(read, run=settings))
    record = audit_with_progress(
        assembled, address(store), retry_failed=retry_failed, log=Path(log) if log else None
    )
    with suppress(BrokenPipeError):  # a reader who leaves does not change the verdict
        if form == "json":
            print_json(to_plain(record))
        else:
            from audit.cli.scorecard import print_record, terminal

            print_record(record, terminal())
    return exit_code(record)


def override(spec: AuditSpec, samples: int | None, seed: int | None, only: tuple[str, ...]) -> AuditSpec:
    """Return the spec with the values that the command line gives in place of its own."""
    changed = replace(
        spec,
        samples=spec.samples if samples is None else samples,
        seed=spec.seed if seed is None else seed,
    )
    return changed.only(only) if only else changed


def audit_with_progress(
    assembled: Assembled, where: StoreAddress, *, retry_failed: bool = False, log: Path | None = None
) -> AuditRecord:
    """Run an assembled audit, showing progress on standard error, and return its record."""
    from audit.cli.journal import Journal
    from audit.cli.progress import Quiet, RunDisplay
    from audit.cli.streams import others_on_stderr
    from audit.engine.audit import Finished, perform_audit
    from audit.engine.environment import environment
    from audit.engine.run import forget_failures
    from audit.store.runs import open_store

    record = None
    with ExitStack() as stack:
        journal = stack.enter_context(Journal(log))
        stack.enter_context(others_on_stderr())
        opened = stack.enter_context(open_store(where))
        if retry_failed:
            forget_failures(assembled.plan, opened)
        executor = stack.enter_context(closing(_executor(assembled.run)))
        display = stack.enter_context(RunDisplay(Quiet(stderr=True)))
        for event in perform_audit(
            assembled.plan,
            opened,
            executor,
            settings=assembled.settings,
            environment=environment(assembled.run.device),
        ):
            display.show(event)
            journal.note(event)
            if isinstance(event, Finished):
                record = event.record
    assert record is not None, "an audit that ends without an error ends with its record"
    return record


def _executor(settings: RunSettings) -> Any:
    from audit.registry import catalogue

    workers = {"workers": settings.workers} if settings.workers else {}
    start = catalogue("executors").load(settings.executor)
    return start(**workers, device=settings.device, time_limit=settings.time_limit)


def exit_code(record: AuditRecord) -> int:
    """Return the exit code that says a record's verdict: 4 when something planned could not be made."""
    if record.verdict is Verdict.FAIL:
        return FAILED
    if record.failures:
        return UNFINISHED
    return PASSED if record.verdict is Verdict.PASS else UNDECIDED
