"""The cache of blobs: never larger than its limit, never wrong, and what was used last stays."""

from __future__ import annotations

import fcntl
import multiprocessing as mp
import os
from pathlib import Path

import pytest

from audit.core.errors import InputError
from audit.core.identity import digest_of
from audit.store.blobs import FileBlobs
from audit.store.cache import BlobCache, cache_of


def _taken(folder: Path) -> int:
    return sum(kept.bytes for _, kept in FileBlobs(folder).every())


def _blob(number: int, size: int = 100) -> bytes:
    return number.to_bytes(8, "little") + bytes(size - 8)


def test_what_was_used_longest_ago_leaves_first(tmp_path: Path) -> None:
    cache = BlobCache(tmp_path, 1_000)
    kept = FileBlobs(tmp_path)
    for number in range(10):
        cache.keep(_blob(number))
        os.utime(kept.path(digest_of(_blob(number))), (number, number))
    assert cache.get(digest_of(_blob(0))) == _blob(0)  # now it is the one used last
    cache.keep(_blob(10))
    there = {number for number in range(11) if cache.get(digest_of(_blob(number))) is not None}
    assert there == {0, 3, 4, 5, 6, 7, 8, 9, 10}
    assert _taken(tmp_path) == 900


def test_what_takes_more_than_a_tenth_of_the_room_is_not_kept(tmp_path: Path) -> None:
    cache = BlobCache(tmp_path, 1_000)
    cache.keep(bytes(101))
    assert cache.get(digest_of(bytes(101))) is None


def test_what_is_kept_again_is_counted_once_room_is_made(tmp_path: Path) -> None:
    cache = BlobCache(tmp_path, 1_000)
    for _ in range(50):
        cache.keep(_blob(1))
    assert _taken(tmp_path) == 100
    assert cache.get(digest_of(_blob(1))) == _blob(1)


@pytest.mark.parametrize("count", ["", "many", "0"])
def test_a_count_that_is_wrong_is_mended(tmp_path: Path, count: str) -> None:
    kept = FileBlobs(tmp_path)
    for number in range(30):
        kept.put(_blob(number))
    (tmp_path / "taken").write_text(count)
    cache = BlobCache(tmp_path, 1_000)
    for number in range(30, 45):
        cache.keep(_blob(number))
    assert _taken(tmp_path) <= 1_000
    assert cache.get(digest_of(_blob(44))) == _blob(44)


def _busy(folder: str, first: int, limit: int) -> None:
    cache = BlobCache(Path(folder), limit)
    for number in range(first, first + 150):
        cache.keep(_blob(number, 500))
        for earlier in (number, max(first, number - 3)):
            found = cache.get(digest_of(_blob(earlier, 500)))
            assert found in (None, _blob(earlier, 500))
        with (Path(folder) / "taken").open() as lock:  # or one would count what others move meanwhile
            fcntl.flock(lock, fcntl.LOCK_EX)
            assert _taken(Path(folder)) <= limit


@pytest.mark.slow
def test_several_processes_share_one_limit(tmp_path: Path) -> None:
    context = mp.get_context("fork")
    # Half of what the second makes, the third makes too.
    workers = [
        context.Process(target=_busy, args=(str(tmp_path), first, 10_000)) for first in (0, 1_000, 1_075)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [0, 0, 0]
    assert 0 < _taken(tmp_path) <= 10_000


@pytest.mark.parametrize(
    ("size", "limit"), [("500", 500), ("500b", 500), ("2kB", 2_000), ("1.5 MB", 1_500_000), ("1TB", 10**12)]
)
def test_a_size_may_be_written_in_several_ways(size: str, limit: int) -> None:
    cache = cache_of({"AUDIT_BLOB_CACHE": "/x", "AUDIT_BLOB_CACHE_SIZE": size})
    assert cache == BlobCache(Path("/x"), limit)


def test_where_the_cache_lies() -> None:
    assert cache_of({"AUDIT_BLOB_CACHE": "off"}) is None
    assert cache_of({"AUDIT_BLOB_CACHE_SIZE": "0"}) is None
    default = cache_of({"XDG_CACHE_HOME": "/c"})
    assert default == BlobCache(Path("/c/generative-audit/blobs"), 10**10)
    assert cache_of({}) == BlobCache(Path.home() / ".cache/generative-audit/blobs", 10**10)


@pytest.mark.parametrize("size", ["much", "-1GB", "1PB", "1e9"])
def test_a_size_that_is_none_is_refused(size: str) -> None:
    with pytest.raises(InputError, match="AUDIT_BLOB_CACHE_SIZE"):
        cache_of({"AUDIT_BLOB_CACHE_SIZE": size})
