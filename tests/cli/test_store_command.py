"""``audit store``: what is lost or damaged is named, and what no run needs is freed beside a run that goes on."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from audit.core.identity import Digest
from audit.store.blobs import FileBlobs


@pytest.fixture
def kept(
    cli: Callable[..., Any], letters_spec: Callable[..., Path], tmp_path: Path
) -> tuple[Path, list[Path]]:
    """A store with one finished run, and its blobs."""
    store = tmp_path / "store"
    cli("run", letters_spec(), "--store", store)
    return store, [path for path in sorted(store.glob("blobs/??/??/*")) if path.is_file()]


def test_a_sound_store(cli: Callable[..., Any], kept: tuple[Path, list[Path]]) -> None:
    store, blobs = kept
    said = cli("store", "check", "--store", store)
    assert (said.code, said.out) == (0, f"sound: {len(blobs)} blobs of 1 run\n")


def test_what_is_lost_or_damaged_is_named_all_in_one_go_and_made_again(
    cli: Callable[..., Any], letters_spec: Callable[..., Path], kept: tuple[Path, list[Path]]
) -> None:
    store, blobs = kept
    lost, damaged, cut = blobs[0], blobs[3], blobs[5]
    before = damaged.read_bytes()
    lost.unlink()
    damaged.write_bytes(bytes(len(before)))
    cut.write_bytes(cut.read_bytes()[:-1])
    said = cli("store", "check", "--store", store)
    assert said.code == 1
    for line in (f"lost: {lost}", f"damaged: {damaged}", f"damaged: {cut}"):
        assert f"{line}\n" in said.out
    assert "--retry-failed" in said.out
    found = json.loads(cli("store", "check", "--store", store, "--format", "json").out)
    assert {(f["digest"], f["problem"]) for f in found["faults"]} == {
        (lost.name, "lost"),
        (damaged.name, "damaged"),
        (cut.name, "damaged"),
    }
    assert cli("run", letters_spec(), "--store", store, "--retry-failed").code == 0
    assert damaged.read_bytes() == before
    assert cli("store", "check", "--store", store).code == 0


def test_what_no_run_needs_is_freed_once_it_is_old(
    cli: Callable[..., Any], kept: tuple[Path, list[Path]]
) -> None:
    store, blobs = kept
    orphans = FileBlobs(store / "blobs")
    old, young = orphans.put(b"old" * 100), orphans.put(b"young")
    for path in [*blobs, orphans.path(old)]:
        os.utime(path, (time.time() - 2 * 86_400,) * 2)
    trial = json.loads(cli("store", "gc", "--dry-run", "--store", store, "--format", "json").out)
    assert trial == {"dry_run": True, "blobs": 1, "bytes": 300, "young": 1}
    assert "would free 300 bytes in 1 blob " in cli("store", "gc", "--dry-run", "--store", store).out
    assert orphans.has(old)
    assert "freed 300 bytes in 1 blob " in cli("store", "gc", "--store", store).out
    assert not orphans.has(old)
    assert orphans.has(Digest(young))
    assert all(path.is_file() for path in blobs)
    assert "freed 0 bytes" in cli("store", "gc", "--store", store).out


@pytest.mark.parametrize("command", [("check",), ("gc",), ("gc", "--dry-run")])
def test_where_there_is_no_store_nothing_is_made(
    cli: Callable[..., Any], tmp_path: Path, command: tuple[str, ...]
) -> None:
    said = cli("store", *command, "--store", tmp_path / "absent")
    assert (said.code, said.out) == (2, "")
    assert "no store at" in said.err
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_command_is_bad_input(cli: Callable[..., Any]) -> None:
    assert cli("store", "chek").code == 2
    assert cli("store").code == 2


@pytest.mark.slow
def test_collecting_over_and_over_beside_a_run_takes_nothing_from_it(
    cli: Callable[..., Any], letters_spec: Callable[..., Path], tmp_path: Path
) -> None:
    spec, store = letters_spec(samples=120, shard_size=1, executor="pool", workers=2), tmp_path / "store"
    command = [sys.executable, "-m", "audit", "run", str(spec), "--store", str(store), "--format", "json"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    collected = 0
    while process.poll() is None:
        if (store / "ledger.sqlite").exists():
            collected += cli("store", "gc", "--store", store).code == 0
    out, err = process.communicate()
    assert process.returncode == 0, err
    assert collected > 3
    whole = json.loads(cli("run", spec, "--store", tmp_path / "alone", "--format", "json").out)
    assert [a["digest"] for a in json.loads(out)["artifacts"]] == [a["digest"] for a in whole["artifacts"]]
    assert cli("store", "check", "--store", store).code == 0
