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
    path: Path | str
    """Its file, or its address in a bucket."""
    problem: str
    """``lost``, or ``damaged``: other bytes than its digest says, or bytes that cannot be read."""


def faults(store: Store) -> Iterator[Fault]:
    """Yield every blob that the ledger refers to and that is lost or damaged. Reads all of them.

    Raises InputError when the ledger itself is damaged.
    """
    store.check_ledger()
    wanted = store.wanted_blobs()
    there = store.blobs.among(wanted)
    sound = store.blobs.sound(there)
    for digest in sorted(wanted - sound):
        yield Fault(digest, store.blobs.path(digest), "damaged" if digest in there else "lost")
