"""Shares of several values where people labelled some of the rows and a classifier read all of them.

The labels correct the classifier on these very rows, so nothing is assumed about how it errs elsewhere; its readings make the labels go
further. They must be labels of rows drawn at random, which is checked as far as readings can tell.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from audit.core.errors import UndefinedError
from audit.core.measurements import Interval
from audit.stats.prediction_powered import Checked, double_sampled_rate, powered_mean
from audit.stats.proportions import clopper_pearson

Floats = NDArray[np.float64]
Whole = NDArray[np.int64]

LEAST_LABELS = 100
"""Labels below which the normal interval of a distance between shares is not claimed."""
_NOT_RANDOM = 1e-3


@dataclass(frozen=True, slots=True)
class Powered:
    """Shares of k values by PPI++ among all rows, and among even and odd ones, shape (3, k), with their covariance (k, k).

    ``labels`` is how many rows were labelled, ``weight`` how far the readings were trusted: 0 not at all.
    """

    held: Floats
    covariance: Floats
    labels: int
    weight: float

    @classmethod
    def of(cls, labels: Whole, codes: Whole, k: int) -> Powered:
        """Take the label of each row and what was read in it, shapes (n,), -1 where there is none.

        One weight serves all values (its trace is the least), so that the shares add up to 1. Raises UndefinedError below
        100 labels in all, and where the labelled rows are read otherwise than the rest, beyond chance.
        """
        if (n := int((labels >= 0).sum())) < LEAST_LABELS:
            raise UndefinedError(f"{n} labels by hand are too few; it takes {LEAST_LABELS}")
        refuse_chosen(labels, codes, k)
        whole, covariance, weight = _powered(labels, codes, k)
        halves = [_powered(labels[i::2], codes[i::2], k)[0] for i in (0, 1)]
        return cls(np.stack([whole, *halves]), covariance, n, weight)

    def shares(self, correction: Floats, half: int | None = None) -> Floats:
        """Return the shares; labels need no ``correction``."""
        return np.asarray(self.held[0 if half is None else 1 + half])

    def uncertainty(self, correction: Floats, weights: Floats) -> float:
        return float(weights @ self.covariance @ weights)


def _powered(labels: Whole, codes: Whole, k: int) -> tuple[Floats, Floats, float]:
    known = labels >= 0
    n, rest = int(known.sum()), int((~known).sum())
    if n < 2 or rest < 2:
        raise UndefinedError(f"{n} rows are labelled by hand and {rest} are not; it takes both")
    shown = np.arange(k)
    y, f, g = (
        (values[:, None] == shown).astype(np.float64)
        for values in (labels[known], codes[known], codes[~known])
    )
    pooled = float(np.concatenate([f, g]).var(axis=0, ddof=1).sum())
    together = float(((y - y.mean(axis=0)) * (f - f.mean(axis=0))).sum()) / (n - 1)
    weight = together / ((1 + n / rest) * pooled) if pooled > 0 else 0.0
    left = y - weight * f
    covariance = np.cov(left, rowvar=False) / n + weight**2 * np.cov(g, rowvar=False) / rest
    return weight * g.mean(axis=0) + left.mean(axis=0), np.asarray(covariance), weight


def refuse_chosen(labels: Whole, codes: Whole, k: int) -> None:
    """Raise UndefinedError where labelled rows are read otherwise than the rest: then they were not drawn at random."""
    from scipy import stats

    known = labels >= 0
    table = np.stack([np.bincount(codes[side] + 1, minlength=k + 1) for side in (known, ~known)])
    table = table[:, table.sum(axis=0) > 0]
    if table.shape[1] < 2 or not table.sum(axis=1).all():
        return
    p = float(stats.chi2_contingency(table, correction=False).pvalue)
    if p < _NOT_RANDOM:
        raise UndefinedError(
            f"the rows labelled by hand are read otherwise than the rest (p = {max(p, 1e-6):.1g}), so they were not drawn at random"
        )


def labelled_rate(labels: Whole, codes: Whole, value: int, level: float = 0.95) -> tuple[float, Interval]:
    """Return the share of one value and its interval: PPI++, or for a rare value double sampling (Tenenbein 1970).

    Where nobody labelled a row that the classifier gave this value, of the labels alone (Clopper & Pearson 1934).
    """
    known = labels >= 0
    y, f = labels == value, codes == value
    try:
        found = powered_mean(y[known], f[known], f[~known], level)
        low, high = max(found.interval.low, 0.0), min(found.interval.high, 1.0)
        share = min(max(found.value, low), high)
        return share, Interval(low, high, level, found.interval.method)
    except UndefinedError:
        if not (known & f).any():
            hits, n = int((known & y).sum()), int(known.sum())
            return hits / n, clopper_pearson(hits, n, level)
        answers = [
            Checked(int(side.sum()), int((side & known).sum()), int((side & known & y).sum()))
            for side in (f, ~f)
        ]
        return double_sampled_rate(answers[0], answers[1], level)
