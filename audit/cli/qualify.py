"""audit qualify: plant defects at known doses, and say what an audit would catch."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path
from typing import Any

import click

from audit.cli.apart import started
from audit.cli.options import address, format_option, print_json, spec_argument, store_option
from audit.core.errors import InputError

_EPILOG = """\
\b
Examples:
  audit qualify examples/digits.toml --samples 500 --repeats 20
  audit qualify audit.toml --only quality.precision_recall --doses 0.05,0.1,0.2
  audit qualify audit.toml --format json > qualification.json

\b
Defects are planted in real examples: a mode dropped, a kind collapsed, training
examples copied into the outputs, attributes tied together; docs/metrics names
them. Nothing is retrained, so an attack is tried on what was planted in outputs.
Where the data have fewer rows than are drawn, all draws are one: name fewer --samples.
What is made is kept in the store by content, so that a repeat costs nothing.
"""


@click.command("qualify", epilog=_EPILOG)
@spec_argument
@click.option("--doses", help="Shares to plant, ascending. Default: 0.02,0.05,0.1,0.2,0.4.")
@click.option(
    "--repeats", type=int, default=20, show_default=True, help="How often everything is drawn anew."
)
@store_option
@format_option
@click.option("--executor", help="Where to run: inline, pool, ray, or an installed plugin.")
@click.option("--workers", type=click.IntRange(min=1), help="Worker processes.")
@click.option(
    "--address",
    "cluster",
    metavar="HOST:PORT",
    help="The Ray cluster to use. Default: $RAY_ADDRESS, then this machine alone.",
)
@click.option(
    "-o", "--output", type=click.Path(dir_okay=False), help="Keep the result in this file, as JSON."
)
def command(
    spec: str,
    samples: int | None,
    seed: int | None,
    only: tuple[str, ...],
    doses: str | None,
    repeats: int,
    store: str | None,
    form: str,
    executor: str | None,
    workers: int | None,
    cluster: str | None,
    output: str | None,
) -> int:
    """Say what the audit of SPEC would catch: planted defects found, and quiet where there are none."""
    from audit.engine.qualifying import DOSES, check

    ladder = list(DOSES) if doses is None else _ladder(doses)
    check(ladder, repeats)
    address(store)
    request = {
        "spec": spec, "samples": samples, "seed": seed, "only": only, "store": store, "executor": executor,
        "workers": workers, "address": cluster, "doses": ladder, "repeats": repeats,
    }  # fmt: skip
    found = _qualified(request)
    if output is not None:
        from audit.cli.report import write

        write(Path(output), (json.dumps(found, indent=2, allow_nan=False) + "\n").encode())
    if form == "json":
        print_json(found)
    else:
        from audit.cli.qualified import print_qualified
        from audit.cli.scorecard import terminal

        print_qualified(found, terminal())
    return 0


def _qualified(request: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    with started("qualify", request) as job:
        from audit.cli.progress import Quiet, RunDisplay

        with RunDisplay(Quiet(stderr=True)) as display, closing(job.events(display.say)) as events:
            for event in events:
                display.show(event)
                found = event.get("found", found)
    return found


def _ladder(doses: str) -> list[float]:
    try:
        return [float(dose) for dose in doses.split(",")]
    except ValueError:
        raise InputError(
            f"--doses is '{doses}'. Give shares with commas between, such as 0.05,0.1,0.2."
        ) from None
