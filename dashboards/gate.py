"""Who may come in: everybody who reaches the address, or those who log in, where the file of ``audit dashboard --login`` asks for it."""

from __future__ import annotations

import hmac
import time
from typing import Any

import streamlit as st

from dashboards import access
from reports.redact import shortened, visible

_WRONG = "wrong-password"
_PAUSE = 1.0
"""Seconds that a wrong password costs."""


def pass_or_stop() -> None:
    """Let this session go on if it may; else show the way to log in, and nothing of the store."""
    asked = _asked()
    if "auth" in asked:
        _by_login(asked)
    elif "password" in asked:
        _by_password(str(asked["password"]))


def _asked() -> dict[str, Any]:
    """Return what the file of logins says; nothing where there is no such file."""
    try:
        return dict(st.secrets.to_dict())
    except FileNotFoundError:
        return {}


def _by_login(asked: dict[str, Any]) -> None:
    if not st.user.get("is_logged_in", False):
        st.title("Audits")
        st.button("Log in", on_click=st.login, icon=":material/login:")
        st.stop()
    email = str(st.user.get("email") or "")
    allowed = [str(one).casefold() for one in asked.get("emails", ())]
    if allowed and (email.casefold() not in allowed or st.user.get("email_verified") is False):
        st.error(
            "This login is not on the list of those who may look. Ask whoever runs this dashboard.",
            icon=":material/block:",
        )
        st.button("Log out", on_click=st.logout, icon=":material/logout:")
        st.stop()
    with st.sidebar:
        st.text(visible(shortened(email or "Logged in", 200)))
        st.button("Log out", on_click=st.logout, icon=":material/logout:")


def _by_password(password: str) -> None:
    if st.session_state.get(access.ADMITTED):
        return
    st.title("Audits")
    with st.form("login", border=False):
        given = st.text_input("Password", type="password", autocomplete="current-password")
        sent = st.form_submit_button("Log in")
    if sent and hmac.compare_digest(given.encode(), password.encode()):
        st.session_state[access.ADMITTED] = True
        st.rerun()
    if sent:
        time.sleep(_PAUSE)
        st.error("That is not the password.", icon=":material/block:")
    st.stop()
