"""A login by OpenID Connect against a provider that signs real tokens, in a real browser."""

from __future__ import annotations

import contextlib
import os
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

api = pytest.importorskip("playwright.sync_api", reason="pip install 'generative-audit[browser]'")
pytest.importorskip("authlib", reason="pip install 'generative-audit[login]'")
BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore"),  # the provider uses what its own library calls old
    pytest.mark.skipif(BROWSER is None, reason="no chromium, chromium-browser or google-chrome on the path"),
]
NAME = "audited portraits"
LOGIN = """
emails = ["Ada@example.com"]
[auth]
redirect_uri = "http://localhost:{port}/oauth2callback"
cookie_secret = "a long random text that nobody knows"
client_id = "audits"
client_secret = "not checked by this provider"
server_metadata_url = "{provider}/.well-known/openid-configuration"
"""


@pytest.fixture
def provider() -> Iterator[str]:
    mock = pytest.importorskip("oidc_provider_mock", reason="pip install 'generative-audit[browser]'")
    with mock.run_server_in_thread() as server:
        yield f"http://localhost:{server.server_port}"


@pytest.fixture
def dashboard(provider: str, kept: Any, samples: Any, store: Path, tmp_path: Path) -> Iterator[str]:
    """The address of ``audit dashboard --login`` over a store with a run."""
    kept(samples.build(), name=NAME)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    login = tmp_path / "login.toml"
    login.write_text(LOGIN.format(port=port, provider=provider))
    command = [sys.executable, "-m", "audit", "dashboard", "--store", str(store), "--login", str(login)]
    process = subprocess.Popen(
        [*command, f"--port={port}", "--no-browser"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    url = f"http://localhost:{port}"
    try:
        end = time.monotonic() + 120
        while True:
            assert time.monotonic() < end
            assert process.poll() is None
            with contextlib.suppress(OSError), urllib.request.urlopen(f"{url}/_stcore/health"):
                break
            time.sleep(0.2)
        yield url
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@pytest.fixture
def page() -> Iterator[Any]:
    with api.sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])
        opened = chromium.new_page(viewport={"width": 1280, "height": 1000})
        opened.set_default_timeout(90_000)
        yield opened
        chromium.close()


def log_in(page: Any, email: str) -> None:
    page.get_by_role("button", name="Log in").click()
    page.locator("input[name=sub]").fill(email)
    page.locator("input[name=sub]").press("Enter")


def test_only_who_is_on_the_list_sees_a_run_until_they_log_out(dashboard: str, page: Any) -> None:
    page.goto(f"{dashboard}/run")
    page.get_by_role("button", name="Log in").wait_for()
    assert NAME not in page.content()
    log_in(page, "eve@example.com")
    page.get_by_text("not on the list").wait_for()
    assert NAME not in page.content()
    page.get_by_role("button", name="Log out").click()
    log_in(page, "ada@example.com")
    page.get_by_role("heading", level=1, name="Audits").wait_for()
    page.get_by_text("ada@example.com").first.wait_for()
    page.goto(f"{dashboard}/run")
    page.get_by_role("heading", level=1, name=NAME).wait_for()
    page.get_by_role("button", name="Log out").click()
    page.get_by_role("button", name="Log in").wait_for()
    page.goto(f"{dashboard}/run")
    page.get_by_role("button", name="Log in").wait_for()
    assert NAME not in page.content()


def test_a_cookie_that_the_dashboard_did_not_sign_lets_nobody_in(dashboard: str, page: Any) -> None:
    forged = "2|1:0|10:1700000000|15:_streamlit_user|4:e30=|" + "0" * 64
    page.context.add_cookies([{"name": "_streamlit_user", "value": forged, "url": dashboard}])
    page.goto(f"{dashboard}/run")
    page.get_by_role("button", name="Log in").wait_for()
    assert NAME not in page.content()
