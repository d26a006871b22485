"""Options that several commands share."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Any

import click

from audit.cli.visible import say
from audit.config.limits import MOST_SAMPLES, MOST_SEED
from audit.store.location import StoreAddress, resolve

OWN_NAMES = ("localhost", "127.0.0.1", "::1")
"""Names by which a browser on this machine reaches it."""

store_option = click.option(
    "--store",
    metavar="PATH|URL",
    help="Where runs are kept: a folder or a PostgreSQL URL, with ?blobs=s3://... for blobs in a bucket. "
    "Default: $AUDIT_STORE, then ./audit-store.",
)
format_option = click.option(
    "--format",
    "form",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="What to print to standard output; with json nothing else goes there.",
)


def spec_argument(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the argument SPEC and the options that override parts of it."""
    for decorate in (
        click.argument("spec", type=click.Path(path_type=str)),
        click.option(
            "--samples", type=click.IntRange(1, MOST_SAMPLES), help="Draw this many samples instead."
        ),
        click.option("--seed", type=click.IntRange(0, MOST_SEED), help="Use this seed instead."),
        click.option(
            "--only", multiple=True, metavar="EVALUATOR", help="Run this evaluator alone; may be repeated."
        ),
    ):
        command = decorate(command)
    return command


def address(store: str | None) -> StoreAddress:
    """Return where runs are kept."""
    return resolve(store)


def print_json(value: Any) -> None:
    """Print one JSON document to standard output; where that is not Unicode, with JSON's own escapes."""
    plain = not (sys.stdout.encoding or "").lower().startswith("utf")
    say(json.dumps(value, indent=2, ensure_ascii=plain, allow_nan=False))
