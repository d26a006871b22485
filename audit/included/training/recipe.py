"""The recorded recipe of an included model, as a value: everything that decides which weights come out."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any, ClassVar

from audit.core.identity import Digest, canonical, digest_of
from audit.core.references import Options

RECIPES = Path(str(files("audit.included"))) / "recipes"
"""One folder per included model: ``recipe.toml``, ``CARD.md`` and what the card shows."""


@dataclass(frozen=True, slots=True)
class TrainingData:
    """The rows a model is trained on: one split of a dataset, or the ``rows`` first of it, those with ``only``.

    ``content`` is the digest that the dataset had when the recipe was recorded. ``only`` keeps rows
    whose column has one of the values; it is how a defective twin comes to miss some.
    """

    kind: ClassVar[str] = "training-data"
    use: str
    split: str
    content: Digest
    options: Options = ()
    rows: int = 0
    only: tuple[tuple[str, tuple[str, ...]], ...] = ()


@dataclass(frozen=True, slots=True)
class Schedule:
    """How long, how fast and with what arithmetic.

    The learning rate rises over ``warm_up`` steps and falls to zero along half a cosine. ``average``
    is the decay of the running mean of the weights that is kept in the end; 0 keeps the last ones.
    ``device`` and ``precision`` may be ``auto``: a GPU where there is one, bfloat16 where it is fast.
    """

    kind: ClassVar[str] = "training-schedule"
    seed: int
    steps: int
    batch: int
    learning_rate: float
    warm_up: int = 100
    weight_decay: float = 0.0
    average: float = 0.0
    clip: float = 0.0
    device: str = "auto"
    precision: str = "auto"
    threads: int = 1
    checkpoint_every: int = 250
    preview_every: int = 1000


@dataclass(frozen=True, slots=True)
class TrainingRecipe:
    """A recipe. ``begin`` names the included model whose weights training starts from; empty starts from chance."""

    kind: ClassVar[str] = "training-recipe"
    name: str
    data: TrainingData
    schedule: Schedule
    network: tuple[tuple[str, Any], ...]
    objective: tuple[tuple[str, Any], ...] = ()
    begin: str = ""

    @property
    def digest(self) -> Digest:
        return digest_of(canonical(self))

    @property
    def sizes(self) -> dict[str, Any]:
        """The arguments of the network."""
        return dict(self.network)

    @property
    def terms(self) -> dict[str, Any]:
        """The settings of the loss."""
        return dict(self.objective)


@cache
def recorded(name: str) -> TrainingRecipe:
    """Return the recipe that ships with the package."""
    return read_recipe(name, (RECIPES / name / "recipe.toml").read_text(encoding="utf-8"))


def read_recipe(name: str, toml: str) -> TrainingRecipe:
    """Return the recipe that a file describes."""
    tables = tomllib.loads(toml)
    data = dict(tables["data"])
    only = data.pop("only", {})
    return TrainingRecipe(
        name=name,
        data=TrainingData(
            use=data.pop("use"),
            split=data.pop("split", "train"),
            content=Digest(data.pop("content")),
            rows=data.pop("rows", 0),
            only=tuple(sorted((column, tuple(values)) for column, values in only.items())),
            options=tuple(sorted(data.items())),
        ),
        schedule=Schedule(**tables["training"]),
        network=_items(tables["network"]),
        objective=_items(tables.get("objective", {})),
        begin=tables.get("begin", ""),
    )


def _items(table: Mapping[str, Any]) -> tuple[tuple[str, Any], ...]:
    return tuple(
        (name, tuple(value) if isinstance(value, list) else value) for name, value in sorted(table.items())
    )
