"""Precision, recall, density and coverage, and the clipped forms of the last two, from nearest neighbours and balls."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from audit.core.errors import UndefinedError
from audit.core.measurements import Interval, Unquantified
from audit.stats.moments import Floats
from audit.stats.neighbours import Balls, Nearest

METHOD = "spread over quarters of both samples, drawn without replacement; t quantile"
PARTS = 16
ENOUGH = 400
"""Fewer rows a side and quarters of them are too small for an interval."""


@dataclass(frozen=True, slots=True)
class Scores:
    """What the neighbourhoods of two samples say. A real ball is that around a real row, up to its k-th real neighbour.

    - ``precision``: share of samples in some real ball; ``recall``: share of real rows in some sample's ball
      (Kynkäänniemi et al. 2019);
    - ``density``: real balls per sample, over k; ``coverage``: share of real balls that hold a sample (Naeem et al. 2020);
    - ``clipped_density``: the same with radii clipped at their median and each sample counted k times at most, over what
      real rows score among themselves; ``clipped_coverage``: samples per real ball, k at most, read as the share of
      good samples that would on average give as much (Salvy, Talbot & Thirion 2025). Both are given before they are
      cut off at 1, so that their spread can be seen.
    """

    precision: float
    recall: float
    density: float
    coverage: float
    clipped_density: float
    clipped_coverage: float

    @classmethod
    def of(cls, samples: Nearest, real: Nearest, balls: Balls) -> Scores:
        """Read neighbours within the samples and within the real rows, and the samples' meetings with the real rows.

        Raises UndefinedError when a side has no more than k rows.
        """
        k = real.distances.shape[1]
        n, m = len(samples.distances), len(real.distances)
        if min(n, m) <= k:
            raise UndefinedError(f"{k} neighbours need more than {k} rows a side; there are {n} and {m}")
        reached = float(np.minimum(balls.held, k).mean()) / k
        return cls(
            precision=float((balls.inside > 0).mean()),
            recall=float((balls.covered > 0).mean()),
            density=float(balls.inside.mean()) / k,
            coverage=float((balls.held > 0).mean()),
            clipped_density=_clipped_density(balls, real, k),
            clipped_coverage=_share_of_good(reached, n, m, k),
        )


def scores_of(samples: Floats, real: Floats, k: int) -> Scores:
    """Return the scores of two small samples, shapes (n, d) and (m, d), at once."""
    ours, theirs = Nearest.among(samples, [samples], k, 0), Nearest.among(real, [real], k, 0)
    return Scores.of(ours, theirs, Balls.between(samples, [real], theirs.farthest, ours.farthest))


def _clipped_density(balls: Balls, real: Nearest, k: int) -> float:
    """A real row is in a clipped ball only if it is one of the centre's k neighbours, so the lists are enough."""
    radii = np.minimum(real.farthest, np.median(real.farthest))
    within = real.distances < radii[:, None]
    own = np.bincount(real.numbers[within], minlength=len(real.numbers))
    among_real = float(np.minimum(own, k).mean())
    if among_real == 0:
        raise UndefinedError(
            "no real row lies in another one's clipped ball: most real rows are copies of one another"
        )
    return float(np.minimum(balls.inside_clipped, k).mean()) / among_real


def _share_of_good(reached: float, n: int, m: int, k: int) -> float:
    """Return which share of n samples drawn like the real rows would fill the balls of m real rows as far, on average.

    The number of such samples in a real ball is beta-binomial (n; k, m - k), whatever the distribution.
    """
    from scipy import stats

    counts = np.unique(np.linspace(0, 2 * n, min(2 * n, 1024) + 1).astype(np.int64))
    below = stats.betabinom.pmf(np.arange(k)[:, None], counts, k, m - k)
    filled = 1 - (below * (k - np.arange(k))[:, None]).sum(axis=0) / k
    return float(np.interp(reached, filled, counts / n))


def expected_coverage(n: int, m: int, k: int) -> float:
    """Return the coverage that n samples of the very distribution of m real rows have on average (exact).

    >>> round(expected_coverage(1000, 1000, 5), 4)
    0.969
    """
    return 1 - math.prod((m - i) / (m + n - i) for i in range(1, k + 1))


def part_of(n: int, part: int) -> NDArray[np.int64]:
    """Return which of n rows are in one of the ``PARTS`` quarters: four ways of dealing all rows to four, always the same."""
    dealing, quarter = divmod(part, 4)
    return np.sort(np.random.default_rng(dealing).permutation(n)[quarter::4])


def parts_interval(value: float, parts: Sequence[float], level: float = 0.95) -> Interval:
    """Return ``value`` with t times the standard error that its spread over quarters of both samples shows.

    Neighbour counts are no smooth function of the data: a bootstrap would put copies into the sample, and a copy is the
    nearest neighbour of all. Quarters drawn without replacement hold none (Politis, Romano & Wolf 1999); the spread
    of a quarter around the whole is that of the whole times b / (1 - b), b = 1/4. The interval is for the
    score's expectation at this size: neighbourhoods of larger samples are smaller, and no score is free of that.
    """
    from scipy import stats

    error = math.sqrt(float(np.var(parts, ddof=1)) / 3)
    half = float(stats.t.ppf((1 + level) / 2, len(parts) - 4)) * error
    return Interval(value - half, value + half, level, METHOD)


def estimates(
    samples: Nearest, real: Nearest, balls: Balls, parts: Sequence[Scores], level: float = 0.95
) -> Iterator[tuple[str, float, Interval | Unquantified]]:
    """Yield each score by name with its value and interval; the clipped ones are cut off at 1, interval included."""
    whole, rows = Scores.of(samples, real, balls), (len(samples.distances), len(real.distances))
    for field in fields(Scores):
        value, cap = getattr(whole, field.name), 1.0 if field.name.startswith("clipped") else math.inf
        if min(rows) < ENOUGH:
            reason = f"It takes {ENOUGH} rows a side; there are {rows[0]} samples and {rows[1]} real rows."
            yield field.name, min(value, cap), Unquantified(reason)
        else:
            found = parts_interval(value, [getattr(part, field.name) for part in parts], level)
            interval = Interval(min(found.low, cap), min(found.high, cap), level, found.method)
            yield field.name, min(value, cap), interval
