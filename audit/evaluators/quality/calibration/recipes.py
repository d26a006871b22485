"""What a language model thought of each next token, and how often it was right."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from audit.core.errors import UndefinedError
from audit.core.recipes import Context, Recipe, Shards
from audit.core.rows import Rows
from audit.core.summaries import merged
from audit.stats.calibration import CalibrationError, expected_calibration_error

_SURE = 1e-6
"""A probability nearer to 0 or 1 is sharpened as if it were this near."""


@dataclass(frozen=True, slots=True)
class Guesses:
    """The likeliest next token at every place of some texts: shape (tokens,) but for ``lengths``, (texts,).

    ``confidence`` is its probability, ``right`` says whether it came; ``surprisal`` is -log p of what came, ``entropy`` and
    ``variance`` are the mean and the variance that the model itself expects of it. ``confidence`` is NaN where the
    model does not tell. Merging is concatenation.
    """

    lengths: NDArray[np.int64]
    confidence: NDArray[np.float64]
    right: NDArray[np.bool_]
    surprisal: NDArray[np.float64]
    entropy: NDArray[np.float64]
    variance: NDArray[np.float64]

    @classmethod
    def of(cls, scores: Rows) -> Self:
        lists = {
            name: scores.column(name).combine_chunks()
            for name in ("logp", "token", "top1", "best", "entropy", "variance")
            if name in scores.column_names
        }
        values = {
            name: np.asarray(column.flatten().to_numpy(zero_copy_only=False))
            for name, column in lists.items()
        }
        lengths = np.asarray(lists["logp"].value_lengths().to_numpy(zero_copy_only=False), np.int64)
        right = values["token"] == values["top1"]
        surprisal = -values["logp"].astype(np.float64)
        best = values["best"].astype(np.float64) if "best" in values else np.full(len(right), np.nan)
        return cls(
            lengths,
            np.exp(best),
            right,
            surprisal,
            values["entropy"].astype(np.float64),
            values["variance"].astype(np.float64),
        )

    def merge(self, other: Self) -> Self:
        return type(self)(
            *(np.concatenate([getattr(self, name), getattr(other, name)]) for name in self.__slots__)
        )

    @property
    def documents(self) -> NDArray[np.int64]:
        """Return which text each token is of."""
        return np.repeat(np.arange(len(self.lengths)), self.lengths)


@dataclass(frozen=True)
class BestGuesses(Recipe[Guesses]):
    """The likeliest next token at every place, with its probability, and what came instead."""

    kind: ClassVar[str] = "best-guesses"
    along: ClassVar[tuple[str, ...]] = ("scores",)
    scores: Recipe[Rows]

    @property
    def label(self) -> str:
        return f"best guesses of {self.scores.label}"

    def make(self, context: Context, scores: Rows) -> Guesses:
        return Guesses.of(scores)


@dataclass(frozen=True)
class Redrawn(Recipe[Guesses]):
    """The same guesses, each right with the probability that the model gives it, and surprisals as it expects them.

    A guess of 0.7 is then right in seven cases of ten: a calibrated model. With ``sharpened`` above 0 it then claims
    more than that: every probability has its log odds multiplied by 1 + ``sharpened``, a planted over-confidence.
    """

    kind: ClassVar[str] = "redrawn-guesses"
    along: ClassVar[tuple[str, ...]] = ("guesses",)
    guesses: Recipe[Guesses]
    sharpened: float = 0.0

    @property
    def label(self) -> str:
        return f"redrawn {self.guesses.label}"

    def make(self, context: Context, guesses: Guesses) -> Guesses:
        rng, p = context.rng(), guesses.confidence
        right = rng.random(len(p)) < p
        expected = rng.normal(guesses.entropy, np.sqrt(np.maximum(guesses.variance, 0.0)))
        if self.sharpened:
            safe = np.clip(p, _SURE, 1 - _SURE)
            odds = np.log(safe) - np.log1p(-safe)
            p = 1 / (1 + np.exp(-(1 + self.sharpened) * odds))
        return replace(guesses, right=right, surprisal=expected, confidence=p)


@dataclass(frozen=True, slots=True)
class Calibrated:
    """The calibration error of guesses, or the reason why there is none."""

    error: CalibrationError | None
    reason: str = ""


@dataclass(frozen=True)
class CalibrationErrors(Recipe[Calibrated]):
    """The calibration error of guesses over bins of equally many, documents as clusters."""

    kind: ClassVar[str] = "calibration-errors"
    guesses: Recipe[Guesses]
    bins: int
    level: float

    @property
    def label(self) -> str:
        return f"calibration of {self.guesses.label}"

    def make(self, context: Context, guesses: Shards[Guesses]) -> Calibrated:
        whole = merged(guesses)
        if not np.isfinite(whole.confidence).all():
            return Calibrated(
                None, "the model's token scores do not say how likely its best token is (`best`)"
            )
        try:
            found = expected_calibration_error(
                whole.confidence,
                whole.right,
                whole.documents,
                context.rng(0),
                bins=self.bins,
                level=self.level,
            )
        except UndefinedError as error:
            return Calibrated(None, str(error))
        return Calibrated(found)
