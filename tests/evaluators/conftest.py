"""Recipes and evaluators run in memory: no store, no worker, the same pieces."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from audit.core.evaluators import Evaluator
from audit.core.measurements import Outcome
from audit.core.recipes import Recipe
from audit.core.subjects import Subject


@dataclass
class FakeTools:
    """Hands out one model, named splits and one extractor, with the seeding a worker would use."""

    opened: Any = None
    splits: Mapping[str, Any] = field(default_factory=dict)
    extractor: Callable[[Any], Any] | None = None

    def model(self, ref: Any) -> Any:
        return self.opened

    def split(self, ref: Any, split: str) -> Any:
        return self.splits[split]

    def extract(self, ref: Any, rows: Any) -> Any:
        assert self.extractor is not None, "this test gave no extractor"
        return self.extractor(rows)

    def rng(self, recipe: Recipe[Any], shard: int) -> np.random.Generator:
        seed = hashlib.blake2b(f"{recipe.key}/{shard}".encode(), digest_size=8).digest()
        return np.random.default_rng(int.from_bytes(seed, "big"))


def _make(recipe: Recipe[Any], tools: FakeTools, made: dict[str, list[Any]]) -> list[Any]:
    if recipe.key not in made:
        parents = recipe.parents
        pieces = [_make(parent, tools, made) for parent in parents]
        made[recipe.key] = [
            recipe.make(
                tools,
                shard,
                [
                    [found[i] for i in recipe.needs(p, shard)]
                    for p, found in zip(parents, pieces, strict=True)
                ],
            )
            for shard in range(recipe.shards)
        ]
    return made[recipe.key]


@pytest.fixture
def make_pieces() -> Callable[..., list[Any]]:
    """Return ``make_pieces(recipe, model=…, splits=…, extractor=…) -> pieces in shard order``."""

    def run(recipe: Recipe[Any], model: Any = None, splits: Any = None, extractor: Any = None) -> list[Any]:
        return _make(recipe, FakeTools(model, splits or {}, extractor), {})

    return run


@pytest.fixture
def score() -> Callable[..., list[Outcome]]:
    """Return ``score(evaluator, subject, model=…, splits=…, extractor=…) -> outcomes``."""

    def run(
        evaluator: Evaluator, subject: Subject, model: Any = None, splits: Any = None, extractor: Any = None
    ) -> list[Outcome]:
        tools, made = FakeTools(model, splits or {}, extractor), {}
        assert evaluator.about.needs.unmet(subject) == ()
        inputs = {name: _make(recipe, tools, made) for name, recipe in evaluator.inputs(subject).items()}
        return list(evaluator.measure(**inputs))

    return run
