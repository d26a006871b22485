"""Fréchet distance (Heusel et al. 2017): how far samples are from real examples in the mean and covariance of their features.

The value is extrapolated to endless samples, so that sizes can be compared, and it is 0 where both sides have
equal means and covariances. It sees only what the features see, and of that only the first two moments:
samples that are copies of the training data score well.

Formula: ``FD = |m1 - m2|² + tr S1 + tr S2 - 2 tr (S1 S2)^(1/2)``, with the means m and covariances S of the features of
samples (1) and real examples (2), in float64. The metric ``raw`` is this number. Its bias falls as one over the
number of rows, so ``frechet`` is ``2 FD - mean FD of halves``, over three ways of cutting both samples into halves.
``relative`` is ``frechet / tr S2``.

Interval: ``value ± z SE``. ``SE² = Var psi_1 / N + Var psi_2 / M + V``: the variances of the influence functions of both samples,
and the second-order variance V, which is all that is left where the distributions are equal. ``raw`` has no interval, because
its bias would put the interval beside the truth.

Gate: no interval unless each side has 100 rows, and either 2.5 rows for each dimension or 5 for each effective dimension, and
the bias that extrapolation leaves (estimated from quarters) is at most one standard error. Below 8 rows a side the
evaluator is skipped.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import ClassVar

from audit.core.cases import Cases
from audit.core.errors import InputError
from audit.core.evaluators import About, Needs
from audit.core.measurements import Evidence, Interval, Outcome, Unquantified
from audit.core.metrics import LOWER, Metric
from audit.core.recipes import Inputs, Recipe, Shards
from audit.core.rows import Matrix
from audit.core.subjects import Subject
from audit.core.summaries import merged
from audit.evaluators.quality.frechet.recipes import (
    Distance,
    Distances,
    Extrapolation,
    Influence,
    Maps,
    Quarters,
    SizesAndRanks,
)
from audit.stats.frechet import Conditions, influence_interval, standard_error, unsettled
from audit.stats.moments import Moments

LEAST = 8
"""Fewer rows than this and a quarter has no spread."""


@dataclass(frozen=True)
class FrechetDistance:
    """Compares free samples with the split ``reference``; ``level`` is the confidence of the interval."""

    reference: str = "holdout"
    level: float = 0.95

    about: ClassVar[About] = About(
        name="quality.frechet",
        summary="How far the samples lie from real examples in the mean and covariance of their features.",
        metrics=(
            Metric(
                "frechet",
                "Squared distance, extrapolated to endless samples; 0 is equal moments, noise may push it below",
                LOWER,
                null=0.0,
                question="Do the outputs look like real examples, taken together?",
            ),
            Metric(
                "relative",
                "The distance over the total variance of the real rows: 1 is a model that always returns their mean",
                LOWER,
                baseline=1.0,
                null=0.0,
                question="How large is the difference beside the variety of real examples?",
            ),
            Metric(
                "raw",
                "The distance as commonly printed, too large by an amount that shrinks with the number of rows",
                LOWER,
                question="What would other tools print?",
            ),
        ),
        needs=Needs(compares=True, features=True, min_rows=LEAST),
        references=(
            "Dowson & Landau 1982; Heusel et al. 2017 (the distance, FID)",
            "Chong & Forsyth 2020 (bias falls as 1/N; extrapolation)",
            "Rippl, Munk & Sturm 2016 (limit distribution)",
            "Bai & Saranadasa 1996 (trace of the squared covariance)",
        ),
        caveats=("Comparable only with values of the same features and data.",),
        distances=("frechet", "relative", "raw"),
    )

    def __post_init__(self) -> None:
        if not 0.5 <= self.level < 1:
            raise InputError(
                f"quality.frechet: 'level' is {self.level}; give a number from 0.5 to below 1, such as 0.95."
            )

    def inputs(self, subject: Subject) -> Cases:
        cases = subject.compared(self.reference, self.compare, min_rows=LEAST)
        return cases.also(encoder=subject.extractor().name)

    def compare(self, x: Recipe[Matrix], y: Recipe[Matrix]) -> Inputs:
        ours, theirs = Quarters(x), Quarters(y)
        maps = Maps(ours, theirs)
        return {
            "distances": Distances(ours, theirs),
            "conditions": SizesAndRanks(ours, theirs),
            "ours": Influence(x, maps, True),
            "theirs": Influence(y, maps, False),
        }

    def measure(
        self,
        distances: Shards[Distance],
        conditions: Shards[Conditions],
        ours: Shards[Moments],
        theirs: Shards[Moments],
        encoder: str,
    ) -> Iterable[Outcome]:
        sizes, found = conditions[0], Extrapolation.of(distances)
        uncertainty = self._uncertainty(found, sizes, merged(ours), merged(theirs))
        notes = [
            f"Named FD[{encoder}] after its features. Compared with the split '{self.reference}': {sizes.m} rows."
        ]
        if isinstance(uncertainty, Unquantified):
            notes.append(
                "Relative only: it orders models measured with these very rows and sizes, nothing more."
            )
        unit = f"FD[{encoder}]"
        table = (_table(sizes, found),)
        yield self.about.measurement(
            "frechet", found.value, uncertainty, sizes.n, unit=unit, notes=notes, evidence=table
        )
        yield self._relative(found.value, uncertainty, sizes)
        biased = "The plug-in distance is biased upwards, so an interval around it misses the truth; quality.frechet has one."
        note = f"{sizes.n} samples against {sizes.m} real rows of {sizes.dimensions} features."
        yield self.about.measurement(
            "raw", found.raw, Unquantified(biased), sizes.n, unit=unit, notes=(note,)
        )

    def _uncertainty(
        self, found: Extrapolation, sizes: Conditions, ours: Moments, theirs: Moments
    ) -> Interval | Unquantified:
        if sizes.obstacle is not None:
            return Unquantified(sizes.obstacle)
        error = standard_error(ours, theirs, sizes.second_order)
        if (reason := unsettled(found.residual, error)) is not None:
            return Unquantified(f"Too few rows to remove the bias: {reason}.")
        return influence_interval(found.value, error, self.level)

    def _relative(self, estimate: float, uncertainty: Interval | Unquantified, sizes: Conditions) -> Outcome:
        """Return the distance in units of the real rows' total variance.

        A model that always returns the mean of the real rows has no covariance, so its distance is that
        variance. The variance is that of these very rows, a number and not an estimate, so the interval only
        changes its unit.
        """
        if not sizes.variance_y > 0:
            return self.about.undefined(
                "relative", "The real rows do not vary, so there is nothing to divide by."
            )
        scale = 1 / sizes.variance_y
        if isinstance(uncertainty, Interval):
            uncertainty = replace(uncertainty, low=uncertainty.low * scale, high=uncertainty.high * scale)
        note = f"In units of the total variance of {sizes.m} real rows, {sizes.variance_y:.4g}."
        return self.about.measurement("relative", estimate * scale, uncertainty, sizes.n, notes=(note,))


def _table(sizes: Conditions, found: Extrapolation) -> Evidence:
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
    }
    return Evidence("table", "What the distance rests on", pa.table(columns), sensitive=False)
