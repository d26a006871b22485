"""The items of this package, with the columns that a split ``stereotypes`` has."""

from __future__ import annotations

import tomllib
from functools import cache
from importlib import resources

from audit.core.artifacts import Given

SPLIT = "stereotypes"
"""The split in which data bring items, such as StereoSet's."""
COLUMNS = ("prefix", "text", "item", "label", "target", "category", "statement")
LABELS = ("stereotype", "anti-stereotype", "unrelated")
NEUTRAL_TARGET = "person"


@cache
def _rows() -> tuple[tuple[str, ...], ...]:
    tables = tomllib.loads(resources.files(__package__).joinpath("own.toml").read_text(encoding="utf-8"))
    return tuple(
        (
            frame[0].format(target),
            f" {word}",
            f"{category}: {target}: {frame[0]}",
            label,
            target,
            category,
            frame[0],
        )
        for category, table in tables.items()
        for target in (*table["targets"], NEUTRAL_TARGET)
        for frame in table["frames"]
        for label, word in zip(LABELS, frame[1:], strict=True)
    )


def own_items() -> Given:
    """Every frame about every word for its group, and about a neutral target."""
    columns = zip(*_rows(), strict=True)
    return Given(tuple(zip(COLUMNS, columns, strict=True)), what="stereotypes")
