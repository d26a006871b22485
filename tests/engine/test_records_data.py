"""What is known about the data stands in the record, in numbers; and a reference that does not vary is no failure."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from audit.core.records import from_plain
from reports.html import HtmlReport
from reports.json import problems

SPEC = """samples = 100
[model]
adapter = "samples_on_disk"
path = "made"
[data]
use = "images"
train = "train"
holdout = "holdout"
[[evaluators]]
name = "quality.mmd"
[[evaluators]]
name = "quality.precision_recall"
[policy]
name = "bar"
[[policy.criteria]]
metric = "quality.mmd"
at_most = 0.1
why = "A model like the data stays below it."
[run]
executor = "inline"
"""


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A hundred grey pictures of one value as holdout, noise as train, of which two copies stand in holdout too."""
    place = tmp_path_factory.mktemp("pictures")
    rng = np.random.default_rng(1)
    noise = rng.integers(0, 256, (120, 8, 8, 3), dtype=np.uint8)
    for name in ("made", "train", "holdout"):
        (place / name).mkdir()
    for number in range(100):
        Image.new("L", (8, 8), 128).save(place / "holdout" / f"{number:03}.png")
        Image.fromarray(noise[number]).save(place / "train" / f"{number:03}.png")
        Image.fromarray(noise[119 - number]).save(place / "made" / f"{number:03}.bmp")
    for number in range(3):
        Image.new("RGB", (8, 8), (128, 128, 128)).save(place / "train" / f"grey{number}.png")
    (place / "spec.toml").write_text(SPEC)
    return place


def test_a_record_says_what_is_known_about_its_data(cli: Any, pictures: Path, tmp_path: Path) -> None:
    said = cli("run", pictures / "spec.toml", "--store", tmp_path / "store", "--format", "json")
    record = json.loads(said.out)
    assert problems(record) == []
    data = record["data"]
    assert data["overlaps"] == [
        {"first": "train", "second": "holdout", "exact": 100, "near": 0, "compared": 100, "total": 100}
    ]
    of_train, of_holdout = data["copies"]
    assert of_train | {"compared": 103} == {
        "split": "train",
        "repeated": 2,
        "exact": 2,
        "clusters": 1,
        "compared": 103,
        "total": 103,
    }
    assert (of_holdout["repeated"], of_holdout["clusters"]) == (99, 1)
    size = {"width": 8, "height": 8, "pictures": 100}
    assert data["pictures"][1]["sizes"] == [size]
    assert [p["grey"] for p in data["pictures"]] == [3, 100]
    assert record["model"]["pictures"]["formats"] == {"BMP": 100}
    assert data["texts"] == []
    page = HtmlReport().render(from_plain(record), lambda digest: None).decode()
    assert "overlaps.1.exact" in page
    # Rows that are all alike leave a statistic without a value: that is said as its reason, and nothing has failed.
    assert record["failures"] == []
    assert said.code == 3
    reasons = {entry["metric"]: entry["reason"] for entry in record["undefined"]}
    assert "alike" in reasons["quality.mmd"]
    assert "alike" in reasons["quality.precision_recall.recall"]
    assert "no value: median distance" in said.err
    assert "failed" not in said.err
    (judged,) = record["judgements"]
    assert judged["verdict"] == "not assessed"
    again = cli("run", pictures / "spec.toml", "--store", tmp_path / "store", "--format", "json")
    assert json.loads(again.out)["undefined"] == record["undefined"]
