"""audit risks: what the register looks like in CSV, what it does not let out, and how it changes from run to run."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

from audit.cli.risks import COLUMNS, as_csv, described
from audit.core.identity import Digest
from audit.core.register import AtRisk, Entry, Status
from audit.core.rows import images_of
from audit.data.digits import Digits

SPEC = """
name = "outputs"
shard_size = 500
samples = 300
[model]
adapter = "samples_on_disk"
path = "{folder}"
[data]
use = "digits"
[run]
executor = "inline"
[[evaluators]]
name = "privacy.copies"
permutations = 99
[policy]
name = "test"
[[policy.criteria]]
metric = "privacy.copies.excess"
at_most = 0.02
why = "at most one output in fifty repeats a training example"
"""


def entry(content: str | None = None, found: str = "returned by 3 samples") -> Entry:
    one = AtRisk(4, "copies", found, 2.0, 0.01, 3)
    return Entry(1, one, "privacy.copies.excess", Digest("ab" * 20), Status.NEW, content=content)


def cells(document: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(document)))


def test_content_is_masked_unless_it_was_asked_for() -> None:
    (masked,) = cells(as_csv([described(entry())]))
    assert masked["content"] == "(hidden)"
    assert (masked["row"], masked["times"], masked["chance"], masked["status"]) == ("4", "3", "0.01", "new")
    (shown,) = cells(as_csv([described(entry("Ada, born 1815"))]))
    assert shown["content"] == "Ada, born 1815"
    assert tuple(shown) == COLUMNS


def test_a_spreadsheet_finds_no_formula_and_a_terminal_no_command() -> None:
    hostile = '=HYPERLINK("http://x")\x1b[31m,"\n'
    (row,) = cells(as_csv([described(entry(hostile, found="+1 sample"))]))
    assert row["content"].startswith("'=HYPERLINK")
    assert "\x1b" not in row["content"]
    assert row["found"] == "'+1 sample"


def outputs(folder: Path, images: Any) -> Path:
    """Write images as PNG files, and a spec that takes them for the outputs of a model."""
    from PIL import Image

    folder.mkdir()
    for number, image in enumerate(images):
        Image.fromarray(image[:, :, 0]).save(folder / f"{number}.png")
    spec = folder.with_suffix(".toml")
    spec.write_text(SPEC.format(folder=folder), encoding="utf-8")
    return spec


def test_training_images_as_outputs_fail_and_their_entries_close_once_they_are_gone(
    cli: Any, tmp_path: Path
) -> None:
    """The register from end to end: real digits that were trained on, then digits that were not."""
    ref, store = Digits.refer({}), tmp_path / "store"
    train, unseen = (images_of(Digits.load(ref, split)) for split in ("train", "holdout"))
    said = cli("run", outputs(tmp_path / "copied", train[:300]), "--store", store)
    assert said.code == 1, said.out + said.err
    said = cli("risks", "--store", store, "--format", "csv")
    assert said.code == 0
    entries = cells(said.out)
    assert len(entries) >= 290
    assert {int(e["row"]) for e in entries} <= set(range(300)), (
        "rows of the split, not places among distinct ones"
    )
    assert {(e["status"], e["content"], e["metric"]) for e in entries} == {
        ("new", "(hidden)", "privacy.copies.excess")
    }

    said = cli("run", outputs(tmp_path / "unseen", unseen[:300]), "--store", store)
    assert said.code != 1, "real examples that were not trained on are no copies"
    said = cli("risks", "--store", store, "--format", "json")
    later = json.loads(said.out)
    assert {e["status"] for e in later["entries"]} == {"closed"}
    assert len(later["entries"]) == len(entries)
    assert "another model" in said.err

    assert cli("risks", "--store", store, "--since", "none").out.startswith("No training record")
    page = tmp_path / "report.html"
    first = later["since"]
    assert cli("report", first, "--store", store, "-o", page).code == 0
    text = page.read_text(encoding="utf-8")
    assert "Training records found at risk" in text
    assert "data:image/png" not in text, "pairs show training images: hidden until asked for"
    assert cli("report", first, "--store", store, "-o", page, "--show-sensitive").code == 0
    assert "data:image/png" in page.read_text(encoding="utf-8")
