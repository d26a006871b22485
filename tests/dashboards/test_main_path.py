"""The whole job in a real browser: start an audit, watch it finish, open it, review it, sign it off, download the report."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from audit.core.review import Action
from audit.store import reviews
from audit.store.location import resolve
from audit.store.runs import open_store
from dashboards import started
from dashboards.started import State

api = pytest.importorskip("playwright.sync_api", reason="pip install 'generative-audit[browser]'")
BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.skipif(BROWSER is None, reason="no chromium, chromium-browser or google-chrome on the path"),
]
LONG = 600_000.0
"""Milliseconds that an audit may take on a machine that does other things too."""

SPEC = """
name = "digits by keyboard"
samples = 100
[model]
use = "digits-vae"
[[evaluators]]
name = "quality.samples"
[[policy.criteria]]
metric = "quality.samples.repeated"
at_most = 0.001
why = "a bound that a hundred samples cannot decide"
[run]
executor = "inline"
"""


class Served:
    """``audit dashboard`` over a store, which can be killed and started again."""

    def __init__(self, store: Path, folder: Path, *options: str) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self._store, self._folder, self._options = store, folder, options
        self.url = f"http://127.0.0.1:{self.port}"
        open_store(resolve(str(store))).close()  # a dashboard over no store at all is refused

    def begin(self) -> None:
        command = [sys.executable, "-m", "audit", "dashboard", "--store", str(self._store)]
        self._process = subprocess.Popen(
            [*command, f"--port={self.port}", "--no-browser", *self._options],
            cwd=self._folder,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        end = time.monotonic() + 120
        while time.monotonic() < end:
            with contextlib.suppress(OSError), urllib.request.urlopen(f"{self.url}/_stcore/health"):
                return
            time.sleep(0.2)
        raise AssertionError("it does not answer")

    def kill(self) -> None:
        """Kill it with its whole group, as a closed terminal does."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    specs = tmp_path / "specs"
    specs.mkdir()
    (specs / "keyboard.toml").write_text(SPEC)
    dashboard = Served(tmp_path / "audits", specs)
    dashboard.begin()
    yield dashboard
    dashboard.kill()
    address = resolve(str(tmp_path / "audits"))
    for one in started.every(address):
        started.stop(address, one.id)
    while any(one.state in started.ALIVE for one in started.every(address)):
        time.sleep(0.1)


def page_of(browser: Any, url: str) -> Any:
    page = browser.new_page(viewport={"width": 1280, "height": 1000})
    page.set_default_timeout(120_000)
    page.goto(url)
    page.get_by_role("heading", level=1).wait_for()
    return page


def settled(page: Any) -> None:
    """Wait until Streamlit has done what was asked of it."""
    page.wait_for_timeout(400)
    page.locator('[data-testid="stApp"][data-test-script-state="notRunning"]').wait_for()


def test_the_main_path_with_a_mouse_through_a_restart(served: Served, browser: Any, tmp_path: Path) -> None:
    page = page_of(browser, f"{served.url}/start")
    page.get_by_role("combobox", name="Model").click()
    page.get_by_role("option", name="digits-vae", exact=True).click()
    page.get_by_label("Number of samples").fill("150")
    page.get_by_label("Number of samples").press("Enter")
    settled(page)
    page.get_by_role("button", name="Show the plan").click()
    page.get_by_role("button", name="Start the audit").click()
    page.get_by_text(re.compile("shards")).first.wait_for(timeout=LONG)
    page.close()  # the browser leaves
    served.kill()  # and the dashboard is killed
    served.begin()
    page = page_of(browser, f"{served.url}/start")
    page.get_by_role("link", name="Review it").wait_for(timeout=LONG)  # it finished while somebody looked on
    page.get_by_role("link", name="Open the run").click()
    page.get_by_role("tab", name="Summary").wait_for()
    assert "/run?run=" in page.url
    settled(page)
    page.get_by_role("link", name="Review", exact=True).click()
    page.get_by_role("textbox", name="Your name").fill("Ada")
    page.get_by_role("textbox", name="Your name").press("Enter")
    settled(page)
    finding = page.get_by_test_id("stForm").first
    finding.get_by_role("button", name="Reject").or_(finding.get_by_role("radio", name="Reject")).click()
    finding.get_by_role("textbox", name="Comment").fill("<b>not</b> like this")
    finding.get_by_role("button", name="Record the decision").click()
    page.get_by_text("Recorded as line 1").wait_for()
    form = page.get_by_test_id("stForm").last
    form.get_by_role("button", name="refused").or_(form.get_by_role("radio", name="refused")).click()
    form.get_by_role("textbox", name="Statement").fill("not before that is mended")
    form.get_by_role("button", name="Sign off").click()
    page.get_by_text("Refused by Ada").wait_for()
    settled(page)
    page.get_by_role("link", name="Run", exact=True).click()
    with page.expect_download() as waited:
        page.get_by_role("button", name="Report as html").click()
    report = Path(waited.value.path()).read_text(encoding="utf-8")
    assert "Refused by Ada" in report
    assert "&lt;b&gt;not&lt;/b&gt; like this" in report
    (one,) = started.every(resolve(str(tmp_path / "audits")))
    review = reviews.review_of(resolve(str(tmp_path / "audits")), one.run)
    assert review is not None
    assert [e.action for e in review.entries] == [Action.REJECT, Action.REFUSE]
    assert review.faults == ()


FOCUSED = """
() => {
  const e = document.activeElement;
  const label = e.id && document.querySelector(`label[for="${CSS.escape(e.id)}"]`);
  if (['MAIN', 'BODY'].includes(e.tagName)) return e.tagName;
  return [e.tagName, e.getAttribute('aria-label') || (label && label.innerText) || e.innerText || ''].join(' ');
}
"""


def tab_to(page: Any, pattern: str, *, most: int = 120) -> None:
    """Press Tab until what has the focus is called so."""
    seen = []
    for _ in range(most):
        page.keyboard.press("Tab")
        seen.append(page.evaluate(FOCUSED).replace("\n", " "))
        if re.search(pattern, seen[-1]):
            return
    raise AssertionError(f"no Tab leads to {pattern!r}; it led to {seen}")


def test_the_main_path_by_keyboard_alone(served: Served, browser: Any, tmp_path: Path) -> None:
    address = resolve(str(tmp_path / "audits"))
    page = page_of(browser, f"{served.url}/start")
    keys = page.keyboard
    settled(page)
    tab_to(page, "An included model")
    keys.press("ArrowRight")
    settled(page)
    keys.press("Enter")
    settled(page)
    page.get_by_text("those that the spec names").wait_for()
    tab_to(page, "Show the plan")
    keys.press("Enter")
    page.get_by_role("button", name="Start the audit").wait_for()
    settled(page)
    tab_to(page, "Start the audit")
    keys.press("Enter")
    page.get_by_text("Started here").wait_for()
    page.get_by_role("link", name="Open the run").wait_for(timeout=LONG)
    settled(page)
    tab_to(page, "Open the run")
    keys.press("Enter")
    page.get_by_role("tab", name="Summary").wait_for()
    settled(page)
    tab_to(page, "^A .*Review")
    keys.press("Enter")
    page.get_by_role("textbox", name="Your name").wait_for()
    settled(page)
    tab_to(page, "^INPUT Your name")
    keys.type("Grace")
    keys.press("Enter")
    settled(page)
    tab_to(page, "Accept")
    keys.press("Enter")
    tab_to(page, "^TEXTAREA Comment")
    keys.type("known")
    tab_to(page, "Record the decision")
    keys.press("Enter")
    page.get_by_text("Recorded as line 1").wait_for()
    settled(page)
    tab_to(page, "approved")
    keys.press("Enter")
    tab_to(page, "^TEXTAREA Statement")
    keys.type("may ship")
    tab_to(page, "Sign off")
    keys.press("Enter")
    page.get_by_text("Approved by Grace").wait_for()
    settled(page)
    tab_to(page, "^A .*Run")
    keys.press("Enter")
    page.get_by_role("tab", name="Summary").wait_for()
    settled(page)
    tab_to(page, "Report as html")
    with page.expect_download() as waited:
        keys.press("Enter")
    report = Path(waited.value.path()).read_text(encoding="utf-8")
    assert "Approved by Grace" in report
    (one,) = started.every(address)
    assert one.state is State.FINISHED
    review = reviews.review_of(address, one.run)
    assert review is not None
    assert [(e.who, e.action) for e in review.entries] == [
        ("Grace", Action.ACCEPT),
        ("Grace", Action.APPROVE),
    ]
