"""Whether p-values are uniform, as they must be where there is nothing to find."""

from __future__ import annotations

import math

import numpy as np

from audit.core.rows import Vector


def kolmogorov(values: Vector) -> float:
    """Return the asymptotic p-value that numbers are uniform on [0, 1] (Kolmogorov 1933, with Stephens' correction).

    From 20 numbers on it is within a percent or two of the exact one.
    """
    from scipy.special import kolmogorov as tail

    x, n = np.sort(values), len(values)
    steps = np.arange(n + 1) / n
    distance = max(float(np.max(steps[1:] - x)), float(np.max(x - steps[:-1])))
    return float(tail(distance * (math.sqrt(n) + 0.12 + 0.11 / math.sqrt(n))))
