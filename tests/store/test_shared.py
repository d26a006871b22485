"""Blobs elsewhere: what may pass is tried again, what does not pass is said with the blob's name, what is here is not fetched."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from audit.core.errors import InputError
from audit.core.identity import Digest, digest_of
from audit.store import shared
from audit.store.blobs import FileBlobs
from audit.store.cache import BlobCache
from audit.store.shared import SharedBlobs, blobs_at


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The seconds that were waited: on a clock that goes on by waiting alone."""
    waited: list[float] = []
    monkeypatch.setattr(shared.time, "sleep", waited.append)
    monkeypatch.setattr(shared.time, "monotonic", lambda: sum(waited))
    return waited


class Flaky(FileBlobs):
    """Blobs of which the first reads and writes fail in a given way."""

    failures: list[Exception]

    def put(self, data: bytes) -> Digest:
        if self.failures:
            raise self.failures.pop()
        return super().put(data)

    def get(self, digest: Digest) -> bytes:
        if self.failures:
            raise self.failures.pop()
        return super().get(digest)


def flaky(root: Path, *failures: Exception) -> Flaky:
    kept = Flaky(root)
    object.__setattr__(kept, "failures", list(failures))
    return kept


def test_what_passes_is_tried_again_with_longer_and_longer_pauses(
    tmp_path: Path, pauses: list[float]
) -> None:
    lost = [ConnectionError(errno.ECONNABORTED, "lost")] * 6
    blobs = SharedBlobs(flaky(tmp_path, *lost), None)
    digest = blobs.put(b"a blob")
    assert blobs.get(digest) == b"a blob"
    assert len(pauses) == 6
    assert all(0.05 * 2**n <= pause <= 0.15 * 2**n for n, pause in enumerate(pauses))


def test_what_lasts_longer_than_the_patience_is_raised(tmp_path: Path, pauses: list[float]) -> None:
    lost = [ConnectionError(errno.ECONNABORTED, "lost")] * 1_000
    blobs = SharedBlobs(flaky(tmp_path, *lost), None, patience=60.0)
    with pytest.raises(ConnectionError, match="lost"):
        blobs.put(b"a blob")
    assert 45 <= sum(pauses) <= 60
    assert max(pauses) <= 15


@pytest.mark.parametrize("number", [errno.EACCES, errno.ENOSPC, errno.EROFS])
def test_what_does_not_pass_is_raised_at_once(tmp_path: Path, pauses: list[float], number: int) -> None:
    blobs = SharedBlobs(flaky(tmp_path, OSError(number, "no")), None)
    with pytest.raises(OSError, match="no"):
        blobs.put(b"a blob")
    assert pauses == []


def test_a_lost_and_a_damaged_blob_are_looked_at_again_and_then_named(
    tmp_path: Path, pauses: list[float]
) -> None:
    blobs = SharedBlobs(FileBlobs(tmp_path), None)
    lost = digest_of(b"never written")
    with pytest.raises(InputError, match=f"lost the blob {lost}"):
        blobs.get(lost)
    assert len(pauses) == 3
    digest = blobs.put(b"a blob")
    Path(blobs.path(digest)).write_bytes(b"other bytes")
    with pytest.raises(InputError, match=f"blob {digest} is damaged"):
        blobs.get(digest)
    assert len(pauses) == 6


def test_a_blob_that_came_damaged_once_is_sound(tmp_path: Path, pauses: list[float]) -> None:
    digest = FileBlobs(tmp_path).put(b"a blob")
    assert SharedBlobs(flaky(tmp_path, InputError("damaged")), None).get(digest) == b"a blob"


def test_what_was_read_or_written_here_is_not_fetched_again(tmp_path: Path) -> None:
    kept = FileBlobs(tmp_path / "far")
    blobs = SharedBlobs(kept, BlobCache(tmp_path / "near", 10_000))
    written, read = blobs.put(b"written here"), kept.put(b"read here")
    assert blobs.get(read) == b"read here"
    for digest in (written, read):
        kept.delete(digest)
    assert [blobs.get(written), blobs.get(read)] == [b"written here", b"read here"]
    # That a copy is here makes no blob of the store:
    assert not blobs.has(written)
    assert blobs.among({written, read}) == blobs.sound({written, read}) == set()


def test_a_damaged_copy_is_fetched_again(tmp_path: Path) -> None:
    blobs = SharedBlobs(FileBlobs(tmp_path / "far"), cache := BlobCache(tmp_path / "near", 10_000))
    digest = blobs.put(b"a blob")
    copy = FileBlobs(tmp_path / "near").path(digest)
    copy.write_bytes(b"z blob")
    assert blobs.get(digest) == b"a blob"
    assert cache.get(digest) == copy.read_bytes() == b"a blob"


def test_a_cache_that_cannot_be_written_is_an_empty_one(tmp_path: Path) -> None:
    (tmp_path / "near").write_text("a file where the folder should be")
    blobs = SharedBlobs(FileBlobs(tmp_path / "far"), BlobCache(tmp_path / "near", 10_000))
    assert blobs.get(blobs.put(b"a blob")) == b"a blob"


def test_a_path_is_a_plain_folder_and_file_is_a_shared_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, unremembered: None
) -> None:
    monkeypatch.setenv("AUDIT_BLOB_CACHE", str(tmp_path / "near"))
    assert blobs_at(tmp_path / "far") == FileBlobs(tmp_path / "far")
    spaced = tmp_path / "a b"
    blobs = blobs_at(f"file://{str(spaced).replace(' ', '%20')}")
    assert isinstance(blobs, SharedBlobs)
    with pytest.raises(InputError, match="no folder"):
        blobs.reach()
    spaced.mkdir()
    blobs.reach()
    digest = blobs.put(b"a blob")
    assert FileBlobs(spaced).get(digest) == FileBlobs(tmp_path / "near").get(digest) == b"a blob"


@pytest.mark.parametrize("seconds", ["soon", "-1", "nan"])
def test_a_patience_that_is_no_time_is_refused(
    monkeypatch: pytest.MonkeyPatch, unremembered: None, seconds: str
) -> None:
    monkeypatch.setenv("AUDIT_BLOB_PATIENCE", seconds)
    with pytest.raises(InputError, match="AUDIT_BLOB_PATIENCE"):
        blobs_at("file:///anywhere")


def test_without_the_library_it_is_named(monkeypatch: pytest.MonkeyPatch, unremembered: None) -> None:
    monkeypatch.setattr("audit.store.objects.find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"pip install 'generative-audit\[shared\]'"):
        blobs_at("s3://bucket/folder")


@pytest.fixture
def unremembered() -> Callable[[], None]:
    blobs_at.cache_clear()
    yield  # type: ignore[misc]
    blobs_at.cache_clear()


def test_two_places_are_two_and_one_is_asked_for_once(tmp_path: Path, unremembered: None) -> None:
    os.environ.pop("AUDIT_BLOB_PATIENCE", None)
    assert blobs_at("file:///a") is blobs_at("file:///a")
    assert blobs_at("file:///a") != blobs_at("file:///b")
