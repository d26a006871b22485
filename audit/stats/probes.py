"""How well a linear probe reads a label off features, beyond chance: cross-fitted, against shuffled labels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from audit.core.errors import UndefinedError
from audit.core.measurements import Interval
from audit.stats.crossfit import folds_of
from audit.stats.permutation import p_value

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
    x, y = np.asarray(features, dtype=np.float64), np.asarray(codes, dtype=np.int64)
    k, n = int(y.max(initial=-1)) + 1, len(x)
    counts = np.bincount(y, minlength=max(k, 1))
    if k < 2 or counts.min() < LEAST_OF_A_KIND:
        raise UndefinedError(
            f"it takes two kinds with {LEAST_OF_A_KIND} rows each; the smallest of {k} has {counts.min()}"
        )
    deviation = x.std(axis=0)
    varies = deviation > 1e-12 * max(1.0, float(np.abs(x).max()))
    if not varies.any():
        raise UndefinedError("the features do not vary")
    z = (x[:, varies] - x[:, varies].mean(axis=0)) / deviation[varies]
    labels = np.stack([y, *(rng.permutation(y) for _ in range(draws))])
    fold = folds_of(n, FOLDS, rng)
    guessed = np.empty_like(labels)
    for left_out in range(FOLDS):
        tried, fitted = fold == left_out, fold != left_out
        guessed[:, tried] = _guess(z[fitted], labels[:, fitted], z[tried], k)
    hits = np.stack([(guessed == labels) & (labels == kind) for kind in range(k)]).sum(axis=2)
    recalls = hits / counts[:, None]
    scores = (recalls.mean(axis=0) - 1 / k) / (1 - 1 / k)
    safe = (hits + 1) / (counts[:, None] + 2)
    variances = (safe * (1 - safe) / (counts[:, None] + 2)).sum(axis=0) / (k - 1) ** 2
    tied = max(1.0, float(scores[1:].var(ddof=1) / variances[1:].mean()))
    error = float(np.sqrt(variances[0] * tied))
    return Readable(float(scores[0]), error, float(p_value(scores[0], scores[1:])), scores[1:], n, k)


def difference(a: Readable, b: Readable, level: float) -> Interval:
    """Return an interval for how much more ``a`` reads than ``b``, from both errors as if independent.

    Where both read the same rows they err together, and it is wider than it need be.
    """
    from audit.stats.proportions import normal_quantile

    value, reach = a.value - b.value, normal_quantile((1 + level) / 2) * float(np.hypot(a.error, b.error))
    return Interval(value - reach, value + reach, level, "difference of two probes, taken as independent")


def _guess(x: Floats, labels: Ints, others: Floats, k: int) -> Ints:
    """Return the kinds that ridge regressions of every labelling (labellings, n) give other rows, shape (labellings, rows)."""
    gram = x.T @ x / len(x)
    gram[np.diag_indices_from(gram)] += _RIDGE
    mean = x.mean(axis=0)
    hat = (others - mean) @ np.linalg.solve(gram, (x - mean).T) / len(x)
    found = np.empty((len(labels), len(others)), dtype=np.int64)
    for place, row in enumerate(labels):
        share = np.bincount(row, minlength=k) / len(row)
        indicator = np.eye(k)[row] - share
        found[place] = (hat @ indicator / np.maximum(share, 1e-12)).argmax(axis=1)
    return found
