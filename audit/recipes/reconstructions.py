"""What a model makes of real examples, and how near that is to them, picture by picture."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from audit.core.evaluators import Unmet
from audit.core.recipes import Context, Recipe, Shards
from audit.core.references import ExtractorRef, ModelRef
from audit.core.rows import IMAGE, OTHER, Images, Rows, Vector, image_column, image_rows, images_of
from audit.core.subjects import Subject
from audit.core.summaries import merged
from audit.recipes.shown import presentable, rows_at

WINDOW = 11
"""Side of the Gaussian window of SSIM (Wang et al. 2004): nothing smaller has one."""
FIVE_SCALES = WINDOW * 2**4
"""Least side of a picture that has MS-SSIM at its five scales."""
LOUDER = 4
"""The factor by which differences between pictures are multiplied before they are shown."""


def too_few_pictures(subject: Subject, split: str, least: int) -> tuple[Unmet, ...]:
    """Return what an evaluator lacks that asks about at least so many pictures of a split; nothing where it has them."""
    rows = subject.splits.get(split, 0)
    if rows >= least:
        return ()
    found = f"{rows} rows" if split in subject.splits else f"splits: {', '.join(subject.splits)}"
    return (Unmet(f"{least} pictures in split '{split}'", found, "bring more data"),)


@dataclass(frozen=True)
class Reconstructed(Recipe[Rows]):
    """Rows passed through a model's bottleneck and back, in order."""

    kind: ClassVar[str] = "reconstructed"
    along: ClassVar[tuple[str, ...]] = ("rows",)
    rows: Recipe[Rows]
    model: ModelRef

    @property
    def label(self) -> str:
        return f"reconstructions of {self.rows.label}"

    def make(self, context: Context, rows: Rows) -> Rows:
        made = context.model(self.model).reconstruct(rows, context.rng())
        before, after = images_of(rows).shape, images_of(made).shape
        if before != after:
            raise ValueError(f"the model turned {before} into {after} when reconstructing")
        return made


@dataclass(frozen=True)
class Closer(Recipe[Rows]):
    """Reconstructions moved a share ``dose`` of the way to the originals: planted memory of them."""

    kind: ClassVar[str] = "closer"
    along: ClassVar[tuple[str, ...]] = ("made", "rows")
    made: Recipe[Rows]
    rows: Recipe[Rows]
    dose: float

    @property
    def label(self) -> str:
        return f"{self.made.label}, {self.dose:.0%} closer"

    def make(self, context: Context, made: Rows, rows: Rows) -> Rows:
        ours, theirs = (images_of(side).astype(np.float64) for side in (made, rows))
        return image_rows(np.clip(np.rint(ours + self.dose * (theirs - ours)), 0, 255).astype(np.uint8))


@dataclass(frozen=True, slots=True)
class PairScores:
    """How near pictures are to their originals, one entry each: mean squared error on the scale from 0 to 1, SSIM and MS-SSIM.

    A list is empty where pictures of ``side`` pixels have no such score.
    """

    squared: NDArray[np.float64]
    ssim: NDArray[np.float64]
    ms_ssim: NDArray[np.float64]
    side: int

    @classmethod
    def of(cls, batch: tuple[Rows, Rows]) -> PairScores:
        """Score (reconstructions, originals) by torchmetrics at a data range of 1."""
        from torchmetrics.functional.image import (
            multiscale_structural_similarity_index_measure as ms_ssim,
        )
        from torchmetrics.functional.image import structural_similarity_index_measure as ssim

        ours, theirs = (images_of(side) for side in batch)
        side = int(min(theirs.shape[1:3]))
        squared = np.square(ours.astype(np.float64) - theirs).mean(axis=(1, 2, 3)) / 255**2
        none = np.empty(0)
        return cls(
            squared,
            _each(ssim, ours, theirs) if side >= WINDOW else none,
            _each(ms_ssim, ours, theirs) if side >= FIVE_SCALES else none,
            side,
        )

    def merge(self, more: PairScores) -> PairScores:
        return PairScores(
            np.concatenate([self.squared, more.squared]),
            np.concatenate([self.ssim, more.ssim]),
            np.concatenate([self.ms_ssim, more.ms_ssim]),
            min(self.side, more.side),
        )

    @property
    def psnr(self) -> Vector:
        """Return the PSNR of each picture in decibels; infinite for an exact copy."""
        with np.errstate(divide="ignore"):
            return np.asarray(-10 * np.log10(self.squared))


@dataclass(frozen=True)
class ScoredPairs(Recipe[PairScores]):
    """Mean squared error, SSIM and MS-SSIM of each reconstruction."""

    kind: ClassVar[str] = "scored-pairs"
    along: ClassVar[tuple[str, ...]] = ("made", "rows")
    made: Recipe[Rows]
    rows: Recipe[Rows]

    @property
    def label(self) -> str:
        return f"errors of {self.made.label}"

    def make(self, context: Context, made: Rows, rows: Rows) -> PairScores:
        return PairScores.of((made, rows))


@dataclass(frozen=True, slots=True)
class Perceived:
    """How differently each pair of pictures looks, or the reason why that is not known."""

    distances: NDArray[np.float64]
    reason: str = ""

    @classmethod
    def of(cls, batch: NDArray[np.float64]) -> Perceived:
        """Take the parts of each pair's distance, shape (n, parts)."""
        return cls(batch.sum(axis=1))

    def merge(self, more: Perceived) -> Perceived:
        return Perceived(np.concatenate([self.distances, more.distances]), self.reason or more.reason)


@dataclass(frozen=True)
class PerceivedPairs(Recipe[Perceived]):
    """The distance of each reconstruction from its original, as an extractor of pairs sees it: the sum of its parts."""

    kind: ClassVar[str] = "perceived-pairs"
    along: ClassVar[tuple[str, ...]] = ("made", "rows")
    made: Recipe[Rows]
    rows: Recipe[Rows]
    extractor: ExtractorRef

    @property
    def label(self) -> str:
        return f"{self.extractor.name} of {self.made.label}"

    def make(self, context: Context, made: Rows, rows: Rows) -> Perceived:
        import pyarrow as pa

        pairs = pa.table({IMAGE: image_column(images_of(made)), OTHER: image_column(images_of(rows))})
        try:
            return Perceived.of(context.extract(self.extractor, pairs))
        except ValueError as error:  # pictures that it does not take
            return Perceived(np.empty(0), str(error))


@dataclass(frozen=True)
class Triples(Recipe[Rows]):
    """``count`` pictures, each with its reconstruction and the difference: drawn at random, or those with the largest error."""

    kind: ClassVar[str] = "triples"
    rows: Recipe[Rows]
    made: Recipe[Rows]
    scores: Recipe[PairScores]
    count: int
    worst: bool = False

    @property
    def label(self) -> str:
        return f"{self.rows.label} beside their reconstructions"

    def make(
        self, context: Context, rows: Shards[Rows], made: Shards[Rows], scores: Shards[PairScores]
    ) -> Rows:
        import pyarrow as pa

        error = merged(scores).squared
        order = np.argsort(-error, kind="stable") if self.worst else context.rng(0).permutation(len(error))
        chosen = order[: self.count]
        before, after = rows_at(self.rows, rows, chosen), rows_at(self.made, made, chosen)
        gap = np.abs(images_of(before).astype(np.int64) - images_of(after)).max(axis=3, keepdims=True)
        loud = np.minimum(LOUDER * gap, 255).astype(np.uint8)
        columns = {
            IMAGE: presentable(before, ()).column(IMAGE),
            "output": presentable(after, ()).column(IMAGE),
            f"error ×{LOUDER}": presentable(pa.table({IMAGE: image_column(loud)}), ()).column(IMAGE),
            "root mean square error": pa.array(255 * np.sqrt(error[chosen])),
        }
        return pa.table(columns)


def tensor_of(images: Images) -> Any:
    """Return images as torch has them: shape (n, channels, height, width), float32 from 0 to 1."""
    import torch

    return torch.from_numpy(np.ascontiguousarray(images.transpose(0, 3, 1, 2)).astype(np.float32) / 255)


def _each(score: Any, ours: Images, theirs: Images, at_once: int = 64) -> Vector:
    """Return a score of each pair, in batches of so many."""
    import torch

    found = [np.empty(0)]
    with torch.inference_mode():
        for start in range(0, len(ours), at_once):
            span = slice(start, start + at_once)
            pair = tensor_of(ours[span]), tensor_of(theirs[span])
            found.append(np.atleast_1d(score(*pair, data_range=1.0, reduction="none").double().numpy()))
    return np.concatenate(found)
