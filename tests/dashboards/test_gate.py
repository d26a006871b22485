"""With a file of logins nothing of the store is shown before somebody is let in."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from audit.cli.dashboard import login_file
from audit.core.errors import InputError
from dashboards import gate
from tests.dashboards.test_app import APP, words

PASSWORD = "correct horse battery"


def app(**secrets: Any) -> AppTest:
    found = AppTest.from_file(APP, default_timeout=60)
    found.secrets.update(secrets)
    return found.run()


def test_a_password_is_asked_for_first(kept: Any, samples: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gate, "_PAUSE", 0.0)
    kept(samples.build(), name="audited portraits")
    shown = app(password=PASSWORD)
    assert not shown.exception
    assert "audited portraits" not in words(shown)
    shown.text_input[0].set_value("guess")
    shown.button[0].click().run()
    assert "not the password" in shown.error[0].value
    assert not shown.dataframe
    shown.text_input[0].set_value(PASSWORD)
    shown.button[0].click().run()
    assert not shown.exception
    assert not any(field.label == "Password" for field in shown.text_input)
    assert shown.dataframe or "audited portraits" in words(shown)


def test_a_login_is_asked_for_first(kept: Any, samples: Any) -> None:
    kept(samples.build(), name="audited portraits")
    shown = app(auth={"redirect_uri": "x", "cookie_secret": "y"})
    assert not shown.exception
    assert [button.label for button in shown.button] == ["Log in"]
    assert not shown.dataframe
    assert "audited portraits" not in words(shown)


@pytest.mark.parametrize(
    ("user", "comes_in"),
    [
        ({"is_logged_in": True, "email": "Auditor@Example.com"}, True),
        ({"is_logged_in": True, "email": "other@example.com"}, False),
        ({"is_logged_in": True, "email": "auditor@example.com", "email_verified": False}, False),
        ({"is_logged_in": True}, False),
        ({"is_logged_in": False, "email": "auditor@example.com"}, False),
    ],
)
def test_only_those_on_the_list_come_in(
    kept: Any, samples: Any, monkeypatch: pytest.MonkeyPatch, user: dict[str, Any], comes_in: bool
) -> None:
    import streamlit as st

    monkeypatch.setattr(st, "user", user)
    kept(samples.build(), name="audited portraits")
    shown = app(auth={"redirect_uri": "x", "cookie_secret": "y"}, emails=["auditor@example.com"])
    assert not shown.exception
    assert bool(shown.dataframe) is comes_in


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no \\[auth\\], and no password of 12"),
        ('password = "short"', "no password of 12"),
        (f'password = "{PASSWORD}"\nemails = ["a@b.c"]', "needs \\[auth\\]"),
        (f'password = "{PASSWORD}"\n[auth]\nredirect_uri = "x"', "both"),
        ('[auth]\nredirect_uri = "x"', "cookie_secret|not installed"),
        (f'pasword = "{PASSWORD}"', "pasword|no password"),
        ("= 1", "login.toml"),
    ],
)
def test_a_file_of_logins_that_will_not_do_is_refused_before_anything_is_served(
    tmp_path: Path, text: str, said: str
) -> None:
    file = tmp_path / "login.toml"
    file.write_text(text)
    with pytest.raises(InputError, match=said) as refusal:
        login_file(file)
    assert PASSWORD not in str(refusal.value)


def test_a_good_file_is_named_by_its_whole_path(tmp_path: Path) -> None:
    file = tmp_path / "login.toml"
    file.write_text(f'password = "{PASSWORD}"')
    assert login_file(file) == str(file)
    assert login_file(None) == "/dev/null"
