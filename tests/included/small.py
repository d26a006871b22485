"""Recipes of every family, small enough to be trained in a test."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import Any

import pytest

from audit.included.families.attributes.reader import Reader
from audit.included.families.autoencoder.model import PortraitsAE, PortraitsVAE
from audit.included.families.diffusion.model import PortraitsDDPM
from audit.included.families.gan.model import PortraitsGAN
from audit.included.families.superres.model import PortraitsSuperres
from audit.included.model import IncludedModel, pinned
from audit.included.training.recipe import RECIPES, TrainingData, TrainingRecipe, recorded
from audit.registry import catalogue

FAMILIES = (
    "portraits-ae",
    "portraits-attributes",
    "portraits-ddpm",
    "portraits-gan",
    "portraits-superres",
    "portraits-vae",
)
_NETWORKS: dict[str, dict[str, Any]] = {
    "portraits-ae": {"latent": 8, "widths": (8, 8, 8)},
    "portraits-attributes": {"widths": (8, 8, 8), "features": 8},
    "portraits-ddpm": {"widths": (8, 8), "groups": 4},
    "portraits-gan": {"latent": 8, "generator": (8, 8, 8), "critic": (8, 8, 8), "groups": 4},
    "portraits-superres": {"width": 8, "blocks": 1},
    "portraits-vae": {"latent": 8, "widths": (8, 8, 8)},
}


_KINDS: dict[str, type[IncludedModel]] = {
    kind.name: kind
    for kind in (
        Reader,
        PortraitsAE,
        PortraitsDDPM,
        PortraitsGAN,
        PortraitsSuperres,
        PortraitsVAE,
    )
}


def kind_of(name: str) -> type[IncludedModel]:
    """Return the class that trains a model of this name."""
    found: type[IncludedModel] = _KINDS[name] if name in _KINDS else catalogue("included").load(name)
    return found


def small(name: str, **schedule: Any) -> TrainingRecipe:
    """Return the recorded recipe with few people, a tiny network and few steps; float32, one thread."""
    recipe = recorded(name)
    settings = {"steps": 12, "batch": 8, "checkpoint_every": 5, "preview_every": 0, "warm_up": 2, **schedule}
    data = TrainingData(
        "portraits", "train", recipe.data.content, (("duplicates", False), ("holdout", 40), ("train", 80))
    )
    objective = {**recipe.terms, **({"density_parts": 2} if "density_parts" in recipe.terms else {})}
    return dataclasses.replace(
        recipe,
        data=data,
        schedule=dataclasses.replace(recipe.schedule, precision="float32", device="cpu", **settings),
        network=tuple(sorted({**recipe.sizes, **_NETWORKS[name]}.items())),
        objective=tuple(sorted(objective.items())),
        begin="",
    )


def card_of(name: str) -> str:
    """Return a shipped card once it states what every card has to: what it is of, how it was made, how sure it is."""
    recipe, card = recorded(name), (RECIPES / name / "CARD.md").read_text(encoding="utf-8")
    notes = RECIPES / name / "notes.md"
    if notes.exists():
        assert notes.read_text(encoding="utf-8").strip().replace("## ", "### ") in card
    for fact in (pinned()[name], recipe.data.content, recipe.digest, f"{recipe.schedule.steps:,} steps"):
        assert str(fact) in card
    for words in (
        "wall time",
        "torch",
        f"eed {recipe.schedule.seed}",
        "95 % interval",
        "Apache-2.0",
        "## Limits",
        "## Training",
    ):
        assert words in card, words
    return card


def only(names: Iterable[str], *quick: str) -> list[Any]:
    """Return parameters of which all but the ``quick`` ones are left to ``make test-slow``."""
    return [pytest.param(name, marks=() if name in quick else pytest.mark.slow) for name in names]
