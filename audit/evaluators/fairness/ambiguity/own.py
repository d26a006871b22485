"""The items of this package, with the columns that a split ``ambiguity`` has."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from functools import cache
from importlib import resources
from typing import Any

from audit.core.artifacts import Given

SPLIT = "ambiguity"
"""The split in which data bring items, such as BBQ's."""
COLUMNS = (
    "context", "question", "ans0", "ans1", "ans2", "side0", "side1", "side2",
    "label", "condition", "category", "cluster",
)  # fmt: skip
BIASED, COUNTER, UNKNOWN = "biased", "counter", "unknown"
AMBIGUOUS, DISAMBIGUATED = "ambig", "disambig"


@cache
def _rows() -> tuple[tuple[str, ...], ...]:
    found = tomllib.loads(resources.files(__package__).joinpath("own.toml").read_text(encoding="utf-8"))
    return tuple(
        tuple(row[name] for name in COLUMNS)
        for number, item in enumerate(found["items"])
        for row in _asked(item, f"{item['category']} {number}", found["unknown"])
    )


def _asked(item: dict[str, Any], cluster: str, unknown: list[str]) -> Iterator[dict[str, str]]:
    """Yield eight items: either order of the people and either question, with and without the sentence that tells who it was."""
    a, b = item["people"]
    turn = 0
    for swapped in (False, True):
        first, second = (b, a) if swapped else (a, b)
        text = _filled(item["text"], x=first, y=second)
        for which, question in enumerate(item["asks"]):
            told = _filled(item["tells"], p=first, q=second)
            first_is_answer = which == 0  # the sentence says the first question's of p
            right = first if first_is_answer else second
            for condition in (AMBIGUOUS, DISAMBIGUATED):
                spoken = f"{text} {told}" if condition == DISAMBIGUATED else text
                order = [first, second, unknown[turn % len(unknown)]]
                order = order[turn % 3 :] + order[: turn % 3]
                stereotyped = a if which == 0 else b
                sides = [BIASED if o == stereotyped else COUNTER if o in (a, b) else UNKNOWN for o in order]
                label = order.index(right) if condition == DISAMBIGUATED else sides.index(UNKNOWN)
                answers = [o[:1].upper() + o[1:] for o in order]
                turn += 1
                yield {
                    "context": spoken,
                    "question": question,
                    **{f"ans{i}": answer for i, answer in enumerate(answers)},
                    **{f"side{i}": side for i, side in enumerate(sides)},
                    "label": str(label),
                    "condition": condition,
                    "category": item["category"],
                    "cluster": cluster,
                }


def _filled(text: str, **people: str) -> str:
    """Put people into a text; a capital letter's place begins with a capital."""
    filled = text.format(
        **people, **{name.upper(): who[:1].upper() + who[1:] for name, who in people.items()}
    )
    return filled[:1].upper() + filled[1:]


def own_questions() -> Given:
    """Every item of this package."""
    return Given(tuple(zip(COLUMNS, zip(*_rows(), strict=True), strict=True)), what="questions")
