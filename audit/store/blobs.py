"""Bytes by digest, as files: whole or absent, never changed."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import re
import secrets
import time
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from audit.core.errors import InputError
from audit.core.identity import Digest, digest_of

_DAY = 86_400.0
_OUTPUT = 2  # the largest of the descriptors for input, output and errors
_FULL = (errno.ENOSPC, errno.EDQUOT)
DIGEST = re.compile(r"[0-9a-f]{40}")
UNFINISHED = "unfinished"
CLAIMS = "ledgers"


class Kept(NamedTuple):
    """How large a blob is, in bytes, and when it was last written or asked for, in seconds since 1970."""

    bytes: int
    touched: float


@dataclass(frozen=True)
class FileBlobs:
    """A folder of blobs, ``ab/cd/abcd…``, that many processes may read and write at once.

    A blob is written beside its place, flushed to the disk and renamed, so
    a reader sees all of it or nothing, after a power cut too. Its name is on
    the disk once ``settle`` was called; a name that a power cut took is made
    again like any other lost blob. Opening one makes no folder. One that is
    not ``durable`` flushes nothing to the disk: what a power cut may take from
    it has to be somewhere else too.
    """

    root: Path
    durable: bool = True

    def __init__(self, root: Path | str, *, durable: bool = True) -> None:
        object.__setattr__(self, "root", Path(root))
        object.__setattr__(self, "durable", durable)

    def put(self, data: bytes) -> Digest:
        """Keep some bytes and return their digest.

        Raises OSError when they cannot be kept; a full disk says so, and
        leaves nothing behind.
        """
        digest = digest_of(data)
        path = self.path(digest)
        if self._renewed(path, digest):
            return digest
        try:
            self._write(path, data)
        except OSError as error:
            if error.errno not in _FULL:
                raise
            raise OSError(
                error.errno, f"no room is left for a blob of {len(data):,} bytes", str(self.root)
            ) from error
        return digest

    def get(self, digest: Digest) -> bytes:
        """Return the bytes a digest names, having checked that they are those bytes."""
        path = self.path(digest)
        if not path.is_file():  # a pipe that somebody put there would be waited for without end
            raise InputError(
                f"The store has lost the blob {digest}: there is no file {path}. "
                "Run the audit again: what is lost is made again."
            )
        data = path.read_bytes()
        if digest_of(data) != digest:
            raise InputError(
                f"The blob {digest} is damaged: the bytes of {path} have another digest. "
                "Run the audit again with --retry-failed: everything that is damaged is made again."
            )
        return data

    def has(self, digest: Digest) -> bool:
        """Say whether the blob is there; whether it is sound, ``is_sound`` finds out."""
        return self.path(digest).is_file()

    def is_sound(self, digest: Digest) -> bool:
        """Say whether the blob is there with the bytes that its digest names. Reads all of it."""
        path = self.path(digest)
        return path.is_file() and digest_of(path.read_bytes()) == digest

    def settle(self, digests: Iterable[Digest]) -> None:
        """Make the names of some blobs survive a power cut; one that is not there is no error."""
        folders = {folder for digest in digests for folder in list(self.path(digest).parents)[:3]}
        for folder in sorted(folders, key=lambda path: len(path.parts), reverse=True):
            with contextlib.suppress(FileNotFoundError):
                flush_folder(folder)

    def among(self, digests: Collection[Digest]) -> set[Digest]:
        """Return which of some blobs are there."""
        return {digest for digest in digests if self.has(digest)}

    def sound(self, digests: Collection[Digest]) -> set[Digest]:
        """Return which of some blobs are there with the bytes that their digests name. Reads all of them."""
        return {digest for digest in digests if self._reads_well(digest)}

    def delete(self, digest: Digest) -> None:
        """Delete a blob; one that is not there is no error."""
        self.path(digest).unlink(missing_ok=True)

    def delete_untouched(self, digest: Digest, since: float) -> bool:
        """Delete a blob unless it was written or asked for after ``since``; say whether it was deleted."""
        path = self.path(digest)
        try:
            if path.stat().st_mtime > since:
                return False
            path.unlink()
        except FileNotFoundError:
            return False
        return True

    def path(self, digest: Digest) -> Path:
        """Return where a blob lies."""
        return self.root / key_of(digest)

    def every(self) -> Iterator[tuple[Digest, Kept]]:
        """Yield each blob with its size and the time it was last wanted, in the order of the digests."""
        for first in _folders(self.root):
            for second in _folders(first):
                for path in sorted(second.iterdir()):
                    if DIGEST.fullmatch(path.name):
                        with contextlib.suppress(FileNotFoundError):  # another process collected it
                            status = path.stat()
                            yield Digest(path.name), Kept(status.st_size, status.st_mtime)

    def claim(self, ledger: str) -> None:
        """Note which ledger refers to these blobs, so that no other ledger's collector deletes them."""
        note = self.root / CLAIMS / ledger
        if not note.exists():
            note.parent.mkdir(parents=True, exist_ok=True)
            note.touch()

    def claims(self) -> set[str]:
        """Return the ledgers that refer to these blobs."""
        with contextlib.suppress(FileNotFoundError):
            return {note.name for note in (self.root / CLAIMS).iterdir()}
        return set()

    def clean(self, older_than: float = _DAY) -> int:
        """Delete what killed writers left half written, if nobody touched it for ``older_than`` seconds."""
        removed = 0
        folder = self.root / UNFINISHED
        if not folder.is_dir():
            return 0
        for path in folder.iterdir():
            with contextlib.suppress(OSError):  # another process cleans too, or the store is read-only
                if time.time() - path.stat().st_mtime > older_than:
                    path.unlink()
                    removed += 1
        return removed

    def _reads_well(self, digest: Digest) -> bool:
        try:
            return self.is_sound(digest)
        except OSError as error:
            if error.errno != errno.EIO:  # a sector that cannot be read is damage; anything else may pass
                raise
            return False

    def _renewed(self, path: Path, digest: Digest) -> bool:
        """Say whether a sound blob is there, and mark it as wanted so that no collector takes it now."""
        try:
            if not self.is_sound(digest):
                return False
            os.utime(path)
        except OSError:
            return False
        return True

    def _write(self, path: Path, data: bytes) -> None:
        unfinished = self.root / UNFINISHED
        for folder in (unfinished, path.parent):
            if not folder.is_dir():
                folder.mkdir(parents=True, exist_ok=True)
        draft = unfinished / f"{path.name}.{os.getpid()}.{secrets.token_hex(4)}"
        try:
            with open(draft, "xb", opener=_beside_the_output) as file:
                file.write(data)
                if self.durable:
                    file.flush()
                    os.fsync(file.fileno())
            draft.replace(path)
        except BaseException:
            with contextlib.suppress(OSError):
                draft.unlink(missing_ok=True)
            raise


def _beside_the_output(path: str, flags: int) -> int:
    """Open a file under a number that no model takes for its output: one that closes descriptors 1 and 2 would close the file."""
    descriptor = os.open(path, flags, 0o666)
    if descriptor > _OUTPUT:
        return descriptor
    try:
        return fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, _OUTPUT + 1)
    finally:
        with contextlib.suppress(OSError):  # closed by the model in the meantime
            os.close(descriptor)


def key_of(digest: Digest) -> str:
    """Return the name of a blob below the root of its store, the same in a folder and in a bucket."""
    if not DIGEST.fullmatch(digest):
        raise InputError(
            f"{digest!r} is not the digest of a blob: the ledger of this store is damaged. "
            "Restore it from a backup, or use another store."
        )
    return f"{digest[:2]}/{digest[2:4]}/{digest}"


def _folders(root: Path) -> list[Path]:
    if not root.is_dir():
        return []
    return sorted(path for path in root.iterdir() if len(path.name) == 2 and path.is_dir())


def flush_folder(folder: Path) -> None:
    """Make the names in a folder survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
