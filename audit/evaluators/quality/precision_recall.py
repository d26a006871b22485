"""Precision, recall, density and coverage: do samples look real, and does the model produce all that is real?

A ball around each real example reaches to its k-th real neighbour. Precision and recall of equal distributions depend on dimension
and size (0.998 in 2 dimensions, 0.665 in 128): read them against the noise floor, never across extractors or sizes.

Formula: precision is the share of samples in some real ball, recall the share of real examples in some sample's ball, coverage the share of
real balls that hold a sample, density the number of real balls per sample over k. Clipped: radii end at their median (density alone) and
counts at k; the sum is divided by what real examples score among themselves, or read as the share of good samples that would give as much.
Interval: spread over random halves of both samples (delete-half jackknife): a bootstrap would repeat rows. Shares: Wilson's, so widened.
Gate: below 100 rows a side the evaluator is skipped. Real rows that are all alike give a reason, not a number.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

from audit.core.artifacts import Summarised
from audit.core.cases import Cases
from audit.core.errors import InputError
from audit.core.evaluators import About, Needs
from audit.core.measurements import Outcome
from audit.core.metrics import HIGHER, Metric
from audit.core.recipes import Inputs, Recipe, Shards
from audit.core.rows import Matrix
from audit.core.subjects import Subject
from audit.core.summaries import merged
from audit.recipes.neighbours import FidelityScores, NearPairs, Neighbours
from audit.stats.fidelity import Fidelity, listed
from audit.stats.kernels import refuse_flat
from audit.stats.moments import Marginals

METRICS = (
    Metric("precision", "Share of samples near a real example", HIGHER, question="Do outputs look real?"),
    Metric(
        "recall", "Share of real examples near a sample", HIGHER, question="Is all that is real produced?"
    ),
    Metric("density", "Real balls per sample over k; 1 for equal distributions", HIGHER, null=1.0),
    Metric(
        "coverage", "Share of real balls that hold a sample", HIGHER, question="Is any real variety lost?"
    ),
    Metric("clipped_density", "Density with clipped balls and counts, over that of real rows", HIGHER),
    Metric("clipped_coverage", "Share of good samples that would cover real balls as well", HIGHER),
)


@dataclass(frozen=True, slots=True)
class PrecisionRecall:
    """Compares samples with the split ``reference``; balls reach to the ``k``-th neighbour; ``level`` is that of intervals."""

    reference: str = "holdout"
    k: int = 5
    level: float = 0.95

    about: ClassVar[About] = About(
        name="quality.precision_recall",
        summary="Which samples look real, and which real examples the model can produce.",
        metrics=METRICS,
        needs=Needs(compares=True, features=True, min_rows=100),
        references=("Kynkäänniemi et al. 2019", "Naeem et al. 2020", "Salvy, Talbot & Thirion 2025"),
        caveats=("Comparable only between models measured with the same features, sizes and k.",),
        distances=tuple(metric.name for metric in METRICS),
    )

    def __post_init__(self) -> None:
        if not 2 <= self.k <= 20 or not 0.5 <= self.level < 1:
            raise InputError("quality.precision_recall: give 'k' from 2 to 20, 'level' from 0.5 to below 1.")

    def inputs(self, subject: Subject) -> Cases:
        return subject.compared(self.reference, self.compare, min_rows=100)

    def compare(self, x: Recipe[Matrix], y: Recipe[Matrix]) -> Inputs:
        ours, theirs = Neighbours(x, x, listed(self.k)), Neighbours(y, y, listed(self.k))
        scores = FidelityScores(ours, theirs, NearPairs(x, y, ours, theirs), self.k, self.level)
        return {"found": scores, "spread": Summarised(y, Marginals)}

    def measure(self, found: Shards[Fidelity], spread: Shards[Marginals]) -> Iterable[Outcome]:
        refuse_flat(merged(spread))
        for name, value in found[0].values.items():
            yield self.about.measurement(name, value, found[0].intervals[name], found[0].generated)
