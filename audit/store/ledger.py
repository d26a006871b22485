"""Opening the ledger's database, its transactions, and what its errors mean to a user."""

from __future__ import annotations

import errno
import os
import sqlite3
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.resources import as_file, files
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine, create_engine, event, exc, inspect, select, text

from audit.core.errors import InputError
from audit.store import schema
from audit.store.location import StoreAddress

T = TypeVar("T")

BUSY_SECONDS = 30.0
"""How long a writer waits for another one before it tries anew."""
_TRIES = 3
_MIGRATION_LOCK = 7_263_401_155
"""Any number: the advisory lock under which PostgreSQL lets one driver migrate."""

_FULL, _CANNOT_OPEN, _READ_ONLY, _CORRUPT, _NO_DATABASE = 13, 14, 8, 11, 26
_ERROR, _BUSY, _LOCKED, _IO = 1, 5, 6, 10
_CONSTRAINT, _MISUSE, _MOVED = 19, 21, 1032
_POSTGRESQL_FULL, _POSTGRESQL_READ_ONLY, _POSTGRESQL_FORBIDDEN = "53100", "25006", "42501"
_UNREACHABLE = ("", "08", "28", "3D", "53", "57")
"""Classes of SQLSTATE: connection, authorisation, no such database, resources, shutdown; none before there is a session."""


class Ledger:
    """The database of a store: read and write transactions, each with errors in the user's words.

    SQLite keeps its journal beside the file and lets one writer in at a time,
    the others wait; that holds on a local disk, not on a network share, whose
    locks cannot be trusted: use PostgreSQL there.
    """

    def __init__(self, address: StoreAddress, *, create: bool, read_only: bool) -> None:
        self.address = address
        self.read_only = read_only
        path = address.ledger
        if path is not None:
            _check_folder(address, path, create=create, read_only=read_only)
            self._engine = _sqlite(path, "ro" if read_only else "rwc")
        else:
            self._engine = _postgresql(address, read_only=read_only)
        self._adding = self._engine.execution_options(writes=True)
        self._settling = self._engine.execution_options(writes=True, settles=True)
        self._file: tuple[int, int] | None = None
        self._open()
        self._file = None if path is None else _identity(path)
        # Whoever forgets to close leaves no connection behind, which a database server would count.
        weakref.finalize(self, Engine.dispose, self._engine)

    def read(self, work: Callable[[Connection], T]) -> T:
        """Return what ``work`` reads in one transaction."""
        with _in_words(self.address), self._engine.begin() as connection:
            return work(connection)

    def write(self, work: Callable[[Connection], T], *, settle: bool = False) -> T:
        """Return what ``work`` does in one transaction, tried again when another writer held the ledger too long.

        A transaction is whole or absent in any case. With ``settle`` it and
        all before it survive a power cut once this returns; without, the last
        ones may be lost in one, and what they told is made again.
        """
        if self.read_only:
            raise _cannot_write(self.address, "it was opened for reading")
        self._check_place()
        engine = self._settling if settle else self._adding
        for attempt in range(_TRIES):
            try:
                with _in_words(self.address), engine.begin() as connection:
                    return work(connection)
            except TimeoutError:
                if attempt == _TRIES - 1:
                    raise
        raise AssertionError("unreachable")

    def close(self) -> None:
        self._engine.dispose()

    def _check_place(self) -> None:
        """See that the ledger's file is still the one that was opened: SQLite keeps writing to one that is deleted."""
        if self.address.ledger is not None and self._file not in (None, _identity(self.address.ledger)):
            raise _gone(self.address)

    def _open(self) -> None:
        """See that the ledger is of this version, or make it so."""
        try:
            known = self._known_version()
            if known == schema.VERSIONS[-1]:
                return
            self._check_version(known)
            self._migrate()
        except BaseException:
            self.close()
            raise

    def _known_version(self) -> str | None:
        try:
            return self.read(_version)
        except ConnectionError as error:
            raise InputError(
                f"The store {self.address} cannot be reached: {error.strerror}. Check the address, the name, "
                "the password and that the server runs."
            ) from None
        except (InputError, OSError):
            # A journal that only a writer could replay, in a folder nobody may write: read the file as it is.
            path = self.address.ledger
            if not self.read_only or path is None or _may(path.parent, os.W_OK):
                raise
            self.close()
            self._engine = _sqlite(path, "ro&immutable=1")
            return self.read(_version)

    def _check_version(self, known: str | None) -> None:
        if known is not None and known not in schema.VERSIONS:
            if not str(known).isdecimal():
                raise damaged(self.address, "its version is no number")
            if (form := int(known[:4])) < schema.FORMAT:
                raise InputError(
                    f"The store {self.address} was written by an older generative-audit (format {form}; this one "
                    f"reads format {schema.FORMAT}): name another store with --store, or read it with the version that wrote it."
                )
            raise InputError(
                f"The store {self.address} is of version {known}, newer than this tool, which knows versions up to "
                f"{schema.VERSIONS[-1]}. Upgrade generative-audit, or use another store (--store)."
            )
        if self.read_only:
            state = "empty" if known is None else f"of version {known}"
            raise InputError(
                f"The store {self.address} is {state} and was opened for reading; it has to be brought to version "
                f"{schema.VERSIONS[-1]} first. Run a command that writes to it, such as 'audit run'."
            )

    def _migrate(self) -> None:
        if self.address.ledger is not None:
            with _in_words(self.address):
                _keep_journal(self._engine)
        self.write(_upgrade)


def _check_folder(address: StoreAddress, path: Path, *, create: bool, read_only: bool) -> None:
    """Make the folder if that is wanted, and say early what would fail later in SQLite's words."""
    folder = path.parent
    try:
        is_file, there = folder.is_file(), path.exists()
    except PermissionError:
        raise InputError(
            f"The store {address} may not be read. Ask its owner, or name another (--store)."
        ) from None
    except (OSError, ValueError) as error:  # a name that is too long, a loop of links
        why = getattr(error, "strerror", None) or str(error)
        raise InputError(f"The store {address} is no path ({why}). Name a folder (--store).") from None
    if is_file:
        raise InputError(f"The store {address} is a file. Name a folder with --store or AUDIT_STORE.")
    if there and not path.is_file():  # SQLite would wait for a pipe without end
        raise InputError(
            f"The ledger of the store {address} is no file: {path} is a folder, a pipe or a device. "
            "Remove it, or name another store (--store)."
        )
    if not there and (read_only or not create):
        raise InputError(
            f"There is no store at {address}: it has no {path.name}. "
            "'audit run' makes one; --store or AUDIT_STORE name another."
        )
    if there and not _may(path, os.R_OK):
        raise InputError(f"The store {address} may not be read. Ask its owner, or name another (--store).")
    if read_only:
        return
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _cannot_write(address, error.strerror or str(error)) from None
    if not _may(folder, os.W_OK) or (there and not _may(path, os.W_OK)):
        raise _cannot_write(address, "the folder or the ledger in it is read-only")


def _identity(path: Path) -> tuple[int, int] | None:
    """Return what tells a file from any other, whatever its name; None where there is no file."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _may(path: Path, mode: int) -> bool:
    return os.access(path, mode, effective_ids=os.access in os.supports_effective_ids)


def _cannot_write(address: StoreAddress, why: str) -> InputError:
    return InputError(
        f"The store {address} cannot be written: {why}. Name a folder you may write with --store or "
        "AUDIT_STORE; 'audit show', 'audit list' and 'audit report' work on a store that is there."
    )


def _sqlite(path: Path, mode: str) -> Engine:
    from sqlalchemy.pool import QueuePool

    uri = f"{path.absolute().as_uri()}?mode={mode}"

    def connect() -> sqlite3.Connection:
        # No isolation level: the driver would begin transactions late and not at all for DDL.
        return sqlite3.connect(
            uri, uri=True, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
        )

    engine = create_engine("sqlite+pysqlite://", creator=connect, poolclass=QueuePool)

    def begin(connection: Connection) -> None:
        # A writer takes the lock at once: one that reads first could not wait for it later.
        options = connection.get_execution_options()
        if options.get("writes", False):
            connection.exec_driver_sql(f"PRAGMA synchronous={'FULL' if options.get('settles') else 'NORMAL'}")
            connection.exec_driver_sql("BEGIN IMMEDIATE")
        else:
            connection.exec_driver_sql("BEGIN")

    event.listen(engine, "begin", begin)
    return engine


def _postgresql(address: StoreAddress, *, read_only: bool) -> Engine:
    if find_spec("psycopg") is None:
        raise InputError(
            f"The store {address} needs a driver that is not installed: "
            "pip install 'generative-audit[postgres]'."
        )
    options = {"postgresql_readonly": True} if read_only else {}
    engine = create_engine(
        address.url,
        pool_pre_ping=True,
        connect_args={"connect_timeout": 10},
        isolation_level="READ COMMITTED",
        execution_options=options,
    )

    def begin(connection: Connection) -> None:
        options = connection.get_execution_options()
        if options.get("writes") and not options.get("settles"):
            connection.exec_driver_sql("SET LOCAL synchronous_commit TO off")

    event.listen(engine, "begin", begin)
    return engine


def _keep_journal(engine: Engine) -> None:
    """Let readers read while one writes; SQLite remembers it in the file.

    This lock SQLite does not wait for, so drivers that begin one store together take turns here.
    """
    deadline = time.monotonic() + BUSY_SECONDS
    raw = engine.raw_connection()
    try:
        while True:
            try:
                raw.cursor().execute("PRAGMA journal_mode=WAL")
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode & 0xFF not in (_BUSY, _LOCKED) or time.monotonic() > deadline:
                    raise
                time.sleep(0.05)
            else:
                return
    finally:
        raw.close()


def _version(connection: Connection) -> str | None:
    """Return the revision the ledger is at, or None for a database without one."""
    if connection.dialect.name == "sqlite":
        there = connection.execute(
            text("SELECT count(*) FROM sqlite_master WHERE name = 'alembic_version'")
        ).scalar()
    else:
        there = inspect(connection).has_table("alembic_version")
    if not there:
        return None
    return connection.execute(select(schema.version.c.version_num)).scalar()


def _upgrade(connection: Connection) -> None:
    """Run the migrations this ledger lacks, one driver at a time."""
    from alembic.migration import MigrationContext
    from alembic.operations import Operations
    from alembic.script import ScriptDirectory

    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _MIGRATION_LOCK})
    context = MigrationContext.configure(connection)
    with as_file(files("audit.store") / "migrations") as folder, Operations.context(context):
        scripts = ScriptDirectory(str(folder))
        lacking = scripts.iterate_revisions("head", context.get_current_revision() or "base")
        for step in reversed(list(lacking)):
            step.module.upgrade()
            context.stamp(scripts, step.revision)


@contextmanager
def _in_words(address: StoreAddress) -> Iterator[None]:
    """Turn what the database raises into InputError or OSError, so that no caller knows which database it is."""
    try:
        yield
    except (exc.DBAPIError, sqlite3.Error) as error:
        meaning = _meaning(error.orig if isinstance(error, exc.DBAPIError) else error, address)
        if meaning is None:
            raise
        raise meaning from error
    except UnicodeDecodeError as error:  # of a message that quotes what the file holds
        raise damaged(address, "it holds text that is not UTF-8") from error


def _meaning(error: Any, address: StoreAddress) -> InputError | OSError | None:
    # Only the first line, and never the statement: psycopg's messages may quote what was sent.
    said = (str(error).strip().splitlines() or [type(error).__name__])[0]
    code = (getattr(error, "sqlite_errorcode", None) or 0) & 0xFF
    state = getattr(error, "sqlstate", None) or ""
    if getattr(error, "sqlite_errorcode", None) == _MOVED:
        return _gone(address)
    if code == _FULL or state == _POSTGRESQL_FULL:
        return OSError(errno.ENOSPC, "no room is left for the ledger", str(address))
    if code == _READ_ONLY or state in (_POSTGRESQL_READ_ONLY, _POSTGRESQL_FORBIDDEN):
        return _cannot_write(address, said)
    if code in (_CORRUPT, _NO_DATABASE):
        return damaged(address, said)
    if code == 0 and isinstance(error, sqlite3.OperationalError) and "UTF-8" in said:
        return damaged(address, "it holds text that is not UTF-8")  # what was said quotes the bytes
    if code in (_BUSY, _LOCKED):
        return TimeoutError(
            errno.ETIMEDOUT,
            f"Another process has held the store {address} for more than {BUSY_SECONDS:.0f} seconds. "
            "Run the same command again when it is done.",
        )
    if code == _CANNOT_OPEN:
        return InputError(f"The ledger of the store {address} cannot be opened ({said}). Check the folder.")
    if code == _IO:
        return OSError(errno.EIO, f"The ledger of the store {address} cannot be read or written ({said}).")
    if code == _ERROR:
        return InputError(
            f"The ledger of the store {address} is not one this tool wrote ({said}). Name another store."
        )
    if not isinstance(error, sqlite3.Error) and state[:2] in _UNREACHABLE:
        return ConnectionError(errno.ECONNABORTED, f"the database does not answer ({said})", str(address))
    if isinstance(error, sqlite3.DatabaseError) and code not in (0, _CONSTRAINT, _MISUSE):
        return damaged(address, said)
    return None


def _gone(address: StoreAddress) -> OSError:
    return OSError(
        errno.ESTALE,
        f"The store {address} was deleted, moved or replaced while it was in use. "
        "Run the same command again; what is left of the store is used.",
    )


def damaged(address: StoreAddress, what: str) -> InputError:
    """Return the error that says that a ledger cannot be trusted, and why."""
    return InputError(
        f"The ledger of the store {address} is damaged ({what}). Restore it from a backup, or name another "
        "store; the blobs beside it may be sound, but nothing says what they are."
    )


@contextmanager
def readable(address: StoreAddress) -> Iterator[None]:
    """Say that the ledger is damaged where what it holds is not what this tool writes there."""
    try:
        yield
    except (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RecursionError) as error:
        raise damaged(address, f"a row is not as this tool writes it: {type(error).__name__}") from error
