"""Stores for the dashboard: made from the handmade records of the report tests."""

from __future__ import annotations

import dataclasses
import importlib.util
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from audit.core.records import AuditRecord, from_plain, to_plain
from audit.store import codec
from audit.store.location import resolve
from audit.store.runs import open_store


def _samples() -> ModuleType:
    """Load the records of the report tests, which live in that folder's conftest."""
    path = Path(__file__).parents[1] / "reports" / "conftest.py"
    spec = importlib.util.spec_from_file_location("handmade_records", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def encodable(record: AuditRecord) -> AuditRecord:
    """Return the record without lone surrogates: a database keeps Unicode text."""
    text = json.dumps(to_plain(record)).replace("\\ud800", "").replace("\\u0000", "")
    return from_plain(json.loads(text))


def _pointing(record: AuditRecord, digests: dict[Any, Any]) -> AuditRecord:
    """Return the record with its evidence named by the digests that the store gave it."""
    text = json.dumps(to_plain(record))
    for old, new in digests.items():
        text = text.replace(str(old), str(new))
    return from_plain(json.loads(text))


def keep(
    folder: Path, sample: Any, *, finished: bool = True, name: str | None = None, shift: float = 0.0
) -> str:
    """Put a handmade record and its evidence into a store and return the run's id."""
    with open_store(resolve(str(folder))) as store:
        digests = {old: store.blobs.put(codec.encode(rows)) for old, rows in sample.kept.items()}
        record = dataclasses.replace(_pointing(sample.record, digests), name=name or sample.record.name)
        record = encodable(record)
        run = store.begin(
            f"plan {name} {shift}", record.name, to_plain(dataclasses.replace(record, finished=None))
        )
        if finished:
            store.finish(run, dataclasses.replace(record, run=run, finished=record.finished or record.began))
    return run


@pytest.fixture(scope="session")
def samples() -> ModuleType:
    return _samples()


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An address nobody has written to yet, named by AUDIT_STORE."""
    folder = tmp_path / "audits"
    monkeypatch.setenv("AUDIT_STORE", str(folder))
    monkeypatch.setattr(sys, "argv", ["app.py"])
    return folder


Keeper = Callable[..., str]


@pytest.fixture
def kept(store: Path) -> Keeper:
    """Returns a function that puts a sample into the store."""

    def put(sample: Any, **how: Any) -> str:
        return keep(store, sample, **how)

    return put


@pytest.fixture
def browser() -> Iterator[Any]:
    """A headless Chromium that Playwright drives."""
    api = pytest.importorskip("playwright.sync_api", reason="pip install 'generative-audit[browser]'")
    from tests.dashboards.test_main_path import BROWSER

    with api.sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])
        yield chromium
        chromium.close()
