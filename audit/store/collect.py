"""Finding the blobs that no ledger refers to, and deleting them when asked."""

from __future__ import annotations

import contextlib
import secrets
import time
from collections.abc import Set
from dataclasses import dataclass
from typing import Protocol

from audit.core.errors import InputError
from audit.core.identity import Digest, digest_of
from audit.store.blobs import CLAIMS
from audit.store.location import BLOBS, StoreAddress
from audit.store.shared import Blobs

DAY = 86_400.0
_IDENTITY = "identity"
"""File beside a ledger whose blobs lie elsewhere: tells it from any other, on any machine."""


class Collectable(Protocol):
    """A store whose ledger says which blobs it wants."""

    @property
    def address(self) -> StoreAddress: ...
    @property
    def blobs(self) -> Blobs: ...
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
    if (others := store.blobs.claims() - {_name(store.address)}) and not dry_run:
        raise InputError(
            f"The blobs in {store.address.blobs} serve {len(others)} other ledger{'s' * (len(others) > 1)} too, so this "
            "one alone cannot say which are unused. Give each store its own folder of blobs, or, if the others "
            f"are gone, delete their files in {store.address.blobs}/{CLAIMS}."
        )
    now = time.time()
    # Listed before the ledger is read: a blob written in between is not in the list.
    listed = [(digest, *kept) for digest, kept in store.blobs.every()]
    wanted = store.wanted_blobs()
    unused = [entry for entry in listed if entry[0] not in wanted]
    old = [(digest, size) for digest, size, touched in unused if now - touched >= older_than]
    if not dry_run:
        old = [entry for entry in old if store.blobs.delete_untouched(entry[0], now - older_than)]
    return Collected(tuple(digest for digest, _ in old), sum(size for _, size in old), len(unused) - len(old))


def claim(address: StoreAddress, blobs: Blobs) -> None:
    """Note beside the blobs which ledger they belong to, so that no other ledger's collector deletes them."""
    try:
        if address.folder is not None and address.blobs != address.folder / BLOBS:
            with contextlib.suppress(FileExistsError), (address.folder / _IDENTITY).open("x") as file:
                file.write(secrets.token_hex(20))
        blobs.claim(_name(address))
    except OSError as error:
        raise InputError(
            f"The blobs of the store {address} cannot be written to {address.blobs}: "
            f"{(error.strerror or str(error)).rstrip('.')}. Name a place you may write."
        ) from None


def _name(address: StoreAddress) -> str:
    """Return a name for a ledger that stays when its folder moves, and when another user or password opens it."""
    if address.folder is None:
        return digest_of(address.shown.rpartition("@")[2].encode())
    if address.blobs == address.folder / BLOBS:
        return "beside"
    try:
        return digest_of((address.folder / _IDENTITY).read_bytes())
    except FileNotFoundError:  # nobody has written to it yet
        return ""
