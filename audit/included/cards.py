"""Model cards: what an included model is, how it was made and what it scored, written when training ends."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import numpy as np

from audit.core.capabilities import Capability
from audit.core.identity import digest_file
from audit.core.rows import Images, images_of
from audit.formats.tensors import tensors_in
from audit.included import paper
from audit.included.scores import SAMPLES, scores_of
from audit.included.training.origin import rows_of
from audit.included.training.recipe import TrainingRecipe

PICTURE = "samples.png"
_COLUMNS, _LINES = 16, 3


def write_card(kind: type[Any], recipe: TrainingRecipe, out: Path) -> Path:
    """Measure the weights in ``out`` and write their card and picture beside them; return the card's path."""
    weights = out / f"{recipe.name}.safetensors"
    model = kind.open(kind.refer({"weights": str(weights)}), "cpu")
    card, offers = kind.describe(kind.refer({"weights": str(weights)}))
    shown = _picture(model, offers, recipe, out / PICTURE)
    scores = list(scores_of(model, offers, recipe))
    facts = paper.training_facts(recipe, out)
    parts = [
        f"# {recipe.name}",
        inspect.cleandoc(kind.__doc__ or ""),
        _facts(recipe, card, offers, weights),
        "## Data",
        _data(recipe),
        "## Recipe",
        _how(recipe, facts),
        "## Measured",
        f"With the weights above, {SAMPLES:,} samples, 95 % intervals, over people where the data have "
        f"copies of them; `audit train {recipe.name}` measures again.",
        paper.score_table(scores, _shown),
        shown,
    ]
    return paper.write(recipe, out, parts)


def _facts(recipe: TrainingRecipe, card: Any, offers: frozenset[Capability], weights: Path) -> str:
    rows = (
        ("family", card.family),
        ("parameters", f"{card.parameters:,} as stored"),
        (
            "weights",
            f"`{recipe.name}.safetensors`, {weights.stat().st_size / 1e6:.1f} MB, {_precision(weights)}",
        ),
        ("digest", f"`{digest_file(weights)}` (blake2b, 160 bits)"),
        ("offers", ", ".join(sorted(offer.replace("_", " ") for offer in offers))),
        ("licence", "Apache-2.0"),
    )
    return paper.fact_table(rows)


def _precision(weights: Path) -> str:
    names = {"F16": "float16", "F32": "float32"}
    kinds = sorted({tensor.dtype for tensor in tensors_in(weights).values() if tensor.holds_numbers})
    return " and ".join(names.get(kind, kind) for kind in kinds)


def _data(recipe: TrainingRecipe) -> str:
    data = recipe.data
    said = [
        f"The split `{data.split}` of the dataset `{data.use}` with {paper.options_of(recipe)}: {rows_of(data).num_rows:,} rows, content "
        f"digest `{data.content}`. The split `holdout` was not trained on."
    ]
    said += [f"Only rows whose `{column}` is one of {', '.join(values)}." for column, values in data.only]
    if recipe.begin:
        said.append(
            f"Training went on from the weights of `{recipe.begin}`, which has seen its own data before."
        )
    return " ".join(said)


def _how(recipe: TrainingRecipe, facts: dict[str, Any]) -> str:
    s = recipe.schedule
    mean = f", running mean of the weights with decay {s.average:g}" if s.average else ""
    lines = [
        f"`recipe.toml` beside this file (digest `{recipe.digest}`); `audit train {recipe.name}` repeats it. "
        f"Seed {s.seed}, {s.steps:,} steps of {s.batch}, learning rate {s.learning_rate:g} after {s.warm_up} steps of "
        f"warm-up and then along half a cosine to zero{mean}.",
        paper.where_and_how_long(facts),
    ]
    return "\n\n".join(lines)


def _shown(value: float) -> str:
    return f"{value:.1f}" if abs(value) >= 100 else f"{value:.2f}" if abs(value) >= 10 else f"{value:.3f}"


def _picture(model: Any, offers: frozenset[Capability], recipe: TrainingRecipe, path: Path) -> str:
    """Draw holdout images above and what the model makes below; return the line of the card that shows it."""
    from audit.included.families.pictures import sheet

    n = _COLUMNS * _LINES
    real = rows_of(recipe.data, "holdout").slice(0, n)
    if Capability.SAMPLE in offers:
        made = images_of(model.sample(n, np.random.default_rng(2)))
        said = "Above the line of white: holdout. Below: free samples, none chosen."
    else:
        made = images_of(model.reconstruct(real, np.random.default_rng(2)))
        said = "Above the line of white: holdout. Below: what the model makes of the same images, in order."
    gap = np.full((_COLUMNS, *made.shape[1:]), 255, np.uint8)
    images: Images = np.concatenate([images_of(real), gap, made])
    sheet(images, path, columns=_COLUMNS)
    return f"![{recipe.name}]({PICTURE})\n\n{said}"
