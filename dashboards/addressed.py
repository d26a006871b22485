"""Choices that stand in the page's address, so that a link leads to what a person saw."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st


def follow(parameter: str, options: Sequence[str], key: str) -> str:
    """Give the widget ``key``, which is made next, the option that the address names; return what the address names, empty where it is
    only what :func:`keep` wrote there.

    So an address wins once, when somebody came by it; from then on the widget does.
    """
    asked = str(st.query_params.get(parameter, ""))
    if key in st.session_state and st.session_state.get(_kept(key)) == asked:
        return ""
    if asked in options:
        st.session_state[key] = asked
    return asked


def keep(parameter: str, chosen: str, key: str) -> None:
    """Write the choice of the widget ``key`` into the address."""
    st.session_state[_kept(key)] = chosen
    if st.query_params.get(parameter) != chosen:
        st.query_params[parameter] = chosen


def _kept(key: str) -> str:
    return f"{key}-in-address"
