"""Manifests inside plain text: bytes written as variation selectors, which no reader sees (C2PA 2.4, A.8).

A wrapper begins with U+FEFF; then every byte is one selector: U+FE00 to U+FE0F for 0 to 15, U+E0100 to U+E01EF for 16 to
255. The bytes are a mark of eight bytes, a version, the length of the manifest store (four bytes, big-endian) and the store.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_MARK, _VERSION = b"C2PATXT\0", 1
_HEAD = len(_MARK) + 5
_WRAPPER = re.compile("\ufeff([\ufe00-\ufe0f\U000e0100-\U000e01ef]+)")


class NoSingleManifestError(ValueError):
    """The text holds a wrapper that is damaged, or several. ``code`` is the specification's name of that failure."""

    def __init__(self, code: str, said: str) -> None:
        super().__init__(said)
        self.code = code


@dataclass(frozen=True, slots=True)
class Found:
    """The manifest store in a text, and which bytes of its UTF-8 form the wrapper is."""

    manifest: bytes
    start: int
    length: int


def wrapper_in(text: str) -> Found | None:
    """Return the wrapper that a text carries, None when it carries none. Raise NoSingleManifestError."""
    runs = [m for m in _WRAPPER.finditer(text) if _bytes(m[1]).startswith(_MARK)]
    if not runs:
        return None
    if len(runs) > 1:
        raise NoSingleManifestError("manifest.text.multipleWrappers", f"the text holds {len(runs)} wrappers")
    data = _bytes(runs[0][1])
    size = int.from_bytes(data[_HEAD - 4 : _HEAD], "big")
    if len(data) < _HEAD or data[len(_MARK)] != _VERSION or len(data) < _HEAD + size or size == 0:
        raise NoSingleManifestError("manifest.text.corruptedWrapper", "the wrapper is cut short or damaged")
    start, length = (len(part.encode()) for part in (text[: runs[0].start()], runs[0][0]))
    return Found(data[_HEAD : _HEAD + size], start, length)


def wrapper(manifest: bytes) -> str:
    """Return a manifest store as characters of no width, to be put behind a text.

    >>> wrapper_in("A text." + wrapper(b"store")).manifest
    b'store'
    """
    data = _MARK + bytes([_VERSION]) + len(manifest).to_bytes(4, "big") + manifest
    return "\ufeff" + "".join(chr(0xFE00 + b) if b < 16 else chr(0xE0100 + b - 16) for b in data)


def without_wrapper(text: str) -> str:
    """Return the text as a reader sees it."""
    return _WRAPPER.sub(lambda m: "" if _bytes(m[1]).startswith(_MARK) else m[0], text)


def _bytes(run: str) -> bytes:
    return bytes(o - 0xFE00 if (o := ord(c)) < 0xE0100 else o - 0xE0100 + 16 for c in run)
