"""The workflows of docs/ci.md, step by step: green for a model that passes, red for one that fails, and the right colour between."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
import yaml

PAGE = (Path(__file__).parents[1] / "docs" / "ci.md").read_text(encoding="utf-8")
GITHUB, GITLAB = (yaml.safe_load(block) for block in re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL))
BOUNDS = {"passes": (0.1, 0.3), "fails": (0.3, 0.9), "undecided": (0.19231, 0.9)}
"""Of the share of vowels among letters, which is 5 of 26."""
slow = pytest.mark.slow


@pytest.fixture
def project(
    letters_spec: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[str], Path]:
    """A folder with an ``audit.toml`` and the command ``audit`` on the path."""

    def make(kind: str) -> Path:
        low, high = BOUNDS[kind]
        text = letters_spec().read_text().replace("at_least = 0.1", f"at_least = {low}")
        folder = tmp_path / kind
        folder.mkdir()
        (folder / "audit.toml").write_text(text.replace("at_most = 0.3", f"at_most = {high}"))
        return folder

    bin_folder = tmp_path / "bin"
    bin_folder.mkdir()
    command = bin_folder / "audit"
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m audit "$@"\n')
    command.chmod(0o755)
    monkeypatch.setenv("PATH", f"{bin_folder}{os.pathsep}{os.environ['PATH']}")
    return make


def shell(script: str, folder: Path) -> int:
    """Run a step as the hosts do: in bash, which stops at the first command that fails."""
    environment = {**os.environ, "GITHUB_STEP_SUMMARY": str(folder / "summary.md")}
    return subprocess.run(
        ["bash", "-e", "-o", "pipefail", "-c", script], cwd=folder, env=environment, check=False
    ).returncode


def github(folder: Path, replaced: str | None = None) -> dict[str, int]:
    """Run the workflow's own steps; one without ``if`` runs only while all before it went well."""
    codes: dict[str, int] = {}
    for step in GITHUB["jobs"]["audit"]["steps"]:
        if "run" not in step or step["name"] == "Install":
            continue
        if "if" in step or not any(codes.values()):
            script = replaced if replaced and step["name"] == "Audit" else step["run"]
            codes[step["name"]] = shell(script, folder)
    return codes


@pytest.mark.parametrize(
    ("kind", "code"),
    [pytest.param("passes", 0, marks=slow), ("fails", 1), pytest.param("undecided", 3, marks=slow)],
)
def test_the_github_workflow_has_the_right_colour_and_its_reports(
    project: Callable[[str], Path], kind: str, code: int
) -> None:
    folder = project(kind)
    assert github(folder) == {"Audit": code, "Reports": 0}
    found = ET.parse(folder / "audit.xml").getroot()
    assert (found.get("failures"), found.get("errors")) == {0: ("0", "0"), 1: ("1", "0"), 3: ("0", "1")}[code]
    levels = [r["level"] for r in json.loads((folder / "audit.sarif").read_text())["runs"][0]["results"]]
    assert levels == {0: [], 1: ["error"], 3: ["warning"]}[code]
    assert (folder / "summary.md").read_text().startswith("# letters")
    uploaded: Any = [
        step["with"] for step in GITHUB["jobs"]["audit"]["steps"] if "upload" in step.get("uses", "")
    ]
    for name in [uploaded[0]["sarif_file"], *uploaded[1]["path"].split()]:
        assert (folder / name).is_file()


@slow
@pytest.mark.parametrize(("kind", "code"), [("fails", 1), ("undecided", 0)])
def test_the_line_that_lets_the_undecided_through_still_stops_what_fails(
    project: Callable[[str], Path], kind: str, code: int
) -> None:
    (line,) = re.findall(r"`(audit run [^`]*-eq 3 \])`", PAGE)
    assert github(project(kind), line) == {"Audit": code, "Reports": 0}


@pytest.mark.parametrize(
    ("kind", "colour"),
    [
        ("passes", "green"),
        *(pytest.param(*case, marks=slow) for case in (("fails", "red"), ("undecided", "orange"))),
    ],
)
def test_the_gitlab_pipeline_has_the_right_colour(
    project: Callable[[str], Path], kind: str, colour: str
) -> None:
    folder, job = project(kind), GITLAB["audit"]
    code = next((c for line in job["script"][1:] if (c := shell(line, folder))), 0)
    allowed = code == job["allow_failure"]["exit_codes"]
    assert ("green" if code == 0 else "orange" if allowed else "red") == colour
    assert [shell(line, folder) for line in job["after_script"]] == [0, 0]
    for name in (*job["artifacts"]["paths"], job["artifacts"]["reports"]["junit"]):
        assert (folder / name).is_file()
