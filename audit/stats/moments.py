"""Count, mean and scatter of rows of numbers, computed shard by shard."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from audit.core.errors import UndefinedError

Floats = NDArray[np.float64]


LARGEST = 1e150
"""No feature may be larger: its square has to be a number too."""
ROUNDING = 1e-6
"""Deviations below this share of the features' size are rounding of float32, not variation."""


def as_matrix(batch: ArrayLike) -> Floats:
    """Return a batch as float64 of shape (rows, columns); a vector is one column.

    Raise UndefinedError for NaN, infinity and what has no finite square.
    """
    rows = np.asarray(batch, dtype=np.float64)
    if rows.ndim == 1:
        rows = rows[:, None]
    if rows.ndim != 2:
        raise ValueError(f"rows of numbers have shape (n, columns), not {rows.shape}")
    if not np.isfinite(rows).all():
        raise UndefinedError("moments of values that are not finite do not exist")
    if float(np.abs(rows).max(initial=0.0)) > LARGEST:
        raise UndefinedError(f"values above {LARGEST:.0e} are too large to be squared")
    return rows


@dataclass(frozen=True, slots=True)
class Moments:
    """Count, mean (d,) and scatter (d, d), the sum of outer products of deviations from the mean, in float64.

    Merged by the update of Chan, Golub & LeVeque (1983). Every batch is centred on its own mean
    before its products are summed; raw second moments would lose what the mean and the spread differ by.
    """

    n: int
    mean: Floats
    scatter: Floats

    @classmethod
    def of(cls, batch: Any) -> Self:
        """Summarise rows (n, d), or a vector (n,) as one column. Raises UndefinedError for NaN or infinity."""
        rows = as_matrix(batch)
        n, d = rows.shape
        if n == 0:
            return cls(0, np.zeros(d), np.zeros((d, d)))
        mean = rows.mean(axis=0)
        centred = rows - mean
        return cls(n, mean, centred.T @ centred)

    def merge(self, other: Self) -> Self:
        if self.mean.shape != other.mean.shape:
            raise ValueError(f"rows of {len(self.mean)} and of {len(other.mean)} columns do not merge")
        if self.n == 0 or other.n == 0:
            return other if self.n == 0 else self
        n = self.n + other.n
        step = other.mean - self.mean
        scatter = self.scatter + other.scatter
        scatter += np.outer(step, step * (self.n * other.n / n))
        return type(self)(n, self.mean + step * (other.n / n), scatter)

    @property
    def dimensions(self) -> int:
        return len(self.mean)

    @property
    def covariance(self) -> Floats:
        """The unbiased covariance, shape (d, d). Raises UndefinedError below two rows."""
        if self.n < 2:
            raise UndefinedError(f"a covariance needs two rows; there are {self.n}")
        return self.scatter / (self.n - 1)

    @property
    def variance(self) -> Floats:
        """The unbiased variance of each column, shape (d,). Raises UndefinedError below two rows."""
        if self.n < 2:
            raise UndefinedError(f"a variance needs two rows; there are {self.n}")
        return np.diagonal(self.scatter) / (self.n - 1)

    @property
    def alike(self) -> bool:
        """Whether the rows vary by no more than rounding of their own size."""
        return _alike(self.variance, self.mean)


@dataclass(frozen=True, slots=True)
class Marginals:
    """Count, mean (d,) and sum of squared deviations (d,) of each column: ``Moments`` without what crosses columns."""

    n: int
    mean: Floats
    squares: Floats

    @classmethod
    def of(cls, batch: Any) -> Self:
        """Summarise rows (n, d), or a vector (n,) as one column. Raises UndefinedError for NaN or infinity."""
        rows = as_matrix(batch)
        if len(rows) == 0:
            return cls(0, np.zeros(rows.shape[1]), np.zeros(rows.shape[1]))
        mean = rows.mean(axis=0)
        return cls(len(rows), mean, np.square(rows - mean).sum(axis=0))

    def merge(self, other: Self) -> Self:
        if self.mean.shape != other.mean.shape:
            raise ValueError(f"rows of {len(self.mean)} and of {len(other.mean)} columns do not merge")
        if self.n == 0 or other.n == 0:
            return other if self.n == 0 else self
        n = self.n + other.n
        step = other.mean - self.mean
        squares = self.squares + other.squares + step**2 * (self.n * other.n / n)
        return type(self)(n, self.mean + step * (other.n / n), squares)

    @property
    def variance(self) -> Floats:
        """The unbiased variance of each column, shape (d,). Raises UndefinedError below two rows."""
        if self.n < 2:
            raise UndefinedError(f"a variance needs two rows; there are {self.n}")
        return self.squares / (self.n - 1)

    @property
    def alike(self) -> bool:
        """Whether the rows vary by no more than rounding of their own size."""
        return _alike(self.variance, self.mean)


def _alike(variance: Floats, mean: Floats) -> bool:
    return float(variance.mean()) <= ROUNDING * ROUNDING * float(np.square(mean).mean())
