"""audit fetch: bring a pinned, hash-checked asset into the local asset store."""

from __future__ import annotations

from pathlib import Path

import click
from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from audit.cli.visible import say, visible

_EPILOG = """\
\b
Examples:
  audit fetch smollm2-135m-instruct
  audit fetch efficientnet-lite0 --from /media/usb    # a site without a network
  audit list assets
"""


@click.command("fetch", epilog=_EPILOG)
@click.argument("name")
@click.option(
    "--from", "folder", type=click.Path(exists=True, file_okay=False), help="Take it from this folder alone."
)
def command(name: str, folder: str | None) -> int:
    """Bring the asset NAME here from the first source that answers, and check its digest."""
    from audit import assets

    console = Console(stderr=True, highlight=False)
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )
    with bar:
        task = bar.add_task(f"fetching {name}", total=None)
        path = assets.fetch(
            name,
            source_dir=Path(folder) if folder else None,
            progress=lambda done, total: bar.update(task, completed=done, total=total),
        )
    say(f"{name} is here, its digest as pinned: {visible(str(path))}")
    return 0
