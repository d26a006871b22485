"""Restoration: does a restored picture lie where its original lies, and does it agree with what it was made from?

For image enhancement, super-resolution and autoencoders. A network whose resizing counts pixels from their corners where the data
count from their centres moves every picture by half a pixel; nobody sees it, and it costs decibels of every score that compares
pixel by pixel. And a picture of high resolution that is made small again must be the small picture it was made from: what is
not there was invented in contradiction to the data.

Formula: displacement of a pair by the slope of the phases of its cross spectrum (Stone et al. 2001), moved back and fitted again until it
settles; ``shift`` is the length of the mean displacement; ``consistency = -10 log10 mean MSE(degrade(restored), degrade(original))``.
Interval: Student's t for the displacement to the right and down; for ``shift`` the noncentral χ² with two degrees of freedom inverted at
the larger of the two spreads, so that it is cautious where they differ; for ``consistency`` the delta method over pictures.
Gate: skipped below 30 pictures. No displacement below 16 pixels a side, nor where fewer than 30 pictures, or half of them, have one: pictures
without structure have none. No consistency where nothing says how the model's input was made: a model may have a method
``degrade``, or the parameter ``factor`` says how many times smaller its input was.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from audit.core.capabilities import Capability
from audit.core.cases import Case, CaseKind, Cases
from audit.core.errors import InputError
from audit.core.evaluators import About, Needs, Unmet
from audit.core.measurements import Evidence, Interval, Outcome
from audit.core.metrics import HIGHER, LOWER, NEITHER, Metric
from audit.core.recipes import Recipe, Shards
from audit.core.rows import Matrix, Rows, Vector
from audit.core.subjects import Subject
from audit.recipes.reconstructions import Reconstructed, too_few_pictures
from audit.recipes.restorations import (
    FILTERS,
    LEAST_SIDE,
    Degraded,
    Displacements,
    EveryOtherTurned,
    Nudged,
    Shrunk,
    SquaredErrors,
)

LEAST, SHOWN = 30, 200


@dataclass(frozen=True, slots=True)
class Restoration:
    """Restores at most ``max_rows`` pictures of the split ``reference``; ``level`` is that of intervals.

    ``factor`` says how many times smaller the model's input is, ``filter`` by which filter it was made small; a model with a
    method ``degrade`` is asked instead, unless ``factor`` is given.
    """

    reference: str = "holdout"
    max_rows: int = 500
    factor: int = 0
    filter: str = "bicubic"
    level: float = 0.95

    about: ClassVar[About] = About(
        name="quality.restoration",
        summary="Whether restored pictures lie where their originals lie, and agree with what they were made from.",
        metrics=(
            Metric(
                "shift",
                "Length of the mean displacement of restored pictures against their originals; 0 where there is none",
                LOWER,
                unit="pixels",
                null=0.0,
                question="Do restored pictures lie where the originals lie?",
            ),
            Metric(
                "right",
                "How far restored pictures lie to the right of their originals on average",
                NEITHER,
                unit="pixels",
                null=0.0,
            ),
            Metric(
                "down",
                "How far restored pictures lie below their originals on average",
                NEITHER,
                unit="pixels",
                null=0.0,
            ),
            Metric(
                "consistency",
                "Peak signal-to-noise ratio of restored pictures made small again, against what the model was given",
                HIGHER,
                unit="dB",
                question="Do restored pictures agree with what they were made from?",
            ),
        ),
        needs=Needs(((Capability.RECONSTRUCT,),), modalities=("image",)),
        references=(
            "Stone, Orchard, Chang & Martucci 2001 (registration by phases)",
            "Bahat & Michaeli 2020 (consistency of super-resolution with its input)",
        ),
        caveats=(
            "A displacement that differs from picture to picture cancels in the mean; the evidence lists it.",
            "A picture may agree with its input in every pixel and still show what was never there.",
        ),
        shards_matter=True,
    )

    def __post_init__(self) -> None:
        if self.max_rows < LEAST or not 0.5 <= self.level < 1:
            raise InputError(
                f"quality.restoration: give 'max_rows' from {LEAST} and 'level' from 0.5 to below 1."
            )
        if self.factor not in (0, *range(2, 65)) or self.filter not in FILTERS:
            raise InputError(
                f"quality.restoration: 'factor' is a whole number from 2 to 64, and 'filter' one of {', '.join(FILTERS)}."
            )

    def unmet(self, subject: Subject) -> tuple[Unmet, ...]:
        return too_few_pictures(subject, self.reference, LEAST)

    def inputs(self, subject: Subject) -> Cases:
        held = subject.drawn(self.reference, self.max_rows)
        made = Reconstructed(held, subject.model)
        found = Displacements(made, held)
        errors = self._errors(subject, made, held)
        ours = {"displaced": found, "errors": errors, "how": self._how(subject)}
        null = Case(
            CaseKind.NULL,
            {**ours, "displaced": EveryOtherTurned(found), "errors": None},
            "every other pair turned upside down, so that what is common to all cancels",
        )
        planted = tuple(
            Case(
                CaseKind.PLANTED,
                {**ours, "displaced": Displacements(Nudged(made, dose), held), "errors": None},
                "restored pictures moved to the right and down by a share of a pixel",
                "displacement",
                dose,
            )
            for dose in subject.doses
        )
        return Cases(ours, null, planted)

    def _errors(self, subject: Subject, made: Recipe[Rows], held: Recipe[Rows]) -> Recipe[Vector] | None:
        if self.factor:
            return SquaredErrors(
                Shrunk(made, self.factor, self.filter), Shrunk(held, self.factor, self.filter)
            )
        if Capability.DEGRADE in subject.offers:
            return SquaredErrors(Degraded(made, subject.model), Degraded(held, subject.model))
        return None

    def _how(self, subject: Subject) -> str:
        if self.factor:
            return f"Made {self.factor} times smaller by Pillow's {self.filter} filter, with antialiasing."
        return "Made small as the model itself does." if Capability.DEGRADE in subject.offers else ""

    def measure(
        self, displaced: Shards[Matrix], errors: Shards[Vector] | None, how: str
    ) -> Iterable[Outcome]:
        yield from self._displacement(np.concatenate(list(displaced)))
        if errors is None:
            yield self.about.undefined(
                "consistency",
                "nothing says how the model's input was made from a picture: set factor = … in [[evaluators]], or give the model "
                "a method 'degrade'",
            )
            return
        squared = np.concatenate(list(errors))
        mean = float(squared.mean())
        if mean == 0:
            yield self.about.undefined(
                "consistency", f"all {len(squared)} pictures agree exactly with what they were made from"
            )
            return
        value = -10 * math.log10(mean)
        reach = 10 / math.log(10) * _half_width(squared, self.level) / mean
        interval = Interval(value - reach, value + reach, self.level, "delta method over pictures")
        yield self.about.measurement("consistency", value, interval, len(squared), notes=(how,))

    def _displacement(self, found: Matrix) -> Iterable[Outcome]:
        settled = found[np.isfinite(found).all(axis=1)]
        n, lost = len(settled), len(found) - len(settled)
        if n < LEAST or lost > n:
            reason = (
                f"{n} of {len(found)} pictures have a displacement that can be told: the others have no structure, are below "
                f"{LEAST_SIDE} pixels a side, or lie nowhere near their originals"
            )
            for name in ("shift", "right", "down"):
                yield self.about.undefined(name, reason)
            return
        notes = (
            (f"{lost} of {len(found)} pictures have no displacement that can be told and are left out.",)
            if lost
            else ()
        )
        yield self.about.measurement(
            "shift", *length_of_mean(settled, self.level), n, notes=notes, evidence=(_listed(settled),)
        )
        for name, values in zip(("right", "down"), settled.T, strict=True):
            half, mean = _half_width(values, self.level), float(values.mean())
            interval = Interval(mean - half, mean + half, self.level, "Student's t over pictures")
            yield self.about.measurement(name, mean, interval, n, notes=notes)


def length_of_mean(vectors: Matrix, level: float) -> tuple[float, Interval]:
    """Return the length of the mean of vectors (n, 2) and an interval for the length of the true mean.

    The squared length over the variance of the mean is noncentral χ² with two degrees of freedom; its noncentrality is
    inverted, with the larger of the two principal variances for both.
    """
    from scipy import special

    length = float(np.linalg.norm(vectors.mean(axis=0)))
    spread = math.sqrt(float(np.linalg.eigvalsh(np.cov(vectors.T))[-1]) / len(vectors))
    method = "noncentral χ² inverted, larger principal spread"
    if spread == 0:
        return length, Interval(length, length, level, method)
    seen = (length / spread) ** 2
    low, high = (
        0.0 if special.chdtr(2, seen) < share else float(special.chndtrinc(seen, 2, share))
        for share in ((1 + level) / 2, (1 - level) / 2)
    )
    return length, Interval(
        min(spread * math.sqrt(low), length), max(spread * math.sqrt(high), length), level, method
    )


def _half_width(values: Vector, level: float) -> float:
    from scipy import special

    return float(
        special.stdtrit(len(values) - 1, (1 + level) / 2) * values.std(ddof=1) / math.sqrt(len(values))
    )


def _listed(found: Matrix) -> Evidence:
    import pyarrow as pa

    far = np.argsort(-np.linalg.norm(found, axis=1), kind="stable")[:SHOWN]
    columns = {"pixels to the right": found[far, 0].round(3), "pixels down": found[far, 1].round(3)}
    return Evidence(
        "table", "The pictures that lie farthest from their originals", pa.table(columns), sensitive=False
    )
