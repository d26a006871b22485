"""audit train: train an included model again from its recipe."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from audit.core.errors import InputError
from audit.registry import catalogue

_EPILOG = """\
\b
Examples:
  audit train digits-vae -o trained/
  audit train portraits-ddpm -o trained/ --restart
  audit train portraits-attributes -o trained/
"""


@click.command("train", epilog=_EPILOG)
@click.argument("name")
@click.option(
    "-o", "--output", type=click.Path(file_okay=False), help="Where to write. Default: ./trained/NAME."
)
@click.option("--restart", is_flag=True, help="Begin afresh instead of going on from the last checkpoint.")
def command(name: str, output: str | None, restart: bool) -> int:
    """Train the included model NAME from its recorded recipe; after a kill, go on from the last checkpoint."""
    model = _trainable(name)
    out = Path(output) if output else Path("trained") / name
    console = Console(stderr=True)
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[loss]}"),
        TimeRemainingColumn(),
        console=console,
        disable=not console.is_terminal,
    )
    with bar:
        task = bar.add_task(f"training {name}", total=None, loss="")
        for progress in model.train(out, resume=not restart):
            bar.update(task, completed=progress.step, total=progress.steps, loss=f"loss {progress.loss:.4f}")
            if progress.message:
                bar.console.print(progress.message, markup=False, highlight=False)
    click.echo(f"wrote {out}")
    return 0


def _trainable(name: str) -> Any:
    """Return the included model of this name, or the feature extractor that ships with a training recipe."""
    models, extractors = catalogue("included"), catalogue("extractors")
    if name not in models.names() and name in extractors.names():
        found = extractors.load(name)
    else:
        found = models.load(name)
    if not hasattr(found, "train"):
        raise InputError(f"'{name}' records no training recipe.")
    return found
