"""Login by OpenID Connect in a real browser, against a provider that really runs: the one of the package oidc-provider-mock."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dashboards.widgets import plain
from tests.dashboards.test_main_path import BROWSER, Served, page_of, settled

pytest.importorskip("authlib", reason="pip install 'generative-audit[login]'")
api = pytest.importorskip("playwright.sync_api", reason="pip install 'generative-audit[browser]'")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore"),  # of the provider's own dependencies
    pytest.mark.skipif(BROWSER is None, reason="no chromium, chromium-browser or google-chrome on the path"),
]
AUDITOR, STRANGER, UNVERIFIED = "auditor@example.com", "stranger@example.com", "second@example.com"


@pytest.fixture
def provider() -> Iterator[str]:
    provider_mock = pytest.importorskip(
        "oidc_provider_mock", reason="pip install 'generative-audit[browser]'"
    )
    people = [
        provider_mock.User(sub=email, claims={"email": email, "email_verified": email != UNVERIFIED})
        for email in (AUDITOR, STRANGER, UNVERIFIED)
    ]
    with provider_mock.run_server_in_thread(user_claims=people) as server:
        yield f"http://127.0.0.1:{server.server_port}"


@pytest.fixture
def served(tmp_path: Path, provider: str) -> Iterator[Served]:
    file = tmp_path / "login.toml"
    dashboard = Served(tmp_path / "audits", tmp_path, "--login", str(file))
    auth = {
        "redirect_uri": f"{dashboard.url}/oauth2callback",
        "cookie_secret": "a long random text of this test alone",
        "client_id": "audits",
        "client_secret": "secret",
        "server_metadata_url": f"{provider}/.well-known/openid-configuration",
    }
    lines = [f"{name} = {json.dumps(value)}" for name, value in auth.items()]
    file.write_text("\n".join([f"emails = {json.dumps([AUDITOR, UNVERIFIED])}", "[auth]", *lines]))
    dashboard.begin()
    yield dashboard
    dashboard.kill()


def shown(email: str) -> str:
    """Return an address as a page shows it: Markdown would make a link of it."""
    return plain(email).replace("\\", "")


def logged_in(browser: Any, served: Served, who: str) -> Any:
    page = page_of(browser, served.url)
    page.set_default_timeout(60_000)
    page.get_by_role("button", name="Log in").click()
    page.get_by_role("button", name=who).click()  # a page of the provider
    page.wait_for_url(f"{served.url}/**")
    page.get_by_role("button", name="Log out").wait_for()
    settled(page)
    return page


def test_who_is_on_the_list_comes_in_is_named_and_leaves(browser: Any, served: Served) -> None:
    page = logged_in(browser, served, AUDITOR)
    said = page.inner_text("body")
    assert shown(AUDITOR) in said
    assert "This store holds no run" in said  # a page of the dashboard
    page.get_by_role("button", name="Log out").click()
    page.get_by_role("button", name="End session").click()  # the provider asks too
    page.get_by_role("button", name="Log in").wait_for()
    page.goto(served.url)
    page.get_by_role("button", name="Log in").wait_for()
    assert shown(AUDITOR) not in page.inner_text("body")


@pytest.mark.parametrize("who", [STRANGER, UNVERIFIED])
def test_who_is_not_on_the_list_or_whose_address_nobody_verified_stays_outside(
    browser: Any, served: Served, who: str
) -> None:
    page = logged_in(browser, served, who)
    page.get_by_text("not on the list").wait_for()
    for part in ("run", "samples", "review", "start"):
        page.goto(f"{served.url}/{part}")
        page.get_by_text("not on the list").wait_for()


def test_a_login_that_the_provider_denies_is_no_way_in(browser: Any, served: Served) -> None:
    page = page_of(browser, served.url)
    page.get_by_role("button", name="Log in").click()
    page.get_by_role("button", name="Deny").click()
    page.wait_for_url(f"{served.url}/**")
    page.get_by_role("button", name="Log in").wait_for()
    assert page.get_by_role("button", name="Log out").count() == 0


def test_a_cookie_that_the_dashboard_did_not_sign_lets_nobody_in(browser: Any, served: Served) -> None:
    page = page_of(browser, served.url)
    forged = "2|1:0|10:1700000000|15:_streamlit_user|4:e30=|" + "0" * 64
    page.context.add_cookies([{"name": "_streamlit_user", "value": forged, "url": served.url}])
    page.goto(f"{served.url}/run")
    page.get_by_role("button", name="Log in").wait_for()
    assert "This store holds no run" not in page.inner_text("body")
