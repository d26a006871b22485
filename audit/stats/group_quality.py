"""How good samples of each group are, at equal numbers of rows, and the largest gap in it between two groups.

A distance between samples and real rows shrinks with their number, so a group of few rows looks worse than one of many
whatever the model does. Here every group is cut to the size of the smallest, and each measure is one whose mean value at equality
does not depend on the group: an unbiased kernel distance, clipped coverage as a share of good samples, and a Fréchet distance whose bias is
removed. Distances are counted in the variety of the group's own real rows, so that a group that varies little is held to no easier standard.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from audit.core.errors import UndefinedError
from audit.core.measurements import Interval
from audit.stats.fidelity import expected_filling
from audit.stats.frechet import (
    Conditions,
    Transport,
    debiased,
    frechet_distance,
    residual_bias,
    standard_error,
    unsettled,
)
from audit.stats.halving import halving_errors
from audit.stats.kernel_values import gaussian
from audit.stats.kernels import Scale, discrepancy, four_sums, refuse_flat
from audit.stats.moments import Marginals, Moments
from audit.stats.proportions import normal_quantile
from audit.stats.simultaneous import mean_gaps

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

LEAST = 50
"""Rows of a group on either side below which it is not compared alone."""
MEASURES = ("kernel", "coverage", "frechet")
_MOST_SHARE = 3.0
_HALVINGS = ((0, 1), (2, 3), (0, 2), (1, 3), (0, 3), (1, 2))


@dataclass(frozen=True, slots=True)
class Gap:
    """One measure in every group, arrays (g,), and the largest difference between two of them.

    ``low`` and ``high`` are of each group by itself. ``largest`` is the gap seen, which noise makes larger; ``spread`` the interval of
    the true one. ``worst`` and ``best`` are the places of the two groups that are farthest apart.
    """

    measure: str
    values: Floats
    low: Floats
    high: Floats
    largest: float
    spread: Interval
    worst: int
    best: int


@dataclass(frozen=True, slots=True)
class Standard:
    """What a group is measured in: its real rows' scale, the median distance on it, and their total variance."""

    scale: Scale
    bandwidth: float
    variance: float

    @classmethod
    def of(cls, real: Floats, rng: np.random.Generator) -> Standard:
        """Raise UndefinedError where the real rows are all alike."""
        from audit.stats.equality import median_distance

        spread = Marginals.of(real)
        refuse_flat(spread)
        scale = Scale.of(spread)
        scaled = scale.apply(real)
        return cls(scale, median_distance(scaled, scaled[:0], rng), float(spread.variance.sum()))


def kernel_distance(samples: Floats, real: Floats, standard: Standard) -> tuple[float, float]:
    """Return the unbiased squared MMD under a Gaussian kernel of standardised features, and its standard error."""
    x, y = standard.scale.apply(samples), standard.scale.apply(real)
    found = discrepancy(*four_sums(x, y, gaussian(standard.bandwidth)))
    return found.value, math.sqrt(found.variance)


def covered_share(
    samples: Floats, real: Floats, rng: np.random.Generator, k: int = 5, draws: int = 40
) -> tuple[float, float]:
    """Return clipped coverage (Salvy, Talbot & Thirion 2025) and its standard error over random halves.

    It is the share of good samples that would fill the balls of real rows as much. 1 is equality; it is not cut off there, or
    a gap between two good groups would have a mean above 0.
    """
    from scipy.spatial.distance import cdist

    within, across = cdist(real, real), cdist(real, samples)
    np.fill_diagonal(within, np.inf)

    def share(kept: Sequence[Flags]) -> Floats:
        inside, chosen = kept
        radii = np.partition(within[np.ix_(inside, inside)], k - 1, axis=1)[:, k - 1]
        held = (across[np.ix_(inside, chosen)] < radii[:, None]).sum(axis=1)
        return np.array(
            [_share(float(np.minimum(held, k).mean()) / k, int(inside.sum()), int(chosen.sum()), k)]
        )

    n, m = len(real), len(samples)
    value = share([np.ones(n, np.bool_), np.ones(m, np.bool_)])[0]
    error = float(halving_errors(share, (n, m), rng, draws)[0])
    return float(value), max(error, 1 / n)


def _share(filling: float, real: int, generated: int, k: int) -> float:
    """Return the multiple of ``generated`` rows whose mean filling this is, at most three."""
    steps = np.unique(np.linspace(0, _MOST_SHARE * generated, 1500).round())
    return float(np.interp(filling, expected_filling(real, steps, k), steps / generated))


def frechet_share(
    samples: Floats, real: Floats, rng: np.random.Generator, standard: Standard
) -> tuple[float, float]:
    """Return the debiased Fréchet distance over the real rows' total variance, and its standard error.

    Raises UndefinedError where there are too few rows to remove the bias (``audit.stats.frechet.gate``, ``unsettled``).
    """
    x, y = Moments.of(samples), Moments.of(real)
    sizes = Conditions.between(x, y)
    if sizes.obstacle is not None:
        raise UndefinedError(sizes.obstacle)
    quarters = [
        [Moments.of(side[part::4]) for part in range(4)] for side in (_mixed(samples, rng), _mixed(real, rng))
    ]
    halves = [frechet_distance(*(side[i].merge(side[j]) for side in quarters)) for i, j in _HALVINGS]
    fourths = [frechet_distance(quarters[0][i], quarters[1][i]) for i in range(4)]
    whole = frechet_distance(x, y)
    maps = Transport.between(x, y)
    error = standard_error(Moments.of(maps.psi_x(samples)), Moments.of(maps.psi_y(real)), sizes.second_order)
    if (reason := unsettled(residual_bias(whole, halves, fourths), error)) is not None:
        raise UndefinedError(f"too few rows to remove the bias: {reason}")
    return debiased(whole, halves) / standard.variance, error / standard.variance


def _mixed(rows: Floats, rng: np.random.Generator) -> Floats:
    return rows[rng.permutation(len(rows))]


def measured(
    measure: str, pairs: Sequence[tuple[Floats, Floats]], rng: np.random.Generator, level: float
) -> Gap:
    """Return one of ``MEASURES`` for every group and the largest gap; ``pairs`` are samples and real rows of each, of one size.

    Raises UndefinedError where it has no value in some group.
    """
    of: dict[str, Callable[[Floats, Floats], tuple[float, float]]] = {
        "kernel": lambda x, y: kernel_distance(x, y, Standard.of(y, rng)),
        "coverage": lambda x, y: covered_share(x, y, rng),
        "frechet": lambda x, y: frechet_share(x, y, rng, Standard.of(y, rng)),
    }
    found = np.array([of[measure](x, y) for x, y in pairs])
    return gap(measure, found[:, 0], found[:, 1], rng, level, higher_is_better=measure == "coverage")


def gap(
    measure: str,
    values: Floats,
    errors: Floats,
    rng: np.random.Generator,
    level: float,
    *,
    higher_is_better: bool,
    degrees: float = math.inf,
) -> Gap:
    """Return the gaps between independent groups whose values and standard errors are given, shapes (g,)."""
    gaps = mean_gaps(values, errors**2, rng, level, degrees)
    reach = normal_quantile((1 + level) / 2) * errors
    low, high = int(values.argmin()), int(values.argmax())
    worst, best = (low, high) if higher_is_better else (high, low)
    return Gap(measure, values, values - reach, values + reach, gaps.largest, gaps.spread, worst, best)
