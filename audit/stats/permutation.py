"""Randomisation p-values, and corrections for asking several questions at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from audit.core.errors import UndefinedError
from audit.stats.ranking import midranks

Floats = NDArray[np.float64]

_SLACK = 1e-9
"""Draws this close to the observed statistic, relatively, count as ties: sums in another order differ by rounding."""


def p_value(observed: float, draws: ArrayLike) -> float:
    """Return ``(1 + #{draws >= observed}) / (draws + 1)``: exact when the draws are exchangeable with the observation.

    >>> p_value(3.0, [1.0, 2.0, 3.0])
    0.5
    """
    null = np.asarray(draws, dtype=np.float64)
    slack = _SLACK * max(1.0, abs(observed))
    return float((1 + np.count_nonzero(null >= observed - slack)) / (null.size + 1))


@dataclass(frozen=True, slots=True)
class LabelPermutations:
    """What shuffling the labels says about k scores of two classes. Arrays of shape (k,).

    ``p`` is for each score by itself; ``p_adjusted`` for the largest of the k standardised areas
    (Westfall & Young, 1993, single step), so it stays honest when the best score is picked afterwards.
    ``blank`` is the area that shuffled labels exceed one time in twenty.
    """

    p: Floats
    p_adjusted: Floats
    blank: Floats
    draws: int


def permute_labels(
    positives: Floats, negatives: Floats, draws: int, rng: np.random.Generator
) -> LabelPermutations:
    """Test whether each of k scores ranks positives above negatives, by the same shuffled labels for all.

    ``positives`` has shape (k, m), ``negatives`` (k, n). One-sided: only positives
    above negatives count. Exact when a coin decided the labels. O(draws (m + n) k) time.
    """
    k, m = positives.shape
    n = negatives.shape[1]
    if m == 0 or n == 0:
        raise UndefinedError("label permutations need examples of both classes")
    ranks = np.stack([midranks(np.concatenate([positives[i], negatives[i]])) for i in range(k)], axis=1)
    spread = np.sqrt(ranks.var(axis=0, ddof=1) * m * n / (m + n))
    spread[spread == 0] = np.inf  # a constant score says nothing: its statistic is 0 however labels fall
    sums = np.empty((draws, k))
    for draw in range(draws):
        sums[draw] = ranks[rng.permutation(m + n)[:m]].sum(axis=0)
    centre = m * (m + n + 1) / 2
    null, observed = (sums - centre) / spread, (ranks[:m].sum(axis=0) - centre) / spread
    largest = null.max(axis=1)
    return LabelPermutations(
        p=np.array([p_value(observed[i], null[:, i]) for i in range(k)]),
        p_adjusted=np.array([p_value(observed[i], largest) for i in range(k)]),
        blank=np.quantile((sums - m * (m + 1) / 2) / (m * n), 0.95, axis=0),
        draws=draws,
    )


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p-values adjusted so that the chance of any false alarm is bounded, whatever their dependence (Holm, 1979).

    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    """
    p = np.asarray(p_values, dtype=np.float64)
    order = np.argsort(p, kind="stable")
    stepped = np.maximum.accumulate(p[order] * (len(p) - np.arange(len(p))))
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(stepped, 1.0)
    return [float(value) for value in adjusted]


def benjamini_hochberg(p_values: Sequence[float]) -> list[float]:
    """Return p-values adjusted to bound the share of false alarms among alarms (Benjamini & Hochberg, 1995).

    Valid for independent or positively dependent tests.

    >>> benjamini_hochberg([0.01, 0.04, 0.03])
    [0.03, 0.04, 0.04]
    """
    return [min(1.0, value) for value in _step_up(p_values)]


def _step_up(p_values: Sequence[float]) -> list[float]:
    p = np.asarray(p_values, dtype=np.float64)
    order = np.argsort(p, kind="stable")[::-1]
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum.accumulate(p[order] * len(p) / np.arange(len(p), 0, -1))
    return [float(value) for value in adjusted]


def benjamini_yekutieli(p_values: Sequence[float]) -> list[float]:
    """Return p-values adjusted as by Benjamini and Hochberg, but valid whatever the dependence (Benjamini & Yekutieli, 2001).

    >>> [round(p, 4) for p in benjamini_yekutieli([0.01, 0.04, 0.03])]
    [0.055, 0.0733, 0.0733]
    """
    harmonic = float((1 / np.arange(1, len(p_values) + 1)).sum())
    return [min(1.0, harmonic * value) for value in _step_up(p_values)]


def selected_level(level: float, selected: int, candidates: int) -> float:
    """Return the level at which to report intervals of what was selected, so that of those reported on average ``level`` hold.

    False coverage rate (Benjamini & Yekutieli, 2005): ``1 - (1 - level) selected / candidates``.

    >>> selected_level(0.95, 2, 20)
    0.995
    """
    if not 1 <= selected <= candidates:
        raise ValueError(f"{selected} selected of {candidates} candidates")
    return 1 - (1 - level) * selected / candidates


def westfall_young(observed: ArrayLike, draws: ArrayLike) -> Floats:
    """Return p-values adjusted for the number of correlated statistics by step-down max-T (Westfall & Young, 1993, 2.8).

    ``observed`` (k,) are statistics on one scale (standardised), large when the null is false; ``draws`` (b, k) are the
    same under re-randomisation, each row from one re-drawing for all k, so that their dependence is kept. Bounds
    the chance of any false alarm; never larger than the single step of ``permute_labels``.

    >>> westfall_young([3.0, 1.0], [[1.0, 2.0], [0.0, 0.5], [2.0, 0.0]]).tolist()
    [0.25, 0.5]
    """
    statistics, null = np.asarray(observed, dtype=np.float64), np.asarray(draws, dtype=np.float64)
    if null.ndim != 2 or statistics.shape != null.shape[1:]:
        raise ValueError(f"statistics {statistics.shape} and draws {null.shape} do not go together")
    order = np.argsort(-statistics, kind="stable")
    largest = np.maximum.accumulate(null[:, order][:, ::-1], axis=1)[:, ::-1]
    raw = [p_value(float(statistics[which]), largest[:, place]) for place, which in enumerate(order)]
    adjusted = np.empty(len(statistics))
    adjusted[order] = np.maximum.accumulate(raw)
    return adjusted
