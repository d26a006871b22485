"""What every model card is made of: a table of facts, a table of scores, how it was trained, the notes, the file."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from audit.core.measurements import Interval
from audit.included.scores import Score
from audit.included.training.recipe import RECIPES, TrainingRecipe

CARD, NOTES = "CARD.md", "notes.md"


def write(recipe: TrainingRecipe, out: Path, parts: Iterable[str]) -> Path:
    """Write a card from its parts and the model's notes, if there are any; return where it lies."""
    notes = RECIPES / recipe.name / NOTES
    own = [notes.read_text(encoding="utf-8").strip()] if notes.is_file() else []
    path = out / CARD
    path.write_text("\n\n".join([*parts, *own]) + "\n", encoding="utf-8")
    return path


def fact_table(facts: Iterable[tuple[str, str]]) -> str:
    """Return names and what they are, as a table without a head."""
    return "\n".join(["| | |", "|---|---|", *(f"| {name} | {value} |" for name, value in facts)])


def score_table(scores: Iterable[Score], shown: Callable[[float], str]) -> str:
    """Return scores with their intervals, or the reason why there is none."""
    lines = ["| what | value | 95 % interval | n |", "|---|--:|--:|--:|"]
    for score in scores:
        match score.uncertainty:
            case Interval(low, high):
                interval = f"{shown(low)} … {shown(high)}"
            case other:
                interval = f"none: {other.reason}"
        lines.append(f"| {score.what} | {shown(score.value)} | {interval} | {score.n:,} |")
    return "\n".join(lines)


def options_of(recipe: TrainingRecipe) -> str:
    """Return the options of a recipe's dataset as a reader would write them."""
    return ", ".join(f"{name} = {value}" for name, value in recipe.data.options) or "its default options"


def training_facts(recipe: TrainingRecipe, out: Path) -> dict[str, Any]:
    """Return what the trainer wrote down: seconds, device, precision, versions, the day."""
    found: dict[str, Any] = json.loads((out / f"{recipe.name}.training.json").read_text(encoding="utf-8"))
    return found


def where_and_how_long(facts: dict[str, Any]) -> str:
    """Return the sentences on the place and the time of a training."""
    seconds = facts["seconds"]
    took = f"{seconds / 60:.0f} minutes" if seconds >= 120 else f"{seconds:.0f} seconds"
    return (
        f"Trained in {took} of wall time on {facts['device']}, products in "
        f"{facts['precision']}, torch {facts['torch']}, Python {facts['python']}; finished {facts['finished']}. Another "
        "processor or version gives other bytes and a model of the same worth."
    )
