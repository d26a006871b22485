"""Survival of marks: after what happens to a picture on its way, does any layer still say where it comes from?

Outputs get every layer at once: both watermarks in their pixels, then a signed credential (C2PA) in a PNG. The file is saved again, saved as
JPEG, scaled, cropped, photographed off a screen, or has its metadata removed. A layer survives where its own reader still finds it: a trusted
credential, a watermark at p <= 1/1000. What counts for a person who meets the picture later is whether nothing is left.

Formula: ``none_survives`` is the share of outputs of which no layer survives a change, one number per change.

Interval: Clopper-Pearson (exact) over outputs. The threshold of a watermark is an exact p-value, set by no data.

Gate: outputs without any layer must read as such (``none_survives`` of 1); where they do not, the number is void.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from audit.core.capabilities import Capability
from audit.core.cases import Case, CaseKind, Cases
from audit.core.errors import InputError
from audit.core.evaluators import About, Needs
from audit.core.measurements import Evidence, Outcome
from audit.core.metrics import LOWER, Metric
from audit.core.recipes import Context, Recipe, Shards
from audit.core.rows import Images, Rng, Rows, images_of
from audit.core.subjects import Subject
from audit.marks.image.attacks import crop, resize, screenshot
from audit.marks.image.catalogue import IMAGE_MARKS
from audit.marks.image.detection import ImageMark
from audit.marks.manifests.carriers import IMAGE_FORMATS, decode, write
from audit.marks.manifests.reading import Answer, Held
from audit.marks.manifests.signers import ephemeral_signers
from audit.marks.manifests.signing import Bench
from audit.recipes.marked_images import TOO_SMALL, side_of
from audit.stats.proportions import clopper_pearson

CREDENTIAL, RATE = "credential", 1e-3
CHANGES = {
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
    """For each output and change, which layers are left: a column per layer. Without ``marked`` outputs get no layer."""

    kind: ClassVar[str] = "layers-left"
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


@dataclass(frozen=True, slots=True)
class Survival:
    """Gives ``n`` outputs a credential and each of ``marks``, changes them, and reads what is left; ``key`` is that of the first mark."""

    marks: tuple[str, ...] = ("spread_spectrum", "dwt_dct")
    n: int = 80
    key: int = 32452843

    about: ClassVar[About] = About(
        name="provenance.survival",
        summary="Marks that survive.",
        metrics=(
            Metric(
                "none_survives",
                "Share of outputs of which no mark is left after a change",
                LOWER,
                null=1.0,
                question="After this change, can nobody tell any more where the output comes from?",
            ),
        ),
        needs=Needs(capabilities=((Capability.SAMPLE,),), modalities=("image",)),
        references=("An et al. 2024 (WAVES)", "Clopper & Pearson 1934, for the interval"),
        shards_matter=True,
        caveats=(
            "Outputs get their marks here, for the test; no number says that the model's own service marks them.",
            "These are changes in passing. Somebody who wants the marks gone, and has many marked pictures, can do more.",
        ),
    )

    def __post_init__(self) -> None:
        if unknown := [name for name in self.marks if name not in IMAGE_MARKS]:
            raise InputError(
                f"provenance.survival: no mark is called '{unknown[0]}'; there are {', '.join(IMAGE_MARKS)}."
            )
        if self.n < 1:
            raise InputError("provenance.survival: 'n' is a number of outputs, at least 1.")

    def inputs(self, subject: Subject) -> Cases:
        def asked(marked: bool) -> dict[str, object]:
            return {"left": LayersLeft(subject.samples(self.n), self.marks, self.key, marked)}

        return Cases(asked(True), Case(CaseKind.NULL, asked(False), "outputs without any mark"))

    def measure(self, left: Shards[Rows]) -> Iterable[Outcome]:
        rows = [row for shard in left for row in shard.to_pylist()]
        layers = (CREDENTIAL, *self.marks)
        if not rows:
            groups = [(("change", change),) for change in CHANGES]
            return [self.about.undefined("none_survives", TOO_SMALL, group) for group in groups]
        return self._of_changes(rows, layers)

    def _of_changes(self, rows: list[dict[str, Any]], layers: tuple[str, ...]) -> Iterator[Outcome]:
        table = _picture(rows, layers)
        for change, meaning in CHANGES.items():
            own = [row for row in rows if row["change"] == change]
            gone = sum(not any(row[layer] for layer in layers) for row in own)
            yield self.about.measurement(
                "none_survives",
                gone / len(own),
                clopper_pearson(gone, len(own)),
                len(own),
                group=(("change", change),),
                notes=(f"Change: {meaning}.",),
                evidence=(table,) if change == "untouched" else (),
            )


def _picture(rows: list[dict[str, Any]], layers: tuple[str, ...]) -> Evidence:
    import pyarrow as pa

    lines = []
    for change in CHANGES:
        own = [row for row in rows if row["change"] == change]
        kept = {layer: [bool(row[layer]) for row in own] for layer in layers}
        kept["any layer"] = np.any(np.array(list(kept.values())), axis=0).tolist()
        line: dict[str, Any] = {"change": change, "outputs": len(own)}
        for layer, values in kept.items():
            interval = clopper_pearson(sum(values), len(values))
            line[layer] = f"{np.mean(values):.2f} ({interval.low:.2f} to {interval.high:.2f})"
        lines.append(line)
    return Evidence(
        "table", "Share of outputs of which each layer is left", pa.Table.from_pylist(lines), False
    )
