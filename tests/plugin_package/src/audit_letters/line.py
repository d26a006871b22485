"""A report of one line."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from audit.core.records import AuditRecord


class LineReport:
    """The verdict in one line of text."""

    media_type: ClassVar[str] = "text/plain"
    suffix: ClassVar[str] = ".txt"

    def render(
        self, record: AuditRecord, evidence: Callable[[Any], Any], *, show_sensitive: bool = False
    ) -> bytes:
        return f"{record.name}: {record.verdict}\n".encode()
