"""Image files into arrays of one shape, decoded with a limit on pixels."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from audit.core.errors import InputError
from audit.core.options import OptionTable
from audit.core.references import Options
from audit.formats.folders import Listing
from audit.formats.hostile import Refused, UnreadableError

IMAGE_OPTIONS = ("size", "mode", "most_pixels")
_FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF", "PPM")
"""Formats that Pillow decodes by itself: none starts another program."""
_MOST_PIXELS = 50_000_000


@dataclass(frozen=True, slots=True)
class ImageRules:
    """How a file becomes pixels.

    ``size`` of 0 keeps the size; otherwise the largest centred square is
    resized to ``size`` × ``size`` with Pillow's bicubic filter, which averages
    when it shrinks (antialiasing). ``mode`` is RGB or L (grey, ITU-R 601 luma).
    Orientation tags are obeyed, transparency lies on white, 16-bit grey loses
    its low byte, and of an animation the first frame counts.
    """

    size: int = 0
    mode: str = "RGB"
    most_pixels: int = _MOST_PIXELS

    @classmethod
    def of(cls, table: OptionTable) -> ImageRules:
        return cls(
            table.whole("size", 0, 0, 8192),
            table.choice("mode", "RGB", ("RGB", "L")),
            table.whole("most_pixels", _MOST_PIXELS, 1, 1_000_000_000),
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


def read_image(path: Path, rules: ImageRules) -> NDArray[np.uint8]:
    """Return the pixels of a file, shape (height, width, channels). Raise UnreadableError with the reason.

    The size is read from the header and compared with the limit before
    anything is decoded.
    """
    from PIL import Image, UnidentifiedImageError

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path, formats=_FORMATS) as image:
                pixels = image.width * image.height
                if pixels > rules.most_pixels:
                    raise UnreadableError(f"{pixels:,} pixels, the limit is {rules.most_pixels:,}")
                return _decoded(image, rules)
    except UnreadableError:
        raise
    except UnidentifiedImageError:
        raise UnreadableError("not an image") from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise UnreadableError("too many pixels") from None
    except MemoryError:
        raise
    except Exception as error:  # decoders raise OSError, SyntaxError, struct.error and more on bad bytes
        raise UnreadableError(f"corrupt: {type(error).__name__}") from error


def decoded_images(
    listed: Listing, rules: ImageRules, refused: list[Refused]
) -> Iterator[tuple[str, NDArray[np.uint8]]]:
    """Yield name and pixels of each file that is an image, one at a time; the others are added to ``refused``."""
    for name, path in listed.files().items():
        try:
            pixels = read_image(path, rules)
        except UnreadableError as error:
            refused.append(Refused(name, str(error)))
        else:
            yield name, pixels


def _decoded(image: Any, rules: ImageRules) -> NDArray[np.uint8]:
    from PIL import Image, ImageOps

    image.load()
    image = ImageOps.exif_transpose(image)
    if image.mode.startswith("I;16"):
        image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    elif image.mode in ("I", "F"):
        raise UnreadableError("pixels of 32 bits")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    image = image.convert(rules.mode)
    if rules.size:
        image = ImageOps.fit(image, (rules.size, rules.size), Image.Resampling.BICUBIC)
    pixels = np.asarray(image, dtype=np.uint8)
    return pixels if pixels.ndim == 3 else pixels[:, :, None]


def one_shape(shapes: Iterable[tuple[int, ...]], where: str) -> tuple[int, ...]:
    """Return the shape that all images share. Raise InputError listing the sizes when they differ."""
    counted = Counter(shapes)
    if len(counted) > 1:
        sizes = ", ".join(f"{w}×{h} ({n:,})" for (h, w, *_), n in counted.most_common(5))
        raise InputError(
            f"The images in {where} have {len(counted)} different sizes: {sizes}"
            f"{', …' if len(counted) > 5 else ''}. Add size = 64 (or another side length) to resize them all."
        )
    return next(iter(counted))
