"""Several scores of the same examples combined into one, fitted on one half and tried on the other, with an exact test."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from audit.core.errors import UndefinedError
from audit.core.measurements import Interval
from audit.stats.permutation import p_value
from audit.stats.proportions import normal_quantile

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

CLIPPED = 0.025
"""Share of the examples at either end of a score that are brought in, so that a few extreme ones do not decide a mean (Maini et al., 2024)."""
_RIDGE = 1e-3
"""Added to the variances of standardised scores: some are nearly copies of each other."""


@dataclass(frozen=True, slots=True)
class Combined:
    """Combined scores, each by a fit to the half that the example is not in; scores compare within a half.

    ``separations`` (halves,) are Cohen's d of each half: the positives' mean less the negatives', over their common standard deviation.
    ``p`` is that of their mean under shuffled labels, refitted each time.
    """

    positives: Floats
    negatives: Floats
    separations: Floats
    p: float
    draws: int


def combined(
    positives: Floats,
    negatives: Floats,
    positive_half: Ints,
    negative_half: Ints,
    draws: int,
    rng: np.random.Generator,
) -> Combined:
    """Combine k scores of m positives (m, k) and n negatives (n, k) by linear discriminants, cross-fitted over two halves (0 and 1).

    Higher says positive. Scores are brought to one scale without looking at the labels; minus infinity becomes the lowest value kept. The test re-draws which
    examples of each half are positives and fits again, so it is exact where a coin decided the labels, whatever the scores are.
    O(draws (m + n) k) time.
    """
    m, k = positives.shape
    if min(m, len(negatives)) == 0 or k == 0:
        raise UndefinedError("there are no scores to combine")
    rows = _on_one_scale(np.concatenate([positives, negatives]))
    half, label = np.concatenate([positive_half, negative_half]), np.arange(len(rows)) < m
    parts = [rows[half == side] for side in (0, 1)]
    labels = [label[half == side] for side in (0, 1)]
    if min(min(own.sum(), (~own).sum()) for own in labels) < 2:
        raise UndefinedError("it takes two examples of each kind in each half")
    spreads: list[Floats] = [np.atleast_2d(np.cov(part.T)) + _RIDGE * np.eye(k) for part in parts]
    inverses: list[Floats] = [np.asarray(np.linalg.inv(spread), np.float64) for spread in spreads]

    def statistic(chosen: list[NDArray[np.bool_]]) -> tuple[float, list[Floats]]:
        gaps = [_gap(part, own) for part, own in zip(parts, chosen, strict=True)]
        weights = [_weights(inverses[1 - side], gaps[1 - side], k) for side in (0, 1)]
        return (
            sum(
                float(gap @ w) / float(np.sqrt(w @ spread @ w))
                for gap, w, spread in zip(gaps, weights, spreads, strict=True)
            ),
            weights,
        )

    observed, weights = statistic(labels)
    shuffled = [statistic([rng.permutation(own) for own in labels])[0] for _ in range(draws)]
    scores = np.empty(len(rows))
    for side in (0, 1):
        scores[half == side] = parts[side] @ weights[side]
    separations = [_cohen(scores[(half == s) & label], scores[(half == s) & ~label]) for s in (0, 1)]
    return Combined(scores[:m], scores[m:], np.array(separations), p_value(observed, shuffled), draws)


def _on_one_scale(rows: Floats) -> Floats:
    """Return columns clipped at their outer quantiles, with mean 0 and variance 1."""
    finite = np.where(np.isneginf(rows), np.where(np.isfinite(rows), rows, np.inf).min(axis=0), rows)
    finite = np.where(np.isfinite(finite), finite, 0.0)
    clipped = np.clip(finite, *np.quantile(finite, [CLIPPED, 1 - CLIPPED], axis=0))
    spread = clipped.std(axis=0)
    return np.asarray((clipped - clipped.mean(axis=0)) / np.where(spread > 0, spread, 1.0))


def _gap(rows: Floats, positive: NDArray[np.bool_]) -> Floats:
    total, inside, m = rows.sum(axis=0), rows[positive].sum(axis=0), int(positive.sum())
    return np.asarray(inside / m - (total - inside) / (len(rows) - m))


def _weights(inverse: Floats, gap: Floats, k: int) -> Floats:
    """Return the discriminant of a half.

    That a positive scores higher was fixed beforehand, so a score by which it is lower counts as one that tells nothing; where all
    are, they count alike and the separation comes out negative.
    """
    found = inverse @ np.maximum(gap, 0.0)
    length = float(np.linalg.norm(found))
    return np.asarray(found / length) if length > 0 else np.full(k, 1 / np.sqrt(k))


def _cohen(positives: Floats, negatives: Floats) -> float:
    m, n = len(positives), len(negatives)
    within = ((m - 1) * positives.var(ddof=1) + (n - 1) * negatives.var(ddof=1)) / (m + n - 2)
    return float((positives.mean() - negatives.mean()) / np.sqrt(within)) if within > 0 else 0.0


def separation_interval(separations: Floats, m: int, n: int, level: float = 0.95) -> tuple[float, Interval]:
    """Return the mean of the halves' separations, and an interval as wide as that of one half: their fits depend on each other.

    ``m`` and ``n`` are the examples of the smaller half. Large-sample variance of Cohen's d (Hedges & Olkin, 1985).
    """
    value = float(np.mean(separations))
    half = normal_quantile((1 + level) / 2) * float(np.sqrt((m + n) / (m * n) + value**2 / (2 * (m + n))))
    return value, Interval(value - half, value + half, level, "normal, variance of Cohen's d in one half")


def examples_to_tell(separation: float, level: float = 0.95, power: float = 0.8) -> float:
    """Return how many examples a side a one-sided test of means needs to find a separation with this power; infinite for none.

    >>> round(examples_to_tell(0.1))
    1237
    """
    if separation <= 0:
        return float("inf")
    return 2 * ((normal_quantile(level) + normal_quantile(power)) / separation) ** 2
