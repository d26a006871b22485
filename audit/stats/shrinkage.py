"""Small groups: what may be reported alone, what is drawn towards the rest, and what is not shown at all.

A cell of twelve people says little by itself and, printed exactly, says too much about the twelve. Cells of fewer than
ten are suppressed; cells of fewer than fifty borrow strength from all cells (empirical Bayes); the rest stand alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from audit.core.errors import UndefinedError
from audit.core.measurements import Interval
from audit.stats.proportions import wilson

Floats = NDArray[np.float64]

ALONE = 50
"""A cell of so many examples or more is reported as it is."""
LEAST = 10
"""A cell of fewer is not reported, for the sake of those in it."""

_GRID = 31


@dataclass(frozen=True, slots=True)
class Reported:
    """The rate or mean of one cell; ``shrunk`` says whether it was drawn towards the others, ``raw`` what it was before."""

    n: int
    value: float
    interval: Interval
    raw: float
    shrunk: bool


@dataclass(frozen=True, slots=True)
class Suppressed:
    """A cell whose numbers are withheld, its size included, and why."""

    reason: str


Cell: TypeAlias = Reported | Suppressed


def suppressed(sizes: Sequence[int], least: int = LEAST) -> tuple[bool, ...]:
    """Return which cells to withhold: those below ``least``, and one more where a total would give one of them away.

    With a single cell withheld, or several that hold fewer than ``least`` together, subtraction from the total tells
    what is in them; the smallest cell shown is then withheld too. Empty cells give nobody away and stay.

    >>> suppressed([120, 4, 60, 30])
    (False, True, False, True)
    >>> suppressed([120, 0, 60])
    (False, False, False)
    """
    hidden = {i for i, n in enumerate(sizes) if 0 < n < least}
    shown = sorted((i for i, n in enumerate(sizes) if n >= least), key=lambda i: sizes[i])
    while hidden and shown and (len(hidden) < 2 or sum(sizes[i] for i in hidden) < least):
        hidden.add(shown.pop(0))
    return tuple(i in hidden for i in range(len(sizes)))


def shrink_rates(
    successes: Sequence[int],
    trials: Sequence[int],
    level: float = 0.95,
    alone: int = ALONE,
    least: int = LEAST,
) -> tuple[Cell, ...]:
    """Return each cell's rate: by itself from ``alone`` trials on, else drawn towards the others, else suppressed.

    Rates are taken to come from one Beta distribution. Its mean and strength are not fixed at an estimate (too narrow:
    .85 with 8 cells) but integrated over, flat in the mean and in the shrinkage factor ``strength / (strength +
    average n)``, so a cell's posterior is a mixture of Betas. Intervals cover .93 to .985 on average over cells; a
    cell unlike all the others is drawn to them and may be missed, which is the price of borrowing. All cells inform
    the distribution, suppressed ones too. Raises UndefinedError below three cells with trials.
    """
    x, n = np.asarray(successes, dtype=np.float64), np.asarray(trials, dtype=np.float64)
    if x.shape != n.shape or x.ndim != 1 or not ((x >= 0) & (x <= n)).all():
        raise ValueError("every cell needs no more successes than trials")
    if int((n > 0).sum()) < 3:
        raise UndefinedError("it takes three cells with trials to know how cells vary")
    return _cells(x, n, level, alone, least, _RatePosterior.of(x, n).quantities)


def _cells(
    x: Floats,
    n: Floats,
    level: float,
    alone: int,
    least: int,
    shrunk: Callable[[int, float], tuple[float, float, float]],
) -> tuple[Cell, ...]:
    found: list[Cell] = []
    hidden = suppressed([int(k) for k in n], least)
    for i in range(len(n)):
        if hidden[i]:
            found.append(Suppressed(f"fewer than {least} examples, or needed to hide such a cell"))
        elif n[i] >= alone:
            rate = float(x[i] / n[i])
            found.append(Reported(int(n[i]), rate, wilson(int(x[i]), int(n[i]), level), rate, shrunk=False))
        else:
            value, low, high = shrunk(i, level)
            raw = float(x[i] / n[i]) if n[i] else value
            interval = Interval(low, high, level, "hierarchical beta-binomial posterior")
            found.append(Reported(int(n[i]), value, interval, raw, shrunk=True))
    return tuple(found)


@dataclass(frozen=True, slots=True)
class _RatePosterior:
    """A grid over mean and strength of the Beta distribution of rates, with posterior weights, shape (grid,)."""

    x: Floats
    n: Floats
    a: Floats
    b: Floats
    weights: Floats

    @classmethod
    def of(cls, x: Floats, n: Floats) -> _RatePosterior:
        """Weigh a coarse grid, then a fine one over what has weight; even in both logits, flat in mean and factor."""
        from scipy import special

        typical = float(n[n > 0].mean())
        ends = np.array([[-9.0, 9.0], [-12.0, 6.0]])
        for _ in range(2):
            odds, factors = (np.linspace(low, high, _GRID) for low, high in ends)
            mean, factor = (special.expit(grid) for grid in (odds, factors))
            strength = typical * factor / (1 - factor)
            a, b = mean[:, None] * strength, (1 - mean)[:, None] * strength
            prior = np.log(mean * (1 - mean))[:, None] + np.log(factor * (1 - factor))
            density = prior + _likelihood(a, b, x, n)
            weights = np.exp(density - density.max())
            ends = np.stack([_support(odds, weights.max(axis=1)), _support(factors, weights.max(axis=0))])
        kept = weights > 1e-4
        return cls(x, n, a[kept], b[kept], weights[kept] / weights[kept].sum())

    def quantities(self, cell: int, level: float) -> tuple[float, float, float]:
        """Return the posterior mean and the ends of the equal-tailed interval of one cell's rate."""
        from scipy import special

        a, b = self.a + self.x[cell], self.b + self.n[cell] - self.x[cell]
        centre = float(self.weights @ (a / (a + b)))
        second = float(self.weights @ (a * (a + 1) / ((a + b) * (a + b + 1))))
        reach = 12 * math.sqrt(max(second - centre**2, 0.0))
        ends = []
        for probability in ((1 - level) / 2, (1 + level) / 2):
            low, high = max(0.0, centre - reach), min(1.0, centre + reach)
            for _ in range(24):
                middle = (low + high) / 2
                below = float(self.weights @ special.betainc(a, b, middle))
                low, high = (middle, high) if below < probability else (low, middle)
            ends.append((low + high) / 2)
        return centre, ends[0], ends[1]


def _likelihood(a: Floats, b: Floats, x: Floats, n: Floats) -> Floats:
    """Return the log probability of all cells under each Beta distribution of the grid."""
    from scipy import special

    total = np.zeros_like(a)
    cells, times = np.unique(np.stack([x, n], axis=1)[n > 0], axis=0, return_counts=True)
    for (hits, size), repeats in zip(cells, times, strict=True):
        total += repeats * special.betaln(a + hits, b + size - hits)
    return np.asarray(total - times.sum() * special.betaln(a, b))


def _support(grid: Floats, weights: Floats) -> Floats:
    """Return the ends of where a grid has weight, one step wider."""
    places = np.flatnonzero(weights > 1e-5)
    return np.array([grid[max(places[0] - 1, 0)], grid[min(places[-1] + 1, len(grid) - 1)]])


def shrink_means(
    values: ArrayLike, errors: ArrayLike, level: float = 0.95
) -> tuple[tuple[float, Interval], ...]:
    """Return cells' means drawn towards each other, with intervals; ``errors`` are their standard errors, shapes (k,).

    True means are taken as normal; their standard deviation is integrated over, flat (Gelman, 2006), their centre exactly.
    Coverage is on average over cells, .94 to .99. Raises UndefinedError below three cells or for a zero error.
    """
    from scipy import special

    y, s = np.asarray(values, dtype=np.float64), np.asarray(errors, dtype=np.float64)
    if y.shape != s.shape or y.ndim != 1:
        raise ValueError(f"values {y.shape} and errors {s.shape} do not pair up")
    if len(y) < 3 or not (s > 0).all():
        raise UndefinedError("it takes three cells with standard errors to know how cells vary")
    factor = special.expit(np.linspace(-16.0, 8.0, 4 * _GRID))
    spread = len(y) / float((1 / s**2).sum()) * (1 - factor) / factor
    precision = 1 / (spread[:, None] + s**2)
    total = precision.sum(axis=1)
    centre = (precision @ y) / total
    fit = (precision * (y - centre[:, None]) ** 2).sum(axis=1)
    density = 0.5 * (np.log(precision).sum(axis=1) - np.log(total) - fit) + 0.5 * np.log(spread)
    weights = np.exp(density - density.max())
    weights /= weights.sum()
    kept = s**2 * precision  # the factor by which a cell is drawn to the centre, shape (grid, k)
    means = y - kept * (y - centre[:, None])
    deviations = np.sqrt(spread[:, None] * kept + kept**2 / total[:, None])
    found = []
    for i in range(len(y)):
        m, sd = means[:, i], deviations[:, i]
        ends = []
        for probability in ((1 - level) / 2, (1 + level) / 2):
            low, high = float((m - 12 * sd).min()), float((m + 12 * sd).max())
            for _ in range(60):
                middle = (low + high) / 2
                below = float(weights @ special.ndtr((middle - m) / sd))
                low, high = (middle, high) if below < probability else (low, middle)
            ends.append((low + high) / 2)
        found.append((float(weights @ m), Interval(ends[0], ends[1], level, "hierarchical normal posterior")))
    return tuple(found)
