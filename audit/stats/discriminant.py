"""Linear discriminant analysis (Fisher 1936; Rao 1948): reads a label off features, in closed form and with nothing to tune."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

_RIDGE = 0.01
"""Share of the mean variance that is added to each feature's, so that features that repeat one another do no harm."""


@dataclass(frozen=True, slots=True)
class Discriminant:
    """Reads the likeliest of k classes: ``features @ weights + offsets`` is largest for it. Shapes (d, k) and (k,)."""

    weights: Floats
    offsets: Floats

    @classmethod
    def fitted(cls, rows: ArrayLike, codes: ArrayLike, k: int) -> Discriminant:
        """Fit rows (n, d) of classes 0 to k - 1, each of which occurs: Gaussian classes of one covariance. O(n d² + d³) time."""
        x, y = np.asarray(rows, dtype=np.float64), np.asarray(codes)
        counts = np.bincount(y, minlength=k).astype(np.float64)
        if len(counts) != k or not (counts > 0).all():
            raise ValueError(f"every one of {k} classes needs rows")
        sums = np.zeros((k, x.shape[1]))
        np.add.at(sums, y, x)
        means = sums / counts[:, None]
        centred = x - means[y]
        covariance = centred.T @ centred / max(len(x) - k, 1)
        scale = float(np.trace(covariance)) / x.shape[1]
        covariance[np.diag_indices_from(covariance)] += _RIDGE * scale if scale > 0 else 1.0
        weights = np.linalg.solve(covariance, means.T)
        offsets = np.log(counts / counts.sum()) - (means * weights.T).sum(axis=1) / 2
        return cls(weights, offsets)

    def read(self, rows: ArrayLike) -> Ints:
        """Return the class of each row, shape (n,)."""
        return np.asarray((np.asarray(rows, dtype=np.float64) @ self.weights + self.offsets).argmax(axis=1))


def confusion(true: ArrayLike, read: ArrayLike, k: int) -> Floats:
    """Return how many rows of class i were read as class j, shape (k, k)."""
    counts = np.zeros((k, k))
    np.add.at(counts, (np.asarray(true), np.asarray(read)), 1.0)
    return counts
