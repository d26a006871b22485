"""Blobs are whole or absent, whatever interrupts the one who writes them."""

from __future__ import annotations

import errno
import os
import pickle
import resource
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from audit.core.errors import InputError
from audit.core.identity import Digest, digest_of
from audit.store.blobs import FileBlobs, _beside_the_output


@pytest.fixture
def blobs(tmp_path: Path) -> FileBlobs:
    return FileBlobs(tmp_path / "blobs")


def test_what_was_put_can_be_got(blobs: FileBlobs) -> None:
    for data in (b"", b"x", os.urandom(100_000)):
        digest = blobs.put(data)
        assert digest == digest_of(data)
        assert blobs.get(digest) == data
        assert blobs.has(digest)
        assert blobs.put(data) == digest
    assert sum(1 for _ in blobs.every()) == 3


def test_a_blob_lies_two_folders_deep(blobs: FileBlobs) -> None:
    digest = blobs.put(b"")
    assert blobs.path(digest) == blobs.root / "33" / "45" / "3345524abf6bbe1809449224b5972c41790b6cf2"


def test_looking_makes_nothing(blobs: FileBlobs) -> None:
    assert not blobs.has(digest_of(b"absent"))
    assert list(blobs.every()) == []
    assert blobs.clean() == 0
    assert not blobs.root.exists()


def test_a_missing_blob_says_what_to_do(blobs: FileBlobs) -> None:
    with pytest.raises(InputError, match=r"lost the blob .*there is no file .*Run the audit again"):
        blobs.get(digest_of(b"absent"))


def test_a_damaged_blob_is_noticed_and_mended_by_putting_it_again(blobs: FileBlobs) -> None:
    digest = blobs.put(b"sound")
    blobs.path(digest).write_bytes(b"sOund")
    with pytest.raises(
        InputError, match=rf"{digest} is damaged: the bytes of {blobs.path(digest)} .*--retry-failed"
    ):
        blobs.get(digest)
    blobs.put(b"sound")
    assert blobs.get(digest) == b"sound"


def test_a_blob_that_is_no_file_is_lost_and_not_waited_for(blobs: FileBlobs) -> None:
    digest = blobs.put(b"sound")
    blobs.delete(digest)
    blobs.delete(digest)
    os.mkfifo(blobs.path(digest))
    assert not blobs.has(digest)
    assert not blobs.is_sound(digest)
    with pytest.raises(InputError, match="lost the blob"):
        blobs.get(digest)
    assert blobs.put(b"sound") == digest
    assert blobs.get(digest) == b"sound"


@pytest.mark.parametrize("name", ["", "../../etc/passwd", "A" * 40, "a" * 39, "a" * 40 + "\n", "a/" * 20])
def test_only_a_digest_names_a_blob(blobs: FileBlobs, name: str) -> None:
    for ask in (blobs.get, blobs.has, blobs.path):
        with pytest.raises(InputError, match="not the digest of a blob"):
            ask(Digest(name))


def test_they_travel_by_their_root(blobs: FileBlobs) -> None:
    digest = blobs.put(b"x")
    assert pickle.loads(pickle.dumps(blobs)) == blobs == FileBlobs(str(blobs.root))
    assert FileBlobs(str(blobs.root)).get(digest) == b"x"


def test_old_drafts_of_killed_writers_are_cleaned(blobs: FileBlobs) -> None:
    blobs.put(b"x")
    folder = blobs.root / "unfinished"
    old, young = folder / "old", folder / "young"
    for draft in (old, young):
        draft.write_bytes(b"half")
    two_days_ago = time.time() - 2 * 86_400
    os.utime(old, (two_days_ago, two_days_ago))
    assert blobs.clean() == 1
    assert [path.name for path in folder.iterdir()] == ["young"]


def test_many_writers_of_the_same_blobs(blobs: FileBlobs) -> None:
    pieces = [bytes([number]) * 50_000 for number in range(8)]
    threads = [threading.Thread(target=lambda: [blobs.put(piece) for piece in pieces]) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {digest for digest, _ in blobs.every()} == {digest_of(piece) for piece in pieces}
    assert all(blobs.get(digest) for digest, _ in blobs.every())
    assert list((blobs.root / "unfinished").iterdir()) == []


_WRITER = """
import sys
from audit.store.blobs import FileBlobs, _beside_the_output
blobs = FileBlobs(sys.argv[1])
print("ready", flush=True)
number = 0
while True:
    blobs.put(number.to_bytes(8, "little") * 40_000)
    number += 1
"""


def test_a_killed_writer_leaves_whole_blobs_only(blobs: FileBlobs) -> None:
    for pause in (0.02, 0.05, 0.11):
        writer = subprocess.Popen(
            [sys.executable, "-c", _WRITER, str(blobs.root)], stdout=subprocess.PIPE, text=True
        )
        assert writer.stdout is not None
        writer.stdout.readline()
        time.sleep(pause)
        writer.send_signal(signal.SIGKILL)
        writer.wait()
        writer.stdout.close()
    found = [digest for digest, _ in blobs.every()]
    assert found
    for digest in found:
        blobs.get(digest)


def test_bytes_are_flushed_at_once_and_names_when_they_are_settled(
    blobs: FileBlobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    flushed: list[Path] = []
    flush = os.fsync

    def noted(descriptor: int) -> None:
        flushed.append(Path(f"/proc/self/fd/{descriptor}").readlink())
        flush(descriptor)

    monkeypatch.setattr(os, "fsync", noted)
    kept = blobs.put(b"one")
    assert [path.parent.name for path in flushed] == ["unfinished"]
    flushed.clear()
    blobs.settle([kept, Digest("0" * 40)])
    folder = blobs.path(kept).parent
    assert flushed == [folder, folder.parent, blobs.root]


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_said_and_leaves_nothing(
    blobs: FileBlobs, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    def full(descriptor: int) -> None:
        raise OSError(code, "full")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="no room is left for a blob of 1,000 bytes") as raised:
        blobs.put(bytes(1_000))
    assert raised.value.errno == code
    assert list(blobs.every()) == []
    assert list((blobs.root / "unfinished").iterdir()) == []


def test_a_disk_that_is_really_full(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(disk)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("a small disk cannot be mounted without being root")
    try:
        blobs = FileBlobs(disk / "blobs")
        kept = blobs.put(os.urandom(100_000))
        with pytest.raises(OSError, match="no room is left") as raised:
            blobs.put(os.urandom(300_000))
        assert raised.value.errno == errno.ENOSPC
        assert [digest for digest, _ in blobs.every()] == [kept]
        assert list((blobs.root / "unfinished").iterdir()) == []
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_other_errors_of_the_disk_pass_through(tmp_path: Path) -> None:
    """A limit on the size of files, for instance, is no full disk."""
    program = (
        "import sys, resource, signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000));"
        "from audit.store.blobs import FileBlobs\n"
        "try: FileBlobs(sys.argv[1]).put(bytes(5000))\n"
        "except OSError as error: print(error.errno)"
    )
    done = subprocess.run(
        [sys.executable, "-B", "-c", program, str(tmp_path)], capture_output=True, text=True, check=True
    )
    assert int(done.stdout) == errno.EFBIG
    assert list(FileBlobs(tmp_path).every()) == []
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] != 1000


def test_a_blob_is_not_written_under_a_number_of_the_output(tmp_path: Path) -> None:
    """A model that closed its output closes the same numbers again while its last shard is being written."""
    kept = os.dup(0)
    os.close(0)
    try:
        descriptor = _beside_the_output(str(tmp_path / "a"), os.O_WRONLY | os.O_CREAT)
        assert descriptor > 2
        os.close(descriptor)
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(0)
    finally:
        os.dup2(kept, 0)
        os.close(kept)
