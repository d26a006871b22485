"""A tiny pipeline beside pictures on disk, from a spec to a report."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.models.tiny_pipelines import saved

SPEC = """
samples = {samples}
shard_size = {shard}

[model]
adapter = "diffusers"
path = "{model}"
steps = 3
loss_draws = 2
arithmetic = "float32"

[data]
use = "images"
train = "{data}/train"
holdout = "{data}/holdout"

[features]
use = "pixels"

[[evaluators]]
name = "quality.kid"

{more}
[run]
executor = "inline"
"""


MORE = """
[[evaluators]]
name = "privacy.membership"

[[evaluators]]
name = "quality.reconstruction"
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("audited")
    saved("ddpm", root / "model")
    rng = np.random.default_rng(0)
    for split in ("train", "holdout"):
        (root / "data" / split).mkdir(parents=True)
        for i in range(40):
            pixels = rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(root / "data" / split / f"{i:02}.png")
    return root


def spec(place: Path, name: str, samples: int = 40, shard: int = 20, more: str = "") -> Path:
    path = place / f"{name}.toml"
    text = SPEC.format(model=place / "model", data=place / "data", samples=samples, shard=shard, more=more)
    path.write_text(text)
    return path


def test_a_spec_is_planned_and_run_and_reported(place: Path, cli: Callable[..., Any]) -> None:
    planned = cli("plan", spec(place, "first", more=MORE))
    assert planned.code == 0, planned.err
    assert "a diffusion model has no bottleneck" in planned.out
    done = cli("run", spec(place, "first", more=MORE), "--store", place / "first")
    assert done.code in (0, 1, 3), done.err
    written = cli("report", "--format", "json", "--store", place / "first", "--output", place / "first.json")
    assert written.code == 0, written.err
    record = json.loads((place / "first.json").read_text())
    found = {one["metric"]: one for one in record["measurements"]}
    assert any(name.startswith("quality.kid") for name in found)
    assert any(name.startswith("privacy.membership") for name in found)
    assert "quality.reconstruction" in {one["evaluator"] for one in record["skipped"]}


def test_samples_do_not_depend_on_the_size_of_shards(place: Path, cli: Callable[..., Any]) -> None:
    values = []
    for shard in (20, 7):
        path = spec(place, f"shards-{shard}", shard=shard)
        assert cli("run", path, "--store", place / f"shards-{shard}").code in (0, 1, 3)
        out = place / f"{shard}.json"
        cli("report", "--format", "json", "--store", place / f"shards-{shard}", "--output", out)
        record = json.loads(out.read_text())
        values.append(next(m["value"] for m in record["measurements"] if m["metric"] == "quality.kid"))
    np.testing.assert_allclose(values[0], values[1], rtol=1e-3, atol=1e-6)
