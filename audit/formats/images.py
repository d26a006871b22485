"""Image files into arrays of one shape, decoded with a limit on pixels."""

from __future__ import annotations

import io
import os
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from audit.core.data_facts import Pictures
from audit.core.errors import InputError
from audit.core.options import OptionTable
from audit.core.references import Options
from audit.formats import png
from audit.formats.files import HEAD, opened, pointer, reason
from audit.formats.folders import Listing
from audit.formats.hostile import Mark, Refused, UnreadableError, printable
from audit.formats.picture_formats import ENDINGS, NoPictureError, unidentified

IMAGE_OPTIONS = ("size", "mode", "most_pixels")
_FORMATS = ("PNG", "JPEG", "WEBP", "AVIF", "BMP", "GIF", "TIFF", "PPM")
"""Formats that Pillow decodes by itself: none starts another program."""
_MOST_PIXELS = 50_000_000
_BLOCK = 1 << 20
_PILLOWS_LIMIT = 178_956_970
"""Pixels above which Pillow refuses to open a file, whatever it is asked."""
_MANIFEST = b"jumdc2pa\x00\x11\x00\x10\x80\x00\x00\xaa\x00\x38\x9b\x71"
"""How the box of a C2PA manifest store begins (C2PA 2.2, section 11.1; JUMBF, ISO/IEC 19566-5), in whichever format."""


@dataclass(frozen=True, slots=True)
class ImageRules:
    """How a file becomes pixels.

    ``size`` of 0 keeps the size; otherwise the largest centred square is
    resized to ``size`` × ``size`` with Pillow's bicubic filter, which averages
    when it shrinks (antialiasing). ``mode`` is RGB or L (grey, ITU-R 601 luma).
    Orientation tags are obeyed, and one that cannot be read counts as none;
    transparency lies on white, 16-bit grey loses its low byte, of an animation
    or of several pages the first counts, and colour profiles are not applied,
    as in the usual implementations of the Fréchet distance.
    """

    size: int = 0
    mode: str = "RGB"
    most_pixels: int = _MOST_PIXELS

    @classmethod
    def of(cls, table: OptionTable) -> ImageRules:
        return cls(
            table.whole("size", 0, 0, 8192),
            table.choice("mode", "RGB", ("RGB", "L")),
            table.whole("most_pixels", _MOST_PIXELS, 1, _PILLOWS_LIMIT),
        )

    @classmethod
    def from_options(cls, options: Options) -> ImageRules:
        given = dict(options)
        return cls(int(given["size"]), str(given["mode"]), int(given["most_pixels"]))

    @property
    def options(self) -> Options:
        """What belongs to the identity of the pixels: the rules, and the decoder, whose versions differ in last bits."""
        return (
            ("decoder", f"pillow {version('pillow')}"),
            ("mode", self.mode),
            ("most_pixels", self.most_pixels),
            ("size", self.size),
        )


@dataclass(frozen=True, slots=True)
class Look:
    """What a file was before its picture was made like the others; ``size`` is width and height, turned upright."""

    format: str
    size: tuple[int, int]
    grey: bool
    several: bool
    credentials: bool
    transparent: bool


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """The pixels of a file, shape (height, width, channels), and what the file was."""

    name: str
    pixels: NDArray[np.uint8]
    look: Look


def looks(split: str, shape: tuple[int, ...], each: Sequence[Look]) -> Pictures:
    """Count what the pictures of a split were; ``shape`` is the one they have now."""
    height, width, channels = shape
    return Pictures(
        split,
        len(each),
        (height, width, channels),
        sizes=tuple(Counter(look.size for look in each).most_common()),
        formats=tuple(Counter(look.format for look in each).most_common()),
        grey=sum(look.grey for look in each),
        several=sum(look.several for look in each),
        credentials=sum(look.credentials for look in each),
        transparent=sum(look.transparent for look in each),
    )


def read_image(path: Path, rules: ImageRules) -> NDArray[np.uint8]:
    """Return the pixels of a file, shape (height, width, channels). Raise UnreadableError with the reason."""
    return read_picture(path, rules).pixels


def read_picture(path: Path, rules: ImageRules) -> Picture:
    """Decode a file. Raise UnreadableError with the reason.

    The size is read from the header and compared with the limit before
    anything is decoded.
    """
    with opened(path) as file:
        try:
            head = file.peek(HEAD)[:HEAD]
            if not head:
                raise NoPictureError("empty")
            if said := pointer(head):
                raise NoPictureError(said)
            credentials = _carries_manifest(file)
            if not head.startswith(png.SIGNATURE):
                with _silenced() if head.startswith((b"II", b"MM")) else nullcontext():
                    return _read(path.name, file, head, rules, False, credentials)
            alone = png.stripped(file, rules.most_pixels)
            return _read(path.name, alone.file, head, rules, alone.animated, credentials)
        except OSError as error:
            raise UnreadableError(reason(error, path)) from error


@contextmanager
def _silenced() -> Iterator[None]:
    """Keep what libtiff writes to the terminal about a damaged TIFF, in words of its own, from being seen."""
    try:
        kept = os.dup(2)
    except OSError:  # there is nothing to write to
        yield
        return
    try:
        with Path(os.devnull).open("wb") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def _carries_manifest(file: io.BufferedReader) -> bool:
    before = b""
    found = False
    while not found and (block := file.read(_BLOCK)):
        found = _MANIFEST in before + block
        before = block[-len(_MANIFEST) :]
    file.seek(0)
    return found


def _read(
    name: str,
    file: io.BufferedReader | io.BytesIO,
    head: bytes,
    rules: ImageRules,
    animated: bool,
    credentials: bool,
) -> Picture:
    from PIL import Image, UnidentifiedImageError

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(file, formats=_FORMATS) as image:
                pixels = image.width * image.height
                if pixels > rules.most_pixels:
                    raise UnreadableError(f"{pixels:,} pixels, the limit is {rules.most_pixels:,}")
                kind = str(image.format)
                upright = _upright(image)
                seen, fitted = _array(upright), _fitted(upright, rules)
                several = animated or (kind != "MPO" and _is_animated(image))
                look = Look(kind, upright.size, _is_grey(seen), several, credentials, _is_transparent(image))
                return Picture(name, seen if fitted is upright else _array(fitted), look)
    except UnreadableError:
        raise
    except UnidentifiedImageError:
        raise unidentified(head) from None
    except Image.DecompressionBombError:
        raise UnreadableError(f"too many pixels, the limit is {rules.most_pixels:,}") from None
    except MemoryError:
        raise InputError(
            f"{printable(name)} cannot be decoded: the memory ran out. Lower most_pixels, or free some memory."
        ) from None
    except Exception as error:  # decoders raise OSError, SyntaxError, struct.error and more on bad bytes
        raise UnreadableError(_damage(error)) from error


def _damage(error: Exception) -> str:
    """Say what is wrong with a damaged file; decoders tell it in words of their own."""
    words = str(error).lower()
    if "truncated" in words or "not processed" in words or isinstance(error, EOFError):
        return "corrupt: it is cut short"
    return f"corrupt: its {'header' if isinstance(error, SyntaxError) else 'data'} cannot be decoded"


def pictures(listed: Listing, rules: ImageRules, refused: list[Refused]) -> Iterator[Picture]:
    """Yield each file of a folder that is a picture, one at a time, in the order of the names.

    What cannot be read is added to ``refused``: as left out when its name or
    its content says that it should be a picture, else as a file that stands
    beside them. So are remarks on pictures that were read: several pages, credentials.
    """
    for name, path in listed.files().items():
        try:
            picture = replace(read_picture(path, rules), name=name)
        except UnreadableError as error:
            beside = isinstance(error, NoPictureError) and path.suffix.lower() not in ENDINGS
            refused.append(Refused(name, str(error), Mark.BESIDE if beside else Mark.LEFT_OUT))
            continue
        if picture.look.several:
            refused.append(Refused(name, _SEVERAL, Mark.NOTED))
        if picture.look.credentials:
            refused.append(Refused(name, _CREDENTIALS, Mark.NOTED))
        yield picture


_SEVERAL = "hold several pictures, pages or frames, of which the first was read"
_CREDENTIALS = (
    "carry a manifest of content credentials (C2PA); it is not verified here and pixels alone are used, so what is "
    "written from them carries none of it"
)


def _upright(image: Any) -> Any:
    """Return a decoded picture of mode RGB or L, turned as its orientation says, transparency on white."""
    from PIL import Image

    image.load()
    scaled_to_16_bits = image.mode == "I" and image.format == "PPM"
    turn = _TURNS.get(_orientation(image))
    if turn is not None:
        image = image.transpose(Image.Transpose[turn])
    if image.mode.startswith("I;16") or scaled_to_16_bits:
        values = np.asarray(image)
        high = (values >> 8).astype(np.uint8)
        if isinstance(hole := image.info.get("transparency"), int):
            high[values == hole] = 255
        return Image.fromarray(high)
    if image.mode not in _COLOURS:
        deep = image.mode in ("I", "F")
        raise UnreadableError("pixels of 32 bits" if deep else f"colours of the kind {image.mode}")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    mode = "L" if image.mode in ("1", "L") else "RGB"
    return image if image.mode == mode else image.convert(mode)


_COLOURS = ("1", "L", "LA", "La", "P", "PA", "RGB", "RGBA", "RGBa", "RGBX", "CMYK", "YCbCr", "HSV")
_TURNS = {
    2: "FLIP_LEFT_RIGHT",
    3: "ROTATE_180",
    4: "FLIP_TOP_BOTTOM",
    5: "TRANSPOSE",
    6: "ROTATE_270",
    7: "TRANSVERSE",
    8: "ROTATE_90",
}
"""What undoes each orientation of EXIF 2.32, tag 274."""


def _orientation(image: Any) -> int:
    """Return the orientation that a picture's metadata give, 1 (upright) when they cannot be read."""
    try:
        said = image.getexif().get(0x0112, 1)
    except (
        Exception
    ):  # EXIF of phones and upload services is often broken; its readers raise whatever they meet
        return 1
    return said if isinstance(said, int) else 1


def _is_animated(image: Any) -> bool:
    """Say whether a file has a second frame or page; one that cannot be read is no harm to the first.

    Asked last of all: some decoders go to the second frame to find out.
    """
    try:
        return bool(getattr(image, "is_animated", False))
    except Exception:  # decoders raise whatever they meet
        return False


def _is_grey(pixels: NDArray[np.uint8]) -> bool:
    """Say whether an image, shape (height, width, channels), has no colour. A few pixels settle most images."""
    for some in (pixels[::29, ::31], pixels):
        if any((some[..., 0] != some[..., channel]).any() for channel in range(1, pixels.shape[2])):
            return False
    return True


def _is_transparent(image: Any) -> bool:
    """Say whether some pixel of a decoded picture lets through what lies behind it; many files have a channel for it that is full."""
    if not image.has_transparency_data:
        return False
    return bool(image.mode.startswith("I") or image.convert("RGBA").getchannel("A").getextrema()[0] < 255)


def _array(image: Any) -> NDArray[np.uint8]:
    pixels = np.asarray(image, dtype=np.uint8)
    return pixels if pixels.ndim == 3 else pixels[:, :, None]


def _fitted(image: Any, rules: ImageRules) -> Any:
    from PIL import Image, ImageOps

    if image.mode != rules.mode:
        image = image.convert(rules.mode)
    if rules.size:
        image = ImageOps.fit(image, (rules.size, rules.size), Image.Resampling.BICUBIC)
    return image


def one_shape(shapes: Iterable[tuple[int, ...]], where: str, table: str) -> tuple[int, ...]:
    """Return the shape that all images share. Raise InputError listing the sizes when they differ, with what to add to ``table`` of the spec."""
    counted = Counter(shapes)
    if len(counted) > 1:
        sizes = ", ".join(f"{w}×{h} ({n:,})" for (h, w, *_), n in counted.most_common(5))
        ((height, width, *_), _), *_ = counted.most_common(1)
        side = min(height, width)
        raise InputError(
            f"The images in {printable(where)} have {len(counted)} different sizes: {sizes}"
            f"{', …' if len(counted) > 5 else ''}. Add size = {side} to {table} to make all of them {side}×{side}"
            f"{', the most frequent size' if height == width else ', cut to squares'}, or take out those that differ."
        )
    return next(iter(counted))
