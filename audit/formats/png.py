"""Remove from a PNG what is not part of its picture: texts, profiles, dates, later frames."""

from __future__ import annotations

import io
import os
import zlib
from dataclasses import dataclass

from audit.formats.hostile import UnreadableError

SIGNATURE = b"\x89PNG\r\n\x1a\n"
_PICTURE = (b"IHDR", b"PLTE", b"IDAT", b"IEND", b"tRNS")
_TEXTS = (b"tEXt", b"zTXt", b"iTXt")
_ORIENTING = (b"Raw profile type exif", b"XML:com.adobe.xmp")
"""Keywords of texts in which ImageMagick and Adobe's programs write how a picture is turned."""
_MOST_TEXT = 1 << 18
"""Bytes that such a text may have once unpacked; Pillow refuses a picture over a text of a megabyte."""


@dataclass(frozen=True, slots=True)
class Stripped:
    """The file of the picture alone, and whether it is the first of an animation."""

    file: io.BytesIO
    animated: bool


def stripped(file: io.BufferedReader, most_pixels: int) -> Stripped:
    """Copy the chunks of a PNG that make up its pixels and its orientation, and no others.

    Nothing that stands in another chunk can then keep the picture from being
    read: prompt graphs of over a megabyte, packed texts, wrong checksums
    of a comment. An animation's first picture stays. Raise UnreadableError
    when there is more data than ``most_pixels`` pixels of 64 bits can need.
    """
    allowed = 9 * most_pixels + (1 << 20)
    left = os.fstat(file.fileno()).st_size - len(SIGNATURE)
    file.seek(len(SIGNATURE))
    kept = io.BytesIO()
    kept.write(SIGNATURE)
    animated = False
    while len(head := file.read(8)) == 8:
        length, kind = int.from_bytes(head[:4], "big"), head[4:]
        left -= 8
        size = min(length + 4, max(left, 0))  # a checksum of four bytes follows
        left -= size
        if kind in (*_PICTURE, b"eXIf", b"acTL", *_TEXTS):
            if kept.tell() + size > allowed:
                raise UnreadableError(f"more data than {most_pixels:,} pixels need")
            body = file.read(size)
            if kind == b"acTL":
                animated = int.from_bytes(body[:4], "big") > 1
            elif kind in _PICTURE or _orients(kind, body):
                kept.write(head + body)
            if kind == b"IEND":
                break
        else:
            file.seek(size, os.SEEK_CUR)
    kept.seek(0)
    return Stripped(kept, animated)


def _orients(kind: bytes, body: bytes) -> bool:
    """Say whether a chunk beside the pixels may tell how the picture is turned, and can be read."""
    data, checksum = body[:-4], body[-4:]
    if len(data) > _MOST_TEXT or zlib.crc32(kind + data).to_bytes(4, "big") != checksum:
        return False
    if kind == b"eXIf":
        return True
    keyword, _, rest = data.partition(b"\0")
    if keyword not in _ORIENTING:
        return False
    if kind == b"tEXt" or (kind == b"iTXt" and rest[:1] == b"\0"):
        return True
    packed = rest[1:] if kind == b"zTXt" else rest[2:].split(b"\0", 2)[-1]
    unpacking = zlib.decompressobj()
    try:
        unpacking.decompress(packed, _MOST_TEXT)
    except zlib.error:
        return False
    return unpacking.eof
