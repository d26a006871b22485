"""Only blobs nobody refers to are collected, and none that a run may be about to refer to."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from audit.core.errors import InputError
from audit.core.facts import Made, Scored
from audit.core.identity import Digest, Key
from audit.core.measurements import Direction, Evidence, Measurement, Unquantified
from audit.store.collect import collect
from audit.store.location import StoreAddress, resolve
from audit.store.runs import Store, open_store


def _age(store: Store, *digests: Digest) -> None:
    then = time.time() - 2 * 86_400
    for digest in digests:
        os.utime(store.blobs.path(digest), (then, then))


def _measured(evidence: Digest) -> Measurement:
    return Measurement(
        "m",
        1.0,
        Unquantified("a test"),
        1,
        Direction.NEITHER,
        evidence=(Evidence("texts", "c", evidence),),
    )


@pytest.fixture
def filled(opened: Callable[..., Store]) -> tuple[Store, dict[str, Digest]]:
    store = opened()
    names = ("piece", "evidence", "orphan", "young")
    digests = {name: store.blobs.put(name.encode()) for name in names}
    run = store.begin("plan", "n", {"began": "2024"})
    store.record(run, Made(Key("a" * 40), 0, digests["piece"], 1.0, "w"))
    store.record(run, Scored(Key("b" * 40), "e", (_measured(digests["evidence"]),), 1.0))
    _age(store, *(digests[name] for name in names[:-1]))
    return store, digests


def test_a_trial_deletes_nothing(filled: tuple[Store, dict[str, Digest]]) -> None:
    store, digests = filled
    found = collect(store)
    assert (found.digests, found.bytes, found.young) == ((digests["orphan"],), len("orphan"), 1)
    assert all(store.blobs.has(digest) for digest in digests.values())


def test_what_nobody_wants_is_deleted_once_it_is_old(filled: tuple[Store, dict[str, Digest]]) -> None:
    store, digests = filled
    collect(store, dry_run=False)
    assert [name for name, digest in digests.items() if not store.blobs.has(digest)] == ["orphan"]
    assert collect(store, dry_run=False, older_than=0).digests == (digests["young"],)


def test_a_blob_put_again_is_young_again(filled: tuple[Store, dict[str, Digest]]) -> None:
    store, digests = filled
    store.blobs.put(b"orphan")
    assert collect(store).digests == ()
    assert store.blobs.has(digests["orphan"])


def test_a_blob_that_a_run_asks_for_while_others_are_deleted_stays(
    filled: tuple[Store, dict[str, Digest]], monkeypatch: pytest.MonkeyPatch
) -> None:
    store, digests = filled
    wanted = type(store).wanted_blobs

    def a_run_comes_between(self: Store) -> set[Digest]:
        found = wanted(self)
        self.blobs.put(b"orphan")  # it is there already, so that no byte is written
        return found

    monkeypatch.setattr(type(store), "wanted_blobs", a_run_comes_between)
    assert collect(store, dry_run=False).digests == ()
    assert store.blobs.has(digests["orphan"])


def test_evidence_of_a_kept_record_is_wanted(opened: Callable[..., Store]) -> None:
    from audit.core.policy import Verdict
    from audit.core.records import AuditRecord, to_plain

    store = opened()
    digest = store.blobs.put(b"shown")
    _age(store, digest)
    record = AuditRecord(
        "",
        "n",
        "2024",
        "2025",
        {},
        {},
        {},
        {},
        {},
        (),
        (_measured(digest),),
        (),
        (),
        (),
        (),
        (),
        Verdict.PASS,
    )
    run = store.begin("plan", "n", to_plain(record))
    store.finish(run, record)
    assert collect(store).digests == ()


def test_blobs_that_serve_two_ledgers_are_left_alone(tmp_path: Path, postgresql: str) -> None:
    with open_store(resolve(str(tmp_path))) as store:
        digest = store.blobs.put(b"whose?")
        _age(store, digest)
        address = resolve(f"{postgresql}&blobs={tmp_path / 'blobs'}")
        open_store(address).close()
        with pytest.raises(InputError, match="serve 1 other ledger too"):
            collect(store, dry_run=False)
        assert store.blobs.has(digest)
        assert collect(store).digests == (digest,)


def test_a_store_that_moved_may_still_be_collected(tmp_path: Path) -> None:
    (tmp_path / "here").mkdir()
    with open_store(resolve(str(tmp_path / "here"))) as store:
        _age(store, store.blobs.put(b"x"))
    (tmp_path / "here").rename(tmp_path / "there")
    with open_store(resolve(str(tmp_path / "there"))) as store:
        assert len(collect(store, dry_run=False).digests) == 1


def test_blobs_in_a_place_nobody_may_write(postgresql: str, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    address: StoreAddress = resolve(f"{postgresql}&blobs={tmp_path / 'file' / 'blobs'}")
    with pytest.raises(InputError, match="cannot be written to"):
        open_store(address)
