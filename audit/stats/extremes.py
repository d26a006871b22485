"""The expected largest of k draws, estimated from more than k."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from audit.core.errors import UndefinedError

Floats = NDArray[np.float64]


def expected_maximum(values: ArrayLike, k: int) -> Floats:
    """Return for each row of n draws the mean over all subsets of k of their largest, shapes (p, n) and (p,).

    A U-statistic, so without bias at any n >= k: ``sum_i x_(i) (C(i, k) - C(i - 1, k)) / C(n, k)`` over sorted draws. The largest of exactly k
    draws has the same mean and a larger variance. Values for different k are not comparable (Gehman et al. 2020 take k = 25).

    >>> expected_maximum([[1.0, 2.0, 3.0]], 2).round(4).tolist()
    [2.6667]
    """
    draws = np.sort(np.atleast_2d(np.asarray(values, dtype=np.float64)), axis=1)
    n = draws.shape[1]
    if not 1 <= k <= n:
        raise UndefinedError(f"the largest of {k} draws cannot be estimated from {n}")
    shares = np.ones(
        n + 1
    )  # shares[i] is C(i, k) / C(n, k), by the ratio C(i - 1, k) / C(i, k) = (i - k) / i
    for i in range(n, 0, -1):
        shares[i - 1] = shares[i] * max(0, i - k) / i
    return np.asarray(draws @ np.diff(shares))
