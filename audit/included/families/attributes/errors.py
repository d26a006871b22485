"""How often the reader of portraits errs, on people it has not seen: counts for evaluators, a card for people."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from audit.core.identity import digest_file
from audit.included import paper
from audit.included.families.attributes.reader import NAME, Reader
from audit.included.training.origin import rows_of
from audit.included.training.recipe import TrainingRecipe
from audit.stats.proportions import wilson

CONFUSION = "confusion.json"


def write_errors(recipe: TrainingRecipe, out: Path) -> Path:
    """Read the holdout with the weights in ``out``; write confusion counts and the card there, return the card's path."""
    weights = out / f"{NAME}.safetensors"
    reader = Reader.open(Reader.refer({"weights": str(weights)}), "cpu")
    holdout = rows_of(recipe.data, "holdout")
    counts = {}
    for factor, seen in reader.probabilities(holdout).items():
        values = reader.factors[factor]
        truth = np.array([values.index(value) for value in holdout.column(factor).to_pylist()])
        table = np.zeros((len(values), len(values)), int)
        np.add.at(table, (truth, seen.argmax(1)), 1)
        counts[factor] = table.tolist()
    (out / CONFUSION).write_text(json.dumps(counts) + "\n", encoding="utf-8")
    return paper.write(recipe, out, _parts(recipe, reader, counts, out))


def _parts(recipe: TrainingRecipe, reader: Reader, counts: dict[str, Any], out: Path) -> list[str]:
    s, data, weights = recipe.schedule, recipe.data, out / f"{NAME}.safetensors"
    return [
        f"# {NAME} and portraits-encoder",
        "One network that reads the twelve factors of 32×32 portraits. `portraits-attributes` shows its answers as "
        f"probabilities ({len(recipe.sizes['columns'])} columns), `portraits-encoder` the {recipe.sizes['features']} numbers "
        "before its heads.",
        paper.fact_table(
            (
                ("weights", f"`{NAME}.safetensors`, {weights.stat().st_size / 1e6:.1f} MB, float16"),
                ("digest", f"`{digest_file(weights)}` (blake2b, 160 bits)"),
                (
                    "input",
                    "32×32, three channels, bytes / 127.5 - 1; other sizes scaled bilinearly with antialiasing",
                ),
                ("licence", "Apache-2.0"),
            )
        ),
        "## Data",
        f"The split `train` of the dataset `{data.use}` with {paper.options_of(recipe)}; content digest `{data.content}`. No person of it is "
        "among those of other seeds, which the included generators learn.",
        "## Recipe",
        f"`recipe.toml` beside this file (digest `{recipe.digest}`). Seed {s.seed}, {s.steps:,} steps of {s.batch}, learning "
        f"rate {s.learning_rate:g} along half a cosine to zero, noise of up to {recipe.terms['noise']:g} on the axis from -1 to "
        "1.",
        paper.where_and_how_long(paper.training_facts(recipe, out)),
        "## Errors on the holdout",
        f"{sum(map(sum, counts['age'])):,} people of the split `holdout`, not trained on. `{CONFUSION}` holds the counts: true "
        "values in rows, read ones in columns.",
        _accuracies(counts),
        *(f"### {factor}\n\n{_matrix(reader.factors[factor], table)}" for factor, table in counts.items()),
    ]


def _accuracies(counts: dict[str, Any]) -> str:
    lines = ["| factor | read rightly | 95 % interval (Wilson) |", "|---|--:|--:|"]
    for factor, table in counts.items():
        right, n = sum(row[i] for i, row in enumerate(table)), sum(map(sum, table))
        interval = wilson(right, n)
        lines.append(f"| {factor} | {right / n:.2%} | {interval.low:.2%} … {interval.high:.2%} |")
    return "\n".join(lines)


def _matrix(values: tuple[str, ...], table: list[list[int]]) -> str:
    lines = [f"| true \\ read | {' | '.join(values)} |", "|---|" + "--:|" * len(values)]
    lines += [f"| {value} | {' | '.join(map(str, row))} |" for value, row in zip(values, table, strict=True)]
    return "\n".join(lines)
