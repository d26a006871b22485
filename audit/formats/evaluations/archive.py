"""The entries of a zip archive, one at a time and never on disk: nothing in it can lead out of it or fill the memory."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, BinaryIO

from audit.formats.hostile import UnreadableError, shown

MOST_ENTRIES = 500_000
MOST_LISTING = 128 * 2**20
"""Bytes of the list of entries at the end of an archive, which is held whole."""
MOST_ENTRY = 2 * 2**30
"""Bytes of one entry, unpacked; it is read in blocks."""
MOST_RATIO = 500
"""How many times its size an entry may unpack to: JSON of logs reaches 50, a bomb of one character repeated 1,000."""
_FREE = 2**20
"""Bytes that an entry may unpack to whatever its ratio."""
_END = struct.Struct("<4s4H2LH")
_LONGEST_COMMENT = 65_535


class Archive:
    """A zip archive of somebody else. Every method raises UnreadableError with the reason."""

    def __init__(self, file: BinaryIO) -> None:
        _check_listing(file)
        try:
            self._zip = zipfile.ZipFile(file)
        except (zipfile.BadZipFile, NotImplementedError, ValueError, OSError, struct.error) as error:
            raise UnreadableError(f"it is no zip archive that can be read: {error}") from error
        entries = self._zip.infolist()
        if len(entries) > MOST_ENTRIES:
            raise UnreadableError(f"it has {len(entries):,} entries; at most {MOST_ENTRIES:,} are read")
        self._entries: dict[str, zipfile.ZipInfo] = {}
        for entry in entries:
            self._add(entry)

    def _add(self, entry: zipfile.ZipInfo) -> None:
        name = entry.filename
        if name.startswith(("/", "\\")) or ".." in name.replace("\\", "/").split("/") or ":" in name[:3]:
            raise UnreadableError(
                f"its entry '{shown(name)}' leads out of the archive; no log has one like it"
            )
        if name in self._entries:
            raise UnreadableError(f"it has two entries called '{shown(name)}'")
        self._entries[name] = entry

    def names(self, folder: str = "") -> list[str]:
        """Return the names of the entries below a folder, in the archive's order."""
        return [name for name in self._entries if name.startswith(folder) and not name.endswith("/")]

    def __contains__(self, name: str) -> bool:
        return name in self._entries

    @contextmanager
    def opened(self, name: str) -> Iterator[BinaryIO]:
        """Open an entry for reading in blocks; it ends with an error where it unpacks to more than it may."""
        entry = self._entries[name]
        if entry.flag_bits & 1:
            raise UnreadableError(f"its entry '{shown(name)}' is encrypted")
        most = min(MOST_ENTRY, max(_FREE, MOST_RATIO * entry.compress_size))
        if entry.file_size > most:
            raise UnreadableError(_bomb(name, entry.file_size))
        try:
            with self._zip.open(entry) as file:
                yield _Limited(file, most, name)  # type: ignore[misc]  # read is all that is asked of it
        except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, OSError) as error:
            raise UnreadableError(f"its entry '{shown(name)}' is damaged: {error}") from error


class _Limited(io.RawIOBase):
    """A file that may hold so many bytes and no more, whatever the archive says of it."""

    def __init__(self, file: IO[bytes], most: int, name: str) -> None:
        self._file, self._left, self._name = file, most, name

    def read(self, size: int = -1) -> bytes:
        block = self._file.read(min(size, 1 << 20) if size >= 0 else 1 << 20)
        self._left -= len(block)
        if self._left < 0:
            raise UnreadableError(_bomb(self._name))
        return block


def _bomb(name: str, size: int | None = None) -> str:
    much = "far more than a log does" if size is None else f"{size:,} bytes, far more than a log does"
    return f"its entry '{shown(name)}' unpacks to {much}"


def _check_listing(file: BinaryIO) -> None:
    """Refuse an archive whose list of entries alone would fill the memory; it is left where it was."""
    size = file.seek(0, io.SEEK_END)
    file.seek(max(0, size - _END.size - _LONGEST_COMMENT))
    tail = file.read()
    at = tail.rfind(b"PK\x05\x06")
    if 0 <= at <= len(tail) - _END.size:
        listing = _END.unpack_from(tail, at)[5]
        if listing == 0xFFFFFFFF:  # the size stands in the record of zip64, before this one
            big = tail.rfind(b"PK\x06\x06", 0, at)
            listing = struct.unpack_from("<Q", tail, big + 40)[0] if 0 <= big <= at - 56 else 0
        if listing > MOST_LISTING:
            raise UnreadableError(
                f"its list of entries has {listing:,} bytes; at most {MOST_LISTING:,} are read"
            )
    file.seek(0)
