"""Diversity (Friedman & Dieng 2023; Jalali, Li & Farnia 2023): how many kinds of samples there are, beside real examples.

A Vendi score is an effective number of dissimilar rows: 1 when all are alike, n when no two have anything in common. Order 1
counts rare kinds, order 2 (RKE) the frequent ones. Here each is divided by that of real examples, of equally many where
it grows with their number (order 1): 1 is as diverse as real, 0.8 a fifth less. Rows are alike as the cosine of their features is, each side about its own
mean and scaled by the real examples: how far off the samples are is for other metrics, and without centring all cosines are near 1 and a lost
kind hardly moves the score. One further coordinate, the same for all, makes rows alike that hardly differ.

Formula: order 1 ``exp(-Σ λ log λ)`` over the eigenvalues λ of ``K / n``, ``K`` the cosines; order 2 ``1 / mean k²`` over pairs.
Interval: delta method on the logarithm: influence of each row on the entropy (order 1), Hoeffding projection of a mean over pairs (order 2).
Gate: skipped below 100 rows a side. Real rows that are all alike, or too different for any pair to match, give a reason.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import ClassVar

from audit.core.artifacts import Summarised
from audit.core.cases import Case, CaseKind, Cases
from audit.core.errors import InputError, UndefinedError
from audit.core.evaluators import About, Needs
from audit.core.measurements import Outcome
from audit.core.metrics import HIGHER, Metric
from audit.core.recipes import Inputs, Recipe, Shards
from audit.core.rows import Matrix
from audit.core.subjects import Subject
from audit.core.summaries import merged
from audit.recipes.diversity import Centred, Diversity, Repeated, SampleDiversity
from audit.recipes.drawn_features import DrawnFeatures
from audit.stats.diversity import kinds_ratio, score_ratio
from audit.stats.kernels import refuse_flat
from audit.stats.moments import Marginals

LEAST = 100


@dataclass(frozen=True)
class SamplesDiversity:
    """Compares free samples with the split ``reference``, at most ``max_rows`` rows a side drawn at random; ``level`` is that of intervals."""

    reference: str = "holdout"
    max_rows: int = 2_000
    level: float = 0.95

    about: ClassVar[About] = About(
        name="quality.diversity",
        summary="How diverse samples are beside as many real examples.",
        metrics=(
            Metric(
                "vendi",
                "Vendi score of order 1 of samples over that of as many real examples; 1 is as diverse",
                HIGHER,
                null=1.0,
                question="Are the outputs as varied as real examples, rare kinds included?",
            ),
            Metric(
                "rke",
                "Vendi score of order 2 (RKE) of samples over that of real examples; 1 is as diverse",
                HIGHER,
                null=1.0,
                question="Are the outputs spread over as many frequent kinds as real examples?",
            ),
        ),
        needs=Needs(compares=True, features=True, min_rows=LEAST),
        references=(
            "Friedman & Dieng 2023 (Vendi score)",
            "Jalali, Li & Farnia 2023 (RKE)",
            "Ospanov & Farnia 2025 (order 1 does not settle with n)",
        ),
        caveats=(
            "Diversity rises with noise and garbage: read it beside precision.",
            "A lost kind lowers it where kinds are directions of the features, as in a trained network's; in plain pixels it may not.",
            "Comparable only between models measured with the same features against the same real examples.",
        ),
        distances=("vendi", "rke"),
    )

    def __post_init__(self) -> None:
        if self.max_rows < LEAST or not 0.5 <= self.level < 1:
            raise InputError(
                f"quality.diversity: give 'max_rows' from {LEAST} and 'level' from 0.5 to below 1."
            )

    def inputs(self, subject: Subject) -> Cases:
        whole = replace(subject, doses=())
        cases = whole.compared(self.reference, self.compare, max_rows=self.max_rows, min_rows=LEAST)
        if cases.null is not None:
            cases = replace(cases, planted=tuple(self._collapsed(subject, dose) for dose in subject.doses))
        return cases.also(extractor=subject.extractor().name)

    def _collapsed(self, subject: Subject, dose: float) -> Case:
        """Ask the same of real rows of which a share ``dose`` are copies of one."""
        second = subject.features(subject.drawn("train", min(subject.sample_count, self.max_rows)))
        real = subject.features(subject.real(self.reference))
        inputs = self.compare(Repeated(second, dose), real)
        return Case(CaseKind.PLANTED, inputs, "rows of 'train', some all alike", "repeated sample", dose)

    def compare(self, x: Recipe[Matrix], y: Recipe[Matrix]) -> Inputs:
        scale = Summarised(y, Marginals)
        n = min(self.max_rows, *(sum(map(side.examples, range(side.shards))) for side in (x, y)))
        drawn = (DrawnFeatures(side, n) for side in (x, y))
        ours, theirs = (Centred(side, Summarised(side, Marginals), scale) for side in drawn)
        return {"ours": SampleDiversity(ours), "theirs": SampleDiversity(theirs), "spread": scale}

    def measure(
        self, ours: Shards[Diversity], theirs: Shards[Diversity], spread: Shards[Marginals], extractor: str
    ) -> Iterable[Outcome]:
        refuse_flat(merged(spread))
        samples, real = ours[0].scores, theirs[0].scores
        if samples is None or real is None:
            raise UndefinedError(theirs[0].reason or ours[0].reason)
        half = score_ratio(samples.half, real.half, self.level)
        note = f"{samples.vendi.n} samples against as many rows of '{self.reference}', features '{extractor}' on the scale of the real rows."
        for name, found, more in (
            (
                "vendi",
                score_ratio(samples.vendi, real.vendi, self.level),
                f" With half as many it is {half.value:.3f}.",
            ),
            ("rke", kinds_ratio(samples.rke, real.rke, self.level), ""),
        ):
            counts = f" {found.generated:.4g} effective kinds against {found.real:.4g}.{more}"
            yield self.about.measurement(
                name, found.value, found.interval, samples.vendi.n, notes=(note + counts,)
            )
