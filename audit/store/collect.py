"""Finding the blobs that no ledger refers to, and deleting them when asked."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Set
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from audit.core.errors import InputError
from audit.core.identity import Digest, digest_of
from audit.store.blobs import FileBlobs
from audit.store.location import StoreAddress

DAY = 86_400.0
_CLAIMS = "ledgers"


class Collectable(Protocol):
    """A store whose ledger says which blobs it wants."""

    @property
    def address(self) -> StoreAddress: ...
    @property
    def blobs(self) -> FileBlobs: ...
    def wanted_blobs(self) -> Set[Digest]: ...


@dataclass(frozen=True, slots=True)
class Collected:
    """What a collection deleted, or would delete, and what it left because it is young."""

    digests: tuple[Digest, ...]
    bytes: int
    young: int


def collect(store: Collectable, *, dry_run: bool = True, older_than: float = DAY) -> Collected:
    """Delete the blobs nobody refers to and that were last wanted ``older_than`` seconds ago or earlier.

    They are what a killed run left between a blob and its row. A run in
    progress refers to a blob shortly after it wrote it, or asked for it: an age well above the
    time one shard takes keeps its blobs safe. With ``dry_run`` nothing is deleted.
    """
    if (others := _claims(store.address.blobs) - {_name(store.address)}) and not dry_run:
        raise InputError(
            f"The blobs in {store.address.blobs} serve {len(others)} other ledger{'s' * (len(others) > 1)} too, so this "
            "one alone cannot say which are unused. Give each store its own folder of blobs, or, if the others "
            f"are gone, delete their files in {store.address.blobs / _CLAIMS}."
        )
    now = time.time()
    # Listed before the ledger is read: a blob written in between is not in the list.
    listed = [(digest, status.st_size, status.st_mtime) for digest, status in store.blobs.every()]
    wanted = store.wanted_blobs()
    unused = [entry for entry in listed if entry[0] not in wanted]
    old = [(digest, size) for digest, size, touched in unused if now - touched >= older_than]
    if not dry_run:
        old = [entry for entry in old if _deleted(store.blobs.path(entry[0]), now - older_than)]
    return Collected(tuple(digest for digest, _ in old), sum(size for _, size in old), len(unused) - len(old))


def _deleted(path: Path, before: float) -> bool:
    """Delete a blob unless a run has asked for it since it was listed; say whether it was deleted."""
    try:
        if path.stat().st_mtime > before:
            return False
        path.unlink()
    except FileNotFoundError:
        return False
    return True


def claim(address: StoreAddress) -> None:
    """Note beside the blobs which ledger they belong to, so that no other ledger's collector deletes them."""
    note = address.blobs / _CLAIMS / _name(address)
    if note.exists():
        return
    try:
        note.parent.mkdir(parents=True, exist_ok=True)
        note.touch()
    except OSError as error:
        raise InputError(
            f"The blobs of the store {address} cannot be written to {address.blobs}: {error.strerror}. "
            "Name a folder you may write."
        ) from None


def _claims(blobs: Path) -> set[str]:
    with contextlib.suppress(FileNotFoundError):
        return {note.name for note in (blobs / _CLAIMS).iterdir()}
    return set()


def _name(address: StoreAddress) -> str:
    """Return a name for a ledger that stays when its folder moves, and when another user or password opens it."""
    if address.folder is not None and address.blobs.parent == address.folder:
        return "beside"
    return digest_of(address.shown.rpartition("@")[2].encode())
