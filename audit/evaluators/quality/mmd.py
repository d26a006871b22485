"""Maximum mean discrepancy with Gaussian kernels (Gretton et al. 2012): do samples and real examples have one distribution?

Features are standardised by the real examples, so that none decides by its scale alone. The value is at the median distance of the
real examples as bandwidth; the p-value is of five bandwidths together, a quarter of it to four times as wide, so that
differences of most sizes are seen at the price of one test. CMMD (Jayasumana et al. 2024) is a biased form of it with one bandwidth.

Formula: ``sum_{i != j} k(x_i, x_j) / (n (n - 1)) + the same for y - 2 mean k(x, y)``, ``k(x, y) = exp(-|x - y|² / (2 h²))``.

Interval: ``value ± z SE`` with the variance of the U-statistic from its row means, on the safe side near 0.

Gate: no interval below 100 rows a side; skipped below 16. Real rows that are all alike give a reason, not a number.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

from audit.core.artifacts import Summarised
from audit.core.cases import Cases
from audit.core.errors import InputError
from audit.core.evaluators import About, Needs
from audit.core.measurements import Interval, Outcome, Unquantified
from audit.core.metrics import LOWER, Metric
from audit.core.recipes import Inputs, Recipe, Shards
from audit.core.rows import Matrix
from audit.core.subjects import Subject
from audit.core.summaries import merged
from audit.recipes.drawn_features import DrawnFeatures, Standardised
from audit.recipes.kernel_sums import EqualityTests, KernelSums, MedianDistance
from audit.stats.equality import Aggregated
from audit.stats.kernels import RowSums, discrepancy, refuse_flat
from audit.stats.moments import Marginals

ENOUGH = 100
LEAST = 16


@dataclass(frozen=True)
class GaussianDiscrepancy:
    """Compares free samples with the split ``reference``, at most ``max_rows`` rows a side drawn at random.

    ``draws`` is the number of shuffles behind the p-value; ``level`` the confidence of the interval.
    """

    reference: str = "holdout"
    max_rows: int = 2_000
    draws: int = 299
    level: float = 0.95

    about: ClassVar[About] = About(
        name="quality.mmd",
        summary="Whether samples and real examples could have one distribution of features.",
        metrics=(
            Metric(
                "mmd",
                "Unbiased squared maximum mean discrepancy under a Gaussian kernel of standardised features; 0 is equality",
                LOWER,
                null=0.0,
                question="Is there any difference in distribution between the outputs and real examples?",
            ),
        ),
        needs=Needs(compares=True, features=True, min_rows=LEAST),
        references=(
            "Gretton et al. 2012 (unbiased estimator)",
            "Schrab et al. 2023 (several bandwidths in one test)",
            "Jayasumana et al. 2024 (CMMD)",
        ),
        caveats=(
            "Comparable only between models measured against the same real examples, which set scale and bandwidth.",
            "The p-value is exact for exchangeable rows (shuffled labels); a large one proves nothing.",
        ),
        distances=("mmd",),
    )

    def __post_init__(self) -> None:
        if self.max_rows < ENOUGH or self.draws < 99 or not 0.5 <= self.level < 1:
            raise InputError(
                f"quality.mmd: give 'max_rows' from {ENOUGH}, 'draws' from 99 and 'level' from 0.5 to below 1."
            )

    def inputs(self, subject: Subject) -> Cases:
        cases = subject.compared(self.reference, self.compare, max_rows=self.max_rows, min_rows=LEAST)
        return cases.also(extractor=subject.extractor().name)

    def compare(self, x: Recipe[Matrix], y: Recipe[Matrix]) -> Inputs:
        scale = Summarised(y, Marginals)
        ours, theirs = (Standardised(DrawnFeatures(side, self.max_rows), scale) for side in (x, y))
        width = MedianDistance(theirs)
        return {
            "ours": KernelSums(ours, ours, width),
            "across": KernelSums(ours, theirs, width),
            "back": KernelSums(theirs, ours, width),
            "theirs": KernelSums(theirs, theirs, width),
            "tests": EqualityTests(ours, theirs, self.draws),
            "scale": scale,
        }

    def measure(
        self,
        ours: Shards[RowSums],
        across: Shards[RowSums],
        back: Shards[RowSums],
        theirs: Shards[RowSums],
        tests: Shards[Aggregated],
        scale: Shards[Marginals],
        extractor: str,
    ) -> Iterable[Outcome]:
        refuse_flat(merged(scale))
        found = discrepancy(merged(ours), merged(across), merged(back), merged(theirs))
        uncertainty: Interval | Unquantified = found.interval(self.level)
        if min(found.n, found.m) < ENOUGH:
            reason = f"It takes {ENOUGH} rows a side; there are {found.n} samples and {found.m} real rows."
            uncertainty = Unquantified(reason)
        test = tests[0].test
        note = (
            f"{found.n} samples against {found.m} rows of '{self.reference}', features '{extractor}'; p-value of "
            f"{len(test.values)} bandwidths together over {test.draws} shuffles."
        )
        yield self.about.measurement(
            "mmd",
            found.value,
            uncertainty,
            found.n,
            unit=f"MMD²[{extractor}]",
            p_value=test.p_value,
            notes=(note,),
        )
