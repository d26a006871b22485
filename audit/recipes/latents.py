"""What a latent-variable model makes of rows: codes, posteriors, importance weights, and rows decoded from codes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from audit.core.capabilities import Capability
from audit.core.evaluators import Unmet
from audit.core.recipes import Context, Recipe
from audit.core.references import ModelRef
from audit.core.rows import Images, Matrix, Rows
from audit.core.subjects import Subject

_TILE, _STRIP = 64, 512
"""Pixels of the longer side of a picture in a strip, and of a strip."""


@dataclass(frozen=True)
class LogImportanceWeights(Recipe[Matrix]):
    """``log p(x, z) - log q(z | x)`` in nats for ``draws`` latent vectors from each row's posterior, shape (rows, draws)."""

    kind: ClassVar[str] = "log-importance-weights"
    along: ClassVar[tuple[str, ...]] = ("rows",)
    rows: Recipe[Rows]
    model: ModelRef
    draws: int
    seed: int

    @property
    def label(self) -> str:
        return f"importance weights of {self.rows.label}"

    def make(self, context: Context, rows: Rows) -> Matrix:
        found = context.model(self.model).log_importance_weights(rows, context.rng(), self.draws)
        weights = np.asarray(found, dtype=np.float64)
        if weights.shape != (rows.num_rows, self.draws):
            raise ValueError(
                f"the model returned weights of shape {weights.shape}; asked for {self.draws} of each of {rows.num_rows} rows"
            )
        if np.isnan(weights).any() or np.isposinf(weights).any():
            raise ValueError("the model returned log importance weights that are not a number, or infinite")
        return weights


@dataclass(frozen=True)
class Codes(Recipe[Matrix]):
    """The latent vector of each row, shape (rows, latent)."""

    kind: ClassVar[str] = "codes"
    along: ClassVar[tuple[str, ...]] = ("rows",)
    rows: Recipe[Rows]
    model: ModelRef

    @property
    def label(self) -> str:
        return f"codes of {self.rows.label}"

    def make(self, context: Context, rows: Rows) -> Matrix:
        return checked(context.model(self.model).encode(rows), rows.num_rows)


@dataclass(frozen=True)
class Posteriors(Recipe[Matrix]):
    """Mean and log variance of each row's posterior, shape (rows, 2, latent)."""

    kind: ClassVar[str] = "posteriors"
    along: ClassVar[tuple[str, ...]] = ("rows",)
    rows: Recipe[Rows]
    model: ModelRef

    @property
    def label(self) -> str:
        return f"posteriors of {self.rows.label}"

    def make(self, context: Context, rows: Rows) -> Matrix:
        found = np.asarray(context.model(self.model).posterior(rows), dtype=np.float64)
        if found.ndim != 3 or found.shape[:2] != (rows.num_rows, 2):
            raise ValueError(
                f"the model returned posteriors of shape {found.shape}; (rows, 2, latent) holds mean and log variance"
            )
        checked(found[:, 0], rows.num_rows)
        checked(found[:, 1], rows.num_rows)
        return found


@dataclass(frozen=True)
class Decoded(Recipe[Rows]):
    """One row for each latent vector; with ``swapped``, for that of another row of the shard, drawn at random."""

    kind: ClassVar[str] = "decoded"
    along: ClassVar[tuple[str, ...]] = ("codes",)
    codes: Recipe[Matrix]
    model: ModelRef
    swapped: bool = False

    @property
    def label(self) -> str:
        return f"rows decoded from {self.codes.label}"

    def make(self, context: Context, codes: Matrix) -> Rows:
        rng, used = context.rng(), codes
        if self.swapped:
            order = rng.permutation(len(codes))
            used = np.empty_like(codes)
            used[order] = codes[np.roll(order, 1)]
        found = context.model(self.model).decode(used, rng)
        if found.num_rows != len(codes):
            raise ValueError(
                f"the model was given {len(codes)} latent vectors and returned {found.num_rows} rows"
            )
        return found


def checked(codes: Matrix, rows: int) -> Matrix:
    """Return latent vectors as float64. Raise ValueError when they are not one finite vector a row."""
    found = np.asarray(codes, dtype=np.float64)
    if found.ndim != 2 or len(found) != rows:
        raise ValueError(f"the model returned latent vectors of shape {found.shape} for {rows} rows")
    if bad := int((~np.isfinite(found)).any(axis=1).sum()):
        raise ValueError(f"the model returned latent vectors that are not finite for {bad} of {rows} rows")
    return found


def no_bottleneck(subject: Subject, remedy: str) -> tuple[Unmet, ...]:
    """Return why questions about a code are not asked of a model that removes noise; nothing for others."""
    if Capability.DENOISING_LOSS not in subject.offers:
        return ()
    found = "a model that removes noise: its latent vectors are noise as large as the example, and each costs a whole path"
    return (Unmet("a model with a code", found, remedy),)


def strips(images: Images, count: int) -> Images:
    """Return every ``count`` images side by side as one, small enough to look at, shape (n / count, height, width, channels)."""
    from PIL import Image

    n, height, width, channels = images.shape
    side = min(_TILE, _STRIP // count)
    if max(height, width) > side:
        shrink = side / max(height, width)
        size = (max(1, round(width * shrink)), max(1, round(height * shrink)))
        small = [
            [
                np.asarray(Image.fromarray(image[:, :, c]).resize(size, Image.Resampling.BOX))
                for c in range(channels)
            ]
            for image in images
        ]
        images = np.array(small, np.uint8).transpose(0, 2, 3, 1)
    framed = np.pad(images, ((0, 0), (0, 0), (0, 1), (0, 0)), constant_values=255)
    rows = framed.reshape(n // count, count, *framed.shape[1:])
    joined = rows.transpose(0, 2, 1, 3, 4).reshape(n // count, framed.shape[1], -1, channels)
    return np.ascontiguousarray(joined[:, :, :-1])


@dataclass(frozen=True)
class MeansOf(Recipe[Matrix]):
    """The means of posteriors: the codes of a model that offers its posterior, shape (rows, latent)."""

    kind: ClassVar[str] = "posterior-means"
    along: ClassVar[tuple[str, ...]] = ("posteriors",)
    posteriors: Recipe[Matrix]

    @property
    def label(self) -> str:
        return f"means of {self.posteriors.label}"

    def make(self, context: Context, posteriors: Matrix) -> Matrix:
        return np.ascontiguousarray(posteriors[:, 0])


@dataclass(frozen=True)
class PosteriorDraws(Recipe[Matrix]):
    """One latent vector from each posterior, shape (rows, latent): together they are the aggregated posterior."""

    kind: ClassVar[str] = "posterior-draws"
    along: ClassVar[tuple[str, ...]] = ("posteriors",)
    posteriors: Recipe[Matrix]

    @property
    def label(self) -> str:
        return f"draws from {self.posteriors.label}"

    def make(self, context: Context, posteriors: Matrix) -> Matrix:
        noise = context.rng().standard_normal(posteriors[:, 0].shape)
        return np.asarray(posteriors[:, 0] + np.exp(0.5 * posteriors[:, 1]) * noise)


@dataclass(frozen=True)
class PriorDraws(Recipe[Matrix]):
    """As many standard normal latent vectors as ``like`` has rows; ``seed`` tells two samples apart. ``shrunk`` by a share is a planted mismatch."""

    kind: ClassVar[str] = "prior-draws"
    along: ClassVar[tuple[str, ...]] = ("like",)
    like: Recipe[Matrix]
    seed: int
    shrunk: float = 0.0

    @property
    def label(self) -> str:
        return "draws from the prior"

    def make(self, context: Context, like: Matrix) -> Matrix:
        return np.asarray((1 - self.shrunk) * context.rng().standard_normal(like.shape))
