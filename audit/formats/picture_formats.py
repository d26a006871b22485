"""Which files pass for pictures, and what a picture is that cannot be read here."""

from __future__ import annotations

from audit.formats.files import signature
from audit.formats.hostile import UnreadableError

_ENDINGS = (
    ".apng .arw .avif .avifs .bmp .cr2 .cr3 .dcm .dds .dib .dng .emf .eps .exr .gif .hdr .heic .heics .heif .hif .icns .ico "
    ".j2k .jfif .jif .jp2 .jpe .jpeg .jpf .jpg .jpm .jpx .jxl .mpo .nef .orf .pbm .pcx .pfm .pgm .png .pnm .ppm .psd .qoi "
    ".raf .raw .rw2 .sgi .svg .svgz .tga .tif .tiff .webp .wmf .xbm .xcf .xpm"
)
ENDINGS = frozenset(_ENDINGS.split())
"""Endings of file names that say "picture": such a file that cannot be read is a loss, another is none."""
_MARKS: tuple[tuple[int, bytes, str], ...] = (
    (0, b"\x89PNG\r\n\x1a\n", "PNG"),
    (0, b"\xff\xd8\xff", "JPEG"),
    (0, b"BM", "BMP"),
    (0, b"GIF8", "GIF"),
    (0, b"II*\0", "TIFF"),
    (0, b"MM\0*", "TIFF"),
    (0, b"II+\0", "TIFF"),
    (0, b"MM\0+", "TIFF"),
    (8, b"WEBP", "WebP"),
    (4, b"ftypavif", "AVIF"),
    (4, b"ftypavis", "AVIF"),
)
_UNREAD: tuple[tuple[int, bytes, str], ...] = (
    (0, b"\xff\x0a", "JPEG XL"),
    (0, b"\0\0\0\x0cJXL ", "JPEG XL"),
    (0, b"\0\0\0\x0cjP  ", "JPEG 2000"),
    (0, b"\xff\x4f\xff\x51", "JPEG 2000"),
    (0, b"8BPS", "Photoshop"),
    (0, b"gimp xcf", "GIMP"),
    (0, b"v/1\x01", "OpenEXR"),
    (0, b"#?RADIANCE", "Radiance HDR"),
    (0, b"qoif", "QOI"),
    (0, b"DDS ", "DDS"),
    (0, b"\0\0\x01\0", "ICO"),
    (0, b"icns", "ICNS"),
    (0, b"Pf\n", "floating-point PFM"),
    (0, b"PF\n", "floating-point PFM"),
    (128, b"DICM", "DICOM"),
)
_BRANDS = {
    b"heic": "HEIC",
    b"heix": "HEIC",
    b"heim": "HEIC",
    b"heis": "HEIC",
    b"hevc": "HEIC",
    b"hevx": "HEIC",
    b"mif1": "HEIF",
    b"msf1": "HEIF",
    b"crx ": "Canon CR3",
}
"""Brands of ISO base media files (ISO/IEC 14496-12, 23008-12) by what a person calls them."""
_CONVERT = "which is not read here: convert it to PNG"


class NoPictureError(UnreadableError):
    """The content of a file is not that of a picture."""


def unidentified(head: bytes) -> UnreadableError:
    """Return what to raise of a file that Pillow did not take for a picture, going by its first bytes."""
    for start, mark, name in _UNREAD:
        if head[start : start + len(mark)] == mark:
            return UnreadableError(f"{name}, {_CONVERT}")
    for start, mark, name in _MARKS:
        if head[start : start + len(mark)] == mark:
            return UnreadableError(f"corrupt, or a kind of {name} that is not read here: convert it to PNG")
    if head[4:8] == b"ftyp":
        found = _BRANDS.get(head[8:12])
        return UnreadableError(f"{found}, {_CONVERT}") if found else NoPictureError("a film, not an image")
    if said := signature(head):
        return NoPictureError(f"{said}, not an image")
    start_of_text = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if start_of_text.startswith((b"<!doctype html", b"<html")):
        return NoPictureError("an HTML page, as a failed download leaves, not an image")
    if b"<svg" in start_of_text and start_of_text.startswith((b"<?xml", b"<svg", b"<!")):
        return UnreadableError(f"SVG, {_CONVERT}")
    return NoPictureError("not an image")
