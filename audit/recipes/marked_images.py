"""Outputs with a watermark put into their pixels, and what its detector says of them as they are and after attacks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from audit.core.recipes import Context, Recipe
from audit.core.rows import Images, Rng, Rows, images_of
from audit.marks.image.attacks import ATTACKS, psnr
from audit.marks.image.blocks import SIDE
from audit.marks.image.catalogue import image_mark
from audit.marks.image.detection import ImageMark
from audit.marks.text.detection import Detection

MARKED, WRONG = "marked", "wrong key"
LARGEST = 256
"""Side of the square at which larger images are marked."""


def side_of(images: Images) -> int:
    """Return the side of the square at which images of this size are marked. Raise ValueError for ones too small."""
    side: int = min(LARGEST, images.shape[1] // SIDE * SIDE, images.shape[2] // SIDE * SIDE)
    if side < 2 * SIDE:
        raise ValueError(
            f"an image needs {2 * SIDE} pixels a side to hold a watermark; these have {images.shape[2]} × {images.shape[1]}"
        )
    return side


@dataclass(frozen=True)
class ImageDetections(Recipe[Rows]):
    """A row per test: the case, its strength, the p-value, the same made continuous, and the quality (PSNR) against the unmarked output.

    Without ``marked`` the outputs are read as they are.
    """

    kind: ClassVar[str] = "image-detections"
    along: ClassVar[tuple[str, ...]] = ("source",)
    source: Recipe[Rows]
    mark: str
    mark_key: int
    wrong_keys: int
    marked: bool = True

    @property
    def label(self) -> str:
        return f"detections of {self.mark} in {self.source.label}"

    def make(self, context: Context, source: Rows) -> Rows:
        import pyarrow as pa

        images, rng = images_of(source), context.rng()
        mark = image_mark(self.mark)(self.mark_key, side_of(images))
        found = list(self._tests(images, mark, rng))
        uniforms = rng.random(len(found))
        columns: dict[str, Any] = {
            "case": [case for case, _, _, _ in found],
            "strength": [strength for _, strength, _, _ in found],
            "p": [d.p_value for _, _, d, _ in found],
            "continuous": d_continuous([d for _, _, d, _ in found], uniforms.tolist()),
            "psnr": [min(quality, 999.0) for _, _, _, quality in found],
        }
        return pa.table(columns)

    def _tests(
        self, images: Images, mark: ImageMark, rng: Rng
    ) -> Iterator[tuple[str, int, Detection, float]]:
        marked = mark.embed(images) if self.marked else images
        for i, d in enumerate(mark.detect(marked)):
            yield MARKED, 0, d, psnr(images[i], marked[i])
        for image in (
            marked
        ):  # keys of its own for each: images of one model read alike, so one key's tests are not independent
            for key in rng.integers(1 << 20, 1 << 31, self.wrong_keys).tolist():
                yield WRONG, 0, mark.rekeyed(int(key)).detect(image[None])[0], 0.0
        if not self.marked:
            return
        for name, (attack, strengths) in ATTACKS.items():
            for strength in strengths:
                attacked = [attack(image, strength, rng) for image in marked]
                same = attacked[0].shape == marked[0].shape
                for image, before in zip(attacked, images, strict=True):
                    quality = psnr(before, image) if same else 0.0
                    yield name, strength, mark.detect(image[None])[0], quality


def d_continuous(found: list[Detection], uniforms: list[float]) -> list[float]:
    """Return p-values that are uniform without the mark, although scores are whole numbers."""
    return [d.above + u * (d.p_value - d.above) for d, u in zip(found, uniforms, strict=True)]


def pooled(shards: Any) -> list[dict[str, Any]]:
    """Return the rows of all shards."""
    return [row for shard in shards for row in shard.to_pylist()]


def continuous(rows: list[dict[str, Any]]) -> np.ndarray:
    """Return the continuous p-values of wrong keys."""
    return np.array([row["continuous"] for row in rows if row["case"] == WRONG])
