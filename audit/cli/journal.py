"""Write the events of a run as JSON lines, one event a line, as they happen."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TextIO

from audit.core.errors import InputError


def _opened(path: Path) -> int:
    """Open a file to append to, without waiting for somebody to read it, which a pipe would; writing waits as ever."""
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK, 0o666)
    os.set_blocking(descriptor, True)
    return descriptor


class Journal:
    """Appends events to a log file; without a path it writes nothing. A run that never began leaves no new file."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._file: TextIO | None = None
        self._new = False
        self._noted = False

    def __enter__(self) -> Self:
        if self._path is not None:
            try:
                self._new = not self._path.exists()
                self._file = os.fdopen(_opened(self._path), "a", encoding="utf-8", errors="backslashreplace")
            except OSError as error:
                if error.errno == errno.ENXIO:
                    raise InputError(f"The log {self._path} is a pipe that nobody reads.") from None
                raise InputError(f"The log {self._path} cannot be written: {error.strerror}.") from None
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is None or self._path is None:
            return
        if error is not None and self._noted:
            from audit.engine.places import placeless

            self._write({"event": "stopped", "error": placeless(f"{type(error).__name__}: {error}")})
        self._file.close()
        if self._new and not self._noted:
            self._path.unlink(missing_ok=True)

    def note(self, event: Mapping[str, Any]) -> None:
        """Add one event, as plain values."""
        if self._file is not None:
            self._noted = True
            self._write(event)

    def _write(self, line: Mapping[str, Any]) -> None:
        assert self._file is not None
        now = datetime.now(UTC).isoformat(timespec="seconds")
        self._file.write(json.dumps({"time": now, **line}, ensure_ascii=False) + "\n")
        self._file.flush()
