"""Degeneration of text (Holtzman et al. 2020): does a language model say the same things again, within a text or in all of them?

``distinct`` counts the different pairs of words in samples beside those in real texts, at an equal number of pairs, for longer or more
texts always have more: 1 is as varied as real, 0.8 a fifth fewer. ``repetition`` is how much more of a text's four-word sequences came in it
before than in real texts: loops make it rise. ``homogeneity`` is how much more of their word pairs two samples share than two real texts do:
a model that writes the same text in many variants has it, one after the other they all look fine.

Formula: ``distinct = E_samples(B) / E_real(B)``, E(B) the expected number of kinds among B pairs drawn without replacement (Hurlbert 1971), B nine tenths
of the smaller side's; ``repetition`` the mean share of repeated 4-grams per text (seq-rep-4, Welleck et al. 2020), samples minus real;
``homogeneity`` the mean over pairs of texts of ``|A ∩ B| / sqrt(|A| |B|)``, A and B their sets of n-grams, samples minus real.
Interval: of ``distinct``, jackknife over 20 groups of texts on the log scale, Student's t; of ``repetition``, Welch's over texts; of ``homogeneity``, that of two
independent U-statistics.
Gate: skipped below 50 texts a side; texts of fewer than four words have no repetition and are left out of it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from audit.core.cases import Case, CaseKind, Cases
from audit.core.errors import InputError, UndefinedError
from audit.core.evaluators import About, Needs
from audit.core.measurements import Interval, Outcome
from audit.core.metrics import HIGHER, LOWER, Metric
from audit.core.recipes import Inputs, Recipe, Shards
from audit.core.rows import Rows
from audit.core.subjects import Subject
from audit.core.summaries import merged
from audit.recipes.ngrams import Distinct, DistinctGrams, OneTextAgain, TextGrams
from audit.stats.ngrams import Grams, mean_overlap
from audit.stats.proportions import normal_quantile

LEAST = 50


@dataclass(frozen=True, slots=True)
class Degeneration:
    """Compares free samples with at most ``max_rows`` texts of the split ``reference``; ``n`` words make an n-gram, ``longer`` one that repeats.

    ``level`` is that of intervals.
    """

    reference: str = "holdout"
    max_rows: int = 5_000
    n: int = 2
    longer: int = 4
    level: float = 0.95

    about: ClassVar[About] = About(
        name="quality.degeneration",
        summary="Whether a language model repeats itself, within a text or from text to text.",
        metrics=(
            Metric(
                "distinct",
                "Different pairs of words in samples over those in real texts, at an equal number of pairs; 1 is as varied",
                HIGHER,
                null=1.0,
                question="Is what the model writes as varied as real texts?",
            ),
            Metric(
                "repetition",
                "Share of a text's four-word sequences that came in it before, samples minus real texts",
                LOWER,
                null=0.0,
                question="Does the model run in circles?",
            ),
            Metric(
                "homogeneity",
                "Mean overlap of the word pairs of two different texts, samples minus real texts",
                LOWER,
                null=0.0,
                question="Does the model write one text over and over, in other words?",
            ),
        ),
        needs=Needs(modalities=("text",), compares=True, min_rows=LEAST),
        references=(
            "Holtzman, Buys, Du, Forbes & Choi 2020 (degeneration)",
            "Welleck et al. 2020 (seq-rep-4)",
            "Hurlbert 1971 (rarefaction)",
            "Padmakumar & He 2024 (homogenisation); Shaib et al. 2024 (diversity of generated texts)",
        ),
        caveats=(
            "Words at random are varied too: read it beside bits per byte.",
            "Samples and real texts of different kinds of length differ in repetition and homogeneity for that alone.",
        ),
    )

    def __post_init__(self) -> None:
        if (
            self.max_rows < LEAST
            or not 1 <= self.n <= 8
            or not 1 <= self.longer <= 16
            or not 0.5 <= self.level < 1
        ):
            raise InputError(
                f"quality.degeneration: give 'max_rows' from {LEAST}, 'n' from 1 to 8, 'longer' from 1 to 16, "
                "'level' from 0.5 to below 1."
            )

    def inputs(self, subject: Subject) -> Cases:
        real = self._grams(subject.drawn(self.reference, self.max_rows))
        ours = self._asked(subject.samples(), real)
        if self.reference == "train" or subject.splits.get("train", 0) < LEAST:
            return Cases(ours, no_null="the data has no second real split of enough rows")
        size = min(subject.sample_count, subject.splits["train"], self.max_rows)
        second = subject.drawn("train", size)
        words = f"{size:,} rows of 'train' in place of the samples"
        planted = tuple(
            Case(
                CaseKind.PLANTED,
                self._asked(OneTextAgain(second, dose), real),
                f"{words}, some all alike",
                "repeated text",
                dose,
            )
            for dose in subject.doses
        )
        return Cases(ours, Case(CaseKind.NULL, self._asked(second, real), words), planted)

    def _grams(self, rows: Recipe[Rows]) -> Recipe[Grams]:
        return TextGrams(rows, self.n, self.longer)

    def _asked(self, samples: Recipe[Rows], real: Recipe[Grams]) -> Inputs:
        ours = self._grams(samples)
        return {"ours": ours, "theirs": real, "distinct": DistinctGrams(ours, real)}

    def measure(
        self, ours: Shards[Grams], theirs: Shards[Grams], distinct: Shards[Distinct]
    ) -> Iterable[Outcome]:
        samples, real, found = merged(ours), merged(theirs), distinct[0]
        if found.ratio is None:
            yield self.about.undefined("distinct", found.reason)
        else:
            note = f"{found.ratio.ours:,.0f} different {self.n}-grams against {found.ratio.theirs:,.0f} among {found.ratio.size:,} a side."
            yield self.about.measurement(
                "distinct", found.ratio.value, found.ratio.interval(self.level), samples.texts, notes=(note,)
            )
        yield self._repetition(samples, real)
        yield self._homogeneity(samples, real)

    def _repetition(self, samples: Grams, real: Grams) -> Outcome:
        x, y = (side.repeated[np.isfinite(side.repeated)] for side in (samples, real))
        if min(len(x), len(y)) < LEAST:
            reason = (
                f"{len(x)} samples and {len(y)} real texts have {self.longer} words; it takes {LEAST} a side"
            )
            return self.about.undefined("repetition", reason)
        value = float(x.mean() - y.mean())
        error = math.sqrt(float(x.var(ddof=1) / len(x) + y.var(ddof=1) / len(y)))
        reach = normal_quantile((1 + self.level) / 2) * error
        return self.about.measurement(
            "repetition",
            value,
            Interval(value - reach, value + reach, self.level, "Welch over texts"),
            len(x),
            notes=(f"{x.mean():.2%} in samples against {y.mean():.2%} in real texts.",),
        )

    def _homogeneity(self, samples: Grams, real: Grams) -> Outcome:
        try:
            ours, theirs = mean_overlap(samples), mean_overlap(real)
        except UndefinedError as error:
            return self.about.undefined("homogeneity", str(error))
        value = ours.value - theirs.value
        reach = normal_quantile((1 + self.level) / 2) * math.hypot(ours.error, theirs.error)
        return self.about.measurement(
            "homogeneity",
            value,
            Interval(value - reach, value + reach, self.level, "two U-statistics over texts"),
            ours.texts,
            notes=(f"{ours.value:.4f} among samples against {theirs.value:.4f} among real texts.",),
        )
