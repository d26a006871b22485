"""How many kinds of thing there are among the samples: Vendi scores of order 1 and 2, without any reference.

``VS_q`` is the exponential of the Rényi entropy of the eigenvalues of a similarity matrix over n, an effective
number of dissimilar rows (Friedman & Dieng 2023). Order 2, RKE, is ``1 / mean k^2`` (Jalali, Li & Farnia 2023): a mean
over pairs, so unbiased at every n and with an interval. Order 1 grows with n for every kernel of infinite rank and is
given only beside real rows at equal n, with its learning curve. Diversity rises with garbage: read it
beside fidelity.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from audit.core.errors import UndefinedError
from audit.core.measurements import Interval
from audit.stats.halving import halving_errors
from audit.stats.kernel_values import Kernel
from audit.stats.proportions import normal_quantile

Floats = NDArray[np.float64]

_TILE = 1024


def cosine(x: Floats, y: Floats) -> Floats:
    """Return the cosine of every pair of rows, shape (n, m): the linear kernel with ones on the diagonal."""
    return np.asarray(_unit(x) @ _unit(y).T)


def _unit(rows: Floats) -> Floats:
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    if not (norms > 0).all():
        raise UndefinedError("a row of zeros has no direction, so no cosine")
    return np.asarray(rows / norms)


@dataclass(frozen=True, slots=True)
class UnitMoments:
    """Count and sum of outer products of rows brought to length 1, shape (d, d): all that cosine similarity needs.

    Laws: merging parts equals the whole; merging is associative.
    """

    n: int
    products: Floats

    @classmethod
    def of(cls, batch: Any) -> Self:
        """Summarise rows (n, d). Raises UndefinedError for a row of zeros."""
        rows = np.asarray(batch, dtype=np.float64)
        unit = _unit(rows) if len(rows) else rows
        return cls(len(rows), unit.T @ unit)

    def merge(self, other: Self) -> Self:
        return type(self)(self.n + other.n, self.products + other.products)

    def vendi(self) -> float:
        """Return the Vendi score of order 1 under cosine similarity, from d x d instead of n x n."""
        if self.n == 0:
            raise UndefinedError("there are no rows")
        return _exponential_entropy(self.products / self.n)


def _exponential_entropy(matrix: Floats) -> float:
    eigenvalues = np.linalg.eigvalsh(matrix)
    kept = eigenvalues[eigenvalues > 1e-14]
    kept = kept / kept.sum()
    return math.exp(-float((kept * np.log(kept)).sum()))


@dataclass(frozen=True, slots=True)
class VendiScore:
    """The Vendi score of order 1 of n rows under cosine similarity, with the standard error of its logarithm."""

    value: float
    log_error: float
    n: int


def vendi_score(rows: ArrayLike) -> VendiScore:
    """Return the Vendi score of rows (n, d) under cosine similarity, from the smaller of its two Gram matrices.

    Its logarithm is the entropy of the mean of ``u u'`` over unit rows u, so a row's influence is ``-u' log(mean) u``
    and the standard error that of a mean (delta method). Covers .94 to .99 where rows outnumber features or these are correlated; .90
    at 300 rows of 400 features without any structure. Raises UndefinedError below ten rows and for a row of zeros.
    """
    unit = _unit(np.asarray(rows, dtype=np.float64))
    n, d = unit.shape
    if n < 10:
        raise UndefinedError(f"a Vendi score needs ten rows; there are {n}")
    eigenvalues, vectors = np.linalg.eigh((unit.T @ unit if d <= n else unit @ unit.T) / n)
    kept = eigenvalues > 1e-12
    shares, vectors = eigenvalues[kept], vectors[:, kept]
    along = np.square(unit @ vectors) if d <= n else np.square(vectors) * (n * shares)
    shares = shares / shares.sum()
    influence = -along @ np.log(shares)
    value = math.exp(-float(shares @ np.log(shares)))
    return VendiScore(value, float(influence.std(ddof=1)) / math.sqrt(n), n)


def score_ratio(generated: VendiScore, real: VendiScore, level: float = 0.95) -> DiversityRatio:
    """Return the ratio of two Vendi scores of order 1 at one n, its interval of the ratio at this n. Raises ValueError when they differ in n."""
    if generated.n != real.n:
        raise ValueError(f"Vendi scores of {generated.n} and {real.n} rows do not compare")
    value = generated.value / real.value
    reach = normal_quantile((1 + level) / 2) * math.hypot(generated.log_error, real.log_error)
    interval = Interval(value * math.exp(-reach), value * math.exp(reach), level, "delta method, log scale")
    return DiversityRatio(value, interval, generated.value, real.value, real.n, 1)


def vendi(rows: ArrayLike, kernel: Kernel) -> float:
    """Return the Vendi score of order 1 of rows (n, d) under a kernel with ones on its diagonal. O(n^3) time."""
    x = np.asarray(rows, dtype=np.float64)
    if len(x) == 0:
        raise UndefinedError("there are no rows")
    similarity = kernel(x, x)
    if not np.allclose(np.diag(similarity), 1.0, atol=1e-6):
        raise ValueError("a Vendi score needs a similarity of 1 of each row to itself")
    return _exponential_entropy((similarity + similarity.T) / (2 * len(x)))


@dataclass(frozen=True, slots=True)
class EffectiveKinds:
    """RKE: the effective number of kinds, ``1 / E k^2`` over pairs of rows, with the standard error of its logarithm.

    ``repeats`` is the mean of k^2 over distinct pairs, the chance that two rows are of one kind. ``capped`` is RKE as it
    is usually computed, self-pairs included; it cannot exceed n.
    """

    value: float
    log_error: float
    repeats: float
    capped: float
    n: int

    def interval(self, level: float = 0.95) -> Interval:
        """Return the interval: normal on the logarithm, by the Hoeffding projection of the mean over pairs.

        Covers .92 to .97 from 100 rows on, for two to a hundred kinds; wider than need be where kinds are equally
        frequent, for then the projection is nought and only the second order is left.
        """
        reach = normal_quantile((1 + level) / 2) * self.log_error
        method = "U-statistic of squared similarities, log scale"
        return Interval(self.value * math.exp(-reach), self.value * math.exp(reach), level, method)


def effective_kinds(rows: ArrayLike, kernel: Kernel) -> EffectiveKinds:
    """Return RKE of rows (n, d) under a kernel with ones on its diagonal, unbiased in its inverse. O(n^2 d) time.

    Raises UndefinedError below ten rows, and when no two rows are alike at all: more kinds than rows can tell.
    """
    x = np.asarray(rows, dtype=np.float64)
    n = len(x)
    if n < 10:
        raise UndefinedError(f"a number of kinds needs ten rows; there are {n}")
    sums, fourth = np.zeros(n), 0.0
    for i in range(0, n, _TILE):
        for j in range(i, n, _TILE):
            squares = np.square(kernel(x[i : i + _TILE], x[j : j + _TILE]))
            if i == j:
                np.fill_diagonal(squares, 0.0)
            sums[i : i + len(squares)] += squares.sum(axis=1)
            fourth += (1 if i == j else 2) * float(np.square(squares).sum())
            if j > i:
                sums[j : j + squares.shape[1]] += squares.sum(axis=0)
    repeats = float(sums.sum()) / (n * (n - 1))
    if repeats <= 1e-12:
        raise UndefinedError(
            f"no two of {n} rows are alike, so there are more kinds than so many rows can tell"
        )
    projected = 4 * float((sums / (n - 1)).var(ddof=1)) / n
    second = 2 * max(fourth / (n * (n - 1)) - repeats**2, 0.0) / (n * (n - 1))
    error = math.sqrt(max(projected, second)) / repeats
    return EffectiveKinds(1 / repeats, error, repeats, 1 / (repeats * (1 - 1 / n) + 1 / n), n)


@dataclass(frozen=True, slots=True)
class DiversityRatio:
    """Diversity of generated rows over that of real ones, ``order`` 1 or 2, with its interval; 1 is as diverse."""

    value: float
    interval: Interval
    generated: float
    real: float
    rows: int
    order: int


def kinds_ratio(generated: EffectiveKinds, real: EffectiveKinds, level: float = 0.95) -> DiversityRatio:
    """Return the ratio of two RKE; unbiased inverses compare at any n, so the samples need not be of one size."""
    value = generated.value / real.value
    reach = normal_quantile((1 + level) / 2) * math.hypot(generated.log_error, real.log_error)
    interval = Interval(value * math.exp(-reach), value * math.exp(reach), level, "U-statistics, log scale")
    return DiversityRatio(value, interval, generated.value, real.value, min(generated.n, real.n), 2)


def vendi_ratio(
    generated: ArrayLike,
    real: ArrayLike,
    kernel: Kernel,
    rng: np.random.Generator,
    level: float = 0.95,
    draws: int = 20,
) -> DiversityRatio:
    """Return the ratio of two Vendi scores of order 1 at equal n: the larger sample is drawn down to the smaller.

    The interval is normal on the logarithm with a standard error over random halves; it is of the ratio at this n, for
    order 1 keeps growing. O(draws n^3).
    """
    x, y = (np.asarray(rows, dtype=np.float64) for rows in (generated, real))
    n = min(len(x), len(y))
    x, y = (rows[np.sort(rng.permutation(len(rows))[:n])] for rows in (x, y))
    ours, theirs = vendi(x, kernel), vendi(y, kernel)

    def logarithm(kept: Sequence[NDArray[np.bool_]]) -> list[float]:
        return [math.log(vendi(x[kept[0]], kernel) / vendi(y[kept[1]], kernel))]

    error = float(halving_errors(logarithm, (n, n), rng, draws)[0])
    reach = normal_quantile((1 + level) / 2) * error
    value = ours / theirs
    interval = Interval(
        value * math.exp(-reach), value * math.exp(reach), level, "delete-half jackknife, log scale"
    )
    return DiversityRatio(value, interval, ours, theirs, n, 1)


def vendi_curve(rows: ArrayLike, kernel: Kernel, sizes: Sequence[int], rng: np.random.Generator) -> Floats:
    """Return the Vendi score of order 1 of random subsets of growing size, nested, shape (sizes,): has it settled?"""
    x = np.asarray(rows, dtype=np.float64)
    order = rng.permutation(len(x))
    return np.array([vendi(x[order[:size]], kernel) for size in sizes])
