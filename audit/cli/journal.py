"""Write the events of a run as JSON lines, one event a line, as they happen."""

from __future__ import annotations

import json
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TextIO

from audit.core.errors import InputError
from audit.core.facts import Failed, Made, Needed, Scored
from audit.engine.audit import AuditEvent, Began, Finished
from audit.engine.record import now
from audit.engine.run import Assessed


class Journal:
    """Appends events to a log file; without a path it writes nothing."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._file: TextIO | None = None

    def __enter__(self) -> Self:
        if self._path is not None:
            try:
                self._file = self._path.open("a", encoding="utf-8")
            except OSError as error:
                raise InputError(f"The log {self._path} cannot be written: {error.strerror}.") from None
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is not None:
            if error is not None:
                self._write({"event": "stopped", "error": f"{type(error).__name__}: {error}"})
            self._file.close()

    def note(self, event: AuditEvent) -> None:
        """Add one event."""
        if self._file is not None:
            self._write(_plain(event))

    def _write(self, line: dict[str, Any]) -> None:
        assert self._file is not None
        self._file.write(json.dumps({"time": now(), **line}, ensure_ascii=False) + "\n")
        self._file.flush()


def _plain(event: AuditEvent) -> dict[str, Any]:
    match event:  # mypy cannot see that these are all
        case Began(run=run, resumed=resumed):
            return {"event": "began", "run": run, "resumed": resumed}
        case Needed(recipes=recipes):
            artifacts = [
                {"label": r.label, "key": r.key, "missing": missing, "made": made}
                for r, missing, made in recipes
            ]
            return {"event": "needed", "artifacts": artifacts}
        case Made(key=key, shard=shard, digest=digest, seconds=seconds, worker=worker):
            made = {"key": key, "shard": shard, "digest": digest, "seconds": round(seconds, 6)}
            return {"event": "made", **made, "worker": worker}
        case Failed(key=key, shard=shard, error=error, attempts=attempts):
            return {"event": "failed", "key": key, "shard": shard, "error": error, "attempts": attempts}
        case Assessed(label=label, fact=Failed(error=error)):
            return {"event": "assessed", "evaluator": label, "failed": error}
        case Assessed(label=label, fact=Scored() as fact):
            return {"event": "assessed", "evaluator": label, "outcomes": len(fact.outcomes)}
        case Finished(record=record):
            return {"event": "finished", "run": record.run, "verdict": record.verdict.value}
    raise AssertionError(f"{type(event).__name__} is no event of a run")
