"""axe on every page of the dashboard and on a report, light and dark, wide and at the width of a phone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from reports.html import HtmlReport
from tests.dashboards.test_main_path import BROWSER, Served, settled

api = pytest.importorskip("playwright.sync_api", reason="pip install 'generative-audit[browser]'")
axe = pytest.importorskip(
    "axe_playwright_python.sync_playwright", reason="pip install 'generative-audit[browser]'"
)
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(BROWSER is None, reason="no chromium, chromium-browser or google-chrome on the path"),
]
PAGES = ("", "run", "samples", "groups", "start", "review", "compare", "risks", "frameworks", "latent")
PARTS = ("Summary", "What it makes", "Measurements", "One measurement", "Evidence", "How to repeat it")
GRAVE = ("serious", "critical")


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def served(kept: Any, samples: Any, store: Path, tmp_path: Path) -> Iterator[Served]:
    for _ in range(2):
        kept(samples.build())
    dashboard = Served(store, tmp_path)
    dashboard.begin()
    yield dashboard
    dashboard.kill()


def faults(page: Any) -> list[str]:
    """Return what axe finds serious: the rule, what it asks for, and the first element."""
    found = axe.Axe().run(page).response["violations"]
    return [
        f"{one['id']}: {one['help']}: {node['html'][:200]}"
        for one in found
        if one["impact"] in GRAVE
        for node in one["nodes"][:3]
    ]


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_page_has_a_serious_fault(chromium: Any, served: Served, scheme: str, width: int) -> None:
    context = chromium.new_context(color_scheme=scheme, viewport={"width": width, "height": 900})
    page, found = context.new_page(), {}
    page.set_default_timeout(120_000)
    for name in (*PAGES, *(f"run?part={part}" for part in PARTS[1:])):
        page.goto(f"{served.url}/{name}")
        page.get_by_role("heading", level=1).first.wait_for()
        settled(page)
        if some := faults(page):
            found[name] = some
    context.close()
    assert not found, "\n".join(
        f"{name or 'overview'}: {said}" for name, all_ in found.items() for said in all_
    )


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_report_has_no_serious_fault(
    chromium: Any, samples: Any, tmp_path: Path, scheme: str, width: int
) -> None:
    sample, file = samples.build(), tmp_path / "report.html"
    file.write_bytes(HtmlReport().render(sample.record, sample.read))
    context = chromium.new_context(
        color_scheme=scheme, viewport={"width": width, "height": 900}, bypass_csp=True
    )
    page = context.new_page()
    page.goto(file.as_uri())
    found = faults(page)
    context.close()
    assert not found, "\n".join(found)
