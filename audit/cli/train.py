"""audit train: train an included model again from its recipe."""

from __future__ import annotations

import time
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from audit.cli.report import render, write
from audit.cli.run import audited
from audit.cli.visible import say, visible
from audit.core.errors import InputError, nearest
from audit.registry import catalogue

_CARD, _SPEC = "CARD.md", "audit.toml"
"""What a model leaves when its training ends: how it was made, and the spec of its audit. One that no audit can open leaves no spec."""
_EVERY = 30.0
"""Seconds between lines of progress where no bar can be drawn."""

_EPILOG = """\
\b
Examples:
  audit train digits-vae
  audit train portraits-ddpm -o /data/trained --restart    # into /data/trained/portraits-ddpm
  audit train portraits-attributes                         # what the extractors of portraits rest on
"""


@click.command("train", epilog=_EPILOG)
@click.argument("name")
@click.option(
    "-o",
    "--output",
    type=click.Path(file_okay=False),
    default="trained",
    show_default=True,
    help="The folder that gets a folder NAME with weights, samples, an audit of them and their card.",
)
@click.option("--restart", is_flag=True, help="Begin afresh instead of resuming from the last checkpoint.")
def command(name: str, output: str, restart: bool) -> int:
    """Train the included model NAME from its recorded recipe and audit it; after a kill, resume from the last checkpoint."""
    model = _trainable(name)
    out = _folder(Path(output) / name)
    console = Console(stderr=True, highlight=False)
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
        told = time.monotonic()
        for progress in model.train(out, resume=not restart):
            loss = f"loss {progress.loss:.4f}"
            bar.update(task, completed=progress.step, total=progress.steps, loss=loss)
            if progress.message:
                console.print(progress.message, markup=False, highlight=False, soft_wrap=True)
            elif bar.disable and time.monotonic() - told > _EVERY:  # a log shows no bar
                left = bar.tasks[task].time_remaining
                minutes = f", {left / 60:.0f} minutes left" if left is not None else ""
                console.print(
                    f"step {progress.step:,} of {progress.steps:,}, {loss}{minutes}", highlight=False
                )
                told = time.monotonic()
    if (out / _SPEC).is_file():
        _audit(out)
    say(f"wrote {visible(str(out))}")
    return 0


def _audit(out: Path) -> None:
    """Audit a model that was trained, and put the record's model card in front of what training wrote."""
    card, store = out / _CARD, str(out / "store")
    say(f"auditing it for its card: audit run {visible(str(out / _SPEC))}", err=True)
    record = audited({"spec": str(out / _SPEC), "store": store})
    write(card, render(record.run, store, "model-card") + b"\n" + card.read_bytes())


def _folder(out: Path) -> Path:
    """Make a folder and write a file in it. Raise InputError when that cannot be done, before anything is computed."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=out):
            return out
    except OSError as error:
        raise InputError(
            f"Nothing can be written to {out}: {error.strerror}. Choose another folder with -o."
        ) from error


def _trainable(name: str) -> Any:
    """Return the included model of this name, or the feature extractor that ships with a training recipe."""
    plugins = [catalogue("included"), catalogue("extractors")]
    found = next((group.load(name) for group in plugins if name in group.names()), None)
    if hasattr(found, "train"):
        return found
    trainable = [n for group in plugins for n, kind in group.survey().items() if hasattr(kind, "train")]
    if found is None:
        raise InputError(f"There is no included model '{name}'. {nearest(name, trainable)}")
    raise InputError(f"'{name}' records no training recipe. Those that do: {', '.join(trainable)}.")
