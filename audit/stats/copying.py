"""Do samples lie nearer to training rows than unseen real rows do? Closeness, a randomisation test, C_T, authenticity.

A blurred sample is near to everything, so a small distance proves nothing by itself. ``closeness`` divides the distance to
the nearest training row by the mean distance to the nearest k (the calibrated distance of Carlini et al. 2023): a copy
stands out from its own neighbourhood. What counts as close is read off real rows that were not trained on.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from audit.core.errors import UndefinedError
from audit.core.measurements import Interval
from audit.stats.neighbours import Nearest
from audit.stats.permutation import benjamini_hochberg, p_value
from audit.stats.proportions import clopper_pearson, normal_quantile
from audit.stats.ranking import midranks, roc_areas

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

FALSE_DISCOVERIES = 0.05
"""Of what is listed, at most this share is expected to be there by chance."""

LEAST_IN_CELL = 10
"""A cell of C_T counts where it holds so many samples and so many unseen rows."""


def closeness(nearest: Nearest) -> Floats:
    """Return the distance to the nearest row over the mean distance to the k nearest, shape (n,); 0 is an exact copy.

    >>> closeness(Nearest(np.array([[1.0, 3.0], [0.0, 0.0]]), np.array([[0, 1], [0, 1]]))).tolist()
    [0.5, 0.0]
    """
    there = np.isfinite(nearest.distances)
    sums = np.where(there, nearest.distances, 0.0).sum(axis=1)
    means = sums / np.maximum(there.sum(axis=1), 1)
    return np.asarray(np.where(means > 0, nearest.distances[:, 0] / np.where(means > 0, means, 1.0), 0.0))


def tail_shares(values: ArrayLike, unseen: ArrayLike) -> Floats:
    """Return, for each value, the share ``(1 + #{unseen <= value}) / (n + 1)``: its p-value if it were one more unseen row.

    >>> tail_shares([0.0, 2.5], [1.0, 2.0, 3.0]).tolist()
    [0.25, 0.75]
    """
    ordered = np.sort(np.asarray(unseen, dtype=np.float64))
    below = np.searchsorted(ordered, np.asarray(values, dtype=np.float64), side="right")
    return np.asarray((1 + below) / (len(ordered) + 1))


@dataclass(frozen=True, slots=True)
class Excess:
    """The share of samples closer than a threshold, less the share of unseen rows that are, and its exact interval.

    The threshold is the ``above``-th closest of the unseen rows; ``hits`` samples are closer, and ``expected`` is the
    share of unseen rows that would be.
    """

    value: float
    interval: Interval
    hits: int
    above: int
    expected: float


def excess_closer(
    samples: ArrayLike,
    unseen: ArrayLike,
    sample_ties: ArrayLike,
    unseen_ties: ArrayLike,
    rate: float,
    level: float = 0.95,
) -> Excess:
    """Return how many more samples than unseen rows are closer than the closest share ``rate`` of unseen rows.

    ``samples`` (m,) and ``unseen`` (n,) are closeness, small is close; ties are broken by the uniform numbers given. With k = rate n, the
    share of all unseen rows that lie below the k-th closest of these is Beta(k, n - k + 1), whatever their distribution, and
    the samples below are binomial: the difference is covered at the stated level by Bonferroni over both.

    Raises UndefinedError when ``rate`` is less than one unseen row.
    """
    x, y = np.asarray(samples, dtype=np.float64), np.asarray(unseen, dtype=np.float64)
    above = int(rate * len(y) * (1 + 1e-12))
    if above < 1 or not len(x):
        raise UndefinedError(
            f"a share of {rate:g} is less than one of {len(y)} unseen examples; it takes {int(np.ceil(1 / rate))}"
        )
    last = np.lexsort((np.asarray(unseen_ties), y))[above - 1]
    threshold, tie = y[last], np.asarray(unseen_ties)[last]
    hits = int(((x < threshold) | ((x == threshold) & (np.asarray(sample_ties) < tie))).sum())
    from scipy import special

    each = (1 - level) / 4
    low, high = (float(special.betaincinv(above, len(y) - above + 1, p)) for p in (each, 1 - each))
    ours = clopper_pearson(hits, len(x), (1 + level) / 2)
    expected = above / (len(y) + 1)
    value = hits / len(x) - expected
    interval = Interval(
        ours.low - high, ours.high - low, level, "Clopper-Pearson and order statistic, jointly"
    )
    return Excess(value, interval, hits, above, expected)


def excess_half_width(rate: float, samples: int, unseen: int, value: float, level: float = 0.95) -> float:
    """Return about how far the interval of :func:`excess_closer` will reach above a value: the same bounds by normal approximation.

    >>> round(excess_half_width(0.01, 2000, 5000, 0.0), 4)
    0.0081
    """
    z = normal_quantile(1 - (1 - level) / 4)
    share = min(1.0, max(value + rate, 1 / samples))
    return float(z * (np.sqrt(share * (1 - share) / samples) + np.sqrt(rate * (1 - rate) / unseen)))


@dataclass(frozen=True, slots=True)
class Returned:
    """Training rows that samples come back as, the most often first, then the closest.

    ``rows`` (r,) are places among the training rows, ``times`` how many samples are copies of each, ``best`` which sample is the
    closest, ``closest`` its closeness and ``shares`` the share of unseen rows that are as close. ``samples`` is how many samples are
    copies of any row.
    """

    rows: Ints
    times: Ints
    best: Ints
    closest: Floats
    shares: Floats
    samples: int


def returned(close: Floats, nearest: Ints, unseen: Floats) -> Returned:
    """Return which training rows come back, so that at most about one in twenty of them is expected to be there by chance.

    ``close`` (m,) and ``nearest`` (m,) are the samples' closeness and nearest training row, ``unseen`` (n,) the closeness of
    real rows that were not trained on. Samples whose tail share is significant at a false discovery rate of 5 % are
    candidates (Benjamini & Hochberg 1995; valid for shares of one calibration set, Bates et al. 2023). A false candidate hits any
    row and a copied row is hit again and again: so a row counts that two candidates come back to, and a row of one
    candidate only where the other samples together are expected to give no more such hits by chance than 5 % of the rows listed.
    The other samples are those that come back to no row twice, and one in twenty of the rest, which may be false.
    A sample that equals a training row counts by itself where no unseen row equals one.
    """
    shares = tail_shares(close, unseen)
    candidates = np.array(benjamini_hochberg(shares.tolist())) <= FALSE_DISCOVERIES
    hits = np.bincount(nearest[candidates], minlength=int(nearest.max(initial=0)) + 1)
    again = candidates & (hits[nearest] > 1)
    single = np.flatnonzero(candidates & (hits[nearest] == 1))
    single = single[np.argsort(shares[single], kind="stable")]
    listed = np.count_nonzero(hits > 1) + np.searchsorted(shares[single], shares[single], side="right")
    others = len(close) - (1 - FALSE_DISCOVERIES) * np.count_nonzero(again)
    within = np.flatnonzero(others * shares[single] <= FALSE_DISCOVERIES * listed)
    again[single[: within[-1] + 1 if len(within) else 0]] = True
    if not (unseen == 0).any():
        again |= close == 0
    which = np.flatnonzero(again)
    which = which[np.argsort(close[which], kind="stable")]
    rows, first, times = np.unique(nearest[which], return_index=True, return_counts=True)
    best = which[first]
    order = np.lexsort((rows, close[best], -times))
    return Returned(
        rows[order].astype(np.int64),
        times[order].astype(np.int64),
        best[order].astype(np.int64),
        close[best][order],
        shares[best][order],
        len(which),
    )


@dataclass(frozen=True, slots=True)
class Attraction:
    """How many samples have a training row as their nearest real row, against what a coin gives.

    ``excess`` is the share less ``expected``; ``interval`` is exact, given these real rows. ``p`` re-draws which rows were trained on;
    ``z`` is the same by the formula of its moments.
    """

    excess: float
    expected: float
    interval: Interval
    p: float
    z: float
    samples: int


def attraction(
    hits: ArrayLike, trained: int, draws: int, rng: np.random.Generator, level: float = 0.95
) -> Attraction:
    """Test whether samples are drawn to training rows, by re-drawing which of the pooled real rows were trained on.

    ``hits`` (N,) counts, for each real row, the samples whose nearest real row it is; the first ``trained`` rows are the training
    rows. Exact where a coin decided the split, whatever the samples: under the null, labels are exchangeable and
    hits do not depend on them. One-sided, for more hits than expected.
    """
    counts = np.asarray(hits, dtype=np.int64)
    total, samples = len(counts), int(counts.sum())
    if not 0 < trained < total or samples == 0:
        raise UndefinedError("a randomisation test needs samples, and real rows on both sides")
    hit = counts[counts > 0]
    observed = int(counts[:trained].sum())
    drawn = np.empty(draws)
    for draw in range(draws):  # which rows were hit decides; the others only say how many labels are left
        labels = rng.permutation(total)[: len(hit)] < trained
        drawn[draw] = hit[labels].sum()
    expected = trained / total
    variance = trained * (total - trained) / (total * (total - 1)) * np.square(counts - counts.mean()).sum()
    exact = clopper_pearson(observed, samples, level)
    return Attraction(
        excess=observed / samples - expected,
        expected=expected,
        interval=Interval(exact.low - expected, exact.high - expected, level, exact.method),
        p=p_value(observed, drawn),
        z=float((observed - samples * expected) / np.sqrt(variance)) if variance > 0 else 0.0,
        samples=samples,
    )


@dataclass(frozen=True, slots=True)
class DataCopying:
    """C_T and its interval; ``cells`` is how many cells counted, ``share`` the share of unseen rows in them.

    ``p`` is one-sided, for samples nearer to training rows than unseen rows are.
    """

    value: float
    interval: Interval
    p: float
    cells: int
    share: float


def data_copying(
    samples: Floats, unseen: Floats, sample_cells: Ints, unseen_cells: Ints, level: float = 0.95
) -> DataCopying:
    """Return C_T (Meehan, Chaudhuri & Dasgupta 2020, section 4): Mann-Whitney z of distances to training, averaged over cells.

    ``samples`` (m,) and ``unseen`` (n,) are distances to the nearest training row, the cells number the regions they lie in. Per
    cell ``z = (U - mn/2) / sd`` with U the pairs in which the sample is farther (ties count half, and sd allows for
    them); weights are the unseen rows of a cell. Much below 0 is copying. z grows with the number of rows; its
    interval is that of the areas behind it (DeLong), which z is a linear function of.
    """
    total, weighted, variance, squares, cells = 0, 0.0, 0.0, 0.0, 0
    for cell in np.unique(unseen_cells):
        x, y = samples[sample_cells == cell], unseen[unseen_cells == cell]
        if min(len(x), len(y)) < LEAST_IN_CELL:
            continue
        areas = roc_areas(x, y)
        scale = len(x) * len(y) / _mann_whitney_deviation(x, y)
        total, cells = total + len(y), cells + 1
        weighted += len(y) * scale * (float(areas.values[0]) - 0.5)
        variance += (len(y) * scale) ** 2 * float(areas.covariance[0, 0])
        squares += len(y) ** 2
    if not cells:
        raise UndefinedError(f"no region holds {LEAST_IN_CELL} samples and {LEAST_IN_CELL} unseen rows")
    value = weighted / total
    half = normal_quantile((1 + level) / 2) * np.sqrt(max(variance, 0.0)) / total
    from scipy import special

    return DataCopying(
        value,
        Interval(value - half, value + half, level, "DeLong per region"),
        float(special.ndtr(value * total / np.sqrt(squares))),
        cells,
        total / len(unseen),
    )


def _mann_whitney_deviation(x: Floats, y: Floats) -> float:
    """Return the deviation of U when both samples are alike, allowing for ties: infinite when every value is the same."""
    m, n = len(x), len(y)
    spread = float(np.var(midranks(np.concatenate([x, y])), ddof=1))
    return float(np.sqrt(spread * m * n / (m + n))) if spread > 0 else np.inf


def regions(rows: NDArray[np.floating], count: int, rng: np.random.Generator, rounds: int = 10) -> Floats:
    """Return the centres of ``count`` regions of some rows, by Lloyd's k-means from random rows, shape (count, d)."""
    points = np.asarray(rows, dtype=np.float64)
    centres = points[rng.choice(len(points), min(count, len(points)), replace=False)]
    for _ in range(rounds):
        owner = Nearest.among(points, centres, 1).indices[:, 0]
        sizes = np.bincount(owner, minlength=len(centres))
        sums = np.zeros_like(centres)
        np.add.at(sums, owner, points)
        centres = np.where(sizes[:, None] > 0, sums / np.maximum(sizes, 1)[:, None], centres)
    return np.asarray(centres)


def authentic(distances: ArrayLike, own: ArrayLike) -> NDArray[np.bool_]:
    """Say which rows are authentic: farther from their nearest training row than that row is from its nearest fellow.

    ``own`` (n,) is, for each row, the distance of its nearest training row to that row's nearest other training row (Alaa et
    al. 2022, equation 9; the published code looks it up under the wrong index).
    """
    return np.asarray(np.asarray(distances) > np.asarray(own))
