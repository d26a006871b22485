"""audit demo: audit the included digits model and write a report."""

from __future__ import annotations

from pathlib import Path

import click

from audit.cli.options import store_option
from audit.cli.report import render, write
from audit.cli.run import audited
from audit.core.errors import InputError

_EPILOG = """\
\b
Examples:
  audit demo
  audit demo -o /tmp/report.html --store /tmp/store
"""


@click.command("demo", epilog=_EPILOG)
@store_option
@click.option("-o", "--output", type=click.Path(dir_okay=False), default="report.html", show_default=True)
def command(store: str | None, output: str) -> int:
    """Audit the included variational autoencoder of handwritten digits, from samples to report.

    Exits with 0 once the audit is done, whatever its verdict: this shows how an
    audit goes. 'audit run' is the command whose exit code says the verdict.
    """
    from audit.cli.scorecard import print_record, terminal

    if not Path(output).absolute().parent.is_dir():
        raise InputError(f"The folder of {output} does not exist. Make it, or name another file with -o.")
    record = audited({"spec": None, "store": store})
    console = terminal()
    print_record(record, console)
    write(Path(output), render(record.run, store, "html"))
    at = f" --store {store}" if store else ""
    console.print(f"\nreport: {Path(output).resolve()}", markup=False, highlight=False, soft_wrap=True)
    console.print("next:", highlight=False)
    for line in (
        f"  audit show{at}                       the scorecard again",
        f"  audit dashboard{at}                  browse runs and evidence",
        f"  audit report{at} --show-sensitive -o full.html",
        "  audit plan examples/digits.toml      what a spec would do",
        "  audit fetch smollm2-135m-instruct && audit run examples/smollm2.toml",
    ):
        console.print(line, markup=False, highlight=False, soft_wrap=True)
    return 0
