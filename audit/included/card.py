"""What training leaves beside the weights: how they were made, for the model card, and the spec of the audit that fills it."""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from audit.core.capabilities import Capability
from audit.core.rows import Images, Rows, images_of
from audit.formats.tensors import tensors_in
from audit.included.training.origin import rows_of
from audit.included.training.recipe import RECIPES, TrainingRecipe

CARD, SPEC, PICTURE, NOTES = "CARD.md", "audit.toml", "samples.png", "notes.md"
_COLUMNS, _LINES = 16, 3
_SAMPLES = 1000


def write_card(
    kind: type[Any], recipe: TrainingRecipe, out: Path, facts: Mapping[str, str], parts: Iterable[str] = ()
) -> Path:
    """Write how a model was trained as the last part of its card, ``parts`` between the recipe and the notes; return the path.

    ``audit train`` puts the audit's own card in front.
    """
    notes = RECIPES / recipe.name / NOTES
    written = [
        "## Training",
        inspect.cleandoc(kind.__doc__ or ""),
        _table({**facts, "licence": "Apache-2.0"}),
        _data(recipe),
        _how(recipe, json.loads((out / f"{recipe.name}.training.json").read_text(encoding="utf-8"))),
        *parts,
        *([notes.read_text(encoding="utf-8").strip().replace("## ", "### ")] if notes.is_file() else []),
    ]
    path = out / CARD
    path.write_text("\n\n".join(written) + "\n", encoding="utf-8")
    return path


def spec_of(recipe: TrainingRecipe, weights: str | None) -> str:
    """Return the spec of an audit of a model on the data it was trained on, with every evaluator that applies.

    ``weights`` is relative to the folder of the spec; None means those that ship.
    """
    data = recipe.data
    lines = [
        f"# Audits {recipe.name} on the data of its recipe, with every evaluator that applies.",
        f"name = {json.dumps(recipe.name)}",
        f"samples = {_SAMPLES}",
        "\n[model]",
        f"use = {json.dumps(recipe.name)}",
        *([f"weights = {json.dumps(weights)}"] if weights else []),
        "\n[data]",
        f"use = {json.dumps(data.use)}",
        *(f"{name} = {json.dumps(value)}" for name, value in data.options),
        '\n[policy]\nuse = "default"',
    ]
    return "\n".join(lines) + "\n"


def facts_of(weights: Path, digest: str) -> dict[str, str]:
    """Return what a file of weights is: its size, precision and digest."""
    names = {"F16": "float16", "F32": "float32"}
    kinds = sorted({tensor.dtype for tensor in tensors_in(weights).values() if tensor.holds_numbers})
    precision = " and ".join(names.get(kind, kind) for kind in kinds)
    return {
        "weights": f"`{weights.name}`, {weights.stat().st_size / 1e6:.1f} MB, {precision}",
        "digest": f"`{digest}` (blake2b, 160 bits)",
    }


def picture(model: Any, offers: frozenset[Capability], recipe: TrainingRecipe, path: Path) -> str:
    """Draw holdout images above and what the model makes below; return the lines of the card that show it."""
    from audit.included.families.pictures import sheet

    n = _COLUMNS * _LINES
    real: Rows = rows_of(recipe.data, "holdout").slice(0, n)
    if Capability.SAMPLE in offers:
        made = images_of(model.sample(n, np.random.default_rng(2)))
        said = "Above the line of white: holdout. Below: free samples, none chosen."
    else:
        made = images_of(model.reconstruct(real, np.random.default_rng(2)))
        said = "Above the line of white: holdout. Below: what the model makes of the same images, in order."
    gap = np.full((_COLUMNS, *made.shape[1:]), 255, np.uint8)
    images: Images = np.concatenate([images_of(real), gap, made])
    sheet(images, path, columns=_COLUMNS)
    return f"![{recipe.name}]({path.name})\n\n{said}"


def _table(facts: Mapping[str, str]) -> str:
    return "\n".join(["| | |", "|---|---|", *(f"| {name} | {value} |" for name, value in facts.items())])


def _data(recipe: TrainingRecipe) -> str:
    data = recipe.data
    options = ", ".join(f"{name} = {value}" for name, value in data.options) or "its default options"
    said = [
        f"Trained on the split `{data.split}` of the dataset `{data.use}` with {options}: {rows_of(data).num_rows:,} rows, content "
        f"digest `{data.content}`. The split `holdout` was not trained on."
    ]
    said += [f"Only rows whose `{column}` is one of {', '.join(values)}." for column, values in data.only]
    if recipe.begin:
        said.append(
            f"Training began from the weights of `{recipe.begin}`, which has seen its own data before."
        )
    return " ".join(said)


def _how(recipe: TrainingRecipe, facts: Mapping[str, Any]) -> str:
    s, seconds = recipe.schedule, facts["seconds"]
    mean = f", running mean of the weights with decay {s.average:g}" if s.average else ""
    took = f"{seconds / 60:.0f} minutes" if seconds >= 120 else f"{seconds:.0f} seconds"
    return (
        f"`recipe.toml` (digest `{recipe.digest}`) holds every setting; `audit train {recipe.name}` repeats it. "
        f"Seed {s.seed}, {s.steps:,} steps of {s.batch}, learning rate {s.learning_rate:g} after {s.warm_up} steps of "
        f"warm-up and then along half a cosine to zero, weight decay {s.weight_decay:g}{mean}.\n\n"
        f"It took {took} of wall time on {facts['device']}, products in {facts['precision']}, torch {facts['torch']}, Python "
        f"{facts['python']}; finished {facts['finished']}. Another processor or version gives other bytes and a model of the same worth."
    )
