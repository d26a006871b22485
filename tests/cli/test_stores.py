"""Stores as a command meets them: in PostgreSQL, made by a newer version, read-only, on a full disk."""

from __future__ import annotations

import json
import os
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest


def test_a_ledger_in_postgresql(cli, letters_spec, new_database: Callable[[], str], tmp_path: Path) -> None:
    store = f"{new_database()}&blobs={tmp_path / 'blobs'}"
    first = json.loads(cli("run", letters_spec(), "--store", store, "--format", "json").out)
    again = cli("run", letters_spec(executor="pool"), "--store", store, "--format", "json")
    assert "0 shards to make" in again.err
    assert json.loads(again.out)["measurements"] == first["measurements"]
    here = json.loads(cli("run", letters_spec(), "--store", tmp_path / "sqlite", "--format", "json").out)
    assert [a["digest"] for a in here["artifacts"]] == [a["digest"] for a in first["artifacts"]]
    assert len(json.loads(cli("list", "runs", "--store", store, "--format", "json").out)) == 2
    assert cli("report", "--store", store, "-o", tmp_path / "r.html").code == 0


def test_a_killed_run_in_postgresql_is_taken_up(
    cli, letters_spec, new_database: Callable[[], str], tmp_path: Path
) -> None:
    store = f"{new_database()}&blobs={tmp_path / 'blobs'}"
    spec = letters_spec(samples=60, shard_size=1)
    command = [sys.executable, "-m", "audit", "run", str(spec), "--store", store]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while process.poll() is None and sum(1 for _ in tmp_path.glob("blobs/**/*")) < 30:
        pass
    process.kill()
    process.wait()
    resumed = cli("run", spec, "--store", store, "--format", "json")
    whole = cli("run", spec, "--store", tmp_path / "whole", "--format", "json")
    assert "resuming" in resumed.err
    digests = [[a["digest"] for a in json.loads(said.out)["artifacts"]] for said in (resumed, whole)]
    assert digests[0] == digests[1]


def test_a_run_from_a_folder_that_is_gone_is_refused(
    cli, letters_spec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec, gone = letters_spec(), tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    said = cli("run", spec, "--store", tmp_path / "store")
    assert (said.code, "current folder is gone" in said.err) == (2, True), said.err
    assert not (tmp_path / "store").exists()


def test_a_database_that_is_not_there_is_bad_input(cli, letters_spec) -> None:
    said = cli("run", letters_spec(), "--store", "postgresql+psycopg://nobody:secret@127.0.0.1:1/none")
    assert said.code == 2
    assert "secret" not in said.err
    assert "Traceback" not in said.err


def test_a_store_made_by_a_newer_version(cli, letters_spec, tmp_path: Path) -> None:
    store = tmp_path / "store"
    cli("run", letters_spec(), "--store", store)
    with sqlite3.connect(store / "ledger.sqlite") as ledger:
        ledger.execute("UPDATE alembic_version SET version_num = '9999'")
    ledger.close()
    for command in (("run", letters_spec()), ("show",)):
        said = cli(*command, "--store", store)
        assert said.code == 2
        assert "newer" in said.err


@pytest.mark.parametrize("place", ["file/store", "file"])
def test_a_store_where_a_file_lies(cli, letters_spec, tmp_path: Path, place: str) -> None:
    (tmp_path / "file").write_text("a file")
    said = cli("run", letters_spec(), "--store", tmp_path / place)
    assert said.code == 2
    assert str(tmp_path / "file") in said.err


@pytest.fixture
def read_only(tmp_path: Path) -> Iterator[Callable[[Path], None]]:
    """Make a folder read-only, for the superuser too where the file system can."""
    changed: list[Path] = []

    def lock(folder: Path) -> None:
        if os.geteuid() == 0:
            done = subprocess.run(
                ["mount", "--bind", str(folder), str(folder)], capture_output=True, check=False
            )
            again = ["mount", "-o", "remount,ro,bind", str(folder)]
            if done.returncode or subprocess.run(again, capture_output=True, check=False).returncode:
                pytest.skip("the superuser may write everywhere and may not mount here")
        else:
            for path in (folder, *folder.rglob("*")):
                path.chmod(stat.S_IRUSR | (stat.S_IXUSR if path.is_dir() else 0))
        changed.append(folder)

    yield lock
    for folder in changed:
        if os.geteuid() == 0:
            subprocess.run(["umount", str(folder)], check=False)
            subprocess.run(["umount", str(folder)], capture_output=True, check=False)
        else:
            for path in (folder, *folder.rglob("*")):
                path.chmod(stat.S_IRWXU)


def test_a_read_only_store_can_be_read_and_not_written(
    cli, letters_spec, tmp_path: Path, read_only: Callable[[Path], None]
) -> None:
    store = tmp_path / "store"
    cli("run", letters_spec(), "--store", store)
    read_only(store)
    assert cli("show", "--store", store).code == 0
    assert cli("list", "runs", "--store", store).code == 0
    assert cli("plan", letters_spec(), "--store", store).code == 0
    said = cli("run", letters_spec(), "--seed", 5, "--store", store)
    assert said.code == 2
    assert "Traceback" not in said.err


def test_a_disk_that_fills_up(cli, letters_spec, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=600k", "tmpfs", str(disk)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("no small file system can be mounted here")
    try:
        said = cli("run", letters_spec(samples=3000, shard_size=10), "--store", disk / "store")
        assert said.code == 4
        assert "full" in said.err
        assert "same command" in said.err
        grow = ["mount", "-o", "remount,size=64m", str(disk)]
        subprocess.run(grow, check=True)
        assert cli("run", letters_spec(samples=3000, shard_size=10), "--store", disk / "store").code == 0
    finally:
        subprocess.run(["umount", str(disk)], check=False)
