"""audit label: what is written are samples of the audit, and labels of them are found again."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from audit.data.worlds.portraits.world import Portraits

SPEC = """
samples = 260
shard_size = 100
[model]
adapter = "samples_on_disk"
path = "made"
[data]
use = "portraits"
train = 300
holdout = 250
duplicates = false
[run]
executor = "inline"
[[evaluators]]
name = "fairness.representation"
attributes = ["presentation"]
"""


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    """Write 260 people of the world as if a model had drawn them."""
    from audit.core.rows import images_of

    rows = Portraits.load(
        Portraits.refer({"train": 260, "holdout": 1, "seed": 5, "duplicates": False}), "train"
    )
    (tmp_path / "made").mkdir()
    for i, image in enumerate(images_of(rows)):
        Image.fromarray(image).save(tmp_path / "made" / f"{i}.png")
    np.save(tmp_path / "truth.npy", np.array(rows.column("presentation").to_pylist()))
    (tmp_path / "spec.toml").write_text(SPEC)
    return tmp_path / "spec.toml"


def pixels(path: Path) -> bytes:
    return np.asarray(Image.open(path)).tobytes()


def test_samples_are_written_labelled_and_used(cli: Any, spec: Path) -> None:
    store = spec.parent / "store"
    said = cli("label", spec, spec.parent / "out", "--store", store)
    assert said.code == 2
    assert "audit" in said.err
    assert cli("run", spec, "--store", store).code == 3
    said = cli("label", spec, spec.parent / "out", "--count", "150", "--store", store, "--format", "json")
    assert said.code == 0, said.err
    told = json.loads(said.out)
    assert told["written"] == 150
    assert "presentation=feminine, masculine" in told["values"]
    path = spec.parent / "out" / "labels.csv"
    with path.open(encoding="utf-8", newline="") as file:
        lines = list(csv.DictReader(file))
    assert len(lines) == 150
    truth = np.load(spec.parent / "truth.npy")
    by_pixels = {pixels(spec.parent / "made" / f"{i}.png"): str(who) for i, who in enumerate(truth)}
    for line in lines:
        line["presentation"] = by_pixels[pixels(spec.parent / "out" / line["file"])]
    with path.open("w", encoding="utf-8", newline="") as file:
        out = csv.DictWriter(file, ["file", "annotator", "presentation"], extrasaction="ignore")
        out.writeheader()
        out.writerows(lines)
    table = told["features"].split(", values")[0] + ' , values = ["presentation=feminine, masculine"] }'
    spec.write_text(spec.read_text().replace("[run]", f"[features]\n{table}\n[run]"))
    assert cli("run", spec, "--store", store).code == 3
    shown = json.loads(cli("show", "--store", store, "--format", "json").out)
    notes = [note for m in shown["measurements"] for note in m["notes"]]
    assert any("PPI++ from 150 labels by hand" in note for note in notes), notes
    again = cli("label", spec, spec.parent / "out", "--store", store)
    assert again.code == 2
    assert "exists" in again.err


def test_what_to_label_has_to_be_known(cli: Any, spec: Path) -> None:
    text = spec.read_text().replace('use = "portraits"', 'use = "images"\npath = "made"')
    text = "\n".join(line for line in text.splitlines() if not line.startswith(("train", "holdout", "dupl")))
    spec.write_text(text)
    said = cli("label", spec, spec.parent / "out", "--store", spec.parent / "store")
    assert said.code == 2
    assert "no attribute classifier" in said.err
