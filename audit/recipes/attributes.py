"""What an attribute classifier reads in each row, and where samples look like nothing that it was tried on."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from audit.core.recipes import Context, Recipe, Shards
from audit.core.references import Attribute
from audit.core.rows import Matrix, Rng
from audit.stats.associations import drawn_inverses

STRANGE = 0.01
"""A row is strange when the classifier is less sure of it than of all but this share of the real examples."""


MOST_STRANGE = 0.5
"""Where more of the samples than this are strange, nothing is said of them."""
CONFUSIONS = 60
"""How many confusion matrices are drawn that fit the labels as well as the one that was counted."""


@dataclass(frozen=True, slots=True)
class Readings:
    """The value read for each attribute, shape (rows, attributes), and how sure the classifier was of all of them together, (rows,).

    A value of -1 says that nothing was read: the classifier abstained, or nobody labelled the row. ``sure`` is the sum over attributes of the log probability of the value read: 0 where it had no doubt.
    """

    codes: NDArray[np.int64]
    sure: NDArray[np.float64]

    def strange(self, real: Readings) -> float:
        """Return the share of rows that are read less surely than all but 1 in 100 of the real ones."""
        return float((self.sure < np.quantile(real.sure, STRANGE)).mean())


def joined(shards: Shards[Readings]) -> Readings:
    """Return the readings of all shards as one."""
    held = list(shards)
    return Readings(np.concatenate([r.codes for r in held]), np.concatenate([r.sure for r in held]))


@dataclass(frozen=True)
class AttributeReadings(Recipe[Readings]):
    """The likeliest value of every attribute, none where all its probabilities are 0; ``widths`` says how many columns of ``features`` each attribute has."""

    kind: ClassVar[str] = "attribute-readings"
    along: ClassVar[tuple[str, ...]] = ("features",)
    features: Recipe[Matrix]
    widths: tuple[int, ...]

    @property
    def label(self) -> str:
        return f"attributes read off {self.features.label}"

    def make(self, context: Context, features: Matrix) -> Readings:
        if features.shape[1] != sum(self.widths):
            raise ValueError(f"{features.shape[1]} columns for attributes of {sum(self.widths)} values")
        if not np.isfinite(features).all():
            bad = int((~np.isfinite(features).all(axis=1)).sum())
            raise ValueError(f"the attribute classifier returned no number for {bad} of {len(features)} rows")
        ends = np.cumsum((0, *self.widths))
        parts = [np.asarray(features[:, a:b], np.float64) for a, b in pairwise(ends)]
        read = np.stack([part.any(axis=1) for part in parts], axis=1)
        codes = np.where(read, np.stack([part.argmax(axis=1) for part in parts], axis=1), -1)
        best = np.where(read, np.stack([part.max(axis=1) for part in parts], axis=1), 1.0)
        return Readings(codes.astype(np.int64), np.log(np.clip(best, 1e-12, 1.0)).sum(axis=1))


def unlike_anything(strange: float) -> str:
    """Return why samples of which this share is strange cannot be read, or an empty string."""
    if strange <= MOST_STRANGE:
        return ""
    return (
        f"the attribute classifier is less sure of {strange:.0%} of the samples than of all but 1 % of the real "
        "examples: they look like nothing that it was tried on, so what it reads in them is not known to mean anything"
    )


def inverses_of(attribute: Attribute, rng: Rng) -> list[Matrix]:
    """Return the inverse confusion matrix and draws of it; the identity where errors were never counted.

    Raises UndefinedError where it has no inverse to rely on.
    """
    if not attribute.confusion:
        return [np.eye(len(attribute.values))] * (CONFUSIONS + 1)
    return drawn_inverses(np.array(attribute.confusion, np.float64), rng, CONFUSIONS)
