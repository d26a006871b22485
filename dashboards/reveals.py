"""What shows sensitive content, and the line in the review log that says who looked."""

from __future__ import annotations

from dataclasses import dataclass

import streamlit as st

from audit.core.errors import InputError
from audit.core.review import Action
from audit.store import reviews
from audit.store.location import StoreAddress
from dashboards import access, queries
from dashboards.widgets import plain


@dataclass(frozen=True, slots=True)
class Item:
    """Hidden content that a person asks for: one row of a table of evidence, counted from 0, or with ``row`` None all of it."""

    digest: str
    caption: str
    row: int | None = None

    def __str__(self) -> str:
        """Say what it is without saying what it holds.

        >>> str(Item("ab12", "Pairs", 3)), str(Item("ab12", "Pairs"))
        ('row 4 of evidence ab12 (Pairs)', 'all rows of evidence ab12 (Pairs)')
        """
        rows = "all rows" if self.row is None else f"row {self.row + 1}"
        return f"{rows} of evidence {self.digest} ({self.caption})"


def record(address: StoreAddress, run: str, about: str) -> None:
    """Write into the run's review log that ``about`` is about to be shown, who asked, and when.

    Raises InputError or OSError where that cannot be written: then nothing may be shown.
    """
    reviews.add(address, run, Action.REVEAL, who=access.reviewer(), about=about)


def on_reveal(run: str, item: Item) -> None:
    """Record that an item of a run is about to be shown. Raises as :func:`record` does."""
    record(queries.asked_for(), run, str(item))


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
            record(address, run, what)
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
