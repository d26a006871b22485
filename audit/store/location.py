"""Where a store is: a folder, or a ledger with its blobs elsewhere, in another folder or in a bucket."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qsl, quote, unquote, urlencode

from audit.core.errors import InputError

VARIABLE = "AUDIT_STORE"
DEFAULT = "audit-store"
LEDGER = "ledger.sqlite"
BLOBS = "blobs"

BUCKETS = ("s3", "gs", "az")
"""Schemes of buckets: Amazon S3 and what speaks like it, Google Cloud Storage, Azure."""

_FORMS = (
    "postgresql+psycopg://user@host/database?blobs=s3://bucket/folder, or file:///a/folder?blobs=s3://bucket/folder "
    "for a ledger in a folder"
)
_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,254}")
_STEP = re.compile(r"(?!\.{1,2}$)[\w.=+-]{1,255}", re.ASCII)
_POSTGRESQL = ("postgresql", "postgresql+psycopg", "postgres")


@dataclass(frozen=True, slots=True)
class StoreAddress:
    """Where the ledger and the blobs of a store lie. Printing it shows no password.

    ``url`` is empty for a store in a folder; else it names the database that
    holds the ledger, secrets included, for the driver alone.
    """

    blobs: Path | str
    """A folder of this machine, or the address of what several share: ``file://``, ``s3://``, ``gs://`` or ``az://``."""
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
            beside = self.blobs == self.folder / BLOBS
            return (
                str(self.folder)
                if beside
                else f"file://{quote(str(self.folder))}?{urlencode({BLOBS: str(self.blobs)})}"
            )
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
    ``file:///a/folder?blobs=`` is a folder whose blobs lie elsewhere. What
    follows ``blobs=`` is a path, or ``file:///shared/folder``, ``s3://bucket/folder``,
    ``gs://bucket/folder`` or ``az://container/folder``. Opens nothing and makes nothing.

    >>> resolve("runs", {}).ledger.name
    'ledger.sqlite'
    >>> resolve("postgresql://db/audits?blobs=s3://team/audits/", {}).blobs
    's3://team/audits'
    """
    variables = os.environ if environment is None else environment
    wanted = store or variables.get(VARIABLE) or DEFAULT
    if wanted.startswith("file://"):
        return _folder(wanted)
    if "://" in wanted:
        return _database(wanted)
    try:
        folder = Path(wanted).expanduser().absolute()
    except RuntimeError as error:
        raise InputError(f"The store '{wanted}' is no path: {error}. Name a folder.") from None
    except FileNotFoundError:
        raise InputError(
            f"The current folder is gone, and the store '{wanted}' would lie in it. Go to another, or name the store's whole path."
        ) from None
    return StoreAddress(blobs=folder / BLOBS, folder=folder)


def _folder(wanted: str) -> StoreAddress:
    """Read ``file:///a/folder``, with or without ``?blobs=``."""
    path, _, query = wanted.removeprefix("file://").partition("?")
    given = parse_qsl(query, keep_blank_values=True)
    if not path.startswith("/") or [name for name, _ in given] not in ([], [BLOBS]):
        raise InputError(
            "The store's address, a URL that begins with 'file://', cannot be read. Write it as "
            "file:///a/folder?blobs=s3://bucket/folder, with the whole path of the folder."
        )
    folder = Path(unquote(path))
    return StoreAddress(blobs=blobs_place(given[0][1]) if given else folder / BLOBS, folder=folder)


def folder_at(place: Path | str) -> Path | None:
    """Return the folder in which blobs lie, None where they lie in a bucket.

    >>> folder_at("file:///a%20folder"), folder_at("s3://team/audits")
    (PosixPath('/a folder'), None)
    """
    scheme, mark, rest = str(place).partition("://")
    if not mark:
        return Path(place)
    return Path(unquote(rest)) if scheme == "file" else None


def blobs_place(wanted: str) -> Path | str:
    """Return where blobs lie: a path, or an address in its one spelling.

    Raises InputError for what is neither. A key in an address is refused, and
    not shown: credentials come from the environment.
    """
    scheme, mark, rest = wanted.partition("://")
    if not mark:
        try:
            return Path(wanted).expanduser().absolute()
        except RuntimeError as error:
            raise InputError(f"The folder of blobs '{wanted}' is no path: {error}. Name another.") from None
    if scheme == "file":
        if not rest.startswith("/") or "?" in rest or "#" in rest:
            raise InputError("Blobs in a shared folder are named file:///shared/folder, with its whole path.")
        return f"file://{quote(os.path.normpath(unquote(rest)))}"
    if scheme not in BUCKETS:
        raise InputError(
            f"Blobs cannot lie in '{scheme[:40]}'. Name a folder, or file:///shared/folder, s3://bucket/folder, "
            "gs://bucket/folder or az://container/folder."
        )
    bucket, *steps = rest.rstrip("/").split("/")
    if not _BUCKET.fullmatch(bucket) or not all(_STEP.fullmatch(step) for step in steps):
        raise InputError(
            f"The address of the blobs, which begins with '{scheme}://', cannot be read. Write it as {scheme}://bucket/folder "
            "in letters, digits and . _ = + -, without keys or options: credentials come from the environment."
        )
    return f"{scheme}://{'/'.join([bucket, *steps])}"


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
            "or a database as postgresql+psycopg://user@host/database?blobs=/shared/folder. "
            f"A bucket holds blobs beside a ledger: {_FORMS}."
        )
    blobs = url.query.get(BLOBS)
    if isinstance(blobs, tuple):
        raise InputError("The store's address names 'blobs' more than once. Name one place.")
    url = url.set(drivername="postgresql+psycopg").difference_update_query([BLOBS])
    return StoreAddress(
        blobs=blobs_place(blobs or f"{DEFAULT}/{BLOBS}"),
        url=url.render_as_string(hide_password=False),
        shown=_without_secrets(url),
    )


def _without_secrets(url: object) -> str:
    """Return the address fit for a terminal: the password is starred wherever the URL carries it."""
    from sqlalchemy.engine import URL

    assert isinstance(url, URL)
    secret = [name for name in url.query if "pass" in name.lower()]
    return url.difference_update_query(secret).render_as_string(hide_password=True)
