"""Recipes and evaluators run in the product's own kitchen, with one model, named splits and one extractor handed out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from audit.core.cases import Controlled
from audit.core.evaluators import Evaluator
from audit.core.measurements import Outcome
from audit.core.recipes import Recipe
from audit.core.subjects import Subject
from audit.testing.memory import HandedOut, Kitchen


def kitchen(model: Any = None, splits: Any = None, extractor: Any = None) -> Kitchen:
    return Kitchen(bench=HandedOut(model, splits or {}, extractor))


@pytest.fixture
def make_shards() -> Callable[..., list[Any]]:
    """Return ``make_shards(recipe, model=…, splits=…, extractor=…) -> values in shard order``."""

    def run(recipe: Recipe[Any], model: Any = None, splits: Any = None, extractor: Any = None) -> list[Any]:
        return list(kitchen(model, splits, extractor).shards(recipe))

    return run


@pytest.fixture
def ask() -> Callable[..., Controlled]:
    """Return ``ask(evaluator, subject, model=…, splits=…, extractor=…) -> outcomes and controls``."""

    def run(
        evaluator: Evaluator, subject: Subject, model: Any = None, splits: Any = None, extractor: Any = None
    ) -> Controlled:
        assert evaluator.about.needs.unmet(subject) == ()
        return kitchen(model, splits, extractor).ask(evaluator, subject)

    return run


@pytest.fixture
def score(ask: Callable[..., Controlled]) -> Callable[..., list[Outcome]]:
    """Return ``score(evaluator, subject, model=…, splits=…, extractor=…) -> outcomes``."""

    def run(*arguments: Any, **handed: Any) -> list[Outcome]:
        return list(ask(*arguments, **handed).outcomes)

    return run
