"""Interpolation: is there something between two codes, and does it change smoothly?

A decoder has learnt the codes of real examples; what it makes of codes between them shows whether it has learnt a space or a list.
``midpoint`` decodes the mean of two codes and asks how far that is from the nearest real example, beside how far reconstructions are from
theirs: 1 is as near, and a model that fades from one picture to the other is farther. ``path_length`` is how much the picture changes for a
small step along the way (Karras et al. 2019), in the features of the audit: jumps make it long. Between draws from the prior where
the model has one, along the sphere; else between codes.

Formula: ``midpoint = Σ d(decode((z_1 + z_2) / 2), real) / Σ (d(decode(z_1), real) + d(decode(z_2), real)) / 2``, d to the nearest real row but the pair
itself; ``path_length`` the 10 % trimmed mean of ``|f(t) - f(t + ε)|² / ε²`` at a random place t, f the features of what is decoded.
Interval: of ``midpoint`` a ratio of sums over pairs; of ``path_length``, Tukey and McLaughlin's for a trimmed mean.
Gate: skipped below 60 pictures, and for models that remove noise, whose latent vectors are no code. A decoder that draws noise has no path length.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from audit.core.artifacts import Features
from audit.core.capabilities import Capability
from audit.core.cases import Case, CaseKind, Cases
from audit.core.errors import InputError
from audit.core.evaluators import About, Needs, Unmet
from audit.core.measurements import Evidence, Interval, Outcome
from audit.core.metrics import LOWER, Metric
from audit.core.recipes import Recipe, Shards
from audit.core.rows import Matrix, Rows, Vector
from audit.core.subjects import Subject
from audit.evaluators.quality.interpolation.recipes import (
    Blends,
    FarFromReal,
    Midpoints,
    RandomPairs,
    StepsBetween,
    Strips,
)
from audit.recipes.latents import Codes, Decoded, MeansOf, Posteriors, no_bottleneck
from audit.recipes.row_numbers import RowNumbers
from audit.stats.ratios import ratio_of_sums

LEAST = 60
_TRIMMED = 0.1
_NOISE = 0.01
"""A decoder that gives a code back with this share of the change along a step is drawing noise."""
_SHOWN = 6


@dataclass(frozen=True)
class Interpolation:
    """Encodes pictures of ``split``, drawn at random, and decodes what is between the two of each pair; ``pairs`` is how many.

    ``epsilon`` is the length of a step on a way from 0 to 1. ``level`` is that of intervals.
    """

    split: str = "holdout"
    pairs: int = 200
    epsilon: float = 1 / 32
    level: float = 0.95

    about: ClassVar[About] = About(
        name="quality.interpolation",
        summary="Whether what a decoder makes of codes between two pictures looks like pictures, and changes smoothly.",
        metrics=(
            Metric(
                "midpoint",
                "Distance of pictures decoded halfway between two codes from real pictures, over that of reconstructions; 1 is as near",
                LOWER,
                null=1.0,
                question="Is there a picture between two pictures?",
            ),
            Metric(
                "path_length",
                "Squared change of features for a small step along the way between two codes, over the squared step, trimmed mean",
                LOWER,
                question="Does the picture change evenly along the way?",
            ),
        ),
        needs=Needs(
            capabilities=((Capability.POSTERIOR, Capability.ENCODE), (Capability.DECODE,)),
            modalities=("image",),
            features=True,
        ),
        references=(
            "Karras, Laine & Aila 2019 (perceptual path length)",
            "Berthelot, Raffel, Roy & Goodfellow 2019 (what is between two codes should look real)",
            "Tukey & McLaughlin 1963 (trimmed mean)",
        ),
        caveats=(
            "A path length depends on the features and on how many levels pictures have: compare it only with the same of both.",
            "A decoder that always makes the same picture has the shortest path: read it beside `quality.latent` and diversity.",
        ),
        shards_matter=True,
    )

    def __post_init__(self) -> None:
        if 2 * self.pairs < LEAST or not 0 < self.epsilon <= 0.25 or not 0.5 <= self.level < 1:
            raise InputError(
                f"quality.interpolation: give 'pairs' from {LEAST // 2}, 'epsilon' above 0 up to 0.25 and 'level' from 0.5 to below 1."
            )

    def unmet(self, subject: Subject) -> tuple[Unmet, ...]:
        gaps = no_bottleneck(subject, "none for this model: it has no code")
        if subject.splits.get(self.split, 0) < LEAST:
            found = f"{subject.splits.get(self.split, 0)} rows"
            gaps += (Unmet(f"{LEAST} pictures in split '{self.split}'", found, "bring more data"),)
        return gaps

    def inputs(self, subject: Subject) -> Cases:
        rows = subject.drawn(self.split, 2 * self.pairs)
        prior = Capability.POSTERIOR in subject.offers
        codes: Recipe[Matrix] = (
            MeansOf(Posteriors(rows, subject.model)) if prior else Codes(rows, subject.model)
        )
        pairs, model, extractor = RandomPairs(rows), subject.model, subject.extractor()
        decoded = Decoded(codes, model)

        def far(between: Recipe[Rows]) -> Recipe[Matrix]:
            return FarFromReal(
                Features(between, extractor),
                Features(decoded, extractor),
                subject.features(subject.real(self.split)),
                pairs,
                RowNumbers(rows),
            )

        steps = Decoded(StepsBetween(codes, pairs, self.epsilon, prior), model)
        asked: dict[str, Any] = {
            "far": far(Decoded(Midpoints(codes, pairs), model)),
            "steps": Features(steps, extractor),
            "strips": Strips(codes, pairs, model, _SHOWN),
            "extractor": extractor.name,
        }
        rest = {"steps": None, "strips": None, "extractor": extractor.name}
        words = "reconstructions in place of what is between"
        planted = tuple(
            Case(
                CaseKind.PLANTED,
                {"far": far(Blends(decoded, pairs, dose)), **rest},
                f"{words}, some faded into one another",
                "blended pictures",
                dose,
            )
            for dose in subject.doses
        )
        return Cases(asked, Case(CaseKind.NULL, {"far": far(Blends(decoded, pairs)), **rest}, words), planted)

    def measure(
        self,
        far: Shards[Matrix],
        steps: Shards[Matrix] | None,
        strips: Shards[Rows] | None,
        extractor: str,
    ) -> Iterable[Outcome]:
        between, first, second = far[0].T
        shown: tuple[Evidence, ...] = ()
        if strips is not None:
            caption = "The straight way from one code to another, decoded"
            shown = (Evidence("images", caption, strips[0], self.split == "train"),)
        own = (first + second) / 2
        if not own.sum() > 0:
            yield self.about.undefined(
                "midpoint", "reconstructions are equal to real pictures in these features"
            )
        else:
            found = ratio_of_sums(between, own)
            note = (
                f"{found.units} pairs of '{self.split}', features '{extractor}': {between.mean():.4g} from the nearest real picture halfway, "
                f"{own.mean():.4g} for reconstructions."
            )
            yield self.about.measurement(
                "midpoint",
                found.value,
                found.uncertainty(self.level),
                found.units,
                notes=(note,),
                evidence=shown,
            )
        if steps is not None:
            yield self._path(np.concatenate(list(steps)), extractor)

    def _path(self, features: Matrix, extractor: str) -> Outcome:
        start, again, step, twice = features.reshape(4, -1, features.shape[1])

        def change(side: Matrix, epsilon: float) -> Vector:
            return np.asarray(np.square(side - start).sum(axis=1) / epsilon**2)

        lengths, noise = change(step, self.epsilon), change(again, self.epsilon)
        if float(noise.mean()) > _NOISE * float(lengths.mean()):
            reason = (
                "the decoder draws noise: the same code decoded twice differs by "
                f"{math.sqrt(float(noise.mean() / max(lengths.mean(), 1e-300))):.0%} of what a step along the way changes"
            )
            return self.about.undefined("path_length", reason)
        value, interval = trimmed_mean(lengths, self.level)
        note = (
            f"Median {float(np.median(lengths)):.4g}; with steps twice as long {trimmed_mean(change(twice, 2 * self.epsilon), self.level)[0]:.4g}. "
            f"Step {self.epsilon:.4g} of the whole way, {_TRIMMED:.0%} of the pairs trimmed at either end."
        )
        return self.about.measurement(
            "path_length", value, interval, len(lengths), unit=f"distance²[{extractor}]", notes=(note,)
        )


def trimmed_mean(values: Vector, level: float) -> tuple[float, Interval]:
    """Return the mean without a tenth of the values at either end, and its interval (Tukey & McLaughlin 1963)."""
    from scipy import special

    ordered = np.sort(values)
    n = len(ordered)
    cut = int(_TRIMMED * n)
    kept = ordered[cut : n - cut]
    held = np.clip(ordered, kept[0], kept[-1])
    error = float(held.std(ddof=1)) / ((1 - 2 * cut / n) * math.sqrt(n))
    value = float(kept.mean())
    reach = float(special.stdtrit(len(kept) - 1, (1 + level) / 2)) * error
    return value, Interval(value - reach, value + reach, level, "Tukey-McLaughlin, trimmed mean over pairs")
