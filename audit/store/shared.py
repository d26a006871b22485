"""Blobs that several machines share: tried again when the way to them is bad, with a copy on this machine of those in use."""

from __future__ import annotations

import errno
import itertools
import os
import random
import time
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TypeAlias, TypeVar

from audit.core.errors import InputError
from audit.core.identity import Digest
from audit.store.blobs import FileBlobs, Kept
from audit.store.cache import BlobCache, cache_of
from audit.store.location import folder_at
from audit.store.objects import ObjectBlobs

T = TypeVar("T")

PATIENCE = "AUDIT_BLOB_PATIENCE"
DEFAULT_PATIENCE = 120.0
"""Seconds for which a server that does not answer is asked again."""
_AT_FIRST = 10.0
"""The same when a store is opened: somebody waits who may have mistyped an address."""
_LOOKS = 4
"""How often a blob is read that is not there, or that came damaged: the first copy may have been cut on its way."""
_PAUSE, _LONGEST_PAUSE = 0.1, 10.0
_FOR_GOOD = (
    errno.EACCES,
    errno.EPERM,
    errno.ENOENT,
    errno.ENOTDIR,
    errno.EISDIR,
    errno.EROFS,
    errno.ENOSPC,
    errno.EDQUOT,
)
"""Errors that waiting does not mend."""


@dataclass
class SharedBlobs:
    """Blobs elsewhere, as if they were here: what fails is tried again, what was read lately is read from the cache.

    Between two tries it waits a tenth of a second, then twice as long each
    time, by chance up to half less or more, so that many workers do not come
    back all at once. ``patience`` is in seconds. What fails for good raises as
    :class:`FileBlobs` does, with the blob's name.
    """

    kept: FileBlobs | ObjectBlobs
    cache: BlobCache | None
    patience: float = DEFAULT_PATIENCE
    root: str = ""
    _reached: bool = field(default=False, repr=False)

    def put(self, data: bytes) -> Digest:
        digest = self._patiently(lambda: self.kept.put(data))
        if self.cache is not None:
            self.cache.keep(data)
        return digest

    def get(self, digest: Digest) -> bytes:
        if self.cache is not None and (found := self.cache.get(digest)) is not None:
            return found
        data = self._patiently(lambda: self.kept.get(digest))
        if self.cache is not None:
            self.cache.keep(data)
        return data

    def has(self, digest: Digest) -> bool:
        return self._patiently(lambda: self.kept.has(digest))

    def is_sound(self, digest: Digest) -> bool:
        return self._patiently(lambda: self.kept.is_sound(digest))

    def among(self, digests: Collection[Digest]) -> set[Digest]:
        return self._patiently(lambda: self.kept.among(digests))

    def sound(self, digests: Collection[Digest]) -> set[Digest]:
        """Return which of some blobs are sound where they lie; what the cache has does not count."""
        return self._patiently(lambda: self.kept.sound(digests))

    def settle(self, digests: Iterable[Digest]) -> None:
        wanted = list(digests)  # read once, settled perhaps several times
        self._patiently(lambda: self.kept.settle(wanted))

    def delete(self, digest: Digest) -> None:
        self._patiently(lambda: self.kept.delete(digest))

    def delete_untouched(self, digest: Digest, since: float) -> bool:
        return self._patiently(lambda: self.kept.delete_untouched(digest, since))

    def path(self, digest: Digest) -> Path | str:
        return self.kept.path(digest)

    def every(self) -> Iterator[tuple[Digest, Kept]]:
        return iter(self._patiently(lambda: list(self.kept.every())))

    def claim(self, ledger: str) -> None:
        self._patiently(lambda: self.kept.claim(ledger), _AT_FIRST)

    def claims(self) -> set[str]:
        return self._patiently(self.kept.claims)

    def clean(self) -> int:
        return self.kept.clean()

    def reach(self) -> None:
        """See once that the blobs can be reached. Raises InputError that says why they cannot."""
        if self._reached:
            return
        if isinstance(self.kept, FileBlobs):
            if not self.kept.root.is_dir():
                raise InputError(
                    f"There is no folder {self.kept.root} for the blobs of the store. Make it, or mount what it belongs to."
                )
        else:
            try:
                self._patiently(self.kept.reach, _AT_FIRST)
            except OSError as error:
                raise InputError(f"The blobs of the store are out of reach. {error.strerror}") from None
        self._reached = True

    def _patiently(self, work: Callable[[], T], patience: float | None = None) -> T:
        """Return what ``work`` returns, tried again as long as what it raises may pass."""
        deadline = time.monotonic() + min(self.patience, self.patience if patience is None else patience)
        looks = 0
        for attempt in itertools.count(1):
            pause = min(_PAUSE * 2 ** min(attempt - 1, 20), _LONGEST_PAUSE) * random.uniform(0.5, 1.5)  # noqa: S311 - no secret
            try:
                return work()
            except InputError:  # lost, or damaged
                looks += 1
                if looks >= _LOOKS or time.monotonic() + pause > deadline:
                    raise
            except OSError as error:
                if error.errno in _FOR_GOOD or time.monotonic() + pause > deadline:
                    raise
            time.sleep(pause)
        raise AssertionError("unreachable")


Blobs: TypeAlias = FileBlobs | SharedBlobs


@cache
def blobs_at(place: Path | str) -> Blobs:
    """Return the blobs at a path, or at an address ``file://``, ``s3://``, ``gs://`` or ``az://``. Opens and makes nothing.

    A process asks once for each place, so that it keeps its connections.
    """
    text, folder = str(place), folder_at(place)
    if folder is not None and "://" not in text:
        return FileBlobs(folder)
    kept = ObjectBlobs(text) if folder is None else FileBlobs(folder)
    return SharedBlobs(kept, cache_of(os.environ), _patience(), text)


def _patience() -> float:
    text = os.environ.get(PATIENCE) or str(DEFAULT_PATIENCE)
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds <= 86_400:
        raise InputError(f"{PATIENCE} is '{text[:60]}'. Write seconds, such as 120.")
    return seconds
