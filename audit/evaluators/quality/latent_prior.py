"""Mismatch of the aggregated posterior (Hoffman & Johnson 2016): are the codes of real examples where samples are drawn from?

A variational autoencoder is sampled from its prior, and its decoder has learnt codes of real examples. Where the two differ,
samples are decoded from places that no example was ever encoded to ("holes"), and look like nothing; where codes
are more crowded than the prior, samples are less varied than they could be. One draw from the posterior of each example is compared with
as many draws from the prior, by a kernel at the median distance of the prior's; the p-value is of five bandwidths together.

Formula: ``latent_prior = sum_{i != j} k(z_i, z_j) / (n (n - 1)) + the same for the prior - 2 mean k(z, prior)``, Gaussian k;
``spread`` is the mean squared length of a code over that of the prior, 1 where both are as wide.
Interval: U-statistic with the variance of its row means, on the safe side near 0; of ``spread``, Student's t over examples.
Gate: skipped without posteriors (the prior is then not known) and below 100 examples.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from audit.core.capabilities import Capability
from audit.core.cases import Case, CaseKind, Cases
from audit.core.errors import InputError
from audit.core.evaluators import About, Needs, Unmet
from audit.core.measurements import Outcome
from audit.core.metrics import LOWER, NEITHER, Metric
from audit.core.recipes import Inputs, Recipe, Shards
from audit.core.rows import Matrix
from audit.core.subjects import Subject
from audit.core.summaries import merged
from audit.recipes.kernel_sums import EqualityTests, KernelSums, MedianDistance
from audit.recipes.latents import PosteriorDraws, Posteriors, PriorDraws
from audit.stats.clusters import clustered_mean
from audit.stats.equality import Aggregated
from audit.stats.kernels import RowSums, discrepancy

LEAST = 100


@dataclass(frozen=True)
class PriorMismatch:
    """Encodes at most ``max_rows`` examples of ``split``, drawn at random.

    ``draws`` is the number of shuffles behind the p-value; ``level`` that of intervals.
    """

    split: str = "holdout"
    max_rows: int = 1_000
    draws: int = 299
    level: float = 0.95

    about: ClassVar[About] = About(
        name="quality.latent_prior",
        summary="Whether the codes of real examples lie where the model draws its samples from.",
        metrics=(
            Metric(
                "latent_prior",
                "Unbiased squared maximum mean discrepancy of codes drawn from posteriors and the prior; 0 is equality",
                LOWER,
                unit="MMD²",
                null=0.0,
                question="Is the model sampled from where real examples are?",
            ),
            Metric(
                "spread",
                "Mean squared length of a code over that of the prior; below 1 codes are more crowded than samples",
                NEITHER,
                null=1.0,
                question="Are codes as widely spread as the prior?",
            ),
        ),
        needs=Needs(capabilities=((Capability.POSTERIOR,),)),
        references=(
            "Hoffman & Johnson 2016, ELBO surgery (aggregated posterior)",
            "Rosca, Lakshminarayanan & Mohamed 2018 (posterior and prior do not match in practice)",
            "Gretton et al. 2012; Schrab et al. 2023 (the test)",
        ),
        caveats=(
            "Units that have collapsed match the prior exactly, and in many dimensions they hide those that do not: read it beside "
            "`quality.latent`.",
        ),
        shards_matter=True,
    )

    def __post_init__(self) -> None:
        if self.max_rows < LEAST or self.draws < 99 or not 0.5 <= self.level < 1:
            raise InputError(
                f"quality.latent_prior: give 'max_rows' from {LEAST}, 'draws' from 99 and 'level' from 0.5 to below 1."
            )

    def unmet(self, subject: Subject) -> tuple[Unmet, ...]:
        if subject.splits.get(self.split, 0) >= LEAST:
            return ()
        found = f"{subject.splits.get(self.split, 0)} rows"
        return (Unmet(f"{LEAST} examples in split '{self.split}'", found, "bring more data"),)

    def inputs(self, subject: Subject) -> Cases:
        codes = PosteriorDraws(Posteriors(subject.drawn(self.split, self.max_rows), subject.model))
        words = "a second draw from the prior in place of the codes"
        second, prior = (PriorDraws(codes, seed) for seed in (1, 0))
        null = Case(CaseKind.NULL, self._asked(second, prior), words)
        planted = tuple(
            Case(
                CaseKind.PLANTED,
                self._asked(PriorDraws(codes, 1, dose), prior),
                f"{words}, drawn together towards the middle",
                "crowded codes",
                dose,
            )
            for dose in subject.doses
            if dose < 1
        )
        return Cases(self._asked(codes, prior), null, planted)

    def _asked(self, codes: Recipe[Matrix], prior: Recipe[Matrix]) -> Inputs:
        width = MedianDistance(prior)
        return {
            "codes": codes,
            "ours": KernelSums(codes, codes, width),
            "across": KernelSums(codes, prior, width),
            "back": KernelSums(prior, codes, width),
            "theirs": KernelSums(prior, prior, width),
            "tests": EqualityTests(codes, prior, self.draws),
        }

    def measure(
        self,
        codes: Shards[Matrix],
        ours: Shards[RowSums],
        across: Shards[RowSums],
        back: Shards[RowSums],
        theirs: Shards[RowSums],
        tests: Shards[Aggregated],
    ) -> Iterable[Outcome]:
        found = discrepancy(merged(ours), merged(across), merged(back), merged(theirs))
        held = np.concatenate(list(codes))
        units, test = held.shape[1], tests[0].test
        note = (
            f"{found.n:,} examples of '{self.split}', {units} units; p-value of {len(test.values)} bandwidths together over "
            f"{test.draws} shuffles."
        )
        yield self.about.measurement(
            "latent_prior",
            found.value,
            found.interval(self.level),
            found.n,
            p_value=test.p_value,
            notes=(note,),
        )
        squares = np.square(held).sum(axis=1) / units
        value, interval = clustered_mean(squares, np.arange(len(squares)), self.level)
        yield self.about.measurement("spread", value, interval, len(squares))
