"""Bits per dimension: how many bits a model needs for each value of a picture that it has not seen, as far as it tells.

A model that knows pictures of a kind can write them down in fewer bits; a byte for each value is no knowledge at all. Only few
models can say how likely a picture is. A variational autoencoder bounds it: the evidence lower bound (ELBO) is one draw from
its posterior, importance weighting (IWAE) with K draws comes closer, by a gap that shrinks like 1/K. A diffusion model has a
variational bound of its own. All of these err one way: the true number of bits is at most what is given here.

Formula: ``bits_per_dimension = -mean(ln p(x)) / (D ln 2)``, D the values of a picture (height × width × channels), and in place of
``ln p(x)`` the tightest bound that the model offers: ``ln mean_k w_k`` over ``draws`` importance weights ``w = p(x, z) / q(z | x)``;
``elbo`` the same of ``mean_k ln w_k``.
Interval: Student's t over pictures, corrected for skewness; given the model's draws, which are new for each picture and average out.
Gate: no interval below 20 pictures, no value below two or where the model rules a picture out. A value below 0 is not reported: no code is
shorter than that, so the model's numbers are densities, on another scale than the stored levels (``level_width``).
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from audit.core.capabilities import Capability
from audit.core.errors import InputError
from audit.core.evaluators import About, Needs, Unmet
from audit.core.measurements import Evidence, Outcome, Unquantified
from audit.core.metrics import LOWER, Metric
from audit.core.recipes import Inputs, Recipe, Shards
from audit.core.rows import Matrix, Rows, Vector, images_of
from audit.core.subjects import Subject
from audit.evaluators.quality.bits_per_dimension.recipes import ByLikelihood, log_mean
from audit.recipes.latents import LogImportanceWeights
from audit.stats.clusters import clustered_mean

PREFERRED = (Capability.LOG_LIKELIHOOD, Capability.LOG_IMPORTANCE_WEIGHTS, Capability.LIKELIHOOD_BOUND)
LEAST, ENOUGH = 2, 20
_SHOWN = 8
_BIAS = {
    Capability.LOG_LIKELIHOOD: "The model gives the likelihood itself: there is no bound between.",
    Capability.LIKELIHOOD_BOUND: "It is a bound that the model computes itself: the true number of bits is at most this.",
}


@dataclass(frozen=True, slots=True)
class BitsPerDimension:
    """Scores at most ``max_rows`` pictures of ``split``, drawn at random, with ``draws`` importance weights each where the model has them.

    ``level_width`` is how far two neighbouring levels of a stored value are apart in the model's units, for a model that gives
    densities: 1 for dequantised bytes and for probabilities of stored values, 2 / 255 for bytes scaled to -1 … 1. ``level`` is that of intervals.
    """

    split: str = "holdout"
    max_rows: int = 300
    draws: int = 16
    level_width: float = 1.0
    level: float = 0.95

    about: ClassVar[About] = About(
        name="quality.bits_per_dimension",
        summary="How many bits a model needs for each value of a picture, by its likelihood or a bound on it.",
        metrics=(
            Metric(
                "bits_per_dimension",
                "Bits per value of a picture by the tightest bound that the model offers; 8 is a model that knows nothing of bytes",
                LOWER,
                unit="bits/dim",
                question="How well does the model know pictures that it has not seen?",
            ),
            Metric(
                "elbo",
                "Bits per value of a picture by the evidence lower bound alone, which is what the model was trained on",
                LOWER,
                unit="bits/dim",
                question="How much of the number is the looseness of the bound?",
            ),
        ),
        needs=Needs(capabilities=(PREFERRED,), modalities=("image",)),
        references=(
            "Kingma & Welling 2014 (the evidence lower bound)",
            "Burda, Grosse & Salakhutdinov 2016 (importance weighting)",
            "Kingma, Salimans, Poole & Ho 2021 (the bound of diffusion models)",
            "Theis, van den Oord & Bethge 2016 (dequantisation; likelihood is not sample quality)",
        ),
        caveats=(
            "Every bound errs one way: the true number of bits is smaller, so a smaller value is not always a better model but may be a "
            "tighter bound.",
            "Comparable only between models of the same stored values: the number of levels, the size and the dequantisation count.",
            "It says nothing of how samples look: a model may be good at one and bad at the other.",
        ),
        shards_matter=True,
    )

    def __post_init__(self) -> None:
        if self.max_rows < LEAST or self.draws < 1 or not 0.5 <= self.level < 1:
            raise InputError(
                f"quality.bits_per_dimension: give 'max_rows' from {LEAST}, 'draws' from 1 and 'level' from 0.5 to below 1."
            )
        if not (math.isfinite(self.level_width) and self.level_width > 0):
            raise InputError(
                f"quality.bits_per_dimension: 'level_width' is {self.level_width}; give the distance of two levels in the model's units."
            )

    def unmet(self, subject: Subject) -> tuple[Unmet, ...]:
        if subject.splits.get(self.split, 0) >= LEAST:
            return ()
        found = f"splits: {', '.join(subject.splits) or 'none'}"
        remedy = f"name data with a '{self.split}' split in [data], or set 'split' of this evaluator"
        return (Unmet(f"a split '{self.split}' of pictures to score", found, remedy),)

    def inputs(self, subject: Subject) -> Inputs:
        rows = subject.drawn(self.split, self.max_rows)
        capability = subject.first_offered(PREFERRED)
        scores: Recipe[Matrix] | Recipe[Vector]
        if capability is Capability.LOG_IMPORTANCE_WEIGHTS:
            scores = LogImportanceWeights(rows, subject.model, self.draws, subject.seed)
        else:
            scores = subject.signal(rows, (capability,))
        return {
            "rows": rows,
            "scores": scores,
            "dearest": ByLikelihood(rows, scores, _SHOWN),
            "cheapest": ByLikelihood(rows, scores, _SHOWN, likeliest=True),
            "capability": str(capability),
            "available": subject.splits[self.split],
        }

    def measure(
        self,
        rows: Shards[Rows],
        scores: Shards[Matrix],
        dearest: Shards[Rows],
        cheapest: Shards[Rows],
        capability: str,
        available: int,
    ) -> Iterable[Outcome]:
        values = np.concatenate(list(scores))
        dimensions = int(np.prod(images_of(rows[0].slice(0, 1)).shape[1:]))
        weighted = values.ndim == 2
        bits = self._bits(log_mean(values), dimensions)
        reason = self._reason(bits)
        if reason:
            yield self.about.undefined("bits_per_dimension", reason)
            yield self.about.undefined("elbo", reason)
            return
        private = self.split == "train"
        evidence = [
            Evidence("images", "Pictures that cost the most bits", dearest[0], private),
            Evidence("images", "Pictures that cost the fewest bits", cheapest[0], private),
        ]
        bias = _BIAS.get(Capability(capability), "")
        if weighted:
            evidence.insert(0, self._curve(values, dimensions))
            bias = f"It is a bound of {values.shape[1]} importance-weighted draws: the true number of bits is at most this."
        yield self._mean("bits_per_dimension", bits, dimensions, bias, available, evidence)
        if weighted:
            elbo = self._bits(values.mean(axis=1), dimensions)
            if not np.isfinite(elbo).all():
                ruled_out = "some draw from a posterior has probability 0, so its logarithm has no mean"
                yield self.about.undefined("elbo", ruled_out)
                return
            gap = float((elbo - bits).mean())
            said = f"{values.shape[1]} draws bring {gap:.4f} bits per value; what more would bring shrinks like one over their number."
            yield self._mean("elbo", elbo, dimensions, said, available, [])
        else:
            yield self.about.undefined("elbo", f"the model gives its {capability.replace('_', ' ')} alone")

    def _bits(self, nats: Vector, dimensions: int) -> Vector:
        """Return bits per value of log likelihoods, with densities counted per stored level."""
        return np.asarray(-nats / (dimensions * math.log(2)) - math.log2(self.level_width))

    def _reason(self, bits: Vector) -> str:
        """Return why these numbers have no mean worth reporting, or nothing."""
        if len(bits) < LEAST:
            return f"{len(bits)} picture has a likelihood; two are needed"
        if bad := int((~np.isfinite(bits)).sum()):
            return f"the model rules out {bad} of {len(bits)} pictures, or could not score them: their code is infinitely long"
        if (mean := float(bits.mean())) < 0:
            return (
                f"it would be {mean:.3g}, and no code is shorter than 0 bits: the model gives densities on another scale than the "
                "stored levels. Set 'level_width' to the distance of two levels in its units"
            )
        return ""

    def _mean(
        self,
        name: str,
        bits: Vector,
        dimensions: int,
        said: str,
        available: int,
        evidence: list[Evidence],
    ) -> Outcome:
        value, interval = clustered_mean(bits, np.arange(len(bits)), self.level)
        few = Unquantified(f"{len(bits)} pictures; an interval takes {ENOUGH} or more")
        notes = [f"{len(bits):,} pictures of '{self.split}', {dimensions:,} values each. {said}"]
        if self.level_width != 1.0:
            notes.append(f"Densities, with levels {self.level_width:g} apart in the model's units.")
        return self.about.measurement(
            name,
            value,
            interval if len(bits) >= ENOUGH else few,
            len(bits),
            notes=notes,
            evidence=evidence,
            available=available,
        )

    def _curve(self, weights: Matrix, dimensions: int) -> Evidence:
        """Return the bound by its number of draws: flat at the end where more would not help."""
        import pyarrow as pa

        blocks = [2**i for i in range(weights.shape[1].bit_length())]
        bits = [float(self._bits(log_mean(weights, k), dimensions).mean()) for k in blocks]
        rows = pa.table({"x": [math.log2(k) for k in blocks], "y": bits, "draws": blocks})
        caption = "Bits per value (y) by the number of importance-weighted draws (x, log2); 0 is the ELBO"
        return Evidence("curve", caption, rows, sensitive=False)
