"""A probe makes a little of each artifact, stops when its time is over, and leaves nothing behind."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import numpy as np

from audit.core.recipes import Context, Recipe, Shards
from audit.core.rows import Vector
from audit.engine.probing import Probed, probe


@dataclass(frozen=True)
class Ones(Recipe[Vector]):
    """Ten shards of twenty ones, each made in ``seconds``."""

    kind: ClassVar[str] = "probe-ones"
    seconds: float
    shards: int = 10

    def examples(self, shard: int) -> int:
        return 20

    def make(self, context: Context) -> Vector:
        time.sleep(self.seconds)
        return np.ones(20)


@dataclass(frozen=True)
class Doubled(Recipe[Vector]):
    kind: ClassVar[str] = "probe-doubled"
    along: ClassVar[tuple[str, ...]] = ("rows",)
    rows: Recipe[Vector]

    def examples(self, shard: int) -> int:
        return 20

    def make(self, context: Context, rows: Vector) -> Vector:
        return 2 * rows


@dataclass(frozen=True)
class Whole(Recipe[Vector]):
    kind: ClassVar[str] = "probe-whole"
    rows: Recipe[Vector]

    def examples(self, shard: int) -> int:
        return 20

    def make(self, context: Context, rows: Shards[Vector]) -> Vector:
        raise AssertionError("it needs ten shards, of which two are made")


def plan_of(*recipes: Recipe[Any]) -> Any:
    return SimpleNamespace(recipes=lambda: recipes)


def test_what_it_takes_is_carried_to_all_that_is_missing(tmp_path: Path) -> None:
    ones = Ones(0.01)
    plan = plan_of(ones, Doubled(ones), Whole(ones))
    found = probe(plan, tmp_path, "cpu", limit=60)
    assert not found.cut_short
    assert found.each[ones.label] >= 0.01 / 20
    assert Whole(ones).label not in found.each
    cost = Probed({ones.label: 0.5, Doubled(ones).label: 0.25}, 1.0).cost(plan, {ones.key: 4})
    assert cost["seconds"] == 0.5 * 6 * 20 + 0.25 * 200
    assert cost["unknown"] == 1, "what needs the whole of another"
    assert cost["at_least"] is False


def test_what_would_take_for_ever_is_interrupted_and_said(tmp_path: Path) -> None:
    slow = Ones(86_400.0)
    found = probe(plan_of(slow, Doubled(slow)), tmp_path, "cpu", limit=0.3)
    assert found.cut_short == slow.label
    assert found.each[slow.label] >= 0.2 / 20
    assert found.cost(plan_of(slow), {})["at_least"] is True


def test_a_plan_is_probed_only_where_it_is_asked_for_and_no_run_tells(
    cli: Callable[..., Any], tmp_path: Path
) -> None:
    spec, store = tmp_path / "spec.toml", tmp_path / "store"
    spec.write_text(
        'samples = 300\nshard_size = 300\n[model]\nuse = "digits-vae"\n[[evaluators]]\nname = "quality.reconstruction"\n'
        "[run]\nexecutor = 'inline'\n"
    )

    def planned(*more: str) -> Any:
        return json.loads(cli("plan", spec, "--store", store, "--format", "json", *more).out)

    assert planned()["cost"] is None
    cost = planned("--probe")["cost"]
    assert cost["seconds"] > 0
    assert cost["unknown"] < len(planned()["artifacts"]), "artifacts go by the same names in small shards"
    assert not store.exists(), "what was made is thrown away"
    assert "by a probe of" in cli("plan", spec, "--store", store, "--probe").out
    run = json.loads(cli("run", spec, "--store", store, "--format", "json").out)["run"]
    assert planned("--probe")["cost"]["run"] == run
