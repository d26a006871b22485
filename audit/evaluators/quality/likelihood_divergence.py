"""Feature likelihood divergence (Jiralerspong et al. 2023): would samples, as a density, expect real examples that nobody was trained on?

A Gaussian is put around every sample and around as many training rows; the width of each is fitted so that other training rows
are likely, then held-out rows are judged. Poor samples are far from real rows, missing kinds leave held-out rows without a centre, and a copied
training row gets a width near 0 and explains nothing else: one number for all three. The gap says how much better
training rows fare than held-out ones, beyond what fitting does by itself: memorisation.

Formula: ``100 (NLL of held-out rows with samples as centres - the same with training rows as centres) / d``, in features of the held-out rows' mean 0 and
deviation 1; each half of the training rows is the centres once and what widths are fitted on once, so equal distributions give 0 (the paper fits on all of them: then they do not).
Gap: the difference of held-out and fitted rows under samples, less the same under training rows.
Interval: delete-a-tenth jackknife of every sample, widths as fitted; on the wide side (covered .93 to 1.00 where it was simulated).
Gate: skipped below 200 rows a side. Real rows that are all alike give a reason. Widths are kept above 1 % of the features' deviation.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from audit.core.artifacts import Summarised, Truncated
from audit.core.cases import Case, CaseKind, Cases
from audit.core.errors import InputError
from audit.core.evaluators import About, Needs, Unmet
from audit.core.measurements import Outcome
from audit.core.metrics import LOWER, Metric
from audit.core.recipes import Context, Inputs, Recipe, Shards
from audit.core.rows import Matrix
from audit.core.subjects import Subject
from audit.core.summaries import merged
from audit.recipes.drawn_features import DrawnFeatures, Standardised
from audit.recipes.halves import Half
from audit.stats.kernels import refuse_flat
from audit.stats.likelihood import Divergence, divergence
from audit.stats.moments import Marginals

LEAST = 200


@dataclass(frozen=True)
class LikelihoodDivergence(Recipe[Divergence]):
    """The divergence of samples from twice as many training rows, on held-out rows; all on one scale."""

    kind: ClassVar[str] = "likelihood-divergence"
    samples: Recipe[Matrix]
    train: Recipe[Matrix]
    held: Recipe[Matrix]
    centres: int
    level: float

    @property
    def label(self) -> str:
        return f"likelihood of {self.held.label} around {self.samples.label}"

    def make(
        self, context: Context, samples: Shards[Matrix], train: Shards[Matrix], held: Shards[Matrix]
    ) -> Divergence:
        x, y, z = (np.concatenate(list(side)).astype(np.float64) for side in (samples, train, held))
        rng = context.rng()
        shuffled = y[
            rng.permutation(len(y))
        ]  # halves of rows in the order of a split may be of different kinds
        return divergence(x[: self.centres], shuffled[: 2 * self.centres], z, rng, self.level)


@dataclass(frozen=True)
class Copying(Recipe[Matrix]):
    """Features of which a share ``dose``, drawn at random, are those of training rows: planted copies."""

    kind: ClassVar[str] = "copying-features"
    features: Recipe[Matrix]
    train: Recipe[Matrix]
    dose: float

    @property
    def label(self) -> str:
        return f"{self.features.label}, {self.dose:.0%} of them training rows"

    def examples(self, shard: int) -> int:
        return sum(self.features.examples(i) for i in range(self.features.shards))

    def make(self, context: Context, features: Shards[Matrix], train: Shards[Matrix]) -> Matrix:
        rows, copies, rng = np.concatenate(list(features)), np.concatenate(list(train)), context.rng()
        count = min(round(self.dose * len(rows)), len(copies))
        rows[rng.permutation(len(rows))[:count]] = copies[rng.permutation(len(copies))[:count]]
        return rows


@dataclass(frozen=True, slots=True)
class FeatureLikelihood:
    """Compares at most ``max_rows`` samples with twice as many rows of ``train`` on a half of the split ``reference``; ``level`` is that of intervals."""

    reference: str = "holdout"
    max_rows: int = 1_000
    level: float = 0.95

    about: ClassVar[About] = About(
        name="quality.likelihood_divergence",
        summary="Whether samples, as a density, expect real examples that were not trained on, and training rows more than those.",
        metrics=(
            Metric(
                "likelihood_divergence",
                "How much less likely held-out rows are around samples than around training rows; 0 is as likely (noise may push it below)",
                LOWER,
                unit="nats / 100 / feature",
                null=0.0,
                question="Are outputs near real examples, as varied, and new?",
            ),
            Metric(
                "gap",
                "How much more likely training rows are than held-out ones around samples, beyond what fitting does; 0 is no memory",
                LOWER,
                unit="nats / 100 / feature",
                null=0.0,
                question="Do outputs expect the training examples more than others?",
            ),
        ),
        needs=Needs(compares=True, splits=("train",), features=True, min_rows=LEAST),
        references=("Jiralerspong, Bose, Gemp, Qin, Bachrach & Gidel 2023 (FLD)",),
        caveats=(
            "Kernels smear what they are put around: samples that vary a little less than real rows can score below 0. Read it beside diversity.",
            "Comparable only between models measured with the same features, data and numbers of rows; the paper uses 10,000.",
        ),
        shards_matter=True,
        distances=("likelihood_divergence", "gap"),
    )

    def __post_init__(self) -> None:
        if self.max_rows < LEAST // 2 or not 0.5 <= self.level < 1:
            raise InputError(
                f"quality.likelihood_divergence: give 'max_rows' from {LEAST // 2} and 'level' from 0.5 to below 1."
            )

    def unmet(self, subject: Subject) -> tuple[Unmet, ...]:
        if self.reference != "train":
            return ()
        need, found = "held-out rows to judge by", "'reference' is 'train', which the widths are fitted on"
        return (Unmet(need, found, 'write reference = "holdout", or another split that was not trained on'),)

    def inputs(self, subject: Subject) -> Cases:
        real = subject.features(subject.real(self.reference))
        rows = sum(map(real.examples, range(real.shards)))
        centres = min(self.max_rows, subject.sample_count, rows // 2, subject.splits["train"] // 2)
        scale = Summarised(real, Marginals)
        train = DrawnFeatures(subject.features(subject.drawn("train", 2 * centres)), 2 * centres)
        first, second = (DrawnFeatures(Half(real, which), self.max_rows) for which in (0, 1))
        known = Standardised(train, scale)

        def asked(x: Recipe[Matrix], only: str = "") -> Inputs:
            near = Standardised(x, scale)
            held = Standardised(second, scale)
            return {
                "found": LikelihoodDivergence(near, known, held, _even(centres, x, train), self.level),
                "spread": scale,
                "extractor": subject.extractor().name,
                "only": only,
            }

        ours = asked(DrawnFeatures(subject.features(subject.samples()), centres))
        half = DrawnFeatures(first, centres)
        said = f"half of '{self.reference}' in place of the samples, the other half held out"
        planted = tuple(
            Case(CaseKind.PLANTED, asked(x, only), f"{said}; {words}", defect, dose)
            for dose in subject.doses
            for x, only, words, defect in (
                (Truncated(half, dose), "likelihood_divergence", "a mode of them dropped", "dropped mode"),
                (Copying(half, train, dose), "gap", "some are training rows", "copied rows"),
            )
        )
        return Cases(
            ours, Case(CaseKind.NULL, asked(half), said), planted, notes=subject.unlike(self.reference)
        )

    def measure(
        self, found: Shards[Divergence], spread: Shards[Marginals], extractor: str, only: str = ""
    ) -> Iterable[Outcome]:
        refuse_flat(merged(spread))
        one = found[0]
        note = f"{one.centres} samples against as many rows of 'train', on {one.rows} rows of '{self.reference}', features '{extractor}'."
        copies = f"{one.copied:.1%} of the samples are, or nearly are, training rows in these features."
        for name, value, interval, said in (
            ("likelihood_divergence", one.value, one.interval, note),
            ("gap", one.gap, one.gap_interval, copies),
        ):
            if only in ("", name):  # each planted defect is what one of the two is to find
                yield self.about.measurement(name, value, interval, one.centres, notes=(said,))


def _even(centres: int, *sides: Recipe[Matrix]) -> int:
    """Return how many centres there are on every side, where copies left fewer rows."""
    x, train = (sum(map(side.examples, range(side.shards))) for side in sides)
    return min(centres, x, train // 2)
