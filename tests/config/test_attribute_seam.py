"""A user's labels, target and classifier in a spec: an audit of a folder of pictures from end to end."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from audit.config.assemble import assemble
from audit.config.spec import read_spec
from audit.core.errors import InputError

SPEC = """
samples = 240
[model]
adapter = "samples_on_disk"
path = "made"
[data]
use = "images"
train = "real"
metadata = "real.csv"
[features]
attributes = { use = "labels", path = "labels.csv", folder = "made", values = ["look=f, m"] }
[run]
executor = "inline"
[[evaluators]]
name = "fairness.representation"
shares = { file = "census.toml" }
"""


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    """Write 240 pictures of a model that shows 'f' in 192 of them, their labels, and a target of one half."""
    rng = np.random.default_rng(0)
    for folder, n in (("made", 240), ("real", 240)):
        (tmp_path / folder).mkdir()
        for i in range(n):
            pixels = rng.integers(0, 255, (8, 8, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / folder / f"{i}.png")
    rows = [f"{i}.png,{'f' if i % 5 else 'm'}" for i in range(240)]
    (tmp_path / "labels.csv").write_text("\n".join(["file,look", *rows]))
    (tmp_path / "real.csv").write_text(
        "\n".join(["file,look", *(f"{i}.png,{'fm'[i % 2]}" for i in range(240))])
    )
    (tmp_path / "census.toml").write_text("[look]\nf = 0.5\nm = 0.5\n")
    (tmp_path / "spec.toml").write_text(SPEC)
    return tmp_path / "spec.toml"


def test_labels_and_target_of_the_users_give_the_distance_by_hand(cli: Any, spec: Path) -> None:
    said = cli("run", spec, "--store", spec.parent / "store")
    assert said.code == 3, said.err
    shown = cli("show", "--store", spec.parent / "store", "--groups", "--format", "json")
    record = json.loads(shown.out)
    found = next(
        m for m in record["measurements"] if m["metric"] == "fairness.representation.distance" and m["group"]
    )
    assert found["value"] == pytest.approx(0.3)
    assert str(spec.parent) not in shown.out, "no path of the machine is in the record"


def test_a_role_may_be_a_table(spec: Path) -> None:
    read = read_spec(spec)
    assert read.extractors["attributes"].name == "labels"
    assert read.extractors["attributes"].options["folder"] == str(spec.parent / "made")
    subject = assemble(read).plan.subject
    (attribute,) = subject.extractor("attributes").attributes
    assert attribute.values == ("f", "m")
    assert "location" not in str(assemble(read).settings["extractors"])


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('use = "labels", ', "", "use"),
        ('use = "labels"', 'use = "pixels"', "takes no option"),
        ('"look=f, m"', '"look=f, x"', "unknown value"),
        ('file = "census.toml"', 'file = "none.toml"', "cannot be read"),
        ('file = "census.toml"', 'fil = "census.toml"', "file"),
    ],
)
def test_mistakes_are_said(spec: Path, old: str, new: str, said: str) -> None:
    text = spec.read_text()
    assert old in text
    spec.write_text(text.replace(old, new))
    with pytest.raises(InputError, match=said):
        assemble(read_spec(spec))
