"""What is lost or damaged in a store is found, and nothing that is sound is called so."""

from __future__ import annotations

import os

import pytest

from audit.core.errors import InputError
from audit.core.facts import Made
from audit.core.identity import Digest, Key
from audit.store.check import faults
from audit.store.runs import Store


@pytest.fixture
def filled(store: Store) -> list[Digest]:
    run = store.begin("plan", "n", {"began": "2024"})
    digests = [store.blobs.put(os.urandom(1_000)) for _ in range(20)]
    for shard, digest in enumerate(digests):
        store.record(run, Made(Key("a" * 40), shard, digest, 1.0, "w"))
    return digests


def test_a_sound_store_has_no_fault(store: Store, filled: list[Digest]) -> None:
    store.blobs.put(b"an orphan")
    assert list(faults(store)) == []


def test_every_fault_is_found_and_named_by_its_path(store: Store, filled: list[Digest]) -> None:
    cut, flipped, lost = filled[3], filled[7], filled[11]
    store.blobs.path(cut).write_bytes(store.blobs.get(cut)[:-1])
    data = bytearray(store.blobs.get(flipped))
    data[500] ^= 1
    store.blobs.path(flipped).write_bytes(data)
    store.blobs.delete(lost)
    found = {fault.digest: (fault.problem, fault.path) for fault in faults(store)}
    assert found == {
        cut: ("damaged", store.blobs.path(cut)),
        flipped: ("damaged", store.blobs.path(flipped)),
        lost: ("lost", store.blobs.path(lost)),
    }


def test_a_blob_that_cannot_be_read_is_damaged(
    store: Store, filled: list[Digest], monkeypatch: pytest.MonkeyPatch
) -> None:
    def unreadable(*_: object) -> bool:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(type(store.blobs), "is_sound", unreadable)
    assert {fault.problem for fault in faults(store)} == {"damaged"}


def test_a_damaged_ledger_is_no_sound_store(store: Store, filled: list[Digest]) -> None:
    if (path := store.address.ledger) is None:
        pytest.skip("a database server checks its own files")
    store.close()
    data = bytearray(path.read_bytes())
    data[8_192:12_288] = os.urandom(4_096)
    path.write_bytes(data)
    with pytest.raises(InputError, match="damaged"):
        list(faults(store))
