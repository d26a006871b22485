"""Where a store is: a folder, or a PostgreSQL ledger with a folder of blobs."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from audit.core.errors import InputError

VARIABLE = "AUDIT_STORE"
DEFAULT = "audit-store"
LEDGER = "ledger.sqlite"
BLOBS = "blobs"

_POSTGRESQL = ("postgresql", "postgresql+psycopg", "postgres")


@dataclass(frozen=True, slots=True)
class StoreAddress:
    """Where the ledger and the blobs of a store lie. Printing it shows no password.

    ``url`` is empty for a store in a folder; else it names the database that
    holds the ledger, secrets included, for the driver alone.
    """

    blobs: Path
    folder: Path | None = None
    url: str = field(default="", repr=False)
    shown: str = ""

    @property
    def ledger(self) -> Path | None:
        """The SQLite file of a store in a folder."""
        return None if self.folder is None else self.folder / LEDGER

    @property
    def spelled(self) -> str:
        """What :func:`resolve` turns into this address again, from any folder. Secrets included: for a process, not for people."""
        if self.folder is not None:
            return str(self.folder)
        from sqlalchemy.engine import make_url

        url = make_url(self.url).update_query_dict({BLOBS: str(self.blobs)})
        return url.render_as_string(hide_password=False)

    def exists(self) -> bool:
        """Whether there may be a ledger to read: a folder has its file, a database answers for itself."""
        return self.ledger is None or os.path.exists(self.ledger)  # noqa: PTH110 - Path.exists raises where nobody may look

    def __str__(self) -> str:
        return self.shown or str(self.folder)


def resolve(store: str | None = None, environment: Mapping[str, str] | None = None) -> StoreAddress:
    """Return where the store lies: what was asked for, else ``AUDIT_STORE``, else ``./audit-store``.

    A path names a folder with ``ledger.sqlite`` and ``blobs/`` in it. A URL
    ``postgresql+psycopg://user@host/database?blobs=/shared/folder`` names a
    ledger in PostgreSQL; without ``blobs`` they lie in ``./audit-store/blobs``.
    Opens nothing and makes nothing.

    >>> resolve("runs", {}).ledger.name
    'ledger.sqlite'
    """
    variables = os.environ if environment is None else environment
    wanted = store or variables.get(VARIABLE) or DEFAULT
    if "://" in wanted:
        return _database(wanted)
    try:
        folder = Path(wanted).expanduser().absolute()
    except RuntimeError as error:
        raise InputError(f"The store '{wanted}' is no path: {error}. Name a folder.") from None
    return StoreAddress(blobs=folder / BLOBS, folder=folder)


def _database(wanted: str) -> StoreAddress:
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import ArgumentError

    try:
        url = make_url(wanted)
    except (ArgumentError, ValueError):
        scheme = wanted.partition("://")[0]
        raise InputError(
            f"The store's address, a URL that begins with '{scheme}://', cannot be read. Write it as "
            "postgresql+psycopg://user@host/database?blobs=/shared/folder, with special characters "
            "in names and passwords percent-encoded."
        ) from None
    if url.drivername not in _POSTGRESQL:
        raise InputError(
            f"A store cannot lie in '{url.drivername}'. Name a folder (its ledger is an SQLite file), "
            "or a database as postgresql+psycopg://user@host/database?blobs=/shared/folder."
        )
    blobs = url.query.get(BLOBS)
    if isinstance(blobs, tuple):
        raise InputError("The store's address names 'blobs' more than once. Name one folder.")
    url = url.set(drivername="postgresql+psycopg").difference_update_query([BLOBS])
    return StoreAddress(
        blobs=Path(blobs or f"{DEFAULT}/{BLOBS}").expanduser().absolute(),
        url=url.render_as_string(hide_password=False),
        shown=_without_secrets(url),
    )


def _without_secrets(url: object) -> str:
    """Return the address fit for a terminal: the password is starred wherever the URL carries it."""
    from sqlalchemy.engine import URL

    assert isinstance(url, URL)
    secret = [name for name in url.query if "pass" in name.lower()]
    return url.difference_update_query(secret).render_as_string(hide_password=True)
