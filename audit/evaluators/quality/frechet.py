"""Fréchet distance between the model's samples and real examples, debiased, with an interval and a noise floor."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from audit.core.capabilities import Capability
from audit.core.errors import InputError
from audit.core.evaluators import About, Dimension, Needs, Unmet
from audit.core.measurements import (
    Direction,
    Evidence,
    Interval,
    Measurement,
    Outcome,
    Undefined,
    Unquantified,
)
from audit.core.recipes import Recipe
from audit.core.subjects import Subject
from audit.core.summaries import merged
from audit.evaluators.quality.comparison import Named, encoder_of, real_twin, sample_count, too_few
from audit.evaluators.quality.frechet_pieces import (
    Circumstances,
    Conditions,
    Distance,
    Distances,
    Extrapolation,
    Floor,
    Influence,
    Maps,
    Quarters,
    RealFloor,
)
from audit.stats.frechet import influence_interval, standard_error, unsettled
from audit.stats.moments import Moments

NAME = "quality.frechet"
LEAST = 8
"""Fewer rows than this and a quarter has no spread."""


@dataclass(frozen=True)
class FrechetDistance:
    """Compares free samples with the split ``reference``; ``level`` is the confidence of the interval."""

    reference: str = "holdout"
    level: float = 0.95

    about: ClassVar[About] = About(
        name=NAME,
        dimension=Dimension.QUALITY,
        summary="How far the samples lie from real examples in the mean and covariance of their features.",
        metrics={
            NAME: "Squared Fréchet distance between samples and real examples, extrapolated to endless samples, "
            "in squared units of the features; 0 is equal moments (noise may push it below), lower is better.",
            f"{NAME}.relative": "The distance over the total variance of the real rows, without unit: 1 is what a model "
            "scores that always returns their mean, 0 is equal moments; lower is better.",
            f"{NAME}.raw": "The same distance as commonly printed, too large by an amount that shrinks with "
            "the number of rows; lower is better, comparable only at equal sizes.",
        },
        needs=Needs(
            capabilities=((Capability.SAMPLE,),), splits=("holdout",), features=True, least_rows=LEAST
        ),
        references=(
            "Dowson & Landau 1982; Heusel et al. 2017 (the distance, FID)",
            "Chong & Forsyth 2020 (bias falls as 1/N; extrapolation)",
            "Rippl, Munk & Sturm 2016 (limit distribution)",
            "Bai & Saranadasa 1996 (trace of the squared covariance)",
        ),
    )

    def __post_init__(self) -> None:
        if not 0.5 <= self.level < 1:
            raise InputError(
                f"{NAME}: 'level' is {self.level}; give a number from 0.5 to below 1, such as 0.95."
            )

    def unmet(self, subject: Subject) -> tuple[Unmet, ...]:
        return too_few(subject, self.reference, LEAST)

    def inputs(self, subject: Subject) -> Mapping[str, Recipe[Any]]:
        ours, theirs = (subject.features(rows) for rows in (subject.samples(), subject.real(self.reference)))
        x, y = Quarters(ours), Quarters(theirs)
        maps = Maps(x, y)
        twin = real_twin(subject, self.reference, sample_count(subject))
        pair: tuple[Recipe[Any], ...] = ()
        if twin is not None and subject.splits["train"] >= LEAST:
            z = Quarters(subject.features(twin))
            pair = (Distances(z, y), Circumstances(z, y))
        return {
            "distances": Distances(x, y),
            "conditions": Circumstances(x, y),
            "ours": Influence(ours, maps, True),
            "theirs": Influence(theirs, maps, False),
            "floor": RealFloor(pair),
            "encoder": encoder_of(subject),
        }

    def measure(
        self,
        distances: Sequence[Distance],
        conditions: Sequence[Conditions],
        ours: Sequence[Moments],
        theirs: Sequence[Moments],
        floor: Sequence[Floor],
        encoder: Sequence[Named],
    ) -> Iterable[Outcome]:
        sizes, real, name = conditions[0], floor[0], encoder[0].name
        found = Extrapolation.of(distances)
        notes = [
            f"Named FD[{name}] after its features: comparable only with values of the same features and data.",
            f"Compared with the split '{self.reference}': {sizes.m} rows.",
        ]
        uncertainty = self._uncertainty(found, sizes, merged(ours), merged(theirs))
        if isinstance(uncertainty, Unquantified):
            notes.append(
                "Relative only: it orders models measured with these very rows and sizes, nothing more."
            )
        notes.append(_floor_note(real, self.reference))
        yield Measurement(
            metric=NAME,
            value=found.value,
            uncertainty=uncertainty,
            n=sizes.n,
            direction=Direction.LOWER_IS_BETTER,
            noise_floor=real.value,
            unit=f"FD[{name}]",
            notes=tuple(notes),
            evidence=(_table(sizes, found, real),),
        )
        if sizes.variance_y > 0:
            yield _relative(found.value, uncertainty, sizes, real)
        else:
            yield Undefined(
                f"{NAME}.relative", "The real rows do not vary, so there is nothing to divide by."
            )
        yield Measurement(
            metric=f"{NAME}.raw",
            value=found.raw,
            uncertainty=Unquantified(
                "The plug-in distance is biased upwards, so an interval around it misses the truth; "
                f"{NAME} carries the interval."
            ),
            n=sizes.n,
            direction=Direction.LOWER_IS_BETTER,
            unit=f"FD[{name}]",
            notes=(f"{sizes.n} samples against {sizes.m} real rows of {sizes.dimensions} features.",),
        )

    def _uncertainty(
        self, found: Extrapolation, sizes: Conditions, ours: Moments, theirs: Moments
    ) -> Interval | Unquantified:
        if sizes.obstacle is not None:
            return Unquantified(f"Too few rows to remove the bias: {sizes.obstacle}.")
        error = standard_error(ours, theirs, sizes.second_order)
        if (reason := unsettled(found.residual, error)) is not None:
            return Unquantified(f"Too few rows to remove the bias: {reason}.")
        return influence_interval(found.value, error, self.level)


def _relative(
    estimate: float, uncertainty: Interval | Unquantified, sizes: Conditions, real: Floor
) -> Measurement:
    """Return the distance in units of the real rows' total variance.

    A model that always returns the mean of the real rows has no covariance, so
    its distance is that variance. The variance is that of these very rows, a
    number and not an estimate, so the interval only changes its unit.
    """
    scale = 1 / sizes.variance_y
    if isinstance(uncertainty, Interval):
        uncertainty = replace(uncertainty, low=uncertainty.low * scale, high=uncertainty.high * scale)
    return Measurement(
        metric=f"{NAME}.relative",
        value=estimate * scale,
        uncertainty=uncertainty,
        n=sizes.n,
        direction=Direction.LOWER_IS_BETTER,
        baseline=1.0,
        noise_floor=None if real.value is None else real.value * scale,
        notes=(f"In units of the total variance of {sizes.m} real rows, {sizes.variance_y:.4g}.",),
    )


def _floor_note(real: Floor, reference: str) -> str:
    if real.value is None:
        return f"No noise floor: {real.reason}."
    return (
        f"Noise floor: the same debiased distance between {real.n} rows of 'train' and {real.m} of '{reference}'; "
        "what differs from it by less than the interval is not a defect this distance can see."
    )


def _table(sizes: Conditions, found: Extrapolation, real: Floor) -> Evidence:
    import pyarrow as pa

    columns = {
        "dimensions": [sizes.dimensions],
        "effective rank (samples)": [sizes.rank_x],
        "effective rank (real)": [sizes.rank_y],
        "samples": [sizes.n],
        "real rows": [sizes.m],
        "raw": [found.raw],
        "debiased": [found.value],
        "bias left (estimate)": [found.residual],
        "noise floor": pa.array([real.value], pa.float64()),
    }
    return Evidence("table", "What the distance rests on", pa.table(columns), sensitive=False)
