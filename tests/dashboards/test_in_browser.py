"""The report and the dashboard in a real browser: drawn as meant, silent on the network, no complaints."""

from __future__ import annotations

import contextlib
import importlib.util
import io
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from PIL import Image

import dashboards
from reports.html import HtmlReport


def _chromium() -> ModuleType:
    path = Path(__file__).with_name("chromium.py")
    spec = importlib.util.spec_from_file_location("headless_chromium", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


chromium = _chromium()
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        chromium.BROWSER is None, reason="no chromium, chromium-browser or google-chrome on the path"
    ),
]

_WIDER = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
_PLACES = """
[...document.querySelectorAll('td.plot')].filter(td => td.querySelector('circle.value')).map(td => {
  const cell = td.getBoundingClientRect(), dot = td.querySelector('circle.value').getBoundingClientRect();
  return [(dot.left + dot.width / 2 - cell.left) / cell.width * 100, td.querySelector('circle.value').getAttribute('cx')];
})
"""


@pytest.mark.parametrize("which", ["build", "build_hostile"])
@pytest.mark.parametrize("dark", [False, True])
def test_report_is_drawn_and_silent(which: str, dark: bool, samples: Any, tmp_path: Path) -> None:
    sample = getattr(samples, which)()
    path = tmp_path / "report.html"
    path.write_bytes(HtmlReport().render(sample.record, sample.read, show_sensitive=True))
    with chromium.Chromium(1280, 1600, dark=dark) as browser:
        browser.open(
            path.as_uri(), "document.readyState === 'complete' && document.querySelector('footer') !== null"
        )
        # grid only where the style sheet was let through by the security policy
        assert browser.value("getComputedStyle(document.querySelector('.cards')).display") == "grid"
        assert browser.value(_WIDER) <= 0
        for drawn, meant in browser.value(_PLACES):
            assert drawn == pytest.approx(float(meant.rstrip("%")), abs=0.5)
        picture = np.asarray(Image.open(io.BytesIO(browser.screenshot())).convert("L"), dtype=float)
        assert picture.std() > 5  # something is drawn
        assert (np.median(picture) < 80) is np.bool_(dark)
        browser.resize(380)
        assert browser.value(_WIDER) <= 0
        assert browser.complaints() == []
        assert all(url == path.as_uri() or url.startswith("data:") for url in browser.requests())


@pytest.fixture
def served(samples: Any, kept: Any, store: Path) -> Iterator[tuple[str, str]]:
    """The address of a dashboard over a store with a run, and the run."""
    run = kept(samples.build(), name="digits-vae")
    kept(samples.build_hostile(), name="<img src=http://outside.example/x onerror=alert(1)>")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    app = Path(dashboards.__file__).parent / "app.py"
    options = [f"--server.port={port}", "--server.address=127.0.0.1", "--server.headless=true"]
    with subprocess.Popen(
        [sys.executable, "-m", "streamlit", "run", str(app), *options, "--browser.gatherUsageStats=false"],
        env={**os.environ, "AUDIT_STORE": str(store)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        yield f"http://127.0.0.1:{port}", run
        process.terminate()


def _ready(address: str) -> None:
    import time
    import urllib.request

    for _ in range(300):
        try:
            with urllib.request.urlopen(f"{address}/_stcore/health"):
                return
        except OSError:
            time.sleep(0.1)
    raise AssertionError("the dashboard did not start in 30 s")


def _select_first_row(browser: Any) -> None:
    """Click the mark at the left of the first row: the table is drawn on a canvas, so by its place."""
    canvas = "document.querySelector('canvas').getBoundingClientRect()"
    x, y = browser.value(f"{canvas}.left") + 16, browser.value(f"{canvas}.top") + 35 + 17
    for kind in ("mouseMoved", "mousePressed", "mouseReleased"):
        more = {} if kind == "mouseMoved" else {"button": "left", "clickCount": 1}
        browser.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, **more)


def test_dashboard_shows_its_pages_and_asks_nobody_else(served: tuple[str, str]) -> None:
    address, run = served
    _ready(address)
    with chromium.Chromium(1400, 1600) as browser:
        browser.open(address, "document.querySelector('h1')?.innerText === 'Audits'")
        browser.wait("document.querySelector('canvas') !== null")
        assert browser.value("document.querySelectorAll('[data-testid=stException]').length") == 0
        _select_first_row(browser)
        browser.wait("document.querySelector('h1')?.innerText.startsWith('<img src=')")
        assert browser.value("location.pathname + location.search").startswith("/run?run=")
        assert browser.value("document.querySelectorAll('h1 img').length") == 0
        browser.open(f"{address}/run?run={run}", "document.querySelector('h1')?.innerText === 'digits-vae'")
        browser.wait("document.body.innerText.includes('1 criterion failed')")
        assert browser.value("document.querySelectorAll('[data-testid=stException]').length") == 0
        asked = browser.requests()
        assert asked
        assert all(
            url.startswith((address, address.replace("http", "ws"), "data:", "blob:")) for url in asked
        )


_PRESS = "(() => {{ const b = [...document.querySelectorAll('button')].find(x => x.innerText.trim().endsWith('{0}')); b?.click(); return !!b }})()"
_FIRST = "document.querySelector('[data-testid=stImage] img')?.src"


def test_pages_of_evidence_answer_to_a_click_and_fit_a_narrow_screen(
    served: tuple[str, str], samples: Any
) -> None:
    address, run = served
    _ready(address)
    errors = "document.querySelectorAll('[data-testid=stException]').length"
    with chromium.Chromium(390, 900, dark=True) as browser:
        for page, title in (("samples", "Samples and evidence"), ("groups", "Groups")):
            browser.open(
                f"{address}/{page}?run={run}", f"document.querySelector('h1')?.innerText === '{title}'"
            )
            browser.wait("document.querySelector('[data-testid=stStatusWidget]') === null")
            assert browser.value(errors) == 0
            assert browser.value(_WIDER) <= 0
        browser.open(f"{address}/samples?run={run}", f"{_FIRST} !== undefined")
        browser.value(_PRESS.format("Texts"))
        browser.wait("[...document.querySelectorAll('button')].some(x => x.innerText.includes('Reveal 1'))")
        assert not browser.value(f"document.body.innerText.includes({samples.SECRET!r})")
        assert browser.value(_PRESS.format("Reveal 1"))
        browser.wait(f"document.body.innerText.includes({samples.SECRET!r})")
        assert browser.value(errors) == 0


def test_a_slider_moves_the_picture_at_once(served: tuple[str, str]) -> None:
    address, _ = served
    _ready(address)
    with chromium.Chromium(1400, 1600) as browser:
        browser.open(f"{address}/latent?model=digits-vae", f"{_FIRST} !== undefined", 120)
        browser.wait("document.querySelector('[data-testid=stStatusWidget]') === null")
        before = browser.value(_FIRST)
        for _ in range(6):  # a page that is still being drawn takes the focus from a slider
            browser.value("document.querySelector('input[type=range]').focus()")
            for kind in ("keyDown", "keyUp") * 20:
                browser.call(
                    "Input.dispatchKeyEvent", type=kind, key="ArrowRight", code="ArrowRight", windowsVirtualKeyCode=39
                )  # fmt: skip
            with contextlib.suppress(AssertionError):
                browser.wait(f"{_FIRST} !== {before!r}", 10)
                break
        assert browser.value(f"{_FIRST} !== {before!r}")
        assert browser.value("document.querySelectorAll('[data-testid=stException]').length") == 0
        assert all(
            url.startswith((address, address.replace("http", "ws"), "data:", "blob:"))
            for url in browser.requests()
        )
