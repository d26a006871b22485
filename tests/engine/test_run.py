"""A run makes what is missing and nothing else, records what failed, and ends with the same bytes however it is cut."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from audit.cli.descendants import descendants
from audit.store.blobs import FileBlobs
from audit.store.location import resolve
from audit.store.runs import open_store
from audit.testing.executors import check_executor


def record_of(said: Any) -> dict[str, Any]:
    return json.loads(said.out)


def artifacts_of(record: dict[str, Any]) -> dict[str, str]:
    return {artifact["label"]: artifact["digest"] for artifact in record["artifacts"]}


def test_the_exit_code_says_that_every_criterion_passed(cli, letters_spec, tmp_path: Path) -> None:
    said = cli("run", letters_spec(), "--store", tmp_path / "store", "--format", "json")
    record = record_of(said)
    assert said.code == 0
    assert record["verdict"] == "pass"
    (measurement,) = record["measurements"]
    # Letters are drawn uniformly from 26, of which 5 are vowels.
    assert measurement["interval"]["low"] < 5 / 26 < measurement["interval"]["high"]


@pytest.mark.parametrize("workers", [1, 3])
def test_every_executor_makes_the_same_bytes(cli, letters_spec, tmp_path: Path, workers: int) -> None:
    inline = record_of(cli("run", letters_spec(), "--store", tmp_path / "a", "--format", "json"))
    spec = letters_spec(executor="pool", workers=workers)
    pool = record_of(cli("run", spec, "--store", tmp_path / "b", "--format", "json"))
    assert artifacts_of(inline) == artifacts_of(pool)


def test_a_second_run_makes_nothing_again(cli, letters_spec, tmp_path: Path) -> None:
    spec, store = letters_spec(), tmp_path / "store"
    first = record_of(cli("run", spec, "--store", store, "--format", "json"))
    again = cli("run", spec, "--store", store, "--format", "json")
    second = record_of(again)
    assert "0 shards to make" in again.err
    assert second["run"] != first["run"]
    assert second["measurements"] == first["measurements"]
    assert artifacts_of(second) == artifacts_of(first)


def test_more_samples_are_another_artifact(cli, letters_spec, tmp_path: Path) -> None:
    spec, store = letters_spec(), tmp_path / "store"
    cli("run", spec, "--store", store)
    said = cli("run", spec, "--samples", 300, "--store", store, "--format", "json")
    assert record_of(said)["measurements"][0]["n"] == 300 * 8


@pytest.mark.parametrize(
    ("mood", "error"),
    [
        ("raises", "the model is in a bad mood"),
        ("short", "asked for 100 samples and returned 99"),
        ("exits", "SystemExit"),
    ],
)
def test_a_model_that_fails_is_recorded_and_can_be_tried_again(
    cli, letters_spec, tmp_path: Path, mood: str, error: str
) -> None:
    spec, store = letters_spec(mood), tmp_path / "store"
    said = cli("run", spec, "--store", store, "--format", "json")
    record = record_of(said)
    assert said.code == 4
    assert record["measurements"] == []
    assert error in record["failures"][0]["error"]
    assert record["failures"][0]["evaluators"] == ["quality.vowels"]
    assert record["judgements"][0]["verdict"] == "not assessed"
    assert error in record["judgements"][0]["because"]["unmet"][0]["found"]
    assert "0 shards to make" in cli("run", spec, "--store", store).err
    assert "shards to make" in (retried := cli("run", spec, "--store", store, "--retry-failed")).err
    assert "\n0 shards to make" not in retried.err


def test_a_model_that_returns_nan_fails_and_the_rest_goes_on(cli, letters_spec, tmp_path: Path) -> None:
    spec = letters_spec("nan", evaluators=("quality.vowels", "quality.familiar"))
    said = cli("run", spec, "--store", tmp_path / "store", "--format", "json")
    record = record_of(said)
    assert [m["metric"] for m in record["measurements"]] == ["quality.vowels"]
    assert any("not a number for all of 3 examples" in failure["error"] for failure in record["failures"])
    assert said.code == 4


def test_a_model_that_hangs_is_stopped_at_its_time_limit(cli, letters_spec, tmp_path: Path) -> None:
    spec = letters_spec("hangs", samples=50, executor="pool", time_limit=1.5)
    said = cli("run", spec, "--store", tmp_path / "store", "--format", "json")
    assert said.code == 4
    assert "time limit of 1.5 seconds" in record_of(said)["failures"][0]["error"]


def test_a_worker_that_dies_is_tried_three_times(cli, letters_spec, tmp_path: Path) -> None:
    spec = letters_spec("dies", samples=50, executor="pool")
    said = cli("run", spec, "--store", tmp_path / "store", "--format", "json")
    (failure,) = record_of(said)["failures"]
    assert said.code == 4
    assert failure["attempts"] == 3
    assert "SIGKILL" in failure["error"]


def test_a_model_that_ends_its_process_is_no_verdict(cli, letters_spec, tmp_path: Path) -> None:
    said = cli(
        "run", letters_spec("exits", executor="pool"), "--store", tmp_path / "store", "--format", "json"
    )
    assert said.code == 4
    assert "SystemExit" in record_of(said)["failures"][0]["error"]


@pytest.mark.parametrize("executor", ["inline", "pool"])
def test_what_a_model_prints_does_not_reach_standard_output(
    letters_spec, tmp_path: Path, executor: str
) -> None:
    spec = letters_spec("noisy", executor=executor)
    command = [
        sys.executable,
        "-m",
        "audit",
        "run",
        str(spec),
        "--store",
        str(tmp_path / "s"),
        "--format",
        "json",
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert json.loads(done.stdout)["verdict"] == "pass"
    assert "a model that talks" in done.stderr
    assert "programs that talk" in done.stderr


def test_a_model_cannot_write_to_the_terminal(cli, letters_spec, tmp_path: Path) -> None:
    said = cli("run", letters_spec("rude"), "--store", tmp_path / "store")
    assert said.code == 4
    assert "\\x1b[31mred" in said.err
    assert not {"\x1b[31mred", "\x07", "\u202e"} & {said.err, said.out}
    for sign in ("\x1b]0", "\x07", "\u202e"):
        assert sign not in said.err
        assert sign not in said.out
    assert "--retry-failed" in said.out


def test_a_store_that_cannot_be_read_is_no_fault_of_the_recipe(
    cli, letters_spec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec, store = letters_spec(), tmp_path / "store"

    def broken(self: FileBlobs, digest: str) -> bytes:
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(FileBlobs, "get", broken)
        said = cli("run", spec, "--store", store)
    assert said.code == 4
    assert "Input/output error" in said.err
    assert cli("run", spec, "--store", store).code == 0


@pytest.mark.parametrize("sig", [signal.SIGTERM, signal.SIGKILL, signal.SIGINT])
def test_no_worker_outlives_its_driver(letters_spec, tmp_path: Path, sig: signal.Signals) -> None:
    process = start(letters_spec("hangs", executor="pool", workers=2), tmp_path / "store")
    below: set[int] = set()
    deadline = time.monotonic() + 60
    while (
        len(below) < 4 and time.monotonic() < deadline
    ):  # the driver, two workers and a tracker of shared memory
        below = set(descendants(process.pid))
        time.sleep(0.05)
    assert len(below) == 4
    process.send_signal(sig)
    said = process.communicate(timeout=60)[1].decode()
    assert process.returncode == {signal.SIGTERM: 143, signal.SIGINT: 130}.get(sig, -sig), said
    while any(alive(child) for child in below) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not [child for child in below if alive(child)]


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def test_a_full_disk_ends_the_run_which_goes_on_once_there_is_room(
    cli, letters_spec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec, store, whole = letters_spec(), tmp_path / "store", tmp_path / "whole"
    put, room = FileBlobs.put, iter(range(3))

    def full(self: FileBlobs, data: bytes) -> Any:
        if next(room, None) is None:
            raise OSError(errno.ENOSPC, "No space left on device")
        return put(self, data)

    with monkeypatch.context() as patch:
        patch.setattr(FileBlobs, "put", full)
        said = cli("run", spec, "--store", store)
    assert said.code == 4
    assert "disk is full" in said.err
    assert "same command" in said.err
    finished = cli("run", spec, "--store", store, "--format", "json")
    assert finished.code == 0
    assert "resuming" in finished.err
    assert artifacts_of(record_of(finished)) == artifacts_of(
        record_of(cli("run", spec, "--store", whole, "--format", "json"))
    )


def test_ctrl_c_leaves_a_run_that_can_be_taken_up(
    cli, letters_spec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec, store = letters_spec(), tmp_path / "store"
    put, calls = FileBlobs.put, iter(range(2))

    def interrupted(self: FileBlobs, data: bytes) -> Any:
        if next(calls, None) is None:
            raise KeyboardInterrupt
        return put(self, data)

    with monkeypatch.context() as patch:
        patch.setattr(FileBlobs, "put", interrupted)
        said = cli("run", spec, "--store", store)
    assert said.code == 130
    assert cli("show", "--store", store, "--format", "json").code == 0
    assert record_of(cli("show", "--store", store, "--format", "json"))["finished"] is None
    assert cli("run", spec, "--store", store).code == 0


def start(spec: Path, store: Path) -> subprocess.Popen[bytes]:
    """Start a run that hears Ctrl-C, even where these tests run in the background of a shell that ignores it."""
    command = [sys.executable, "-m", "audit", "run", str(spec), "--store", str(store)]
    return subprocess.Popen(
        command,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env=os.environ.copy(),
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


def pieces_made(store: Path) -> int:
    return sum(1 for path in (store / "blobs").rglob("*") if path.is_file()) if store.exists() else 0


@pytest.mark.parametrize(
    ("executor", "sig"),
    [
        ("pool", signal.SIGKILL),
        pytest.param("inline", signal.SIGINT, marks=pytest.mark.slow),
        pytest.param("inline", signal.SIGKILL, marks=pytest.mark.slow),
        pytest.param("pool", signal.SIGINT, marks=pytest.mark.slow),
    ],
)
def test_a_killed_run_finishes_with_the_same_digests(
    cli: Callable[..., Any], letters_spec: Any, tmp_path: Path, sig: signal.Signals, executor: str
) -> None:
    store, whole = tmp_path / "store", tmp_path / "whole"
    spec = letters_spec(samples=60, shard_size=1, executor=executor, workers=2)
    process = start(spec, store)
    deadline = time.monotonic() + 60
    while pieces_made(store) < 12 and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(sig)
    process.communicate(timeout=60)
    assert process.returncode == (130 if sig is signal.SIGINT else -signal.SIGKILL)
    resumed = cli("run", spec, "--store", store, "--format", "json")
    assert "resuming" in resumed.err
    assert "; 0 are here already" not in resumed.err
    uncut = record_of(cli("run", spec, "--store", whole, "--format", "json"))
    assert artifacts_of(record_of(resumed)) == artifacts_of(uncut)


def test_two_runs_on_one_store_at_once_agree(letters_spec, tmp_path: Path) -> None:
    spec, store = letters_spec(samples=200, shard_size=2), tmp_path / "store"
    both = [start(spec, store), start(spec, store)]
    said = [process.communicate(timeout=120)[1].decode() for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    opened = open_store(resolve(str(store)), create=False, read_only=True)
    assert all(line.finished for line in opened.list_runs())
    assert {opened.read(line.run).verdict.value for line in opened.list_runs()} == {"pass"}


def test_executors_conform(tmp_path: Path, letters: Path) -> None:
    from audit.registry import catalogue

    for name in catalogue("executors").names():
        if name == "ray":  # tests/engine/test_ray.py: it has a cluster to start first
            continue
        (tmp_path / name).mkdir()
        check_executor(lambda name=name: catalogue("executors").load(name)(workers=2), tmp_path / name)
