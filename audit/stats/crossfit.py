"""A cross-fitted linear classifier in closed form: can two sets of rows be told apart at all?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from audit.core.errors import UndefinedError
from audit.stats.ranking import RocAreas, roc_areas

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

_PENALTIES = 10.0 ** np.arange(-3, 4)
"""Ridge penalties tried, in units of a standardised feature's variance; generalised cross-validation picks one."""


@dataclass(frozen=True, slots=True)
class JointMoments:
    """Count, mean and centred second moments of features and target together, shape (d + 1,) and (d + 1, d + 1).

    Laws: merging parts equals the whole; merging is associative (Chan, Golub & LeVeque, 1983).
    """

    n: int
    mean: Floats
    scatter: Floats

    @classmethod
    def of(cls, batch: Floats) -> Self:
        if len(batch) == 0:
            return cls(0, np.zeros(batch.shape[1]), np.zeros((batch.shape[1], batch.shape[1])))
        mean = batch.mean(axis=0)
        centred = batch - mean
        return cls(len(batch), mean, centred.T @ centred)

    def merge(self, other: Self) -> Self:
        n = self.n + other.n
        if n == 0:
            return self
        gap = other.mean - self.mean
        scatter = self.scatter + other.scatter + np.outer(gap, gap) * (self.n * other.n / n)
        return type(self)(n, self.mean + gap * (other.n / n), scatter)


@dataclass(frozen=True, slots=True)
class Linear:
    """A linear score, ``(x - centre) @ weights``."""

    centre: Floats
    weights: Floats

    def score(self, features: Floats) -> Floats:
        return np.asarray((features - self.centre) @ self.weights)


def folds_of(n: int, folds: int, rng: np.random.Generator) -> Ints:
    """Return a fold for each of n examples, of sizes that differ by one at most."""
    if n < folds:
        raise UndefinedError(f"{n} examples do not fill {folds} folds")
    return np.asarray(rng.permutation(n) % folds, dtype=np.int64)


def moments_by_fold(features: Floats, target: float, fold: Ints, folds: int) -> tuple[JointMoments, ...]:
    """Return the joint moments of each fold's rows, all of them with the same target."""
    joint = np.column_stack([features, np.full(len(features), target)])
    return tuple(JointMoments.of(joint[fold == k]) for k in range(folds))


def fit_without_each(moments: Sequence[JointMoments]) -> tuple[Linear, ...]:
    """Return one ridge regression per fold, fitted to all the other folds."""
    fits = []
    for left_out in range(len(moments)):
        others = [m for k, m in enumerate(moments) if k != left_out]
        total = others[0]
        for part in others[1:]:
            total = total.merge(part)
        fits.append(ridge(total))
    return tuple(fits)


def ridge(moments: JointMoments) -> Linear:
    """Return the ridge regression of the target on standardised features.

    The penalty minimises generalised cross-validation (Golub, Heath & Wahba,
    1979), all of them from one eigendecomposition. A feature that does not vary gets weight 0.
    """
    n, d = moments.n, len(moments.mean) - 1
    variances = np.diag(moments.scatter)[:d] / n
    varies = variances > 1e-12 * max(1.0, float(variances.max(initial=0.0)))
    scale = np.where(varies, np.sqrt(np.where(varies, variances, 1.0)), np.inf)
    correlation = moments.scatter[:d, :d] / n / scale[:, None] / scale[None, :]
    eigenvalues, vectors = np.linalg.eigh(correlation)
    eigenvalues = np.maximum(eigenvalues, 0.0)
    projected = vectors.T @ (moments.scatter[:d, d] / n / scale)
    best = min(_PENALTIES, key=lambda penalty: _gcv(penalty, eigenvalues, projected, moments))
    weights = vectors @ (projected / (eigenvalues + best)) / scale
    return Linear(moments.mean[:d], weights)


def _gcv(penalty: float, eigenvalues: Floats, projected: Floats, moments: JointMoments) -> float:
    shrunk = projected / (eigenvalues + penalty)
    residual = moments.scatter[-1, -1] / moments.n - 2 * projected @ shrunk + eigenvalues @ shrunk**2
    freedom = 1 - (1 + (eigenvalues / (eigenvalues + penalty)).sum()) / moments.n
    return float(residual / freedom**2) if freedom > 0 else float("inf")


def cross_fitted_areas(
    positives: Floats, negatives: Floats, positive_fold: Ints, negative_fold: Ints
) -> RocAreas:
    """Return the mean over folds of k scores' areas, shape (k,), and a covariance that is never too small.

    ``positives`` has shape (k, m), ``negatives`` (k, n). Within a fold the fitted scores are
    independent of the fit, so DeLong's variance holds there. Between folds
    they are not: each fold's examples were fitted to in the others. The mean of the folds' covariances
    bounds the covariance of the mean whatever that dependence is (a variance is convex). Pooling the folds
    and ignoring it is too narrow: at chance, 60 a side, 5 folds, the interval at 95% held 0.5 in 78% of runs.
    The counts returned are those of the smallest fold.
    """
    found = [
        roc_areas(positives[:, positive_fold == k], negatives[:, negative_fold == k])
        for k in np.unique(positive_fold)
    ]
    return RocAreas(
        np.mean([areas.values for areas in found], axis=0),
        np.mean([areas.covariance for areas in found], axis=0),
        min(areas.positives for areas in found),
        min(areas.negatives for areas in found),
    )
