"""Finding what a store has lost and what is damaged in it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from audit.core.identity import Digest
from audit.store.runs import Store


@dataclass(frozen=True, slots=True)
class Fault:
    """A blob that the ledger refers to and that is not as it was kept."""

    digest: Digest
    path: Path
    problem: str
    """``lost``, or ``damaged``: other bytes than its digest says, or bytes that cannot be read."""


def faults(store: Store) -> Iterator[Fault]:
    """Yield every blob that the ledger refers to and that is lost or damaged. Reads all of them.

    Raises InputError when the ledger itself is damaged.
    """
    store.check_ledger()
    for digest in sorted(store.wanted_blobs()):
        path = store.blobs.path(digest)
        if not store.blobs.has(digest):
            yield Fault(digest, path, "lost")
        elif not _is_sound(store, digest):
            yield Fault(digest, path, "damaged")


def _is_sound(store: Store, digest: Digest) -> bool:
    try:
        return store.blobs.is_sound(digest)
    except OSError:  # a sector that cannot be read
        return False
