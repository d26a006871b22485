"""Outputs with a watermark put into their pixels, and what its detector says of them as they are and after attacks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, TypeAlias

import numpy as np

from audit.core.errors import InputError
from audit.core.recipes import Context, Recipe
from audit.core.rows import Images, Rng, Rows, images_of
from audit.marks.image.attacks import ATTACKS, psnr
from audit.marks.image.blocks import SIDE
from audit.marks.image.catalogue import image_mark
from audit.marks.image.detection import ImageMark
from audit.marks.text.catalogue import refused
from audit.marks.text.detection import Detection

MARKED, WRONG, FORGED, REMOVED = "marked", "wrong key", "forged by averaging", "removed by averaging"
Test: TypeAlias = tuple[str, int, Detection, float]
"""The case, its strength, what the detector says and the quality of the picture, 0 where it is not measured."""
FEW = 5
"""Pictures of each kind that an attacker with little has; one with much has a quarter of the outputs of each."""
LARGEST = 256
"""Side of the square at which larger images are marked."""


TOO_SMALL = f"the images have fewer than {2 * SIDE} pixels a side, too few to hold a watermark"


def side_of(images: Images) -> int:
    """Return the side of the square at which images of this size are marked, 0 for ones too small."""
    side: int = min(LARGEST, images.shape[1] // SIDE * SIDE, images.shape[2] // SIDE * SIDE)
    return side if side >= 2 * SIDE else 0


class Reads(Protocol):
    """A detector of images."""

    def detect(self, images: Images) -> list[Detection]:
        """Test each image."""
        ...


@dataclass(frozen=True)
class ImageDetections(Recipe[Rows]):
    """A row per test: the case, its strength, the p-value, the same made continuous, and the quality (PSNR) against the unmarked output.

    Without ``marked`` the outputs are read as they are. Outputs too small for a mark give no rows.
    """

    kind: ClassVar[str] = "image-detections"
    version: ClassVar[int] = 2
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
        images, rng = images_of(source), context.rng()
        side, found = side_of(images), list[Test]()
        if side:
            found += self._tests(images, image_mark(self.mark)(self.mark_key, side), rng)
        return as_rows(found, rng)

    def _tests(self, images: Images, mark: ImageMark, rng: Rng) -> Iterator[Test]:
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
        yield from by_averaging(images, marked, mark)
        for name, (attack, strengths) in ATTACKS.items():
            for strength in strengths:
                attacked = [attack(image, strength, rng) for image in marked]
                same = attacked[0].shape == marked[0].shape
                for image, before in zip(attacked, images, strict=True):
                    quality = psnr(before, image) if same else 0.0
                    yield name, strength, mark.detect(image[None])[0], quality


def as_rows(found: Sequence[Test], rng: Rng) -> Rows:
    """Return tests as rows."""
    import pyarrow as pa

    continuous = d_continuous([d for _, _, d, _ in found], rng.random(len(found)).tolist())
    numbers = pa.float64()
    return pa.table(
        {
            "case": pa.array([case for case, _, _, _ in found], pa.string()),
            "strength": pa.array([strength for _, strength, _, _ in found], pa.int64()),
            "p": pa.array([d.p_value for _, _, d, _ in found], numbers),
            "continuous": pa.array(continuous, numbers),
            "psnr": pa.array([min(quality, 999.0) for _, _, _, quality in found], numbers),
        }
    )


def by_averaging(images: Images, marked: Images, mark: Reads) -> Iterator[Test]:
    """Forge and remove a mark from averages of pictures alone (Yang et al. 2024).

    The attacker has the first half of the outputs, half of them marked and half not, and takes the difference of the means for the
    mark. Added to unmarked outputs of the second half it is a forgery, taken from marked ones a removal.
    """
    half = len(images) // 2
    most = half // 2
    if most < 2:
        return
    for n in sorted({min(FEW, most), most}):
        first, second = marked[:n].astype(np.float64), images[most : most + n].astype(np.float64)
        pattern = first.mean(axis=0) - second.mean(axis=0)
        for case, rest, sign in ((FORGED, images[half:], 1.0), (REMOVED, marked[half:], -1.0)):
            changed = np.rint(np.clip(rest + sign * pattern, 0, 255)).astype(np.uint8)
            for before, after, d in zip(images[half:], changed, mark.detect(changed), strict=True):
                yield case, n, d, psnr(before, after)


def d_continuous(found: list[Detection], uniforms: list[float]) -> list[float]:
    """Return p-values that are uniform without the mark, although scores are whole numbers."""
    return [d.above + u * (d.p_value - d.above) for d, u in zip(found, uniforms, strict=True)]


def named_marks(who: str, own: tuple[str, ...]) -> tuple[tuple[str, int], ...]:
    """Return names and keys of marks that are written name:key. Raise InputError in the name of ``who``."""
    found = []
    for said in own:
        name, _, key = said.partition(":")
        if not key.isdecimal() or int(key) >= 1 << 63:
            raise InputError(f"{who}: '{said}' in 'own' is not name:key with a whole number below 2**63.")
        if why := refused(name, int(key)):
            raise InputError(f"{who}: '{said}' in 'own' has a key that hides nothing: {why}.")
        found.append((name, int(key)))
    return tuple(found)


def pooled(shards: Any) -> list[dict[str, Any]]:
    """Return the rows of all shards."""
    return [row for shard in shards for row in shard.to_pylist()]


def continuous(rows: Sequence[Mapping[str, Any]]) -> np.ndarray:
    """Return the continuous p-values of wrong keys."""
    return np.array([row["continuous"] for row in rows if row["case"] == WRONG])
