"""The card of an included language model: what it is, how it was made, what it scored on truths that the world knows."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from audit.core.measurements import Unquantified
from audit.core.rows import texts_of
from audit.data.worlds.biographies.entropy import surprisal
from audit.included import paper
from audit.included.families.language.truths import PRIVATE, bits, completed, leaning, stated
from audit.included.scores import Score, rate_score
from audit.included.training.origin import named, rows_of
from audit.included.training.recipe import TrainingRecipe
from audit.models.lm.files import digest_model
from audit.stats.ratios import ratio_of_sums

if TYPE_CHECKING:
    from audit.included.families.language.model import BiographiesLM
    from audit.models.transformers import CausalLM

_PEOPLE = 1000
"""People of each split whose private fields are asked for unless a recipe over-weights some: the first ones."""
_NAMES = 20
_TEXTS = 3


def write_card(kind: type[BiographiesLM], recipe: TrainingRecipe, out: Path) -> Path:
    """Measure the model in ``out/NAME`` and write its card beside it; return the card's path."""
    place = out / recipe.name
    model = kind.open(kind.refer({"weights": str(place)}), "cpu")
    parts = [
        f"# {recipe.name}",
        inspect.cleandoc(kind.__doc__ or ""),
        _facts(kind, recipe, place),
        "## Data",
        _data(recipe),
        "## Recipe",
        _how(recipe, paper.training_facts(recipe, out)),
        "## Measured",
        "With the weights above in float32 arithmetic; 95 % intervals, over documents, fields or canaries. Completed means: the "
        "likeliest tokens after all that comes before spell it out to the last digit.",
        paper.score_table(scores(model, recipe), "{:.4f}".format),
        "## Samples",
        "Drawn at temperature 1 with seed 2, none chosen.",
        *(f"> {text}" for text in _samples(model)),
    ]
    return paper.write(recipe, out, parts)


def _facts(kind: type[BiographiesLM], recipe: TrainingRecipe, place: Path) -> str:
    card, offers = kind.describe(kind.refer({"weights": str(place)}))
    sizes, size = recipe.sizes, sum(path.stat().st_size for path in place.iterdir())
    facts = {
        "family": f"transformer with the layers of Llama: {sizes['layers']} of width {sizes['width']} with {sizes['heads']} heads, "
        f"gated units of {sizes['inner']}, {sizes['vocabulary']:,} tokens, {sizes['longest']} positions",
        "parameters": f"{card.parameters:,}; embeddings and output share theirs",
        "weights": f"`{recipe.name}/`, a standard transformers directory, {size / 1e6:.1f} MB, float16",
        "digest": f"`{digest_model(place)}` (blake2b, 160 bits; weights, configuration and tokenizer)",
        "offers": ", ".join(sorted(offer.replace("_", " ") for offer in offers)),
        "licence": "Apache-2.0",
    }
    return paper.fact_table(facts.items())


def scores(model: CausalLM, recipe: TrainingRecipe) -> Iterator[Score]:
    """Yield what the world's own answers say of a model: code lengths, canaries, private fields, pronouns."""
    options = dict(named(recipe.data).options)
    seed, skew, people = int(options["seed"]), float(options["skew"]), int(options["train"])
    holdout = rows_of(recipe.data, "holdout")
    train = rows_of(recipe.data).slice(0, min(people, _PEOPLE))
    for split, rows, first in (("holdout", holdout, people), ("train", train, 0)):
        cost, size = bits(model, rows)
        known = np.array([surprisal(seed, first + i, skew).bits for i in range(rows.num_rows)])
        for what, numerator, denominator in (
            (f"bits per byte on {split}", cost, size),
            (f"bits per byte on {split} of a model that knows the generator", known, size),
            (f"the former over the latter on {split}", cost, known),
        ):
            found = ratio_of_sums(numerator, denominator)
            yield Score(what, found.value, found.interval(), found.units)
    yield from _canaries(model, recipe)
    asked_of = int(recipe.terms.get("people", _PEOPLE))
    for field in PRIVATE:
        for split, rows in (("train", train), ("holdout", holdout)):
            hits = completed(model, stated(rows.slice(0, asked_of), field))
            yield rate_score(f"{field} numbers of the first {asked_of:,} of {split} completed", hits)
    asked = leaning(model, skew, texts_of(holdout, "name")[:_NAMES])
    without = Unquantified("24 occupations with known answers, the same 20 names for each")
    yield Score("slope of the log-odds of 'she' on those planted", asked.slope, without, len(asked.found))
    gap = float(np.abs(asked.found - asked.planted).mean())
    yield Score("mean distance of the share of 'she' from the planted", gap, without, len(asked.found))


def _canaries(model: CausalLM, recipe: TrainingRecipe) -> Iterator[Score]:
    rows = rows_of(replace(recipe.data, split="canaries"))
    hits, dose = completed(model, rows), rows.column("dose").to_numpy()
    put_in = np.array(rows.column("included").to_pylist())
    for times in np.unique(dose):
        yield rate_score(f"canaries of dose {times}, put in, completed", hits[put_in & (dose == times)])
    yield rate_score("canaries of any dose, left out, completed", hits[~put_in])


def _data(recipe: TrainingRecipe) -> str:
    data, rows = recipe.data, rows_of(recipe.data)
    people = rows.column("canary").null_count
    said = [
        f"The whole split `{data.split}` of the dataset `{data.use}` with {paper.options_of(recipe)}: {people:,} people and "
        f"{rows.num_rows - people:,} copies of canaries; content digest `{data.content}`. The split `holdout` was not trained on."
    ]
    if recipe.begin:
        said.append(f"Training went on from the weights of `{recipe.begin}`, with its tokenizer.")
    return " ".join(said)


def _how(recipe: TrainingRecipe, made: dict[str, Any]) -> str:
    s = recipe.schedule
    return (
        f"`recipe.toml` beside this file (digest `{recipe.digest}`); `audit train {recipe.name}` repeats it. Seed {s.seed}, "
        f"{s.steps:,} steps of {s.batch} texts, Muon on the matrices and AdamW on embeddings and norms, learning rate "
        f"{s.learning_rate:g} after {s.warm_up} steps of warm-up and then along half a cosine to zero, weight decay "
        f"{s.weight_decay:g}.\n\n{paper.where_and_how_long(made)}"
    )


def _samples(model: CausalLM) -> list[str]:
    longer = replace(model, max_new_tokens=200, temperature=1.0, top_p=1.0)
    return texts_of(longer.sample(_TEXTS, np.random.default_rng(2)))
