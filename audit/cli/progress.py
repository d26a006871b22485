"""Show a run as it happens, on standard error: artifacts done, examples a second, time left."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from audit.cli.visible import visible
from audit.core.words import counted


@dataclass
class _Artifact:
    label: str
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

    def show(self, event: Mapping[str, Any]) -> None:
        """Take one event of a run, as plain values."""
        match event:
            case {"event": "began", "run": run, "resumed": resumed}:
                self.say(f"{'resuming' if resumed else 'run'} {run}")
            case {"event": "repeat", "number": number, "of": of}:
                self.say(f"repeat {number} of {of}")
            case {"event": "damaged", "digests": digests}:
                for digest in digests:
                    self.say(f"damaged, to be made again: blob {digest}")
            case {"event": "needed", "artifacts": artifacts}:
                self._needed(artifacts)
            case {"event": "made", "key": key, "seconds": seconds, "examples": examples}:
                self._made(self.artifacts[key], seconds, examples)
            case {"event": "failed", "key": key, "shard": shard, "error": error}:
                self._bar.update(self._task, advance=1)
                self.say(f"  failed: {self.artifacts[key].label}, shard {shard}: {error}")
            case {"event": "no value", "key": key, "reason": reason}:
                self._bar.update(self._task, advance=1)
                self.say(f"  no value: {self.artifacts[key].label}: {reason}")
            case {"event": "assessed", "evaluator": evaluator, "failed": error}:
                self.say(f"failed: {evaluator}: {error}")

    def say(self, text: str) -> None:
        """Print a line above the bar."""
        self._bar.console.print(Text(visible(text)), soft_wrap=True)

    def _needed(self, artifacts: Sequence[Mapping[str, Any]]) -> None:
        now = time.monotonic()
        self.artifacts = {a["key"]: _Artifact(a["label"], a["missing"], began=now) for a in artifacts}
        total, here = sum(a["missing"] for a in artifacts), sum(a["made"] for a in artifacts)
        self._bar.update(self._task, total=total, description="making")
        self.say(
            f"{counted(total, 'shard')} to make for {counted(len(artifacts), 'artifact')}; {here:,} are here already"
        )

    def _made(self, artifact: _Artifact, seconds: float, examples: int) -> None:
        if artifact.made == 0:
            artifact.began = time.monotonic() - seconds
        artifact.made += 1
        artifact.examples += examples
        self._examples += examples
        rate = self._examples / max(time.monotonic() - self._since, 1e-9)
        label = escape(visible(artifact.label[:44]))
        self._bar.update(self._task, advance=1, description=label, rate=f"{rate:,.0f} examples/s")
        if artifact.made == artifact.missing:
            taken = time.monotonic() - artifact.began
            speed = f", {artifact.examples / taken:,.0f} examples/s" if artifact.examples else ""
            shards = f"{artifact.made} shard{'s' * (artifact.made != 1)}"
            self.say(f"  {artifact.label}: {shards}, {taken:.1f} s{speed}")
