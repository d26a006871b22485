"""Show a run as it happens, on standard error: artifacts done, examples a second, time left."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from audit.cli.visible import visible
from audit.core.facts import Failed, Made, Needed
from audit.core.recipes import Recipe
from audit.engine.audit import AuditEvent, Began
from audit.engine.run import Assessed


@dataclass
class _Artifact:
    recipe: Recipe[Any]
    missing: int
    made: int = 0
    examples: int = 0
    began: float = 0.0


class Quiet(Console):
    """A console that falls silent when its reader has left, so that the run continues."""

    def on_broken_pipe(self) -> None:
        self.quiet = True


@dataclass
class RunDisplay:
    """A progress bar over all shards on a terminal; elsewhere one line per finished artifact."""

    console: Console
    artifacts: dict[str, _Artifact] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._bar = Progress(
            TextColumn("[bold]{task.description}"),
            BarColumn(bar_width=28),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=self.console,
            transient=True,
            disable=not self.console.is_terminal,
        )
        self._task = self._bar.add_task("planning", total=None, rate="")
        self._examples = 0
        self._since = time.monotonic()

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def show(self, event: AuditEvent) -> None:
        """Take one event of a run."""
        match event:
            case Began(run=run, resumed=resumed):
                self._say(f"{'taking up' if resumed else 'run'} {run}")
            case Needed(recipes=recipes):
                self._needed(recipes)
            case Made():
                self._made(event)
            case Failed():
                self._failed(event)
            case Assessed(label=label, fact=Failed() as fact):
                self._say(f"failed: {label}: {fact.error}")

    def _say(self, text: str) -> None:
        self._bar.console.print(visible(text), markup=False, highlight=False)

    def _needed(self, recipes: Any) -> None:
        now = time.monotonic()
        self.artifacts = {r.key: _Artifact(r, missing, began=now) for r, missing, _ in recipes}
        total, here = sum(missing for _, missing, _ in recipes), sum(made for _, _, made in recipes)
        self._bar.update(self._task, total=total, description="making")
        self._say(f"{total} shards to make for {len(recipes)} artifacts; {here} are here already")

    def _made(self, fact: Made) -> None:
        artifact = self.artifacts[fact.key]
        examples = artifact.recipe.examples(fact.shard)
        if artifact.made == 0:
            artifact.began = time.monotonic() - fact.seconds
        artifact.made += 1
        artifact.examples += examples
        self._examples += examples
        rate = self._examples / max(time.monotonic() - self._since, 1e-9)
        self._bar.update(
            self._task, advance=1, description=artifact.recipe.label[:44], rate=f"{rate:,.0f} examples/s"
        )
        if artifact.made == artifact.missing:
            seconds = max(time.monotonic() - artifact.began, 1e-9)
            speed = f", {artifact.examples / seconds:,.0f} examples/s" if artifact.examples else ""
            self._say(f"  {artifact.recipe.label}: {artifact.made} shards, {seconds:.1f} s{speed}")

    def _failed(self, fact: Failed) -> None:
        artifact = self.artifacts[fact.key]
        self._bar.update(self._task, advance=1)
        self._say(f"  failed: {artifact.recipe.label}, shard {fact.shard}: {fact.error}")
