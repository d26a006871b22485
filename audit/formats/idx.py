"""Reads arrays in the idx format, the one of MNIST and its successors, plain or packed with gzip."""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from audit.formats.files import HEAD, opened, pointer
from audit.formats.hostile import UnreadableError

_BYTES = 0x08
_GZIP = b"\x1f\x8b"
_BLOCK = 1 << 20


def read_idx(path: Path, axes: int, most: int) -> NDArray[np.uint8]:
    """Return an array of ``axes`` axes of unsigned bytes. Raise UnreadableError with the reason.

    The format (LeCun, Cortes, Burges: the MNIST database): two zero bytes,
    0x08 for unsigned bytes, the number of axes, the length of each axis as a
    big-endian 32-bit number, then the values, the last axis fastest.

    Nothing in the file is believed: a header that promises more than ``most``
    values is refused before any value is read, and no more is unpacked than
    the header promises and one byte, so a small file cannot fill the memory.
    """
    try:
        with opened(path) as file:
            head = file.peek(HEAD)[:HEAD]
            if said := pointer(head):
                raise UnreadableError(said)
            packed = head.startswith(_GZIP)
            return _array(gzip.GzipFile(fileobj=file) if packed else file, axes, most)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise UnreadableError(f"its gzip packing is damaged ({error})") from None
    except OSError as error:
        raise UnreadableError(error.strerror or "cannot be read") from error


class _Readable(Protocol):
    def read(self, size: int, /) -> bytes: ...


def _array(file: _Readable, axes: int, most: int) -> NDArray[np.uint8]:
    magic = _read(file, 4)
    if magic != bytes([0, 0, _BYTES, axes]):
        raise UnreadableError(
            f"it begins with {magic.hex() or 'nothing'}, an idx file of bytes with {axes} axes with 000008{axes:02x}"
        )
    header = _read(file, 4 * axes)
    if len(header) < 4 * axes:
        raise UnreadableError("it ends in its header")
    shape = struct.unpack(f">{axes}I", header)
    promised = math.prod(shape)
    if promised > most:
        raise UnreadableError(f"it promises {promised:,} values, the limit is {most:,}")
    values = _read(file, promised + 1)
    if len(values) != promised:
        found = "more follow" if len(values) > promised else f"{len(values):,} are there"
        raise UnreadableError(f"it promises {promised:,} values and {found}")
    return np.frombuffer(values, np.uint8).reshape(shape)


def _read(file: _Readable, size: int) -> bytearray:
    """Return that many bytes, or those that are left. Memory grows with what is there, not with ``size``."""
    read = bytearray()
    while len(read) < size and (block := file.read(min(size - len(read), _BLOCK))):
        read += block
    return read
