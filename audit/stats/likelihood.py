"""Feature likelihood divergence (Jiralerspong et al. 2023): how likely unseen real rows are under kernels around generated ones.

Each generated row is the centre of an isotropic Gaussian. Its variance is fitted so that training rows are likely, and held-out
rows are then judged. A centre far from everything gets a large variance and explains nothing; a centre on a training row, a copy,
gets a variance near 0 and explains nothing but that row. The score is how much worse held-out rows fare than with real rows as centres.

Variances maximise the likelihood by expectation-maximisation, from where the paper's code starts, in place of fifty steps of
Adam: no step size, and the same bytes everywhere. As there, a broad component about the mean of the training rows gives every
row some likelihood during the fit alone, so that far rows do not pull all variances up.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from audit.core.errors import UndefinedError
from audit.core.measurements import Interval
from audit.stats.proportions import normal_quantile

Floats = NDArray[np.float64]

STEPS, SETTLED = 200, 1e-7
"""At most so many steps of the fit; it ends before when the likelihood of a row and dimension moves by less."""
LEAST_VARIANCE = 1e-4
"""Of features of variance 1: an exact copy of a training row would have none."""
_BROAD = 0.81
"""Squared distances to the broad component are taken times this, as in the paper's code."""
DRAWS, LEFT_OUT = 100, 0.1
"""So many times this share of every sample is left out. With halves, as elsewhere, standard errors are a third too large: a density that rests on
the few nearest centres is not that of half of them."""


@dataclass(frozen=True, slots=True)
class Fit:
    """Variances (m,) of Gaussians around m centres, and the mean log-likelihood of a row and dimension when the fit ended."""

    variances: Floats
    likelihood: float


def squared_distances(x: Floats, y: Floats) -> Floats:
    """Return squared distances of rows (n, d) to rows (m, d), shape (n, m), never below 0."""
    found = np.square(x).sum(axis=1)[:, None] + np.square(y).sum(axis=1) - 2 * x @ y.T
    return np.asarray(np.maximum(found, 0.0))


def fitted(squares: Floats, broad: Floats, dimensions: int) -> Fit:
    """Fit a variance to each centre by expectation-maximisation.

    ``squares`` are squared distances of n rows to m centres, shape (n, m), and ``broad`` those to the mean of the rows, (n,).
    """
    m = squares.shape[1]
    variances = np.maximum((squares.min(axis=0) + 1e-3) / dimensions, LEAST_VARIANCE)
    wide, far = 1.0, _BROAD * broad
    likelihood, last = -math.inf, -math.inf
    for _ in range(STEPS):
        logs = np.empty((len(squares), m + 1))
        logs[:, :m] = squares * (-0.5 / variances) - 0.5 * dimensions * np.log(variances) - math.log(m)
        logs[:, m] = -0.5 * far / wide - 0.5 * dimensions * math.log(wide)
        peak = logs.max(axis=1, keepdims=True)
        np.exp(logs - peak, out=logs)
        total = logs.sum(axis=1, keepdims=True)
        likelihood = float((np.log(total) + peak).mean()) / dimensions
        if likelihood - last < SETTLED:
            break
        last = likelihood
        logs /= total
        held = logs[:, :m].sum(axis=0)
        near = np.einsum("ij,ij->j", logs[:, :m], squares)
        kept = held > 1e-12  # a centre that no row is near keeps its variance
        variances[kept] = np.maximum(near[kept] / held[kept] / dimensions, LEAST_VARIANCE)
        wide = max(float(logs[:, m] @ far) / max(float(logs[:, m].sum()), 1e-12) / dimensions, LEAST_VARIANCE)
    return Fit(variances, likelihood)


@dataclass(frozen=True, slots=True)
class _Kernels:
    """Densities of rows at centres over the largest of each row, shape (rows, centres), and the logarithm of that, (rows,)."""

    held: Floats
    peak: Floats

    @classmethod
    def of(cls, squares: Floats, fit: Fit, dimensions: int) -> _Kernels:
        logs = squares * (-0.5 / fit.variances) - 0.5 * dimensions * np.log(fit.variances)
        peak = logs.max(axis=1)
        return cls(np.exp(logs - peak[:, None]), peak)

    def surprises(self, centres: Floats) -> Floats:
        """Return the negative log-likelihood of each row under some of the centres, without the constant; ``centres`` are weights (m, draws)."""
        density = self.held @ centres / centres.sum(axis=0)
        return np.asarray(-(np.log(np.maximum(density, 1e-300)) + self.peak[:, None]))


@dataclass(frozen=True, slots=True)
class Divergence:
    """The divergence and the memorisation gap with their intervals, in hundredths of a nat per row and dimension."""

    value: float
    interval: Interval
    gap: float
    gap_interval: Interval
    centres: int
    rows: int
    copied: float
    """Share of generated rows whose variance is at its least: each is, or nearly is, a training row."""


@dataclass(frozen=True, slots=True)
class _Fold:
    """One half of the training rows as centres beside the generated ones, the other half to fit both on."""

    generated: tuple[_Kernels, _Kernels]
    real: tuple[_Kernels, _Kernels]
    copied: float

    @classmethod
    def of(cls, x: Floats, centres: Floats, fit: Floats, test: Floats) -> _Fold:
        """Take generated rows, real centres, the rows to fit on and held-out rows."""
        d, broad = x.shape[1], np.square(fit - fit.mean(axis=0)).sum(axis=1)
        sides, copied = [], 0.0
        for side in (centres, x):
            near = squared_distances(fit, side)
            found = fitted(near, broad, d)
            copied = float((found.variances <= 1.01 * LEAST_VARIANCE).mean())
            sides.append((_Kernels.of(squared_distances(test, side), found, d), _Kernels.of(near, found, d)))
        return cls(sides[1], sides[0], copied)

    def values(self, x: Floats, real: Floats, test: Floats, fit: Floats) -> Floats:
        """Return divergence and gap with weights (rows, draws) of each sample, shape (2, draws)."""
        ours, theirs = (
            [
                _mean(kernels.surprises(centres), weights)
                for kernels, weights in zip(side, (test, fit), strict=True)
            ]
            for side, centres in ((self.generated, x), (self.real, real))
        )
        return np.stack([ours[0] - theirs[0], (ours[0] - ours[1]) - (theirs[0] - theirs[1])])


def _mean(values: Floats, weights: Floats) -> Floats:
    return np.asarray((values * weights).sum(axis=0) / weights.sum(axis=0))


def divergence(
    generated: Floats, train: Floats, test: Floats, rng: np.random.Generator, level: float = 0.95
) -> Divergence:
    """Return the divergence of generated rows (m, d) from 2 m training rows, on held-out rows (n, d) of the same scale.

    Each half of the training rows is once the centres that generated ones are compared with and once what both are fitted on, so that equal
    distributions give 0 and a copy of any training row is seen. Standard errors are those of a delete-a-tenth jackknife of every sample, with
    variances as fitted. Raises UndefinedError below forty rows a side and for sizes that do not match.
    """
    m, d = generated.shape
    if min(m, len(test)) < 40:
        raise UndefinedError(f"{m} generated and {len(test)} held-out rows; it takes 40 of each")
    if len(train) != 2 * m:
        raise ValueError(f"{m} generated rows go with {2 * m} training rows, not {len(train)}")
    halves = train[:m], train[m:]
    folds = [_Fold.of(generated, halves[i], halves[1 - i], test) for i in (0, 1)]
    x, first, second, held = (np.column_stack([np.ones(n), _kept(n, rng)]) for n in (m, m, m, len(test)))
    found = (
        (folds[0].values(x, first, held, second) + folds[1].values(x, second, held, first)) / 2 * (100 / d)
    )
    (value, gap), spread = (
        found[:, 0],
        found[:, 1:].std(axis=1, ddof=1) * math.sqrt((1 - LEFT_OUT) / LEFT_OUT),
    )
    intervals = [_interval(float(v), float(s), level) for v, s in zip((value, gap), spread, strict=True)]
    copied = sum(fold.copied for fold in folds)
    return Divergence(float(value), intervals[0], float(gap), intervals[1], m, len(test), copied)


def _interval(value: float, error: float, level: float) -> Interval:
    reach = normal_quantile((1 + level) / 2) * error
    return Interval(value - reach, value + reach, level, "delete-a-tenth jackknife of every sample")


def _kept(n: int, rng: np.random.Generator) -> Floats:
    """Return weights that leave out a random share of n rows, shape (n, DRAWS)."""
    order = np.argsort(rng.random((DRAWS, n)), axis=1).T
    return np.asarray(order >= round(LEFT_OUT * n), np.float64)
