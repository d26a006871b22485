"""Samples of an audit reach a reader who has the store and nothing else, and hostile ones reach him as text."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from tests.reports.test_html import Page

HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(2)>\u202e{{ 7*7 }}</pre>"


def spec(folder: Path, model: str, data: str, groups: str = "") -> Path:
    path = folder / "audit.toml"
    path.write_text(
        f'name = "{"<b>hostile</b>"}"\nsamples = 40\n[model]\nadapter = "samples_on_disk"\n{model}\n'
        f'[data]\n{data}\n{groups}\n[[evaluators]]\nname = "quality.samples"\n[run]\nexecutor = "inline"\n',
        encoding="utf-8",
    )
    return path


def pictures(folder: Path, n: int, seed: int) -> Path:
    folder.mkdir(parents=True)
    for i, pixels in enumerate(np.random.default_rng(seed).integers(0, 255, (n, 6, 6, 3), dtype=np.uint8)):
        Image.fromarray(pixels).save(folder / f"<b onclick=alert(3)>{i}.png")
    return folder


def reported(cli: Any, folder: Path, path: Path) -> tuple[str, str]:
    """Run an audit, take its inputs away, move the store, and return the report without and with sensitive evidence."""
    assert cli("run", path, "--store", folder / "here").code in (0, 3)
    for inside in list(folder.iterdir()):
        if inside.name != "here":
            shutil.rmtree(inside) if inside.is_dir() else inside.unlink()
    moved = (folder / "here").rename(folder / "there")
    texts = []
    for more in ((), ("--show-sensitive",)):
        out = folder / "report.html"
        assert cli("report", "--store", moved, "-o", out, *more).code == 0
        texts.append(out.read_text(encoding="utf-8"))
    return texts[0], texts[1]


def test_pictures_are_in_the_store_and_members_are_hidden(cli: Any, tmp_path: Path) -> None:
    ours, train, holdout = (
        pictures(tmp_path / name, 40, i) for i, name in enumerate(("samples", "train", "holdout"))
    )
    table = tmp_path / "groups.csv"
    names = [f"{f.name}/{p.name}" for f in (train, holdout) for p in sorted(f.iterdir())]
    table.write_text("file,kind\n" + "".join(f'"{n}","{HOSTILE[:25]}"\n' for n in names), encoding="utf-8")
    data = f'use = "images"\ntrain = "{train}"\nholdout = "{holdout}"\nmetadata = "{table}"'
    text, everything = reported(cli, tmp_path, spec(tmp_path, f'path = "{ours}"', data, 'groups = "kind"'))
    shown, all_shown = Page(text), Page(everything)
    images = [a for name, a in shown.elements if name == "img"]
    assert len(images) == 24 + 24 + 2 * (8 + 8 + 8 + 12)
    assert len([1 for name, _ in all_shown.elements if name == "img"]) == len(images) + 2 * 8
    assert "Hidden: it may show training examples." in shown.text
    for page in (shown, all_shown):
        assert page.open == []
        assert not {name for name, _ in page.elements} & {"script", "b"}
        assert not [1 for _, attributes in page.elements for name in attributes if name.startswith("on")]
    assert "kind <script>alert(1)</script>" in shown.text


def test_texts_come_out_as_text(cli: Any, tmp_path: Path) -> None:
    for name in ("s", "h"):
        words = ("".join(chr(97 + (i * j * 7 + j) % 26) for j in range(120)) for i in range(30))
        lines = (json.dumps({"text": f"{name} {word} {HOSTILE}"}) for word in words)
        (tmp_path / f"{name}.jsonl").write_text("\n".join(lines), encoding="utf-8")
    data = f'use = "text"\npath = "{tmp_path / "h.jsonl"}"'
    text, _ = reported(cli, tmp_path, spec(tmp_path, f'path = "{tmp_path / "s.jsonl"}"', data))
    page = Page(text)
    assert page.open == []
    assert not {name for name, _ in page.elements} & {"script", "img", "b"}
    assert page.text.count("<script>alert(1)</script>") == 16
    assert "{{ 7*7 }}" in page.text
    assert "\u202e" not in text
    assert len(text) < 200_000


def test_what_is_left_out_of_a_folder_of_outputs_is_said_by_plan_run_and_report(
    cli: Any, tmp_path: Path
) -> None:
    ours, real = (pictures(tmp_path / name, 40, i) for i, name in enumerate(("samples", "real")))
    (ours / "torn.png").write_bytes(b"")
    path = spec(tmp_path, f'path = "{ours}"', f'use = "images"\npath = "{real}"')
    planned = cli("plan", path, "--store", tmp_path / "store")
    done = cli("run", path, "--store", tmp_path / "store")
    report = cli("report", "--store", tmp_path / "store", "--format", "markdown")
    for said in (planned.out, done.out, report.out):
        assert "torn.png (empty)" in " ".join(said.split())


def test_outputs_that_are_too_few_are_not_asked_for_in_the_spec(cli: Any, tmp_path: Path) -> None:
    ours, real = pictures(tmp_path / "samples", 1, 0), pictures(tmp_path / "real", 40, 1)
    path = spec(tmp_path, f'path = "{ours}"', f'use = "images"\npath = "{real}"')
    path.write_text(path.read_text("utf-8").replace("quality.samples", "quality.kid"), encoding="utf-8")
    said = " ".join(cli("plan", path, "--store", tmp_path / "store").out.split())
    assert "found 1 sample; bring more outputs" in said
    assert "write samples =" not in said


def test_fewer_outputs_than_asked_for_are_said(cli: Any, tmp_path: Path) -> None:
    ours, real = (pictures(tmp_path / name, 30, i) for i, name in enumerate(("samples", "real")))
    path = spec(tmp_path, f'path = "{ours}"', f'use = "images"\npath = "{real}"')
    said = "40 samples were asked for; there are 30."
    assert said in " ".join(cli("plan", path, "--store", tmp_path / "store").out.split())
    assert said in " ".join(cli("run", path, "--store", tmp_path / "store").out.split())
