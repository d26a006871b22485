"""Who may do more than look: whether this dashboard may start audits, and what a reviewer is called."""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Iterable
from pathlib import Path

import streamlit as st

from audit.cli.options import OWN_NAMES
from audit.core.review import MOST_NAME, UNNAMED
from audit.store.location import StoreAddress

_NAME = "reviewer"
ADMITTED = "admitted"
"""Where a session keeps that its password was right."""


def may_not_start(address: StoreAddress) -> str:
    """Return why no audit can be started here, as a sentence with what to do; empty where it can."""
    if address.folder is None:
        return "The ledger of this store is a database on a server: start audits with 'audit run' where their models are."
    if not _writable(address.folder):
        return "This dashboard may not write to the store. Start it as a user who may, or use 'audit run'."
    host = str(st.get_option("server.address") or "")
    names = st.get_option("server.allowedHosts") or ()
    if not protected() and not only_here(host, names):
        return (
            "Others can reach this dashboard without a login, so it starts nothing. Serve it on 127.0.0.1 (audit dashboard without "
            "--host and --allow-host), or behind a login."
        )
    return ""


def only_here(host: str, names: Iterable[str]) -> bool:
    """Say whether a dashboard is for people at this machine alone: it listens on no other address and answers to no other name.

    >>> only_here("127.0.0.1", ["localhost"]), only_here("127.0.0.1", ["audits.example.com"]), only_here("0.0.0.0", [])
    (True, False, False)
    """
    if host not in OWN_NAMES:
        try:
            if not ipaddress.ip_address(host).is_loopback:
                return False
        except ValueError:
            return False
    return set(names) <= {*OWN_NAMES, host}


def protected() -> bool:
    """Say whether this session came in by a login or a password."""
    return logged_in() or bool(st.session_state.get(ADMITTED))


def logged_in() -> bool:
    """Say whether somebody logged in, where Streamlit's own authentication is set up."""
    return bool(st.user.get("is_logged_in", False))


def reviewer() -> str:
    """Return what the person at this browser is called: by the login, else as typed on the page Review."""
    if logged_in():
        return str(st.user.get("email") or st.user.get("name") or UNNAMED)
    return str(st.session_state.get(_NAME, "") or "").strip() or UNNAMED


def ask_name() -> None:
    """Let the person say what they are called, unless a login says so."""
    if logged_in():
        st.caption("You are logged in; your name is recorded with what you do.")
        return
    st.text_input(
        "Your name",
        key=_NAME,
        max_chars=MOST_NAME,
        persist_state="session",
        autocomplete="name",
        help="It is recorded with every decision, sign-off and reveal of this session.",
    )


def _writable(folder: Path) -> bool:
    """Say whether a folder can be written, or made where it is not there yet."""
    there = folder
    while not there.exists() and there != there.parent:
        there = there.parent
    return there.is_dir() and os.access(there, os.W_OK | os.X_OK)
