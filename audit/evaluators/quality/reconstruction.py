"""Reconstruction: how close to a picture is what the model gives back of it, and is it closer for pictures it was trained on?

Autoencoders pass a picture through a narrow code and back; enhancers get it damaged and restore it. The peak signal-to-noise ratio says how
small the differences between pixels are, in decibels: 20 dB is an error of a tenth of the whole range, 40 dB of a hundredth. It
sees pixels alone: of two restorations with one error, the blurred and the sharp one score the same.

A model that gives training pictures back more closely than pictures it never saw has memorised some of them.

Formula: ``psnr`` is the mean over pictures of ``10 log10(255² / MSE)`` with each picture's own MSE, as papers report it; the ratio of the pooled
MSE is another number and stands in the note. ``train_gap`` is the mean over ``train`` minus the mean over ``holdout``. An error
below 0.001 squared levels counts as that, which is 78 dB.
Interval: Student's t over pictures with a correction for skewness, copies left out; for the gap, of the difference of two such means.
Gate: no interval below 20 pictures; no gap where it is not known that ``train`` is what the model was trained on.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from audit.core.capabilities import Capability
from audit.core.errors import InputError
from audit.core.evaluators import About, Needs
from audit.core.measurements import Evidence, Interval, Outcome, Unquantified
from audit.core.metrics import HIGHER, LOWER, Metric
from audit.core.recipes import Inputs, Shards
from audit.core.rows import Rows, Vector
from audit.core.subjects import Subject
from audit.recipes.restored import Restored, SquaredErrors, Triples
from audit.stats.differences import difference_interval
from audit.stats.ratios import ratio_of_sums

_PEAK = 255.0**2
_SHOWN = 6


@dataclass(frozen=True, slots=True)
class Reconstruction:
    """Restores at most ``max_rows`` pictures of the split ``reference`` and as many of ``train``; ``level`` is that of intervals."""

    reference: str = "holdout"
    max_rows: int = 500
    level: float = 0.95

    about: ClassVar[About] = About(
        name="quality.reconstruction",
        summary="How closely the model gives pictures back.",
        metrics=(
            Metric(
                "psnr",
                "Peak signal-to-noise ratio of restored pictures, mean over pictures",
                HIGHER,
                unit="dB",
                question="Does the model give back what it was given?",
            ),
            Metric(
                "train_gap",
                "Peak signal-to-noise ratio on training pictures minus that on others",
                LOWER,
                unit="dB",
                baseline=0.0,
                null=0.0,
                question="Are training pictures given back more closely than others?",
            ),
        ),
        needs=Needs(capabilities=((Capability.RECONSTRUCT,),), modalities=("image",)),
        references=("Wang, Bovik, Sheikh & Simoncelli 2004", "Blau & Michaeli 2018"),
        caveats=(
            "PSNR compares pixels; it prefers a blurred restoration to a sharp one that is slightly displaced.",
        ),
    )

    def __post_init__(self) -> None:
        if self.max_rows < 2 or not 0.5 <= self.level < 1:
            raise InputError(
                "quality.reconstruction: give 'max_rows' of 2 or more, 'level' from 0.5 to below 1."
            )

    def unmet(self, subject: Subject) -> tuple[Any, ...]:
        return Needs(splits=(self.reference,)).unmet(subject)

    def inputs(self, subject: Subject) -> Inputs:
        rows = subject.drawn(self.reference, self.max_rows)
        restored = Restored(rows, subject.model, subject.seed)
        errors = SquaredErrors(rows, restored)
        asked: dict[str, Any] = {
            "errors": errors,
            "shown": Triples(rows, restored, errors, _SHOWN),
            "worst": Triples(rows, restored, errors, _SHOWN, worst=True),
            "reference": self.reference,
            "members": None,
        }
        known = subject.card.trained_on in (None, subject.data)
        if self.reference != "train" and known and subject.splits.get("train"):
            members = subject.drawn("train", self.max_rows)
            asked["members"] = SquaredErrors(members, Restored(members, subject.model, subject.seed))
        return asked

    def measure(
        self,
        errors: Shards[Vector],
        shown: Shards[Rows],
        worst: Shards[Rows],
        reference: str,
        members: Shards[Vector] | None,
    ) -> Iterable[Outcome]:
        mse = np.concatenate(list(errors))
        value, uncertainty = self._mean(ratios(mse))
        pooled = float(ratios(mse.mean(keepdims=True))[0])
        private = reference == "train"
        yield self.about.measurement(
            "psnr",
            value,
            uncertainty,
            len(mse),
            notes=(f"The ratio of the mean squared error over all pictures is {pooled:.2f} dB.",),
            evidence=(
                Evidence("images", f"Examples of '{reference}', restored", shown[0], private),
                Evidence("images", f"The worst restored of '{reference}'", worst[0], private),
            ),
        )
        if members is None:
            yield self.about.undefined("train_gap", "it is not known which examples the model was trained on")
            return
        theirs = np.concatenate(list(members))
        trained, theirs_uncertainty = self._mean(ratios(theirs))
        interval: Interval | Unquantified = Unquantified("fewer than two pictures on one side")
        if isinstance(uncertainty, Interval) and isinstance(theirs_uncertainty, Interval):
            interval = difference_interval(value, uncertainty, trained, theirs_uncertainty)
        yield self.about.measurement("train_gap", trained - value, interval, len(mse) + len(theirs))

    def _mean(self, values: Vector) -> tuple[float, Interval | Unquantified]:
        if len(values) < 2:
            return float(values.mean()), Unquantified("fewer than two pictures")
        found = ratio_of_sums(values, np.ones(len(values)))
        return found.value, found.uncertainty(self.level)


def ratios(mse: Vector) -> Vector:
    """Return peak signal-to-noise ratios in decibels.

    >>> ratios(np.array([650.25, 6.5025])).round(6).tolist()
    [20.0, 40.0]
    """
    return np.asarray(10 * np.log10(_PEAK / np.maximum(mse, 1e-3)))
