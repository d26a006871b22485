"""Exact tails of the sums that detectors form."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

_NOTHING = 50.0


def binomial_tail(successes: int, n: int, p: float) -> float:
    """Return P(X >= successes) for X ~ Bin(n, p)."""
    from scipy import special

    if successes <= 0 or successes > n:
        return float(successes <= 0)
    return float(special.betainc(successes, n - successes + 1, p))


def hypergeometric_tail(found: int, drawn: int, marked: int, total: int) -> float:
    """Return P(X >= found) where ``drawn`` of ``total`` things are drawn, of which ``marked`` are marked."""
    from scipy.special import gammaln

    def log_ways(n: int, k: NDArray[np.int64]) -> NDArray[np.float64]:
        return np.asarray(gammaln(n + 1.0) - gammaln(k + 1.0) - gammaln(n - k + 1.0))

    counts = np.arange(max(found, drawn - (total - marked), 0), min(drawn, marked) + 1)
    if found <= max(drawn - (total - marked), 0) or not len(counts):
        return float(len(counts) > 0)
    logs = log_ways(marked, counts) + log_ways(total - marked, drawn - counts)
    return float(min(1.0, np.exp(logs - log_ways(total, np.array([drawn]))).sum()))


def gamma_tail(total: float, n: int) -> float:
    """Return P(X >= total) for a sum of n standard exponential numbers."""
    from scipy import special

    return float(special.gammaincc(n, total))


def weighted_bits_tail(score: int, n: int, p: float, weights: NDArray[np.int64]) -> tuple[float, float]:
    """Return P(X >= score) and P(X > score) for the sum over ``weights`` of w · Bin(n, p), all independent; weights are whole, at least 1.

    The distribution is multiplied by exp(t x), with t such that the score becomes its mean, and convolved by Fourier
    transform over nine standard deviations on either side; so tails keep their relative accuracy however small they are.
    A frequency at which it is below exp(-50) is left out: |1 - s + s exp(ia)| is at most exp(-s (1 - s) (1 - cos a)).
    """
    most = n * int(weights.sum())
    if score < 0 or score > most:
        return (1.0, 1.0) if score < 0 else (0.0, 0.0)
    different, times = np.unique(weights, return_counts=True)
    mean = n * p * float(weights.sum())
    tilt = 0.0 if score <= mean else _tilt(score, n, p, weights)  # the bulk needs no tilt
    up = p * np.exp(tilt * different)
    shares = up / (1 - p + up)
    log_scale = n * float((times * np.log1p(up - p)).sum())
    centre = n * float((times * different * shares).sum())
    reach = (
        13 * math.sqrt(n * float((times * different**2 * shares * (1 - shares)).sum())) + 2 * different[-1]
    )
    if score < centre - reach:
        return 1.0, 1.0
    size = 1 << math.ceil(math.log2(2 * reach + 2))
    turns, spread = _turns(size, tuple(weights.tolist()))
    counted = np.flatnonzero(n * float((shares * (1 - shares)).min()) * spread < _NOTHING)
    factors = np.ones(len(counted), np.complex128)
    for turn, share, count in zip(turns, shares.tolist(), times.tolist(), strict=True):
        factors *= (share * turn[counted] + (1 - share)) ** count
    transform = np.zeros(size // 2 + 1, np.complex128)
    transform[counted] = factors**n
    density = np.clip(np.fft.irfft(transform, size), 0.0, None)
    above = np.arange(score, min(most, math.ceil(centre + reach)) + 1)
    tail = density[above % size] * np.exp(log_scale - tilt * above)
    above_it = float(tail[1:].sum())
    return min(1.0, above_it + float(tail[0])), min(1.0, above_it)


@lru_cache(maxsize=16)
def _turns(size: int, weights: tuple[int, ...]) -> tuple[list[NDArray[np.complex128]], NDArray[np.float64]]:
    """Return exp(-i w angle) for each different weight w at half the frequencies of a transform, and the sum over all weights of 1 - cos(w angle)."""
    angles = -2j * math.pi * np.arange(size // 2 + 1) / size
    different, times = np.unique(weights, return_counts=True)
    turns = [np.exp(angles * weight) for weight in different.tolist()]
    spread = sum(count * (1 - turn.real) for turn, count in zip(turns, times.tolist(), strict=True))
    return turns, np.asarray(spread)


def _tilt(score: int, n: int, p: float, weights: NDArray[np.int64]) -> float:
    """Return t at which the tilted mean is the score (or nearly all, at the end of the range)."""
    from scipy import optimize

    def excess(t: float) -> float:
        up = p * np.exp(t * weights)
        return float(n * (weights * up / (1 - p + up)).sum() - score)

    high = 1.0
    while excess(high) < 0 and high < 64:
        high *= 2
    return high if excess(high) < 0 else float(optimize.brentq(excess, 0.0, high))
