"""A folder on this machine with the blobs that were used last, bounded in size, for several processes at once."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from audit.core.errors import InputError
from audit.core.identity import Digest
from audit.store.blobs import FileBlobs

FOLDER = "AUDIT_BLOB_CACHE"
SIZE = "AUDIT_BLOB_CACHE_SIZE"
DEFAULT_SIZE = "10GB"
_UNITS = {"b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "tb": 10**12}
_DRAFT = 3_600.0
"""Seconds after which what a killed process left half written is deleted."""


@dataclass(frozen=True, slots=True)
class BlobCache:
    """Blobs that lie elsewhere, kept here too until others need the room: what was used longest ago leaves first.

    All its blobs together never take more than ``limit`` bytes, however many
    processes share the folder. Each is checked against its digest when it is
    read, so a damaged one is a blob that is not here. Nothing it does can
    fail: a cache on a full disk or in a lost folder is an empty one.
    """

    folder: Path
    limit: int

    def get(self, digest: Digest) -> bytes | None:
        """Return a blob and count it as used now, or None if it is not here as it should be."""
        kept = self._kept
        try:
            path = kept.path(digest)
            data = kept.get(digest)
            os.utime(path)
        except (InputError, OSError):  # another process needed the room, or it is damaged
            return None
        return data

    def keep(self, data: bytes) -> None:
        """Keep a blob, if it takes no more than a tenth of the room."""
        if len(data) > self.limit // 10:
            return
        with contextlib.suppress(OSError), self._counted() as count:
            if count.taken + len(data) > self.limit:
                count.taken = self._make_room()
            count.taken += len(data)
            self._kept.put(data)  # while the lock is held: who makes room counts what is there

    @property
    def _kept(self) -> FileBlobs:
        return FileBlobs(self.folder, durable=False)

    def _make_room(self) -> int:
        """Delete what was used longest ago, until a fifth of the room is free; return the bytes that stay."""
        kept = self._kept
        kept.clean(_DRAFT)
        entries = sorted((entry.touched, entry.bytes, digest) for digest, entry in kept.every())
        taken = sum(size for _, size, _ in entries)
        for _, size, digest in entries:
            if taken <= self.limit * 4 // 5:
                break
            kept.delete(digest)
            taken -= size
        return taken

    @contextlib.contextmanager
    def _counted(self) -> Iterator[_Count]:
        """Hold the cache's lock, and the count of bytes that its file carries.

        A process that is killed between its blob and the count leaves the
        count a little low until room is made, which counts anew.
        """
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with (self.folder / "taken").open("a+") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            file.seek(0)
            text = file.read(32)
            count = _Count(int(text) if text.isdecimal() else self._make_room())
            yield count
            file.truncate(0)
            file.write(str(count.taken))


@dataclass
class _Count:
    taken: int


def cache_of(environment: Mapping[str, str]) -> BlobCache | None:
    """Return the cache that the environment asks for: by default 10 GB in the user's cache folder, none for ``off``.

    >>> cache_of({"AUDIT_BLOB_CACHE": "/fast", "AUDIT_BLOB_CACHE_SIZE": "2.5 GB"})
    BlobCache(folder=PosixPath('/fast'), limit=2500000000)
    """
    wanted = environment.get(FOLDER, "")
    if wanted.lower() == "off":
        return None
    size = environment.get(SIZE) or DEFAULT_SIZE
    found = re.fullmatch(r"(\d{1,15}(?:\.\d{1,9})?) ?([kmgt]?b)?", size.strip().lower())
    if found is None:
        raise InputError(f"{SIZE} is '{size[:60]}'. Write a size such as 500MB or 20GB.")
    limit = int(float(found[1]) * _UNITS[found[2] or "b"])
    shared = environment.get("XDG_CACHE_HOME") or "~/.cache"
    try:
        folder = Path(wanted or f"{shared}/generative-audit/blobs").expanduser().absolute()
    except RuntimeError as error:
        raise InputError(f"The folder for cached blobs is no path: {error}. Set {FOLDER}.") from None
    return BlobCache(folder, limit) if limit else None
