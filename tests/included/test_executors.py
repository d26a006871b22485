"""An included model draws the same bytes wherever it runs, and ends to end in ``audit run``."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

SPEC = """
name = "included"
samples = 40
shard_size = 20
[model]
use = "{model}"
[data]
use = "portraits"
{data}
[features]
use = "portraits-encoder"
[[evaluators]]
name = "{evaluator}"
[run]
executor = "{executor}"
workers = 2
"""


def record_of(cli: Callable[..., Any], folder: Path, executor: str, **words: str) -> dict[str, Any]:
    spec = folder / f"{executor}.toml"
    spec.write_text(SPEC.format(executor=executor, **words), encoding="utf-8")
    said = cli("run", spec, "--store", folder / executor, "--format", "json")
    assert said.code in (0, 1, 3), said.err
    found: dict[str, Any] = json.loads(said.out)
    return found


@pytest.mark.slow
@pytest.mark.parametrize(
    ("model", "evaluator", "data"),
    [
        ("portraits-gan", "quality.kid", "train = 300\nholdout = 40"),
        ("portraits-ddpm", "quality.kid", "train = 300\nholdout = 40"),
        ("portraits-vae-overfit", "privacy.membership", "train = 200\nholdout = 400\nduplicates = false"),
    ],
)
def test_every_executor_makes_the_same_bytes(
    cli: Callable[..., Any], tmp_path: Path, model: str, evaluator: str, data: str
) -> None:
    words = {"model": model, "evaluator": evaluator, "data": data}
    one, other = (record_of(cli, tmp_path, executor, **words) for executor in ("inline", "pool"))
    assert not one["failures"]
    assert one["measurements"]
    digests = [
        {artifact["key"]: artifact["digest"] for artifact in record["artifacts"]} for record in (one, other)
    ]
    assert digests[0] == digests[1]
