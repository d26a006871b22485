"""Are two samples from one distribution? A permutation test over several kernels at once, exact at every size.

One bandwidth sees differences of one size. Several, tested together by the largest standardised discrepancy under
the same shuffles, see most of them at the price of one test (Schrab et al. 2023; max-T: Westfall & Young, 1993). The
shuffled discrepancies are also the noise floor: what the number would be if the model were perfect.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from audit.core.errors import UndefinedError
from audit.stats.kernel_values import Kernel, cubic
from audit.stats.permutation import westfall_young

Floats = NDArray[np.float64]

FACTORS = (0.25, 0.5, 1.0, 2.0, 4.0)
"""Bandwidths tried, in units of the median distance."""

_TILE = 512

Tile: TypeAlias = Callable[[Floats, Floats], list[Floats]]
"""Several kernels of the same two blocks of rows."""


@dataclass(frozen=True, slots=True)
class EqualityTest:
    """Unbiased squared MMDs under k kernels, and what they would be were the labels shuffled. Arrays of shape (k,).

    ``p`` is for each kernel, adjusted for their number (step-down max-T); the smallest is the p-value of the whole.
    ``noise_floor`` is exceeded by the absolute value of one shuffled discrepancy in twenty, ``spread`` their
    standard deviation. Exact when the rows (or clusters) are exchangeable under the null.
    """

    values: Floats
    p: Floats
    noise_floor: Floats
    spread: Floats
    draws: int

    @property
    def p_value(self) -> float:
        """The p-value that both samples have one distribution, over all kernels."""
        return float(self.p.min())


@dataclass(frozen=True, slots=True)
class Aggregated:
    """The test over Gaussian kernels of several ``bandwidths``, shape (k,), in the units of the features."""

    test: EqualityTest
    bandwidths: Floats


def median_distance(x: ArrayLike, y: ArrayLike, rng: np.random.Generator, most: int = 1000) -> float:
    """Return the median distance between distinct pooled rows, of at most ``most`` of them drawn at random.

    Copies are left out; raises UndefinedError when all rows are equal.
    """
    rows = np.concatenate([np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)])
    if len(rows) > most:
        rows = rows[rng.permutation(len(rows))[:most]]
    squares = _squared(rows, rows)[np.triu_indices(len(rows), 1)]
    apart = squares[squares > 1e-12 * max(float(squares.max(initial=0.0)), 1e-300)]
    if apart.size == 0:
        raise UndefinedError("all rows are alike, so they have no distance to set a bandwidth by")
    return math.sqrt(float(np.median(apart)))


def aggregated_mmd(
    x: ArrayLike,
    y: ArrayLike,
    rng: np.random.Generator,
    *,
    draws: int = 499,
    factors: Sequence[float] = FACTORS,
    clusters: ArrayLike | None = None,
) -> Aggregated:
    """Test whether rows x (n, d) and y (m, d) have one distribution, by Gaussian kernels of several bandwidths.

    The bandwidths are ``factors`` times the median distance of the pooled rows, which shuffling leaves alone, so the
    test stays exact. Time O((n + m)^2 (d + k draws)), memory one tile and the labels.
    """
    a, b = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    bandwidths = median_distance(a, b, rng) * np.asarray(factors, dtype=np.float64)

    def tile(rows: Floats, others: Floats) -> list[Floats]:
        squares = _squared(rows, others)
        return [np.exp(squares / (-2 * width * width)) for width in bandwidths]

    return Aggregated(_tested(a, b, tile, rng, draws, clusters), bandwidths)


def permuted_mmd(
    x: ArrayLike,
    y: ArrayLike,
    rng: np.random.Generator,
    *,
    kernels: Sequence[Kernel] = (cubic,),
    draws: int = 499,
    clusters: ArrayLike | None = None,
) -> EqualityTest:
    """Test whether rows x and y have one distribution by given kernels; the default is that of KID.

    ``clusters`` names the cluster of each row, x first: copies of one image are shuffled together. A cluster with rows on
    both sides is an error, for it says which rows belong together and the shuffle would take them apart.
    """
    a, b = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    return _tested(
        a, b, lambda rows, others: [kernel(rows, others) for kernel in kernels], rng, draws, clusters
    )


def _squared(rows: Floats, others: Floats) -> Floats:
    found = np.square(rows).sum(axis=1)[:, None] + np.square(others).sum(axis=1) - 2 * rows @ others.T
    return np.asarray(np.maximum(found, 0.0), dtype=np.float64)


def _labels(n: int, m: int, clusters: ArrayLike | None, draws: int, rng: np.random.Generator) -> Floats:
    """Return who counts as x, shape (n + m, 1 + draws): as it is, then shuffled by rows or whole clusters."""
    observed = np.arange(n + m) < n
    if clusters is None:
        shuffled = [observed[rng.permutation(n + m)] for _ in range(draws)]
    else:
        named = np.asarray(clusters)
        if named.shape != (n + m,):
            raise ValueError(f"{n + m} rows and clusters of shape {named.shape}")
        _, which = np.unique(named, return_inverse=True)
        share = np.bincount(which, weights=observed) / np.bincount(which)
        if ((share > 0) & (share < 1)).any():
            raise ValueError("a cluster has rows in both samples")
        shuffled = [(share == 1)[rng.permutation(len(share))][which] for _ in range(draws)]
    return np.stack([observed, *shuffled], axis=1).astype(np.float64)


def _tested(
    x: Floats, y: Floats, tile: Tile, rng: np.random.Generator, draws: int, clusters: ArrayLike | None
) -> EqualityTest:
    if x.ndim != 2 or y.ndim != 2 or x.shape[1] != y.shape[1]:
        raise ValueError(f"samples of shape {x.shape} and {y.shape} do not compare")
    if min(len(x), len(y)) < 8:
        raise UndefinedError(f"a test of equality needs eight rows a side; there are {len(x)} and {len(y)}")
    if not (np.isfinite(x).all() and np.isfinite(y).all()):
        raise UndefinedError("features that are not finite have no kernel distance")
    labels = _labels(len(x), len(y), clusters, draws, rng)
    found = _discrepancies(np.concatenate([x, y]), labels, tile)
    values, null = found[:, 0], found[:, 1:]
    spread = null.std(axis=1)
    if not (np.isfinite(found).all() and (spread > 0).all()):
        raise UndefinedError("all rows are alike, or so far apart that the kernel overflows")
    standardised = (found - null.mean(axis=1, keepdims=True)) / spread[:, None]
    return EqualityTest(
        values=values,
        p=westfall_young(standardised[:, 0], standardised[:, 1:].T),
        noise_floor=np.quantile(np.abs(null), 0.95, axis=1),
        spread=spread,
        draws=draws,
    )


def _discrepancies(rows: Floats, labels: Floats, tile: Tile) -> Floats:
    """Return the unbiased squared MMD of every labelling under every kernel, shape (k, labellings).

    With s the labels and K the kernel without its diagonal, the sums within and between the samples are functions of
    ``s'Ks``, ``s'K1`` and ``1'K1``; tiles above the diagonal are visited once.
    """
    size = len(rows)
    inside: list[Floats] = []
    within: list[Floats] = []
    total: list[float] = []
    with np.errstate(over="ignore", invalid="ignore"):
        for i in range(0, size, _TILE):
            for j in range(i, size, _TILE):
                for kind, values in enumerate(tile(rows[i : i + _TILE], rows[j : j + _TILE])):
                    if kind == len(inside):
                        inside.append(np.zeros(labels.shape[1]))
                        within.append(np.zeros(size))
                        total.append(0.0)
                    if i == j:
                        np.fill_diagonal(values, 0.0)
                    twice = 1.0 if i == j else 2.0
                    ours, theirs = labels[i : i + len(values)], labels[j : j + values.shape[1]]
                    inside[kind] += twice * np.einsum("ib,ib->b", ours, values @ theirs)
                    within[kind][i : i + len(values)] += values.sum(axis=1)
                    if j > i:
                        within[kind][j : j + values.shape[1]] += values.sum(axis=0)
                    total[kind] += twice * float(values.sum())
    n = labels.sum(axis=0)
    m = size - n
    found = []
    for same, reach, whole in zip(inside, within, total, strict=True):
        toward = reach @ labels
        across, others = toward - same, whole - 2 * toward + same
        found.append(same / (n * (n - 1)) + others / (m * (m - 1)) - 2 * across / (n * m))
    return np.stack(found)
