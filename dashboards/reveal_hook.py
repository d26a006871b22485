"""The one place through which pages of evidence say that hidden content is about to be shown."""

from __future__ import annotations

from dataclasses import dataclass

from audit.core.review import Action
from audit.store import reviews
from dashboards import access, queries


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


def on_reveal(run: str, item: Item) -> None:
    """Write into the run's review log that an item is about to be shown, who asked, and when.

    Raises InputError or OSError where that cannot be written; the item then stays hidden, and the sentence is shown.
    """
    reviews.add(queries.asked_for(), run, Action.REVEAL, who=access.reviewer(), about=str(item))
