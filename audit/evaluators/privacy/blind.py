"""Whether members and non-members differ by themselves: a classifier that never asks the model.

An attack that does no better than this has measured the split, not the model
(Das, Zhang & Tramèr, 2024). The classifier sees what an attacker would see of each row
(its text, its pixels, or its columns) and is cross-fitted, so that no row is scored by a fit that saw it.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from audit.core.recipes import Context, Recipe, Shards
from audit.core.rows import IMAGE, PREFIX, TEXT, Matrix, Rows, Vector, images_of, texts_of
from audit.stats.crossfit import Ints, Linear, fit_without_each, folds_of, moments_by_fold

_GRID = 16
"""Pixels are averaged to at most this many a side: 768 numbers per colour image."""
_BINS = 384
"""Hash bins for byte n-grams, and as many again for words."""
_FOLDS = 2
"""Two, because the interval of a cross-fitted area is as wide as that of one fold."""
_MOST_BYTES = 20_000
_NUMBERS = 256


@dataclass(frozen=True, slots=True)
class BlindBaseline:
    """A score per row from a classifier that never asked the model; higher says member.

    Scores compare within a fold: each half of the rows was scored by a fit to
    the other half. ``randomised`` is what the data says of the split: whether a coin decided it.
    """

    members: Vector
    nonmembers: Vector
    member_fold: Ints
    nonmember_fold: Ints
    randomised: bool


@dataclass(frozen=True)
class BlindFeatures(Recipe[Matrix]):
    """What the rows look like without any model: pixels on a grid, hashed n-grams and lengths, or columns."""

    kind: ClassVar[str] = "blind-features"
    along: ClassVar[tuple[str, ...]] = ("source",)
    source: Recipe[Rows]

    @property
    def label(self) -> str:
        return f"model-free features of {self.source.label}"

    def make(self, context: Context, source: Rows) -> Matrix:
        parts = []
        if IMAGE in source.column_names:
            parts.append(_pixel_features(source))
        parts += [
            np.stack([_text_features(text) for text in texts_of(source, column)])
            for column in (TEXT, PREFIX)
            if column in source.column_names
        ]
        return np.concatenate(parts or [_column_features(source)], axis=1)


@dataclass(frozen=True)
class BlindScores(Recipe[BlindBaseline]):
    """Members against non-members by cross-fitted ridge regression on model-free features."""

    kind: ClassVar[str] = "blind-scores"
    members: Recipe[Matrix]
    nonmembers: Recipe[Matrix]
    seed: int
    randomised: bool

    @property
    def label(self) -> str:
        return "model-free baseline"

    def make(self, context: Context, members: Shards[Matrix], nonmembers: Shards[Matrix]) -> BlindBaseline:
        rng = context.rng()
        sides = (members, nonmembers)
        folds = [folds_of(sum(len(shard) for shard in side), _FOLDS, rng) for side in sides]
        total = None
        for side, fold, target in zip(sides, folds, (1.0, -1.0), strict=True):
            start = 0
            for shard in side:
                within = fold[start : start + len(shard)]
                part = moments_by_fold(np.asarray(shard), target, within, _FOLDS)
                if total is not None and len(part[0].mean) != len(total[0].mean):
                    raise ValueError("members and non-members have rows of different shapes")
                total = part if total is None else tuple(a.merge(b) for a, b in zip(total, part, strict=True))
                start += len(shard)
        assert total is not None, "a split has at least one shard"
        fits = fit_without_each(total)
        scores = [_scores_of(side, fold, fits) for side, fold in zip(sides, folds, strict=True)]
        return BlindBaseline(scores[0], scores[1], folds[0], folds[1], self.randomised)


def _scores_of(side: Shards[Matrix], fold: Ints, fits: Sequence[Linear]) -> Vector:
    scores, start = np.empty(len(fold)), 0
    for shard in side:
        features, within = np.asarray(shard), fold[start : start + len(shard)]
        for k, fit in enumerate(fits):
            scores[start : start + len(shard)][within == k] = fit.score(features[within == k])
        start += len(shard)
    return scores


def _pixel_features(rows: Rows) -> Matrix:
    pixels = images_of(rows).astype(np.float64) / 255
    n, height, width, _ = pixels.shape
    for axis, size in ((1, height), (2, width)):
        starts = np.linspace(0, size, min(_GRID, size), endpoint=False).astype(int)
        counts = np.diff(np.append(starts, size)).astype(np.float64)
        shape = [1, 1, 1, 1]
        shape[axis] = len(counts)
        pixels = np.add.reduceat(pixels, starts, axis=axis) / counts.reshape(shape)
    sharp = images_of(rows).astype(np.float64) / 255
    summary = [
        sharp.mean(axis=(1, 2)),
        sharp.std(axis=(1, 2)),
        np.abs(np.diff(sharp, axis=1)).mean(axis=(1, 2)) if height > 1 else sharp.mean(axis=(1, 2)),
        np.abs(np.diff(sharp, axis=2)).mean(axis=(1, 2)) if width > 1 else sharp.mean(axis=(1, 2)),
    ]
    return np.concatenate([pixels.reshape(n, -1), *summary], axis=1)


def _text_features(text: str | None) -> Vector:
    """Return hashed byte n-grams (1 to 4) and words, each of unit length, and eight lengths and shares."""
    raw = (text or "").encode("utf-8", "surrogatepass")[:_MOST_BYTES]
    codes = np.frombuffer(raw, dtype=np.uint8).astype(np.uint64)
    grams = np.zeros(_BINS)
    rolling = np.zeros(len(codes) + 1, dtype=np.uint64)
    for size in range(1, min(4, len(codes)) + 1):
        rolling = rolling[:-1] * np.uint64(0x100000001B3) + codes[size - 1 :] + np.uint64(size)
        bins = ((rolling * np.uint64(0x9E3779B97F4A7C15)) >> np.uint64(33)) % np.uint64(_BINS)
        grams += np.bincount(bins.astype(np.intp), minlength=_BINS)
    words = raw.lower().split()
    bag = np.bincount([zlib.crc32(word) % _BINS for word in words] or [0], minlength=_BINS) * bool(words)
    length = max(1, len(raw))
    shares = [
        np.log1p(len(text or "")),
        np.log1p(len(words)),
        len(raw) / max(1, len(words)),
        len(zlib.compress(raw)) / length,
        *(float(((codes >= low) & (codes <= high)).sum()) / length for low, high in _CLASSES),
    ]
    return np.concatenate([_unit(grams), _unit(bag), np.array(shares)])


_CLASSES = ((48, 57), (65, 90), (10, 10), (128, 255))
"""Byte ranges counted as shares: digits, capitals, line ends, everything beyond ASCII."""


def _unit(counts: Any) -> Vector:
    damped = np.log1p(np.asarray(counts, dtype=np.float64))
    return np.asarray(damped / max(1e-12, float(np.linalg.norm(damped))))


def _column_features(rows: Rows) -> Matrix:
    """Return every column: numbers as they are, everything else hashed with its name."""
    import pyarrow as pa

    columns: list[Matrix] = []
    hashed = np.zeros((rows.num_rows, _NUMBERS))
    for name in rows.column_names:
        kind, values = rows.schema.field(name).type, rows.column(name).to_pylist()
        if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind):
            numbers = np.array([np.nan if value is None else float(value) for value in values])
            missing = ~np.isfinite(numbers)
            columns.append(np.column_stack([np.where(missing, 0.0, numbers), missing]))
        else:
            for i, value in enumerate(values):
                hashed[i, zlib.crc32(f"{name}={value!r}".encode()) % _NUMBERS] += 1
    return np.concatenate([*columns, hashed], axis=1)
