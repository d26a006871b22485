"""The demo from beginning to end: what it prints and writes, and that a kill in the middle changes nothing."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest


def demo(store: Path, report: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "audit", "demo", "--store", str(store), "-o", str(report)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def blobs(store: Path) -> int:
    return sum(1 for path in (store / "blobs").rglob("*") if path.is_file()) if store.exists() else 0


def digests(cli, store: Path) -> dict[str, str]:
    record = json.loads(cli("show", "--store", store, "--format", "json").out)
    return {artifact["key"]: artifact["digest"] for artifact in record["artifacts"]}


@pytest.mark.slow
@pytest.mark.parametrize("made", [5, 40])
def test_a_killed_demo_finishes_with_the_same_digests(cli, tmp_path: Path, made: int) -> None:
    cut, whole = tmp_path / "cut", tmp_path / "whole"
    process = demo(cut, tmp_path / "report.html")
    deadline = time.monotonic() + 300
    while blobs(cut) < made and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    assert not (tmp_path / "report.html").exists()
    resumed = demo(cut, tmp_path / "report.html")
    out, err = resumed.communicate(timeout=600)
    assert resumed.returncode == 0, err
    assert "resuming" in err
    assert "report.html" in out
    assert "next:" in out
    demo(whole, tmp_path / "other.html").communicate(timeout=600)
    assert digests(cli, cut) == digests(cli, whole)


@pytest.mark.slow
def test_the_demo_speaks_of_all_four_dimensions(cli, tmp_path: Path) -> None:
    process = demo(tmp_path / "store", tmp_path / "report.html")
    _, err = process.communicate(timeout=600)
    assert process.returncode == 0, err
    record = json.loads(cli("show", "--store", tmp_path / "store", "--format", "json").out)
    assert {evaluator["dimension"] for evaluator in record["evaluators"]} == {
        "quality",
        "fairness",
        "privacy",
        "provenance",
    }
    assert record["failures"] == []
    for skip in record["skipped"]:
        assert all(gap["need"] and gap["found"] and gap["remedy"] for gap in skip["unmet"])
    assert b"<script" not in (tmp_path / "report.html").read_bytes()
