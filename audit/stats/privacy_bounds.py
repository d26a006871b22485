"""Lower bounds on the epsilon of differential privacy that an attack's success implies.

A mechanism is (epsilon, delta)-private if no attack tells whether a record was used much better than chance. An attack that does
better refutes every smaller epsilon. None of these bounds says that a mechanism *is* private.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from audit.stats.proportions import lower_bound, upper_bound

MOST = 50.0
"""Bounds are looked for up to here; nobody claims more."""


def one_run_p(canaries: int, guesses: int, correct: int, epsilon: float, delta: float) -> float:
    """Return how likely so many correct guesses are at most, if training is (epsilon, delta)-private (Steinke, Nasr & Jagielski 2023).

    A fair coin of its own decided on each of ``canaries``; of ``guesses`` of them it was guessed, ``correct`` times rightly.
    """
    from scipy import special

    if not 0 <= correct <= guesses <= canaries:
        raise ValueError(f"{correct} correct of {guesses} guesses about {canaries} canaries")
    if correct == 0:
        return 1.0
    each = 1 / (1 + math.exp(-epsilon))
    at_least = special.bdtrc(np.arange(correct), guesses, each)[
        ::-1
    ]  # correct, correct - 1, …, 1 right ones or more
    above = float(at_least[0])
    if delta == 0:
        return above
    just_below = np.append(at_least[1:], 1.0) - above
    return min(1.0, above + 2 * canaries * delta * float((just_below / np.arange(1, correct + 1)).max()))


def one_run_bound(canaries: int, guesses: int, correct: int, delta: float, alpha: float = 0.05) -> float:
    """Return the largest epsilon that so many correct guesses refute at level ``alpha``; 0 where they refute none.

    >>> round(one_run_bound(1000, 1000, 800, 1e-5), 2)
    1.25
    """
    return _largest(lambda epsilon: one_run_p(canaries, guesses, correct, epsilon, delta) < alpha)


def gaussian_delta(mu: float, epsilon: float) -> float:
    """Return the delta at which a mu-Gaussian-private mechanism is (epsilon, delta)-private (Dong, Roth & Su 2022)."""
    from scipy import special

    if mu <= 0:
        return 0.0
    first = float(special.ndtr(mu / 2 - epsilon / mu))
    return first - math.exp(epsilon + float(special.log_ndtr(-mu / 2 - epsilon / mu)))


def gaussian_epsilon(mu: float, delta: float) -> float:
    """Return the least epsilon for which a mu-Gaussian-private mechanism is (epsilon, delta)-private.

    >>> round(gaussian_epsilon(1.0, 1e-5), 2)
    4.38
    """
    return _largest(lambda epsilon: gaussian_delta(mu, epsilon) > delta)


def classic_bound(
    hits: int, inside: int, false: int, outside: int, delta: float, alpha: float = 0.05
) -> float:
    """Return the epsilon that a rule refutes which flags ``hits`` of ``inside`` records used and ``false`` of ``outside`` others.

    Each rate is bounded at half of ``alpha``. What is flagged less often than chance counts as well, the other way round
    (Jagielski, Ullman & Oprea 2020). The rule must be fixed before these records are looked at.
    """
    found, wrong = _rates(hits, inside, false, outside, alpha)
    spared, missed = _rates(outside - false, outside, inside - hits, inside, alpha)
    best = 0.0
    for high, low in ((found, wrong), (spared, missed)):
        if high > delta and high - delta > low:
            best = max(best, math.log((high - delta) / low))
    return best


def gaussian_bound(
    hits: int, inside: int, false: int, outside: int, delta: float, alpha: float = 0.05
) -> float:
    """Return the epsilon at ``delta`` that the same rule refutes, taking the mechanism for Gaussian (Nasr et al. 2023)."""
    from scipy import special

    found, wrong = _rates(hits, inside, false, outside, alpha)
    if found <= 0 or wrong >= 1:
        return 0.0
    return gaussian_epsilon(float(special.ndtri(found) - special.ndtri(wrong)), delta)


def _rates(hits: int, inside: int, false: int, outside: int, alpha: float) -> tuple[float, float]:
    return lower_bound(hits, inside, 1 - alpha / 2), upper_bound(false, outside, 1 - alpha / 2)


def _largest(holds: Callable[[float], bool]) -> float:
    """Return where a condition that holds for small numbers stops holding; 0 where it never does."""
    if not holds(0.0):
        return 0.0
    low, high = 0.0, MOST
    if holds(high):
        return high
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (middle, high) if holds(middle) else (low, middle)
    return low
