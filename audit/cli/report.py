"""audit report: write the report of a run."""

from __future__ import annotations

import errno
import sys
from pathlib import Path

import click

from audit.cli.caught import read_qualification, with_caught
from audit.cli.options import address, store_option
from audit.cli.show import evidence_reader, read_record
from audit.cli.visible import say, visible
from audit.core.errors import InputError
from audit.registry import catalogue

_EPILOG = """\
\b
Examples:
  audit report -o report.html
  audit report 20260102-1f3a --format json -o record.json
  audit report --format junit -o audit.xml       # also sarif, csv, markdown: for continuous integration
  audit report --format markdown >> "$GITHUB_STEP_SUMMARY"
  audit report -o results.eee.json               # Every Eval Ever
  audit report --format model-card -o README.md  # for the Hugging Face Hub
  audit report -o report.html --show-sensitive   # evidence that may show training examples
"""


@click.command("report", epilog=_EPILOG)
@click.argument("run", required=False)
@store_option
@click.option(
    "--format",
    "form",
    help="html, json, markdown, annex, junit, sarif, csv, model-card, every-eval-ever, or an installed plugin. Default: by the ending of -o, html without one.",
)
@click.option(
    "-o", "--output", type=click.Path(dir_okay=False), help="Where to write. Default: standard output."
)
@click.option(
    "--qualification",
    type=click.Path(dir_okay=False),
    help="What 'audit qualify -o' wrote, said beside each number.",
)
@click.option("--show-sensitive", is_flag=True, help="Include evidence that may show training examples.")
def command(
    run: str | None,
    store: str | None,
    form: str | None,
    output: str | None,
    qualification: str | None,
    show_sensitive: bool,
) -> int:
    """Write the report of RUN, or of the last run."""
    document = render(
        run, store, form or _form_of(output), show_sensitive=show_sensitive, qualification=qualification
    )
    if output is None:
        sys.stdout.buffer.write(document)
        return 0
    write(Path(output), document)
    say(f"wrote {visible(output)} ({len(document):,} bytes)", err=True)
    return 0


def render(
    run: str | None,
    store: str | None,
    form: str,
    *,
    show_sensitive: bool = False,
    qualification: str | None = None,
) -> bytes:
    """Return a run's report in one format; with what ``audit qualify`` found beside its numbers, where that is named."""
    from audit.store.reviews import reviewed
    from audit.store.runs import open_store

    renderer = catalogue("reports").load(form)()
    record = reviewed(address(store), read_record(run, store))
    if qualification is not None:
        record = with_caught(record, read_qualification(Path(qualification)))
    evidence = evidence_reader(open_store(address(store), create=False, read_only=True))
    document: bytes = renderer.render(record, evidence, show_sensitive=show_sensitive)
    return document


def write(path: Path, document: bytes) -> None:
    """Write a document. Raise InputError where the folder is missing or may not be written."""
    try:
        path.write_bytes(document)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise InputError(f"{path} cannot be written: {error.strerror}. Name another file with -o.") from None


def _form_of(output: str | None) -> str:
    """Return the format that a file's ending asks for: that of the longest ending, ``x.card.md`` before ``x.md``."""
    if output is None:
        return "html"
    formats = catalogue("reports").survey()
    endings = {f".{name}": name for name in formats}
    endings |= {kind.suffix: name for name, kind in formats.items() if hasattr(kind, "suffix")}
    fitting = [ending for ending in endings if output.lower().endswith(ending)]
    if not fitting:
        raise InputError(
            f"The ending of {visible(output)} names no format. Name one with --format ({', '.join(formats)}), "
            f"or end the file's name with {', '.join(sorted(endings))}."
        )
    return endings[max(fitting, key=len)]
