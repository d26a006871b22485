"""Divergence frontier (MAUVE; Pillutla et al. 2021, 2023): how far is what a language model writes from what people write?

Texts of both kinds are put into common buckets by their features, and two errors are weighed against each other: writing what
people do not, and not writing what they do. ``mauve`` is the area under that frontier, 1 where both histograms are equal. It is
below 1 even for equal distributions, by more the fewer the texts, so the ceiling for this number of texts is beside it: the mean
over shuffles of who wrote what, which the buckets do not know. ``frontier`` is the frontier integral less what such shuffles
give: 0 for equal distributions at any size. The same shuffles are a two-sample test, and the null case is people against people.

Formula: ``r = w p + (1 - w) q``; MAUVE the area under ``(exp(-5 KL(q | r)), exp(-5 KL(p | r)))``; the integral
``Σ (p + q) / 2 - p q ln(p / q) / (p - q)``. p and q are histograms with half a text more in each bucket (Krichevsky-Trofimov), of
k-means with a tenth as many buckets as texts, features of unit length, components of 90 % of the variance; mean of 5 clusterings.
Interval: delta method over texts, influences averaged over clusterings, plus the spread of clusterings; it covers .96 or more, and is too wide at equality.
Gate: skipped below 100 texts a side, no interval below 200. The authors advise 5,000 a side.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import ClassVar

from audit.core.cases import Cases
from audit.core.errors import InputError
from audit.core.evaluators import About, Needs
from audit.core.measurements import Evidence, Interval, Outcome, Unquantified
from audit.core.metrics import HIGHER, LOWER, Metric
from audit.core.recipes import Inputs, Recipe, Shards
from audit.core.rows import Matrix, Rows
from audit.core.subjects import Subject
from audit.evaluators.quality.frontier.recipes import BucketExamples, Compared, FrontierOf
from audit.stats.frontiers import Frontier

LEAST, ENOUGH = 100, 200
_SHOWN = 6


@dataclass(frozen=True, slots=True)
class DivergenceFrontier:
    """Compares free samples with the split ``reference``, at most ``max_rows`` texts a side drawn at random.

    ``draws`` is the number of shuffles behind the p-value and the ceiling; ``level`` that of intervals.
    """

    reference: str = "holdout"
    max_rows: int = 2_000
    draws: int = 299
    level: float = 0.95

    about: ClassVar[About] = About(
        name="quality.frontier",
        summary="How far the distribution of a language model's texts is from that of real ones, both ways.",
        metrics=(
            Metric(
                "mauve",
                "MAUVE of samples against real texts, smoothed; 1 is equal histograms, the ceiling for this many texts is in a note",
                HIGHER,
                question="Do the outputs cover what people write, and nothing else?",
            ),
            Metric(
                "frontier",
                "Frontier integral of samples against real texts, less what equal distributions would have; 0 is equality (noise "
                "may push it below)",
                LOWER,
                null=0.0,
                question="Can the outputs be told from real texts as a whole?",
            ),
        ),
        needs=Needs(modalities=("text",), compares=True, features=True, min_rows=LEAST),
        references=(
            "Pillutla et al. 2021, MAUVE; 2023, MAUVE scores for generative models: theory and practice",
            "Liu, Pillutla, Welleck, Oh, Choi & Harchaoui 2021, Divergence frontiers (the integral, smoothing)",
        ),
        caveats=(
            "Comparable only at an equal number of texts, in the same features, against the same real texts.",
            "Texts of another length are other texts: draw samples about as long as the real ones.",
            "Features of a sentence network are about subject and wording, hardly about truth, and see the beginning of a long text.",
        ),
    )

    def __post_init__(self) -> None:
        if self.max_rows < LEAST or self.draws < 99 or not 0.5 <= self.level < 1:
            raise InputError(
                f"quality.frontier: give 'max_rows' from {LEAST}, 'draws' from 99 and 'level' from 0.5 to below 1."
            )

    def inputs(self, subject: Subject) -> Cases:
        cases = subject.compared(self.reference, self.compare, max_rows=self.max_rows, min_rows=LEAST)
        cases = cases.also(extractor=subject.extractor().name, lacking=None, surplus=None)
        found = cases.subject["found"]
        shown = {
            "lacking": BucketExamples(subject.real(self.reference), found, _SHOWN, real=True),
            "surplus": BucketExamples(subject.samples(), found, _SHOWN, real=False),
        }
        return replace(cases, subject={**cases.subject, **shown})

    def compare(self, x: Recipe[Matrix], y: Recipe[Matrix]) -> Inputs:
        return {"found": FrontierOf(x, y, self.max_rows, self.draws)}

    def measure(
        self,
        found: Shards[Compared],
        extractor: str,
        lacking: Shards[Rows] | None,
        surplus: Shards[Rows] | None,
    ) -> Iterable[Outcome]:
        frontier = found[0].frontier
        if frontier is None:
            for metric in self.about.metrics:
                yield self.about.undefined(metric.name, found[0].reason)
            return
        note = (
            f"{frontier.samples:,} samples against {frontier.real:,} texts of '{self.reference}', features '{extractor}', "
            f"{len(frontier.ours)} buckets. With equal distributions it would be {frontier.ceiling:.4f} here."
        )
        yield self.about.measurement(
            "mauve",
            frontier.mauve,
            self._interval(frontier, frontier.mauve, frontier.mauve_error, 1.0),
            frontier.samples,
            unit=f"MAUVE*[{extractor}]",
            notes=(note,),
            evidence=(_curve(frontier), *self._examples(lacking, surplus)),
        )
        yield self.about.measurement(
            "frontier",
            frontier.excess,
            self._interval(frontier, frontier.excess, frontier.excess_error, 1.0),
            frontier.samples,
            unit=f"FI*[{extractor}]",
            p_value=frontier.p_value,
            notes=(
                f"The integral is {frontier.integral:.4f}; equal distributions would have {frontier.chance:.4f} here.",
            ),
        )

    def _interval(self, found: Frontier, value: float, error: float, most: float) -> Interval | Unquantified:
        if min(found.samples, found.real) < ENOUGH:
            return Unquantified(
                f"It takes {ENOUGH} texts a side; there are {found.samples} samples and {found.real} real texts."
            )
        return found.interval(value, error, self.level, most)

    def _examples(self, lacking: Shards[Rows] | None, surplus: Shards[Rows] | None) -> Iterable[Evidence]:
        for shards, caption, private in (
            (lacking, "Real texts of the kinds that samples lack most", self.reference == "train"),
            (surplus, "Samples of the kinds that real texts lack most", False),
        ):
            if shards is not None and shards[0].num_rows:
                yield Evidence("texts", caption, shards[0], sensitive=private)


def _curve(found: Frontier) -> Evidence:
    import pyarrow as pa

    rows = pa.table({"x": found.curve[:, 0], "y": found.curve[:, 1]})
    caption = "Divergence frontier: real texts covered by samples (x) against samples like real texts (y); the corner is equality"
    return Evidence("curve", caption, rows, sensitive=False)
