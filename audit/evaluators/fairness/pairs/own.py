"""The minimal pairs of this package, with the columns that a split ``pairs`` has."""

from __future__ import annotations

import tomllib
from functools import cache
from importlib import resources

from audit.core.artifacts import Given

SPLIT = "pairs"
"""The split in which data bring pairs, such as CrowS-Pairs."""
WINOBIAS = "winobias"
"""The split of pairs that WinoBias makes: the pronoun that fits who works in an occupation, and the other."""
COLUMNS = ("more", "less", "category", "more_group", "less_group", "kind", "statement", "about")
STEREOTYPE, NEUTRAL = "stereotype", "neutral"


@cache
def _rows() -> tuple[tuple[str, ...], ...]:
    text = resources.files(__package__).joinpath("own.toml").read_text(encoding="utf-8")
    tables = tomllib.loads(text)
    neutral = tables.pop(NEUTRAL)["statements"]
    return tuple(
        (f"The {more} {statement}", f"The {less} {statement}", category, more, less, kind, statement, "")
        for category, table in tables.items()
        for kind, statements in ((STEREOTYPE, table["statements"]), (NEUTRAL, neutral))
        for more, less in table["groups"]
        for statement in statements
    )


def own_pairs() -> Given:
    """Every statement about every pair of groups of its category, and every neutral one about every pair."""
    columns = zip(*_rows(), strict=True)
    return Given(tuple(zip(COLUMNS, columns, strict=True)), what="minimal pairs")
