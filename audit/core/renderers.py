"""What a report format is: a way to turn a record into a document."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar, Protocol, TypeAlias

from audit.core.identity import Digest
from audit.core.records import AuditRecord
from audit.core.rows import Rows

EvidenceReader: TypeAlias = Callable[[Digest], Rows | None]
"""Returns the rows kept under a digest, or None when the store does not hold them."""


class Renderer(Protocol):
    """Turns a record into a document; a class that is made without arguments.

    Pure: same record and same evidence, same bytes. ``media_type`` is the
    document's MIME type and ``suffix`` the ending of its file name, with the
    dot. Evidence marked sensitive must not be read, let alone written, unless
    ``show_sensitive`` is true.
    """

    media_type: ClassVar[str]
    suffix: ClassVar[str]

    def render(
        self, record: AuditRecord, evidence: EvidenceReader, *, show_sensitive: bool = False
    ) -> bytes: ...
