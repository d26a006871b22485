"""What a store has lost, or what was damaged in it, is made again or said; a record never leaves it out without a word."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from audit.core.facts import Scored
from audit.core.identity import Digest
from audit.store.blobs import FileBlobs
from audit.store.location import resolve
from audit.store.runs import Store, open_store


def blobs_of(store: Path, title: str, record: dict[str, Any]) -> list[Path]:
    """Return the files of one artifact's shards."""
    (key,) = (a["key"] for a in record["artifacts"] if a["label"] == title)
    with open_store(resolve(str(store)), create=False, read_only=True) as opened:
        return [opened.blobs.path(fact.digest) for fact in opened.made(key).values()]


def recorded(said: Any) -> dict[str, Any]:
    record = json.loads(said.out)
    return {name: record[name] for name in ("artifacts", "measurements", "verdict", "failures")} | {
        "artifacts": [{"key": a["key"], "digest": a["digest"]} for a in record["artifacts"]]
    }


@pytest.fixture
def run(cli: Callable[..., Any], letters_spec: Callable[..., Path], tmp_path: Path) -> Callable[..., Any]:
    """Run the audit of the letters into one store."""
    spec = letters_spec(samples=400, shard_size=40)
    return lambda *options: cli("run", spec, "--store", tmp_path / "store", "--format", "json", *options)


def test_a_lost_shard_is_made_again_though_nothing_reads_it_any_more(
    run: Callable[..., Any], tmp_path: Path
) -> None:
    """What was computed from the samples is all there, so that nothing needs them: but a record names them."""
    first = run()
    samples = blobs_of(tmp_path / "store", "samples", json.loads(first.out))
    for path in (samples[3], samples[8]):
        path.unlink()
    second = run()
    assert "2 shards to make" in second.err
    assert recorded(second) == recorded(first)
    assert all(path.is_file() for path in samples)


def test_a_whole_folder_of_blobs_is_made_again(run: Callable[..., Any], tmp_path: Path) -> None:
    first = run()
    shutil.rmtree(tmp_path / "store" / "blobs")
    assert recorded(run()) == recorded(first)


def test_what_comes_out_differently_is_not_joined_to_what_was_computed_before(
    run: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = run()
    blobs_of(tmp_path / "store", "samples", json.loads(first.out))[3].unlink()
    put = FileBlobs.put
    monkeypatch.setattr(FileBlobs, "put", lambda self, data: put(self, data + b"something else"))
    said = run()
    assert said.code == 4
    assert said.out == ""
    assert "this model does not repeat itself" in said.err


def test_every_damaged_shard_is_made_again_in_one_go(run: Callable[..., Any], tmp_path: Path) -> None:
    first = run()
    record = json.loads(first.out)
    damaged = [p for a in record["artifacts"] for p in blobs_of(tmp_path / "store", a["label"], record)][::3]
    assert len(damaged) > 3
    for path in damaged:
        path.write_bytes(path.read_bytes()[:-1] + b"?")
    said = run("--retry-failed")
    assert recorded(said) == recorded(first)
    for path in damaged:
        assert f"damaged, to be made again: blob {path.name}" in said.err
        FileBlobs(tmp_path / "store" / "blobs").get(Digest(path.name))


@pytest.mark.parametrize("executor", ["inline", "pool"])
def test_a_damaged_shard_that_is_read_stops_the_run_and_is_named(
    cli: Callable[..., Any], letters_spec: Callable[..., Path], tmp_path: Path, executor: str
) -> None:
    store, spec = tmp_path / "store", letters_spec(executor=executor)
    arguments = ("run", spec, "--store", store, "--format", "json")
    first = cli(*arguments)
    record = json.loads(first.out)
    (damaged, *_), others = (
        blobs_of(store, "samples", record),
        [a["label"] for a in record["artifacts"] if a["label"] != "samples"],
    )
    for title in others:  # so that the samples are read again
        for path in blobs_of(store, title, record):
            path.unlink()
    damaged.write_bytes(b"damaged")
    said = cli(*arguments)
    assert said.code == 4
    assert said.out == ""
    assert str(damaged) in said.err
    assert "--retry-failed" in said.err
    assert "InputError" not in said.err
    assert recorded(cli(*arguments, "--retry-failed")) == recorded(first)


@pytest.mark.parametrize("moment", ["before it is scored", "after it is scored"])
@pytest.mark.parametrize("what", ["store", "blobs", "ledger"])
def test_a_store_that_is_deleted_under_a_run_is_no_scorecard(
    run: Callable[..., Any], tmp_path: Path, what: str, moment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "store"
    place = {"store": folder, "blobs": folder / "blobs", "ledger": folder / "ledger.sqlite"}[what]
    method = "scored" if moment.startswith("before") else "finish"
    original = getattr(Store, method)

    def deleting(self: Store, *arguments: Any) -> Any:
        if place.exists():
            (shutil.rmtree if place.is_dir() else Path.unlink)(place)
        return original(self, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(Store, method, deleting)
        said = run()
    assert said.code == 4 or (what, method) == ("blobs", "finish"), said.err  # then all was recorded before
    assert (said.out == "") is (said.code == 4)
    assert "again" in said.err or said.code == 0
    assert run().code == 0


def test_blobs_that_are_deleted_before_they_are_recorded_are_no_scorecard(
    run: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The evaluators have read all they wanted; the record would leave out the artifacts they read."""
    record = Store.record

    def deleting(self: Store, run: str, fact: Any) -> Any:
        if isinstance(fact, Scored):
            shutil.rmtree(tmp_path / "store" / "blobs")
        return record(self, run, fact)

    with monkeypatch.context() as patch:
        patch.setattr(Store, "record", deleting)
        said = run()
    assert said.code == 4
    assert said.out == ""
    assert "were deleted while it was in use" in said.err
    assert len(recorded(run())["artifacts"]) == 2


def test_a_record_that_the_store_does_not_have_is_no_verdict(
    run: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(Store, "finish", lambda *_: None)
        said = run()
    assert said.code == 4
    assert said.out == ""
    with closing(sqlite3.connect(tmp_path / "store" / "ledger.sqlite")) as ledger:
        assert ledger.execute("SELECT count(*) FROM runs WHERE finished IS NOT NULL").fetchone() == (0,)
    assert run().code == 0
