"""Distances in features that see too little are shown and judged by no policy, unless the data name those features."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

SPEC = """
name = "blunt"
samples = 500
shard_size = 500
[model]
use = "{model}"
{data}
[features]
use = "pixels"
[[evaluators]]
name = "quality.kid"
[[evaluators]]
name = "quality.kid"
as = "kid_faces"
features = "portraits-encoder"
[policy]
name = "test"
[[policy.criteria]]
metric = "quality.kid"
at_most = 100000
why = "anything passes"
[[policy.criteria]]
metric = "quality.kid_faces"
at_most = -100000
why = "nothing passes"
[run]
executor = "inline"
"""


def judged(cli: Callable[..., Any], folder: Path, model: str, data: str = "") -> dict[str, Any]:
    spec = folder / f"{model}.toml"
    spec.write_text(SPEC.format(model=model, data=data))
    return json.loads(cli("run", spec, "--store", folder / "store", "--format", "json").out)


def test_a_distance_in_pixels_judges_no_portrait(cli: Callable[..., Any], tmp_path: Path) -> None:
    found = judged(cli, tmp_path, "portraits-gan", '[data]\nuse = "portraits"\ntrain = 500\nholdout = 500')
    verdicts = {j["criterion"]["metric"]: j for j in found["judgements"]}
    assert verdicts["quality.kid"]["verdict"] == "not assessed"
    (reason,) = verdicts["quality.kid"]["because"]["unmet"]
    assert "8×8 cells" in reason["found"]
    assert "best that is installed" in reason["remedy"]
    assert verdicts["quality.kid_faces"]["verdict"] == "fail", "another extractor of the same audit decides"
    numbers = {m["metric"]: m for m in found["measurements"]}
    assert numbers["quality.kid"]["value"] is not None, "it is measured and shown"
    assert "judged by no policy" in numbers["quality.kid"]["notes"][0]
    assert not any("judged by no policy" in note for note in numbers["quality.kid_faces"]["notes"])
    said = cli("plan", tmp_path / "portraits-gan.toml", "--store", tmp_path / "store")
    assert "quality.kid will be shown, and no criterion judges it" in said.out


def test_the_digits_name_pixels_themselves_so_they_decide(cli: Callable[..., Any], tmp_path: Path) -> None:
    found = judged(cli, tmp_path, "digits-vae")
    verdicts = {j["criterion"]["metric"]: j["verdict"] for j in found["judgements"]}
    assert verdicts["quality.kid"] == "pass"
