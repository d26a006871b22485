"""Which positives stand out by themselves: single examples that can be named, not a share of unknown ones."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from audit.stats.permutation import benjamini_hochberg

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

FALSE_DISCOVERIES = 0.1
"""Of the examples that are named, at most this share is expected to be there by chance, on average over audits; where few are named
beyond all negatives, how many are there by chance varies much from audit to audit."""
FALSE_ALARMS = 0.05
"""Where nothing is to be found, the chance that any example is named."""


@dataclass(frozen=True, slots=True)
class StandOut:
    """Examples that stand out, the surest first: their places (r,), which score says so most clearly (r,), and ``chance`` (r,): the
    share of negatives whose own clearest score is as high, (1 + count) / (n + 1). ``heights`` (r,) are that score less the
    negatives' median, over their spread: they rank those that no negative reaches."""

    places: Ints
    scores: Ints
    chance: Floats
    heights: Floats


def standing_out(positives: Floats, negatives: Floats) -> StandOut:
    """Return the positives that score higher than negatives do, so surely that each may be named.

    ``positives`` have shape (m, k) and ``negatives`` (n, k): k scores each, higher says positive. Scores are brought to one scale, median
    and spread of the negatives, and each example counts by its highest: the negatives' own highest say what is
    chance, however many scores there are and however they depend on each other. Those significant at a false discovery rate of 10 % are kept
    (Benjamini & Hochberg 1995; for shares of one set of negatives, Bates et al. 2023), where so many of them among the
    highest of all examples have a probability of at most 5 % under shuffled labels (hypergeometric): a rate among few says little.
    """
    m, n = len(positives), len(negatives)
    nothing = StandOut(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0), np.zeros(0))
    if not m or not n:
        return nothing
    ours, theirs = _on_one_scale(positives, negatives)
    best, which = ours.max(axis=1), ours.argmax(axis=1)
    beaten = n - np.searchsorted(np.sort(theirs.max(axis=1)), best, side="left")
    chance = (1 + beaten) / (n + 1)
    named = np.flatnonzero(np.array(benjamini_hochberg(chance.tolist())) <= FALSE_DISCOVERIES)
    if not len(named) or _tail(len(named), int(beaten[named].max()), m, n) > FALSE_ALARMS:
        return nothing
    order = named[np.lexsort((-best[named], chance[named]))]
    return StandOut(order.astype(np.int64), which[order].astype(np.int64), chance[order], best[order])


def _on_one_scale(positives: Floats, negatives: Floats) -> tuple[Floats, Floats]:
    """Return scores less the negatives' median, over their spread; what is minus infinity becomes the lowest finite number."""
    both = np.concatenate([positives, negatives])
    lowest = np.where(np.isfinite(both), both, np.inf).min(axis=0)
    lowest = np.where(np.isfinite(lowest), lowest, 0.0)
    ours, theirs = (np.where(np.isfinite(side), side, lowest) for side in (positives, negatives))
    low, middle, high = np.quantile(theirs, [0.16, 0.5, 0.84], axis=0)
    spread = np.where(high > low, high - low, np.maximum(theirs.std(axis=0), 1e-300))
    return (ours - middle) / spread, (theirs - middle) / spread


def _tail(named: int, above: int, m: int, n: int) -> float:
    """Return the probability that at most ``above`` of the ``named + above`` highest of m + n shuffled examples are negatives."""
    from scipy.special import gammaln

    drawn, x = named + above, np.arange(above + 1)

    def choose(total: int, count: Ints) -> Floats:
        there = (count >= 0) & (count <= total)
        kept = np.where(there, count, 0)
        return np.where(there, gammaln(total + 1) - gammaln(kept + 1) - gammaln(total - kept + 1), -np.inf)

    logs = choose(n, x) + choose(m, drawn - x) - choose(m + n, np.array([drawn]))
    return float(min(1.0, np.exp(logs).sum()))
