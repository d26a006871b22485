"""The switch that shows sensitive content, and the line in the review log that says who looked."""

from __future__ import annotations

import streamlit as st

from audit.core.errors import InputError
from audit.core.review import Action
from audit.store import reviews
from audit.store.location import StoreAddress
from dashboards import access
from dashboards.widgets import plain


def revealed(address: StoreAddress, run: str, label: str, what: str, *, key: str, help: str) -> bool:  # noqa: A002 - Streamlit's word
    """Show a switch and return whether it is on. Turning it on is recorded first; where that is not possible it stays off.

    ``what`` says in the log what was looked at.
    """
    refused = f"{key}-refused"

    def turned() -> None:
        st.session_state.pop(refused, None)
        if not st.session_state[key]:
            return
        try:
            reviews.add(address, run, Action.REVEAL, who=access.reviewer(), about=what)
        except (InputError, OSError) as error:
            st.session_state[key] = False
            st.session_state[refused] = str(error)

    on = st.toggle(label, key=key, help=f"{help} That you looked is recorded.", on_change=turned)
    if refused in st.session_state:
        st.error(
            plain(f"Nothing is shown, for it could not be recorded. {st.session_state[refused]}", 1_200),
            icon=":material/error:",
        )
    return on
