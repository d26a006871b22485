"""How often the attribute classifier of portraits errs, on people it has not seen: counts for evaluators, a table for people."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from audit.core.rows import Matrix, Rows
from audit.included.card import facts_of, write_card
from audit.included.training.origin import rows_of
from audit.included.training.recipe import TrainingRecipe
from audit.stats.proportions import wilson

CONFUSION = "confusion.json"


def write_errors(reader: Any, recipe: TrainingRecipe, out: Path, digest: str) -> Path:
    """Read the holdout with an opened classifier; write confusion counts and the card, return the card's path."""
    holdout = rows_of(recipe.data, "holdout")
    counts = confusion(reader.probabilities(holdout), reader.factors, holdout)
    (out / CONFUSION).write_text(json.dumps(counts) + "\n", encoding="utf-8")
    said = (
        f"{holdout.num_rows:,} people of the split `holdout`. `{CONFUSION}` holds the counts: true values in rows, read "
        "ones in columns."
    )
    facts = facts_of(out / f"{recipe.name}.safetensors", digest)
    return write_card(type(reader), recipe, out, facts, ["### Errors", said, accuracies(counts)])


def confusion(
    probabilities: Mapping[str, Matrix], factors: Mapping[str, tuple[str, ...]], rows: Rows
) -> dict[str, Any]:
    """Return counts for each factor: true values in rows, read ones in columns."""
    counts = {}
    for factor, seen in probabilities.items():
        values = factors[factor]
        truth = np.array([values.index(value) for value in rows.column(factor).to_pylist()])
        table = np.zeros((len(values), len(values)), int)
        np.add.at(table, (truth, seen.argmax(1)), 1)
        counts[factor] = table.tolist()
    return counts


def accuracies(counts: Mapping[str, Any]) -> str:
    """Return the share of right answers for each factor, with its interval, as a table."""
    lines = ["| factor | read rightly | 95 % interval (Wilson) |", "|---|--:|--:|"]
    for factor, table in counts.items():
        right, n = sum(row[i] for i, row in enumerate(table)), sum(map(sum, table))
        interval = wilson(right, n)
        lines.append(f"| {factor} | {right / n:.2%} | {interval.low:.2%} … {interval.high:.2%} |")
    return "\n".join(lines)
