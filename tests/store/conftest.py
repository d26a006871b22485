"""The stores the tests run over: a folder with SQLite, and a real PostgreSQL server."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from audit.store.location import StoreAddress, resolve
from audit.store.runs import Store, open_store


@pytest.fixture(params=["sqlite", "postgresql"])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> StoreAddress:
    """An empty place for a store, once for each database."""
    if request.param == "sqlite":
        return resolve(str(tmp_path / "store"))
    database = request.getfixturevalue("new_database")()
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
