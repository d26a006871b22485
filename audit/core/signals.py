"""How each capability says how familiar an example is: one line per capability, higher is more familiar."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from audit.core.capabilities import Capability
from audit.core.errors import UndefinedError
from audit.core.rows import Rng, Rows, Vector, images_of

_LEVELS = (0.1, 0.2, 0.3, 0.4)


def _reconstruction(model: Any, rows: Rows, rng: Rng) -> Vector:
    before = images_of(rows).astype(np.float64)
    after = images_of(model.reconstruct(rows, rng)).astype(np.float64)
    if before.shape != after.shape:
        raise ValueError(f"the model turned {before.shape} into {after.shape} when reconstructing")
    return np.asarray(-((before - after) ** 2).mean(axis=(1, 2, 3)))


def _denoising(model: Any, rows: Rows, rng: Rng) -> Vector:
    losses = np.array([model.denoising_loss(rows, level, rng) for level in _LEVELS], dtype=np.float64)
    return np.asarray(-losses.mean(axis=0))


SIGNALS: Mapping[Capability, Callable[[Any, Rows, Rng], Vector]] = {
    Capability.LOG_LIKELIHOOD: lambda model, rows, rng: model.log_likelihood(rows),
    Capability.LIKELIHOOD_BOUND: lambda model, rows, rng: model.likelihood_bound(rows, rng),
    Capability.DENOISING_LOSS: _denoising,
    Capability.RECONSTRUCT: _reconstruction,
    Capability.REALNESS: lambda model, rows, rng: model.realness(rows),
}


def familiarity(capability: Capability, model: Any, rows: Rows, rng: Rng) -> Vector:
    """Return one number per example; minus infinity is the least familiar, NaN says that the model could not score it.

    Raise when the model's answer has another shape, holds plus infinity, or scores no example at all.
    """
    if capability not in SIGNALS:
        raise UndefinedError(f"'{capability}' gives no number per example")
    values = np.asarray(SIGNALS[capability](model, rows, rng), dtype=np.float64)
    if values.shape != (rows.num_rows,):
        raise ValueError(f"{capability} returned shape {values.shape} for {rows.num_rows} examples")
    if (bad := int(np.isposinf(values).sum())) or (len(values) and np.isnan(values).all()):
        what = f"infinite for {bad}" if bad else "not a number for all"
        raise ValueError(f"{capability} is {what} of {rows.num_rows} examples")
    return values
