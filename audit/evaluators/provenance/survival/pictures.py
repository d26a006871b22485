"""Pictures with every layer at once, and which layers are left after a change."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from audit.core.recipes import Context, Recipe
from audit.core.rows import Images, Rng, Rows, images_of
from audit.marks.image.attacks import crop, resize, screenshot
from audit.marks.image.catalogue import IMAGE_MARKS
from audit.marks.image.detection import ImageMark
from audit.marks.manifests.carriers import IMAGE_FORMATS, decode, write
from audit.marks.manifests.reading import Answer, Held
from audit.marks.manifests.signers import Signers, ephemeral_signers
from audit.marks.manifests.signing import Bench
from audit.recipes.marked_images import side_of

CREDENTIAL, RATE = "credential", 1e-3
FOREIGN, UNMARKED = "foreign", "unmarked"
PICTURE_CHANGES = {
    "untouched": "the file as it was handed out",
    "saved_again": "opened and saved as PNG",
    "metadata_stripped": "pixels kept, everything else removed",
    "jpeg": "saved as JPEG of quality 85",
    "resized": "scaled to three quarters",
    "cropped": "a tenth of each side cut off",
    "screenshot": "shown at twice the size on a grey page",
}
"""What happens to an output on its way."""


@dataclass(frozen=True)
class LayersLeft(Recipe[Rows]):
    """For each output and change, which layers are left: a column per layer. Without ``marked`` outputs get no layer.

    Marked outputs are also read as others would hand them in: without any layer, and with the layers of somebody else's keys.
    """

    kind: ClassVar[str] = "layers-left"
    version: ClassVar[int] = 2
    along: ClassVar[tuple[str, ...]] = ("source",)
    source: Recipe[Rows]
    marks: tuple[str, ...]
    mark_key: int
    marked: bool = True

    @property
    def label(self) -> str:
        return f"layers left of {self.source.label}"

    def make(self, context: Context, source: Rows) -> Rows:
        import pyarrow as pa

        images, names = images_of(source), (CREDENTIAL, *self.marks)
        rows = list(self._read(images, context.rng())) if side_of(images) else []
        kinds = [("change", pa.string()), *((name, pa.bool_()) for name in names)]
        return pa.Table.from_pylist(rows, schema=pa.schema(kinds))

    def _read(self, images: Images, rng: Rng) -> Iterator[dict[str, Any]]:
        side, signers = side_of(images), ephemeral_signers()
        marks = [IMAGE_MARKS[name](self.mark_key + i, side) for i, name in enumerate(self.marks)]
        bench, png, opened = Bench(signers.anchors), IMAGE_FORMATS[0], signers.trusted.open()
        marked = images
        for mark in marks if self.marked else ():
            marked = mark.embed(marked)
        for pixels in marked:
            plain = Held(png.mime, png.encode(pixels))
            held = plain
            if self.marked:
                held = bench.sign(plain.file, png.mime, signers.trusted, opened).held
            for change, after in _changed(held, plain, pixels, rng):
                left = {CREDENTIAL: bench.read(after).answer is Answer.TRUSTED}
                seen = _seen(after.file)
                yield {"change": change, **left, **_marks_left(seen, marks)}
        if self.marked:
            yield from _of_others(images, marks, bench, signers, rng)


def _of_others(
    images: Images, marks: list[ImageMark], bench: Bench, signers: Signers, rng: Rng
) -> Iterator[dict[str, Any]]:
    """Read outputs without a layer, and outputs with other keys' marks that an authority nobody trusts signed."""
    png, stranger = IMAGE_FORMATS[0], signers.untrusted["unknown_authority"]
    opened, other = stranger.open(), images
    for mark in marks:
        other = mark.rekeyed(int(rng.integers(1 << 40, 1 << 41))).embed(other)
    for plain, marked in zip(images, other, strict=True):
        signed = bench.sign(png.encode(marked), png.mime, stranger, opened).held
        for change, held, pixels in (
            (UNMARKED, Held(png.mime, png.encode(plain)), plain),
            (FOREIGN, signed, marked),
        ):
            left = {CREDENTIAL: bench.read(held).answer is Answer.TRUSTED}
            yield {"change": change, **left, **_marks_left(pixels, marks)}


def _marks_left(pixels: Images, marks: list[ImageMark]) -> dict[str, bool]:
    return {mark.name: mark.detect(pixels[None])[0].p_value <= RATE for mark in marks}


def _seen(file: bytes) -> Images:
    """Return the pixels of a file, shape (height, width, channels)."""
    pixels = np.asarray(decode(file), np.uint8)
    return pixels[..., None] if pixels.ndim == 2 else pixels


def _changed(held: Held, plain: Held, pixels: Images, rng: Rng) -> Iterator[tuple[str, Held]]:
    """Yield each change and the file that is left of an output that was handed out as ``held``."""
    png, (_, jpeg_format, *_) = IMAGE_FORMATS[0], IMAGE_FORMATS
    yield "untouched", held
    yield "saved_again", Held(png.mime, write(decode(held.file), png))
    yield "metadata_stripped", plain
    file = io.BytesIO()
    shown = decode(held.file)
    (shown if shown.mode in ("L", "RGB") else shown.convert("RGB")).save(file, "JPEG", quality=85)
    yield "jpeg", Held(jpeg_format.mime, file.getvalue())
    yield "resized", Held(png.mime, png.encode(resize(pixels, 75)))
    yield "cropped", Held(png.mime, png.encode(crop(pixels, 90, rng)))
    yield "screenshot", Held(png.mime, png.encode(screenshot(pixels, 8)))
