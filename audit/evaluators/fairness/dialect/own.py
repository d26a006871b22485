"""The pairs of this package, with the columns that a split ``dialects`` has."""

from __future__ import annotations

import tomllib
from functools import cache
from importlib import resources

from audit.core.artifacts import Given

SPLIT = "dialects"
"""The split in which data bring pairs."""
COLUMNS = ("dialect", "text", "standard", "feature")


@cache
def _rows() -> tuple[tuple[str, ...], ...]:
    tables = tomllib.loads(resources.files(__package__).joinpath("own.toml").read_text(encoding="utf-8"))
    return tuple(
        (dialect, text, standard, feature)
        for dialect, features in tables.items()
        for feature, pairs in features.items()
        for text, standard in pairs
    )


def own_pairs() -> Given:
    """Every pair of this package."""
    return Given(tuple(zip(COLUMNS, zip(*_rows(), strict=True), strict=True)), what="pairs of dialects")
