"""The one place through which pages of evidence say that hidden content is about to be shown."""

from __future__ import annotations

from dataclasses import dataclass


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
    """Hear that an item of a run is about to be shown: once, and before it is. Does nothing.

    Whatever records reveals goes here. An InputError or OSError keeps the item hidden, and its sentence is shown.
    """
