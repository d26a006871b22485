"""The stores the tests run over: a folder with SQLite, and a real PostgreSQL server."""

from __future__ import annotations

import shutil
import tempfile
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from audit.store.location import StoreAddress, resolve
from audit.store.runs import Store, open_store


@pytest.fixture(scope="session")
def postgresql() -> Iterator[str]:
    """The address of a server that lives as long as the tests; skipped where it cannot be started."""
    pytest.importorskip("psycopg")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # where its lock lies without XDG_RUNTIME_DIR is no concern here
        pgserver = pytest.importorskip("pgserver")
    folder = Path(tempfile.mkdtemp(prefix="pg"))  # short: the server's socket lies in it
    try:
        server = pgserver.get_server(folder / "data", cleanup_mode="delete")
    except Exception as error:
        shutil.rmtree(folder, ignore_errors=True)
        pytest.skip(f"PostgreSQL does not start here: {error}")
    _without_care(server.get_uri())
    yield server.get_uri()
    server.cleanup()
    shutil.rmtree(folder, ignore_errors=True)


def _without_care(server: str) -> None:
    """Spare the disk: what the server holds need not survive the tests."""
    import psycopg

    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute("ALTER SYSTEM SET fsync = off")
        connection.execute("SELECT pg_reload_conf()")


def _new_database(server: str) -> str:
    import psycopg

    name = f"audit_{uuid4().hex[:12]}"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}"')
    return server.replace("/postgres?", f"/{name}?")


@pytest.fixture(params=["sqlite", "postgresql"])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> StoreAddress:
    """An empty place for a store, once for each database."""
    if request.param == "sqlite":
        return resolve(str(tmp_path / "store"))
    database = _new_database(request.getfixturevalue("postgresql"))
    return resolve(f"{database}&blobs={tmp_path / 'blobs'}")


@pytest.fixture
def opened(address: StoreAddress) -> Iterator[Callable[..., Store]]:
    """Open stores at ``address`` that are closed when the test ends."""
    stores: list[Store] = []

    def opener(**options: bool) -> Store:
        stores.append(open_store(address, **options))
        return stores[-1]

    yield opener
    for store in stores:
        store.close()


@pytest.fixture
def store(opened: Callable[..., Store]) -> Store:
    return opened()
