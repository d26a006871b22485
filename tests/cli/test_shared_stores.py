"""Whole audits over a bucket of a real server: the same bytes as on a disk, two drivers, trouble in the middle, no secret left."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from audit.core.measurements import Evidence
from audit.store.codec import encode
from audit.store.location import resolve
from audit.store.objects import ObjectBlobs
from audit.store.runs import open_store
from audit.store.shared import blobs_at
from tests.s3_server import KEY, SECRET, BadLine, S3Server

pytestmark = pytest.mark.xdist_group("s3")


@pytest.fixture
def shared(new_database: Callable[[], str], new_bucket: Callable[[], str]) -> tuple[str, ObjectBlobs]:
    """The address of a store with a ledger in PostgreSQL and blobs in a bucket, and the blobs."""
    bucket = new_bucket()
    return f"{new_database()}&blobs={bucket}", ObjectBlobs(bucket)


@pytest.fixture(params=["new_bucket", pytest.param("new_container", marks=pytest.mark.slow)])
def beside(tmp_path: Path, request: pytest.FixtureRequest) -> tuple[str, ObjectBlobs]:
    """The same with the ledger in a folder, and in Azurite too, an emulator of Azure."""
    bucket = request.getfixturevalue(request.param)()
    return f"file://{tmp_path}/ledger?blobs={bucket}", ObjectBlobs(bucket)


@pytest.fixture
def beside_s3(tmp_path: Path, new_bucket: Callable[[], str]) -> tuple[str, ObjectBlobs]:
    bucket = new_bucket()
    return f"file://{tmp_path}/ledger?blobs={bucket}", ObjectBlobs(bucket)


def artifacts(said: Any) -> list[str]:
    return [
        artifact["digest"] for artifact in json.loads(said.out if hasattr(said, "out") else said)["artifacts"]
    ]


def start(*arguments: object, **environment: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "audit", *map(str, arguments)]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, **environment}
    )


def test_an_audit_over_a_bucket(
    cli: Callable[..., Any],
    letters_spec: Callable[..., Path],
    shared: tuple[str, ObjectBlobs],
    tmp_path: Path,
) -> None:
    store, blobs = shared
    first = cli("run", letters_spec(), "--store", store, "--format", "json")
    assert first.code == 0, first.err
    here = cli("run", letters_spec(), "--store", tmp_path / "here", "--format", "json")
    assert artifacts(first) == artifacts(here)
    folder = {path.name for path in (tmp_path / "here" / "blobs").glob("??/??/*")}
    assert {digest for digest, _ in blobs.every()} == folder
    again = cli("run", letters_spec(), "--store", store)
    assert "0 shards to make" in again.err

    said = cli("store", "check", "--store", store)
    assert (said.code, said.out) == (0, f"sound: {len(folder)} blobs of 2 runs\n")
    assert cli("show", "--store", store).code == 0
    report = tmp_path / "r.html"
    assert cli("report", "--store", store, "-o", report).code == 0
    for text in (first.out, first.err, report.read_text()):
        assert SECRET not in text
        assert KEY not in text


def test_what_is_lost_or_damaged_is_named_and_made_again_and_what_nobody_needs_is_freed(
    cli: Callable[..., Any], letters_spec: Callable[..., Path], beside: tuple[str, ObjectBlobs],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    store, blobs = beside
    cli("run", letters_spec(), "--store", store)
    lost, damaged, *_ = (digest for digest, _ in blobs.every())
    blobs.delete(lost)
    blobs._do(
        "",
        lambda: pytest.importorskip("obstore").put(
            blobs._store, blobs.path(damaged)[len(blobs.root) + 1 :], b"other"
        ),
    )
    said = cli("store", "check", "--store", store)
    assert said.code == 1
    assert f"lost: {blobs.path(lost)}\n" in said.out
    assert f"damaged: {blobs.path(damaged)}\n" in said.out
    assert cli("run", letters_spec(), "--store", store, "--retry-failed").code == 0
    assert cli("store", "check", "--store", store).code == 0

    orphan = blobs.put(b"old" * 100)
    assert json.loads(cli("store", "gc", "--store", store, "--format", "json").out)["young"] == 1
    monkeypatch.setattr("audit.store.collect.collect.__kwdefaults__", {"dry_run": True, "older_than": 0.0})
    trial = json.loads(cli("store", "gc", "--dry-run", "--store", store, "--format", "json").out)
    assert (trial["blobs"], trial["bytes"]) == (1, 300)
    assert blobs.has(orphan)
    assert "freed 300 bytes in 1 blob " in cli("store", "gc", "--store", store).out
    assert not blobs.has(orphan)
    assert cli("store", "check", "--store", store).code == 0


@pytest.mark.slow
def test_a_folder_may_have_its_blobs_in_a_bucket_which_other_ledgers_share(
    cli: Callable[..., Any], letters_spec: Callable[..., Path], new_bucket: Callable[[], str], tmp_path: Path
) -> None:
    bucket = new_bucket()
    one, two = (f"file://{tmp_path}/{name}?blobs={bucket}" for name in ("one", "two"))
    assert cli("run", letters_spec(), "--store", one).code == 0
    assert not (tmp_path / "one" / "blobs").exists()
    (tmp_path / "one").rename(tmp_path / "moved")
    one = f"file://{tmp_path}/moved?blobs={bucket}"
    assert cli("store", "gc", "--store", one).code == 0
    assert cli("run", letters_spec(), "--store", two).code == 0
    said = cli("store", "gc", "--store", one)
    assert said.code == 2
    assert "serve 1 other ledger too" in said.err
    assert f"{bucket}/ledgers" in said.err


def test_a_shared_folder_and_a_cache_of_its_own(
    cli: Callable[..., Any],
    letters_spec: Callable[..., Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AUDIT_BLOB_CACHE", str(tmp_path / "cache"))
    blobs_at.cache_clear()
    far = tmp_path / "far"
    store = f"file://{tmp_path}/ledger?blobs=file://{far}"
    said = cli("run", letters_spec(executor="pool"), "--store", store)
    assert said.code == 2
    assert f"no folder {far}" in said.err
    far.mkdir()
    said = cli("run", letters_spec(executor="pool"), "--store", store, "--format", "json")
    here = cli("run", letters_spec(), "--store", tmp_path / "here", "--format", "json")
    assert artifacts(said) == artifacts(here)
    copies, kept = ({p.name for p in folder.glob("??/??/*")} for folder in (tmp_path / "cache", far))
    assert copies == kept
    assert copies
    blobs_at.cache_clear()


def test_a_share_that_is_not_mounted_is_no_reason_to_make_everything_again(
    cli: Callable[..., Any],
    letters_spec: Callable[..., Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AUDIT_BLOB_CACHE", "off")
    blobs_at.cache_clear()
    share, store = tmp_path / "share", f"file://{tmp_path}/ledger?blobs=file://{tmp_path}/share"
    share.mkdir()
    assert cli("run", letters_spec(), "--store", store).code == 0
    share.rename(tmp_path / "away")
    share.mkdir()
    for command in (["run", letters_spec()], ["store", "check"], ["store", "gc"]):
        said = cli(*command, "--store", store)
        assert said.code == 2
        assert f"nothing of a store is at file://{share}" in said.err
    assert list(share.iterdir()) == []
    (share / "ledgers").mkdir()
    (share / "ledgers" / "anew").touch()
    assert cli("run", letters_spec(), "--store", store).code == 0
    assert cli("store", "check", "--store", store).code == 0
    blobs_at.cache_clear()


@pytest.mark.parametrize("command", ["run", "check", "show"])
@pytest.mark.parametrize("trouble", ["secret", "bucket", "address"])
def test_what_cannot_be_reached_is_bad_input_before_work_starts(
    cli: Callable[..., Any], letters_spec: Callable[..., Path], new_bucket: Callable[[], str], tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch, command: str, trouble: str,
) -> None:  # fmt: skip
    bucket = new_bucket()
    name = f"file://{tmp_path}/runs?blobs="
    assert cli("run", letters_spec(), "--store", name + bucket).code == 0
    match trouble:
        case "secret":
            monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", f"{SECRET}x")
        case "bucket":
            bucket = "s3://audit-absent/x"
        case "address":
            monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
            monkeypatch.setattr("audit.store.shared._AT_FIRST", 0.2)
    blobs_at.cache_clear()
    arguments = {"run": ["run", letters_spec(), "--seed", 9], "check": ["store", "check"], "show": ["show"]}
    said = cli(*arguments[command], "--store", name + bucket)
    assert said.code == 2
    why = {"secret": "SignatureDoesNotMatch", "bucket": "audit-absent", "address": "does not answer"}
    assert why[trouble] in said.err
    for secret in (SECRET, KEY, "Traceback"):
        assert secret not in said.out + said.err
    with open_store(resolve(str(tmp_path / "runs")), create=False, read_only=True) as opened:
        assert len(opened.list_runs()) == 1


def test_no_secret_is_kept_in_the_ledger(
    cli: Callable[..., Any], letters_spec: Callable[..., Path], new_bucket: Callable[[], str], tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    bucket = new_bucket()
    monkeypatch.setenv("AUDIT_STORE", f"file://{tmp_path}/runs?blobs={bucket}")
    assert cli("run", letters_spec("raises", executor="pool")).code == 4
    found = b"".join(path.read_bytes() for path in (tmp_path / "runs").iterdir())
    assert b"quality.vowels" in found
    for secret in (SECRET, KEY):
        assert secret.encode() not in found


@pytest.mark.slow
def test_two_drivers_on_one_run(
    cli: Callable[..., Any],
    letters_spec: Callable[..., Path],
    shared: tuple[str, ObjectBlobs],
    tmp_path: Path,
) -> None:
    store, blobs = shared
    spec = letters_spec(samples=24, shard_size=1)
    drivers = [start("run", spec, "--store", store, "--format", "json") for _ in range(2)]
    ended = [driver.communicate() for driver in drivers]
    assert [driver.returncode for driver in drivers] == [0, 0], ended
    whole = cli("run", spec, "--store", tmp_path / "whole", "--format", "json")
    assert [artifacts(out) for out, _ in ended] == [artifacts(whole)] * 2
    folder = {path.name for path in (tmp_path / "whole" / "blobs").glob("??/??/*")}
    assert {digest for digest, _ in blobs.every()} == folder
    assert cli("store", "check", "--store", store).code == 0


def test_over_a_bad_line_a_run_comes_to_its_end(
    cli: Callable[..., Any], letters_spec: Callable[..., Path], beside_s3: tuple[str, ObjectBlobs], s3_server: S3Server,
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path,
) -> None:  # fmt: skip
    store, _ = beside_s3
    with BadLine(s3_server.port).opened() as line:
        monkeypatch.setenv("AWS_ENDPOINT_URL", line.endpoint)
        monkeypatch.setenv("AUDIT_BLOB_CACHE", "off")
        blobs_at.cache_clear()
        line.drop, line.garble, line.cut, line.pause = 3, 2, 2, 0.01
        said = cli("run", letters_spec(samples=3_000, shard_size=1_000), "--store", store, "--format", "json")
        assert said.code == 0, said.err
        assert line.broken >= 5
    here = cli(
        "run", letters_spec(samples=3_000, shard_size=1_000), "--store", tmp_path / "here", "--format", "json"
    )
    assert artifacts(said) == artifacts(here)


@pytest.mark.slow
@pytest.mark.parametrize("executor", ["inline", "pool"])
def test_a_server_that_goes_away_ends_the_run_with_the_blobs_name_and_it_resumes(
    cli: Callable[..., Any], letters_spec: Callable[..., Path], shared: tuple[str, ObjectBlobs], s3_server: S3Server,
    tmp_path: Path, executor: str,
) -> None:  # fmt: skip
    store, blobs = shared
    spec = letters_spec(samples=120, shard_size=1, executor=executor, workers=2)
    driver = start("run", spec, "--store", store, AUDIT_BLOB_PATIENCE="2")
    while driver.poll() is None and len(list(blobs.every())) < 20:
        time.sleep(0.05)
    s3_server.stop()
    try:
        _, err = driver.communicate(timeout=120)
    finally:
        s3_server.start()
    assert driver.returncode == 4, err
    assert blobs.root in err
    assert "What was made is kept" in err
    assert "Traceback" not in err
    blobs_at.cache_clear()
    resumed = cli("run", spec, "--store", store, "--format", "json")
    assert resumed.code == 0
    assert "resuming" in resumed.err
    whole = cli("run", spec, "--store", tmp_path / "whole", "--format", "json")
    assert artifacts(resumed) == artifacts(whole)
    assert cli("store", "check", "--store", store).code == 0


def test_the_dashboard_reads_evidence_from_a_bucket(new_bucket: Callable[[], str], tmp_path: Path) -> None:
    queries = pytest.importorskip("dashboards.queries")
    address = resolve(f"file://{tmp_path}/runs?blobs={new_bucket()}")
    rows = {"number": [1.0, 2.0]}
    with open_store(address) as store:
        digest = store.blobs.put(encode(pa.table(rows)))
    assert queries.evidence(address, digest).to_pydict() == rows
    assert queries.evidence(address, "0" * 40) is None


def test_evidence_out_of_reach_leaves_the_rest_of_a_report(
    new_bucket: Callable[[], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from audit.cli.show import evidence_reader
    from reports.evidence import Exhibition

    with open_store(resolve(f"file://{tmp_path}/runs?blobs={new_bucket()}")) as store:
        evidence = Evidence("texts", "what it wrote", store.blobs.put(encode(pa.table({"text": ["a"]}))))
        assert not Exhibition(evidence_reader(store), show_sensitive=True).show(evidence).message
        monkeypatch.setattr(store.blobs, "cache", None)
        monkeypatch.setattr(store.blobs, "patience", 0.0)
        monkeypatch.setattr(
            store.blobs, "kept", ObjectBlobs(f"{store.blobs.root}/elsewhere")
        )  # connects anew
        monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
        assert "out of reach" in str(
            Exhibition(evidence_reader(store), show_sensitive=True).show(evidence).message
        )
