"""Fréchet inception distance (Heusel et al. 2017): the FID that papers print, and the same without its bias.

It is the Fréchet distance of ``quality.frechet`` in one feature space alone: the last layer of the Inception network that TensorFlow released in
2015, pictures resized as TensorFlow 1 did. Only that is comparable with printed FIDs, and only at the same number of samples against the
same real pictures: at 2,000 samples it may be twice what it is at 50,000. In any other features the distance is called by their name.

Formula: ``|m1 - m2|² + tr S1 + tr S2 - 2 tr (S1 S2)^(1/2)`` of 2,048 features; ``unbiased`` is ``2 FD - mean FD of halves``.
Interval: of ``unbiased``, that of ``quality.frechet``: influence functions of both samples and the second-order variance. ``fid`` has none, because its bias
would put the interval beside the truth.
Gate: skipped in other features than ``inception-fid``, whose weights no package carries; 5,120 rows a side for an interval.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import ClassVar

from audit.core.cases import Cases
from audit.core.errors import InputError
from audit.core.evaluators import About, Needs, Unmet
from audit.core.measurements import Measurement, Outcome, Undefined, Unquantified
from audit.core.metrics import LOWER, Metric
from audit.core.recipes import Shards
from audit.core.subjects import Subject
from audit.evaluators.quality.frechet.distance import LEAST, FrechetDistance
from audit.evaluators.quality.frechet.recipes import Distance
from audit.stats.frechet import Conditions
from audit.stats.moments import Moments

FEATURES = "inception-fid"


@dataclass(frozen=True)
class FID:
    """Compares free samples with the split ``reference``; ``level`` is the confidence of the interval."""

    reference: str = "holdout"
    level: float = 0.95

    about: ClassVar[About] = About(
        name="quality.fid",
        summary="The Fréchet inception distance that papers print, and the same without its bias.",
        metrics=(
            Metric(
                "fid",
                "The distance as commonly printed, too large by an amount that shrinks with the number of rows",
                LOWER,
                question="What FID would a paper print?",
            ),
            Metric(
                "unbiased",
                "The distance extrapolated to endless samples; 0 is equal moments, noise may push it below",
                LOWER,
                null=0.0,
            ),
        ),
        needs=Needs(modalities=("image",), compares=True, features=True, min_rows=LEAST),
        references=(
            "Heusel et al. 2017 (FID)",
            "Chong & Forsyth 2020 (bias)",
            "Parmar, Zhang & Zhu 2022 (what resizing does to it)",
        ),
        caveats=("Comparable only at the same number of samples, against the same real pictures.",),
    )

    def __post_init__(self) -> None:
        if not 0.5 <= self.level < 1:
            raise InputError(f"quality.fid: 'level' is {self.level}; give a number from 0.5 to below 1.")

    def unmet(self, subject: Subject) -> tuple[Unmet, ...]:
        found = subject.extractor().name
        if found == FEATURES:
            return ()
        remedy = (
            f"run 'audit fetch {FEATURES} --from FOLDER' with the published weights in the folder, then write in the evaluator's table: "
            f'features = "{FEATURES}"'
        )
        return (Unmet(f"FID's own network, the extractor '{FEATURES}'", f"features '{found}'", remedy),)

    def inputs(self, subject: Subject) -> Cases:
        return FrechetDistance(self.reference, self.level).inputs(subject)

    def measure(
        self,
        distances: Shards[Distance],
        conditions: Shards[Conditions],
        ours: Shards[Moments],
        theirs: Shards[Moments],
        encoder: str,
    ) -> Iterable[Outcome]:
        frechet = FrechetDistance(self.reference, self.level)
        for outcome in frechet.measure(distances, conditions, ours, theirs, encoder):
            match outcome:
                case Measurement(metric="quality.frechet.raw"):
                    biased = Unquantified(
                        "An interval around a biased number misses the truth; 'unbiased' has one."
                    )
                    yield replace(outcome, metric=self.about.full("fid"), unit="FID", uncertainty=biased)
                case Measurement(metric="quality.frechet"):
                    yield replace(outcome, metric=self.about.full("unbiased"), unit="FID")
                case Undefined(metric="quality.frechet"):
                    yield from (self.about.undefined(name, outcome.reason) for name in ("fid", "unbiased"))
