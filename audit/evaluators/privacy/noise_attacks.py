"""Membership attacks on diffusion models by the noise that they see in an example: PIA, SecMI, and losses under noise that all share.

A model that was trained on an example knows its way back to it: the noise it sees there hangs together from one level to the next.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any, ClassVar

import numpy as np

from audit.core.recipes import Context, Recipe
from audit.core.references import ModelRef
from audit.core.rows import Matrix, Rows, Vector
from audit.evaluators.privacy.attacks import LEVELS, AttackScores

PIA_LEVEL, PIA_POWER = 0.2, 4
"""Level at which PIA asks again, and the norm in which it compares (Kong et al., 2024)."""
SECMI_LEVEL, SECMI_STEP = 0.1, 0.01
"""Level up to which SecMI goes, and its steps (Duan et al., 2023: 100 and 10 of 1,000)."""
PAIRS = 4
"""Noises that all examples share, each with its negative."""
MOST_ROWS = 256
"""Examples that are held with their noise at once."""

NOISE_ATTACKS = {
    "pia": ("pia", "pian"),
    "secmi": ("secmi",),
    "shared_noise": ("shared_noise", *(f"shared_noise_{round(100 * level)}pct" for level in LEVELS)),
}
"""What each kind of attack reports."""


@dataclass(frozen=True)
class NoiseAttacks(Recipe[AttackScores]):
    """One kind of attack by the noise that a diffusion model sees: ``pia``, ``secmi`` or ``shared_noise``."""

    kind: ClassVar[str] = "noise-attacks"
    along: ClassVar[tuple[str, ...]] = ("rows",)
    rows: Recipe[Rows]
    model: ModelRef
    attack: str
    seed: int

    @property
    def label(self) -> str:
        return f"attack '{self.attack}' on {self.rows.label}"

    def make(self, context: Context, rows: Rows) -> AttackScores:
        model, names = context.model(self.model), NOISE_ATTACKS[self.attack]
        parts = (rows.slice(start, MOST_ROWS) for start in range(0, rows.num_rows, MOST_ROWS))
        values = np.concatenate([np.empty((0, len(names))), *(self._values(model, part) for part in parts)])
        if not np.isfinite(values).all():
            raise ValueError(f"predicted_noise returned no number for some of {rows.num_rows} examples")
        return AttackScores(
            names=names,
            values=values,
            ties=context.uniforms(),
            access="asks the model which noise it sees in an example",
        )

    def _values(self, model: Any, rows: Rows) -> Matrix:
        match self.attack:
            case "pia":
                return np.column_stack(proximal(model, rows))
            case "secmi":
                return step_error(model, rows)[:, None]
        # Seeded by the audit alone: members and others must meet the same noise, or its own luck would tell them apart.
        return shared_noise(model, rows, np.random.default_rng(self.seed))


def proximal(model: Any, rows: Rows) -> tuple[Vector, Vector]:
    """Return PIA and PIAN: minus the distance between the noise seen in the clean example and that seen once this noise is added.

    PIAN first scales that noise to the mean size of standard normal noise, sqrt(2 / pi).
    """
    clean = np.asarray(model.predicted_noise(rows, 0.0), np.float64)
    size = np.maximum(np.abs(clean).mean(axis=1, keepdims=True), 1e-12)
    found = []
    for noise in (clean, clean / size * np.sqrt(2 / np.pi)):
        seen = np.asarray(model.predicted_noise(rows, PIA_LEVEL, noise), np.float64)
        found.append(-(np.abs(noise - seen) ** PIA_POWER).sum(axis=1))
    return found[0], found[1]


def step_error(model: Any, rows: Rows) -> Vector:
    """Return SecMI's statistic: minus the squared error of one deterministic step up and back, at the end of a deterministic path.

    A state of the path is ``sqrt(1 - s) x + sqrt(s) noise``, so only its noise is kept: a DDIM step from share s to share r that
    sees e turns noise n into ``e + sqrt((1 - r) s / ((1 - s) r)) (n - e)``.
    """
    levels = np.linspace(0, SECMI_LEVEL, round(SECMI_LEVEL / SECMI_STEP) + 1)
    noise = np.asarray(model.predicted_noise(rows, 0.0), np.float64)
    for here, there in pairwise(levels[1:]):
        noise = _stepped(model, rows, noise, float(here), float(there))
    top = float(levels[-1])
    above = _stepped(model, rows, noise, top, top + SECMI_STEP)
    back = _stepped(model, rows, above, top + SECMI_STEP, top)
    return np.asarray(-float(model.noise_share(top)) * np.square(back - noise).mean(axis=1))


def _stepped(model: Any, rows: Rows, noise: Matrix, here: float, there: float) -> Matrix:
    s, r = float(model.noise_share(here)), float(model.noise_share(there))
    seen = np.asarray(model.predicted_noise(rows, here, noise), np.float64)
    return np.asarray(seen + np.sqrt((1 - r) * s / ((1 - s) * r)) * (noise - seen))


def shared_noise(model: Any, rows: Rows, rng: np.random.Generator) -> Matrix:
    """Return minus the loss averaged over levels, and at each of ``LEVELS``, under ``PAIRS`` noises and their negatives, the same for all rows."""
    width = np.asarray(model.predicted_noise(rows.slice(0, 1), LEVELS[0])).shape[1]
    noises = rng.standard_normal((PAIRS, width))
    losses = np.zeros((rows.num_rows, len(LEVELS)))
    for i, level in enumerate(LEVELS):
        for noise in (*noises, *-noises):
            given = np.broadcast_to(noise, (rows.num_rows, width))
            seen = np.asarray(model.predicted_noise(rows, level, given), np.float64)
            losses[:, i] += np.square(seen - given).mean(axis=1) / (2 * PAIRS)
    return np.column_stack([-losses.mean(axis=1), -losses])
