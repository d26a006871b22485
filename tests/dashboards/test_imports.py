"""Runs that ``audit import`` made, in the dashboard: listed, shown and compared like any other."""

from __future__ import annotations

from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

import dashboards
from audit.config.imported_tasks import dimension_of
from audit.engine.importing import import_run, measured
from audit.formats.evaluations.reading import read_logs
from audit.store.location import resolve
from audit.store.runs import open_store
from dashboards import queries

APP = Path(dashboards.__file__).parent / "app.py"
LOGS = Path(__file__).parents[1] / "formats" / "evaluations"


@pytest.fixture
def runs(store: Path) -> list[str]:
    queries.evidence.cache_clear()
    found = []
    with open_store(resolve(str(store))) as opened:
        for name in ("inspect-sums.eval", "inspect-sums-later.eval"):
            logs = read_logs([LOGS / name])
            found.append(import_run(opened, measured(logs, dimension_of), None, f"<b>{name}</b>", {}).run)
    return found


@pytest.mark.parametrize("page", ["overview", "run", "compare"])
def test_a_page_shows_imported_runs(page: str, runs: list[str]) -> None:
    app = AppTest.from_file(APP, default_timeout=60)
    app.run()
    app.switch_page(f"views/{page}.py")
    app.run()
    assert not app.exception
    said = "\n".join(
        str(e.value) for kind in ("title", "markdown", "caption", "text") for e in getattr(app, kind)
    )
    said += "\n".join(frame.value.to_csv() for frame in app.dataframe)
    assert "inspect-sums" in said or "inspect.sums" in said
