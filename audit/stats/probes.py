"""How well a linear probe reads a label off features, beyond chance: cross-fitted, against shuffled labels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from audit.core.errors import UndefinedError
from audit.core.measurements import Interval
from audit.stats.crossfit import folds_of
from audit.stats.permutation import p_value
from audit.stats.ranking import SMALL, RocAreas, area_interval, placements

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

FOLDS = 5
LEAST_OF_A_KIND = 10
_RIDGE = 0.1
"""Penalty in units of a standardised feature's variance, so that as many features as rows do no harm."""


@dataclass(frozen=True, slots=True)
class Readable:
    """How much of a label a linear probe reads: 1 is every kind always, 0 no more than by chance. ``shuffled`` has one value a shuffle."""

    value: float
    error: float
    p_value: float
    shuffled: Floats
    rows: int
    kinds: int

    def interval(self, level: float) -> Interval:
        from audit.stats.proportions import normal_quantile

        reach = normal_quantile((1 + level) / 2) * self.error
        low, high = self.value - reach, min(self.value + reach, 1.0)
        return Interval(low, max(high, self.value), level, f"recalls of {self.kinds} kinds, {FOLDS} folds")


def readable(features: ArrayLike, codes: ArrayLike, rng: np.random.Generator, draws: int = 99) -> Readable:
    """Read a label off features (n, d) by ridge regression of five folds on the other four; codes are 0 to k - 1, shape (n,).

    The probe guesses the kind whose indicator is predicted highest over its share; the score is the mean recall of the kinds,
    ``(recall - 1 / k) / (1 - 1 / k)``: exactly 0 on average for labels that have nothing to do with the features, whatever their
    shares. All shuffles are predicted by the same hat matrix, O(n² d + n k draws). The error is that of the recalls, times
    how much more the shuffles vary than theirs (rows of one fold were fitted to in the others): it covers .96 to .99. Raises UndefinedError below two kinds, ten rows of each, or for features that do not vary.
    """
    y = np.asarray(codes, dtype=np.int64)
    k, counts = _kinds(y)
    z, n = _standardised(features), len(y)
    labels = np.stack([y, *(rng.permutation(y) for _ in range(draws))])
    fold = folds_of(n, FOLDS, rng)
    guessed = np.empty_like(labels)
    for left_out in range(FOLDS):
        tried, fitted = fold == left_out, fold != left_out
        hat = _hat(z[fitted], z[tried])
        for place, row in enumerate(labels):
            guessed[place, tried] = _predicted(hat, row[fitted], k).argmax(axis=1)
    hits = np.stack([(guessed == labels) & (labels == kind) for kind in range(k)]).sum(axis=2)
    recalls = hits / counts[:, None]
    scores = (recalls.mean(axis=0) - 1 / k) / (1 - 1 / k)
    safe = (hits + 1) / (counts[:, None] + 2)
    variances = (safe * (1 - safe) / (counts[:, None] + 2)).sum(axis=0) / (k - 1) ** 2
    tied = max(1.0, float(scores[1:].var(ddof=1) / variances[1:].mean()))
    error = float(np.sqrt(variances[0] * tied))
    return Readable(float(scores[0]), error, float(p_value(scores[0], scores[1:])), scores[1:], n, k)


@dataclass(frozen=True, slots=True)
class AreaGap:
    """How much better one linear probe ranks the kinds of a label than another: a difference of mean areas under ROC curves.

    ``rarest`` is the number of rows of the rarest kind.
    """

    first: float
    second: float
    error: float
    rows: int
    rarest: int

    @property
    def value(self) -> float:
        return self.first - self.second

    def interval(self, level: float) -> Interval:
        """Return DeLong's interval for pairs; where a probe ranks all but perfectly, Newcombe's of the areas, squared and added."""
        from audit.stats.proportions import normal_quantile

        if (1 - max(self.first, self.second)) * self.rarest * (self.rows - self.rarest) >= SMALL:
            reach = normal_quantile((1 + level) / 2) * self.error
            return Interval(self.value - reach, self.value + reach, level, f"DeLong, in pairs, {FOLDS} folds")
        first, second = (
            area_interval(
                RocAreas(np.array([area]), np.zeros((1, 1)), self.rarest, self.rows - self.rarest), 0, level
            )
            for area in (self.first, self.second)
        )
        down = np.hypot(self.first - first.low, second.high - self.second)
        up = np.hypot(first.high - self.first, self.second - second.low)
        method = f"Newcombe's scores of both areas, {FOLDS} folds"
        return Interval(self.value - float(down), self.value + float(up), level, method)


def area_gap(
    first: ArrayLike, second: ArrayLike, codes: ArrayLike, rng: np.random.Generator, draws: int = 99
) -> AreaGap:
    """Read a label off two kinds of features of the same rows, (n, d) and (n, e), by ridge regression of five folds on the other four.

    Each kind is ranked against all others; the areas of the kinds are averaged. DeLong's variance is that of the difference, so what
    both probes get wrong on the same row cancels, times how much more differences for shuffled labels vary than it says (rows of
    one fold were fitted to in the others). Raises UndefinedError as ``readable`` does. Source: DeLong, DeLong & Clarke-Pearson 1988.
    """
    y = np.asarray(codes, dtype=np.int64)
    k, counts = _kinds(y)
    pair = [_standardised(features) for features in (first, second)]
    labels = [y, *(rng.permutation(y) for _ in range(draws))]
    fold = folds_of(len(y), FOLDS, rng)
    ranked = [np.empty((len(labels), len(y), k)) for _ in pair]
    for left_out in range(FOLDS):
        tried, fitted = fold == left_out, fold != left_out
        for z, scores in zip(pair, ranked, strict=True):
            hat = _hat(z[fitted], z[tried])
            for place, row in enumerate(labels):
                scores[place, tried] = _predicted(hat, row[fitted], k)
    areas, variances = np.empty((len(labels), 2)), np.empty(len(labels))
    for place, row in enumerate(labels):
        areas[place], variances[place] = _areas(ranked[0][place], ranked[1][place], row, counts)
    gaps = areas[:, 0] - areas[:, 1]
    likely = float(variances[1:].mean())
    tied = max(1.0, float(gaps[1:].var(ddof=1)) / likely) if likely > 0 else 1.0
    first_area, second_area = areas[0]
    error = float(np.sqrt(variances[0] * tied))
    return AreaGap(float(first_area), float(second_area), error, len(y), int(counts.min()))


def _areas(first: Floats, second: Floats, labels: Ints, counts: Ints) -> tuple[Floats, float]:
    """Return both mean areas of scores (n, k) and the variance of their difference, rows of each kind being a sample of their own."""
    n, k = first.shape
    areas, parts = np.zeros(2), np.zeros((2, n))
    for which, scores in enumerate((first, second)):
        for kind in range(k):
            inside = labels == kind
            above, below = placements(scores[inside, kind], scores[~inside, kind])
            areas[which] += above.mean() / k
            parts[which, inside] += above / len(above) / k
            parts[which, ~inside] += below / len(below) / k
    gap = parts[0] - parts[1]
    return areas, float(sum(counts[kind] * gap[labels == kind].var(ddof=1) for kind in range(k)))


def _kinds(codes: Ints) -> tuple[int, Ints]:
    k = int(codes.max(initial=-1)) + 1
    counts = np.bincount(codes, minlength=max(k, 1))
    if k < 2 or counts.min() < LEAST_OF_A_KIND:
        raise UndefinedError(
            f"it takes two kinds with {LEAST_OF_A_KIND} rows each; the smallest of {k} has {counts.min()}"
        )
    return k, counts


def _standardised(features: ArrayLike) -> Floats:
    x = np.asarray(features, dtype=np.float64)
    deviation = x.std(axis=0)
    varies = deviation > 1e-12 * max(1.0, float(np.abs(x).max()))
    if not varies.any():
        raise UndefinedError("the features do not vary")
    return np.asarray((x[:, varies] - x[:, varies].mean(axis=0)) / deviation[varies])


def _hat(x: Floats, others: Floats) -> Floats:
    """Return the matrix that takes labels of rows x to ridge predictions for other rows, shape (others, rows)."""
    gram = x.T @ x / len(x)
    gram[np.diag_indices_from(gram)] += _RIDGE
    mean = x.mean(axis=0)
    return np.asarray((others - mean) @ np.linalg.solve(gram, (x - mean).T) / len(x))


def _predicted(hat: Floats, labels: Ints, k: int) -> Floats:
    """Return how far each kind's indicator is predicted beyond its share, over that share: shape (others, k)."""
    share = np.bincount(labels, minlength=k) / len(labels)
    return np.asarray(hat @ (np.eye(k)[labels] - share) / np.maximum(share, 1e-12))
