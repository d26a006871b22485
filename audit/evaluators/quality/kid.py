"""Kernel inception distance (Bińkowski et al. 2018): how far the distribution of the samples' features lies from that of real ones.

An unbiased squared maximum mean discrepancy, as the field computes it: features as they come, one statistic over all rows. It
is right on average at every size, 0 where both distributions are equal, and sees every moment that the cubic kernel sees. With
other features than Inception's it is comparable only with itself; a few wide features may decide it (``quality.mmd`` has a scale).

Formula: ``sum_{i != j} k(x_i, x_j) / (n (n - 1)) + the same for y - 2 mean k(x, y)``, ``k(x, y) = (x'y / d + 1)^3``.

Interval: ``value ± z SE`` with the variance of the U-statistic from its row means (Hoeffding projection), on the safe side near 0.

Gate: no interval and no p-value below 500 rows a side; skipped below 16. Real rows that are all alike give a reason, not a number.
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
from audit.recipes.drawn_features import DrawnFeatures
from audit.recipes.kernel_sums import KernelSums
from audit.stats.kernels import RowSums, discrepancy, refuse_flat
from audit.stats.moments import Marginals

ENOUGH = 500
"""Fewer rows a side than this and neither the interval nor the p-value is claimed."""
LEAST = 16
"""Fewer rows than this and half a sample has no spread."""


@dataclass(frozen=True)
class KernelDistance:
    """Compares free samples with the split ``reference``, at most ``max_rows`` rows a side drawn at random.

    Time grows with the square of ``max_rows``. ``level`` is the confidence of the interval.
    """

    reference: str = "holdout"
    max_rows: int = 10_000
    level: float = 0.95

    about: ClassVar[About] = About(
        name="quality.kid",
        summary="How far the distribution of the samples' features lies from that of real examples.",
        metrics=(
            Metric(
                "kid",
                "Unbiased squared maximum mean discrepancy under the cubic kernel; 0 is equality, noise may push it below",
                LOWER,
                null=0.0,
                question="Could the outputs and the real examples have come from one source?",
            ),
        ),
        needs=Needs(compares=True, features=True, min_rows=LEAST),
        references=(
            "Bińkowski et al. 2018 (KID)",
            "Gretton et al. 2012 (unbiased estimator)",
            "Sutherland & Deka 2019 (variance)",
            "Shekhar, Kim & Ramdas 2022 (xMMD test)",
        ),
        caveats=(
            "One U-statistic over all rows. The standard deviation over overlapping random subsets that is often "
            "printed beside KID is neither a standard error nor an interval, and is not given.",
            "The p-value is of the hypothesis that samples and real rows have one distribution (xMMD); a large one "
            "proves nothing.",
        ),
        distances=("kid",),
    )

    def __post_init__(self) -> None:
        if self.max_rows < ENOUGH:
            raise InputError(f"quality.kid: 'max_rows' is {self.max_rows}; give {ENOUGH} or more.")
        if not 0.5 <= self.level < 1:
            raise InputError(
                f"quality.kid: 'level' is {self.level}; give a number from 0.5 to below 1, such as 0.95."
            )

    def inputs(self, subject: Subject) -> Cases:
        cases = subject.compared(self.reference, self.compare, max_rows=self.max_rows, min_rows=LEAST)
        return cases.also(extractor=subject.extractor().name)

    def compare(self, x: Recipe[Matrix], y: Recipe[Matrix]) -> Inputs:
        ours, theirs = DrawnFeatures(x, self.max_rows), DrawnFeatures(y, self.max_rows)
        return {
            "ours": KernelSums(ours, ours),
            "across": KernelSums(ours, theirs),
            "back": KernelSums(theirs, ours),
            "theirs": KernelSums(theirs, theirs),
            "spread": Summarised(theirs, Marginals),
        }

    def measure(
        self,
        ours: Shards[RowSums],
        across: Shards[RowSums],
        back: Shards[RowSums],
        theirs: Shards[RowSums],
        spread: Shards[Marginals],
        extractor: str,
    ) -> Iterable[Outcome]:
        refuse_flat(merged(spread))
        found = discrepancy(merged(ours), merged(across), merged(back), merged(theirs))
        uncertainty: Interval | Unquantified = found.interval(self.level)
        p_value: float | None = found.p_value
        if min(found.n, found.m) < ENOUGH:
            reason = f"It takes {ENOUGH} rows a side; there are {found.n} samples and {found.m} real rows."
            uncertainty, p_value = Unquantified(reason), None
        note = f"{found.n} samples against {found.m} rows of '{self.reference}', features '{extractor}' as they come."
        yield self.about.measurement(
            "kid", found.value, uncertainty, found.n, unit=f"KID[{extractor}]", p_value=p_value, notes=(note,)
        )
