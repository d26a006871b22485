"""The file formats in which an output is signed: how to write one, and which bytes of it are the picture."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
"""One image, height x width x channels."""

_MODES = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}


@dataclass(frozen=True, slots=True)
class ImageFormat:
    """An image format with room for an embedded manifest.

    ``payload`` says where coded pixels lie in a file, signed or not.
    """

    name: str
    mime: str
    payload: Callable[[bytes], range]
    options: Mapping[str, Any] = field(default_factory=dict)

    def encode(self, pixels: Pixels) -> bytes:
        """Write pixels as a file. Raise what the encoder raises."""
        return write(picture(pixels), self)


def picture(pixels: Pixels) -> Any:
    """Return pixels as a Pillow image. Raise ValueError for a shape no format takes."""
    from PIL import Image

    if pixels.ndim != 3 or pixels.shape[2] not in _MODES:
        raise ValueError(f"no image format takes pixels of shape {pixels.shape}")
    flat = pixels[:, :, 0] if pixels.shape[2] == 1 else pixels
    return Image.fromarray(np.ascontiguousarray(flat))


def write(image: Any, into: ImageFormat) -> bytes:
    """Return a Pillow image as a file; JPEG has no room for transparency, so it is dropped there."""
    if into.name == "jpeg" and image.mode not in ("L", "RGB"):
        image = image.convert("RGB")
    file = io.BytesIO()
    image.save(file, into.name.upper(), **into.options)
    return file.getvalue()


def decode(file: bytes) -> Any:
    """Read an image file completely. Raise what the decoder raises."""
    from PIL import Image

    image = Image.open(io.BytesIO(file))
    image.load()
    return image


def _png(file: bytes) -> range:
    for name, body in _chunks(file, 8, "big"):
        if name == b"IDAT":
            return body
    raise ValueError("a PNG without coded pixels")


def _webp(file: bytes) -> range:
    for name, body in _chunks(file, 12, "little"):
        if name in (b"VP8 ", b"VP8L"):
            return body
    raise ValueError("a WebP without coded pixels")


def _chunks(file: bytes, at: int, order: Literal["big", "little"]) -> Iterator[tuple[bytes, range]]:
    """Yield the name and body of each chunk: PNG puts the length first and a checksum last, RIFF pads to even."""
    while at + 8 <= len(file):
        head = file[at : at + 8]
        name, length = (head[4:], head[:4]) if order == "big" else (head[:4], head[4:])
        size = int.from_bytes(length, order)
        yield name, range(at + 8, at + 8 + size)
        at += 8 + size + (4 if order == "big" else size % 2)


def _jpeg(file: bytes) -> range:
    scan = file.rindex(b"\xff\xda")  # coded data holds no such pair, and Pillow writes one scan
    return range(scan + 2 + int.from_bytes(file[scan + 2 : scan + 4], "big"), len(file) - 2)


def _tiff(file: bytes) -> range:
    from PIL import Image

    tags = Image.open(io.BytesIO(file)).tag_v2  # type: ignore[attr-defined]  # a TIFF image has it
    start = int(tags[273][0])
    return range(start, start + int(tags[279][0]))


def _gif(file: bytes) -> range:
    at = 13 + _palette(file[10])
    while file[at] == 0x21:  # extensions: a label, then blocks up to an empty one
        at += 2
        while size := file[at]:
            at += size + 1
        at += 1
    at += 11 + _palette(file[at + 9])  # the image descriptor and the code size
    return range(at + 1, at + 1 + file[at])


def _palette(flags: int) -> int:
    return 3 << ((flags & 7) + 1) if flags & 0x80 else 0


def _avif(file: bytes) -> range:
    start = file.rindex(b"mdat") + 4
    return range(start, len(file))


IMAGE_FORMATS = (
    ImageFormat("png", "image/png", _png, {"compress_level": 1}),
    ImageFormat("jpeg", "image/jpeg", _jpeg, {"quality": 90}),
    ImageFormat("webp", "image/webp", _webp, {"lossless": True, "method": 0}),
    ImageFormat("tiff", "image/tiff", _tiff),
    ImageFormat("gif", "image/gif", _gif),
    ImageFormat("avif", "image/avif", _avif, {"speed": 10, "max_threads": 1}),
)
"""Every image format that Pillow writes and c2pa signs. HEIC and JPEG XL are not here: Pillow writes neither."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A file format that can hold a manifest and is read here."""

    name: str
    mime: str


_MAGIC: tuple[tuple[int, bytes, Kind], ...] = (
    (0, b"\x89PNG\r\n\x1a\n", Kind("png", "image/png")),
    (0, b"\xff\xd8\xff", Kind("jpeg", "image/jpeg")),
    (8, b"WEBP", Kind("webp", "image/webp")),
    (0, b"II*\0", Kind("tiff", "image/tiff")),
    (0, b"MM\0*", Kind("tiff", "image/tiff")),
    (0, b"GIF8", Kind("gif", "image/gif")),
    (4, b"ftypavif", Kind("avif", "image/avif")),
    (4, b"ftyphei", Kind("heic", "image/heic")),
    (4, b"ftypmif1", Kind("heif", "image/heif")),
    (0, b"\0\0\0\x0cJXL ", Kind("jxl", "image/jxl")),
    (0, b"%PDF-", Kind("pdf", "application/pdf")),
    (8, b"WAVE", Kind("wav", "audio/wav")),
    (0, b"ID3", Kind("mp3", "audio/mpeg")),
    (0, b"fLaC", Kind("flac", "audio/flac")),
    (4, b"ftyp", Kind("mp4", "video/mp4")),
)


def kind_of(file: bytes) -> Kind | None:
    """Return the format that a file's first bytes say it has, whatever its name; None for one that is not known.

    >>> kind_of(b"GIF89a").mime
    'image/gif'
    """
    return next((kind for at, magic, kind in _MAGIC if file[at : at + len(magic)] == magic), None)


def writable(formats: tuple[ImageFormat, ...] = IMAGE_FORMATS) -> tuple[ImageFormat, ...]:
    """Return the formats that this machine's Pillow writes and this machine's c2pa signs."""
    import c2pa
    from PIL import Image

    Image.init()
    signed = set(c2pa.Builder.get_supported_mime_types())
    return tuple(f for f in formats if f.name.upper() in Image.SAVE and f.mime in signed)


def sealed(file: bytes) -> bytes:
    """Recompute the checksums of a PNG's chunks; any other file is returned as it is.

    A forger repairs checksums, so that only the signature can show the change.
    """
    if not file.startswith(b"\x89PNG\r\n\x1a\n"):
        return file
    out, at = bytearray(file), 8
    while at + 12 <= len(out):
        end = at + 8 + int.from_bytes(out[at : at + 4], "big")
        if end + 4 > len(out):
            break
        out[end : end + 4] = struct.pack(">I", zlib.crc32(out[at + 4 : end]))
        at = end + 4
    return bytes(out)


def manifest_offsets(file: bytes, manifest: bytes) -> NDArray[np.intp]:
    """Return where in a signed file each byte of its manifest lies. Raise ValueError when it is not there.

    In one run in every format but GIF, which cuts data into blocks of at most 255 bytes.
    """
    if file.count(manifest) == 1:
        start = file.index(manifest)
        return np.arange(start, start + len(manifest), dtype=np.intp)
    marker = b"\x21\xff\x0bC2PA_GIF"
    if file.count(marker) != 1:
        raise ValueError("the manifest is not in the file in one place")
    at, runs = file.index(marker) + 14, []
    while size := file[at]:
        runs.append(np.arange(at + 1, at + 1 + size, dtype=np.intp))
        at += size + 1
    offsets = np.concatenate(runs)
    if np.frombuffer(file, np.uint8)[offsets].tobytes() != manifest:
        raise ValueError("the blocks of the file do not hold the manifest")
    return offsets
