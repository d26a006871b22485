"""Calibration (Guo et al. 2017; Braverman et al. 2020): when a language model gives its best guess 70 %, is it right in 70 % of cases?

At every place of the documents the model's likeliest next token is its guess, and the probability of it its confidence. A
reliability diagram shows how often guesses of each confidence were right; the expected calibration error is how far that is from
the diagonal, on average. The usual estimate of it is above 0 for a perfect model, by more the fewer the tokens: here each
bin's sign comes from other documents than its size, so a calibrated model has 0 on average, and the usual estimate is in a note.
``overconfidence`` keeps the sign. ``entropy_gap`` asks the same of the whole distribution: a calibrated model is on average as
surprised by a token as it expects to be.

Formula: ``ece = Σ_b share_b |right_b - confidence_b|`` over ``bins`` bins of equally many tokens, with chance taken off;
``overconfidence = mean(confidence - right)``; ``entropy_gap = mean(-ln p(token) - entropy)``, each over all tokens.
Interval: documents are clusters. Of ``ece``, the largest lower bound over patterns of over- and under-confidence that change once along
the confidence, and an upper bound from the usual estimate: cautious, it covers .97 or more. Of the means, a ratio of sums.
Gate: no interval below 20 documents; no value below two documents or 100 tokens. Bins hold 50 tokens or more.
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
from audit.core.measurements import Evidence, Interval, Outcome, Unquantified
from audit.core.metrics import LOWER, NEITHER, Metric
from audit.core.recipes import Inputs, Recipe, Shards
from audit.core.rows import Vector
from audit.core.subjects import Subject
from audit.core.summaries import merged
from audit.evaluators.quality.calibration.recipes import (
    BestGuesses,
    Calibrated,
    CalibrationErrors,
    Guesses,
    Redrawn,
)
from audit.stats.calibration import LEAST_IN_BIN, Bins, CalibrationError
from audit.stats.proportions import normal_quantile
from audit.stats.ratios import LEAST_UNITS, ratio_of_sums


@dataclass(frozen=True, slots=True)
class NextTokenCalibration:
    """Scores the documents of ``split``, at most ``max_rows`` drawn at random; copies of one document count once.

    ``bins`` is how many there are along the confidence; ``level`` that of intervals.
    """

    split: str = "holdout"
    max_rows: int = 1_000
    bins: int = 15
    level: float = 0.95

    about: ClassVar[About] = About(
        name="quality.calibration",
        summary="Whether a language model's probabilities of the next token mean what they say.",
        metrics=(
            Metric(
                "ece",
                "Expected calibration error of the likeliest next token, with what chance adds to it taken off; 0 is calibrated "
                "(noise may push it below)",
                LOWER,
                null=0.0,
                question="Can the model's confidence be taken at its word?",
            ),
            Metric(
                "overconfidence",
                "Mean confidence in the likeliest next token minus how often it came; above 0 the model claims too much",
                NEITHER,
                null=0.0,
                question="Does the model claim to know more than it does?",
            ),
            Metric(
                "entropy_gap",
                "Mean surprisal of a token minus the entropy of the model's own distribution; above 0 text surprises it more "
                "than it expects",
                NEITHER,
                unit="nats/token",
                null=0.0,
                question="Is the model as uncertain as it should be?",
            ),
        ),
        needs=Needs(capabilities=((Capability.TOKEN_SCORES,),), modalities=("text",)),
        references=(
            "Guo, Pleiss, Sun & Weinberger 2017, On calibration of modern neural networks",
            "Kumar, Liang & Ma 2019, Verified uncertainty calibration (the bias of the usual estimate)",
            "Braverman et al. 2020, Calibration, entropy rates, and memory in language models",
        ),
        caveats=(
            "Calibrated on these documents is not calibrated on others, or after a temperature, top-p or fine-tuning.",
            "It is the error of the bins: gaps of both signs within one cancel.",
            "A model that knows nothing and says so is calibrated: read it beside bits per byte.",
        ),
    )

    def __post_init__(self) -> None:
        if self.max_rows < 2 or not 1 <= self.bins <= 100 or not 0.5 <= self.level < 1:
            raise InputError(
                "quality.calibration: give 'max_rows' from 2, 'bins' from 1 to 100 and 'level' from 0.5 to below 1."
            )

    def unmet(self, subject: Subject) -> tuple[Unmet, ...]:
        if self.split in subject.splits:
            return ()
        found = f"splits: {', '.join(subject.splits) or 'none'}"
        remedy = f"name data with a '{self.split}' split in [data], or set 'split' of this evaluator"
        return (Unmet(f"a split '{self.split}' of documents to score", found, remedy),)

    def inputs(self, subject: Subject) -> Cases:
        guesses = BestGuesses(subject.token_scores(subject.drawn(self.split, self.max_rows)))
        words = "what comes next drawn from the model's own probabilities"
        planted = tuple(
            Case(
                CaseKind.PLANTED,
                self._asked(Redrawn(guesses, dose)),
                f"{words}, which are then sharpened",
                "over-confidence",
                dose,
            )
            for dose in subject.doses
        )
        null = Case(CaseKind.NULL, self._asked(Redrawn(guesses)), words)
        return Cases(self._asked(guesses), null, planted).also(available=subject.splits[self.split])

    def _asked(self, guesses: Recipe[Guesses]) -> Inputs:
        return {"guesses": guesses, "found": CalibrationErrors(guesses, self.bins, self.level)}

    def measure(
        self, guesses: Shards[Guesses], found: Shards[Calibrated], available: int
    ) -> Iterable[Outcome]:
        whole = merged(guesses)
        error = found[0].error
        if error is None:
            yield self.about.undefined("ece", found[0].reason)
        else:
            yield self._error(error, available)
        for name, values, note in (
            (
                "overconfidence",
                whole.confidence - whole.right,
                f"Mean confidence {whole.confidence.mean():.4f}; right in {whole.right.mean():.2%} of cases."
                if len(whole.right)
                else "",
            ),
            ("entropy_gap", whole.surprisal - whole.entropy, ""),
        ):
            yield self._mean(name, values, whole, note, available)

    def _error(self, found: CalibrationError, available: int) -> Outcome:
        uncertainty: Interval | Unquantified = found.interval()
        if found.clusters < LEAST_UNITS:
            uncertainty = Unquantified(f"{found.clusters} documents; an interval takes {LEAST_UNITS} or more")
        tokens = int(found.bins.count.sum())
        note = (
            f"{found.clusters:,} documents of '{self.split}', {tokens:,} tokens in {len(found.bins.count)} bins. The usual "
            f"estimate is {found.plain:.4f}; a calibrated model would have {found.chance:.4f} by it here."
        )
        return self.about.measurement(
            "ece",
            found.value,
            uncertainty,
            found.clusters,
            p_value=found.p_value,
            notes=(note,),
            evidence=(_diagram(found.bins, self.level),),
            available=available,
        )

    def _mean(self, name: str, values: Vector, whole: Guesses, note: str, available: int) -> Outcome:
        used = whole.lengths > 0
        if int(used.sum()) < 2 or len(values) < 2 * LEAST_IN_BIN:
            reason = (
                f"{len(values)} tokens in {int(used.sum())} documents; it takes {2 * LEAST_IN_BIN} in two"
            )
            return self.about.undefined(name, reason)
        if not np.isfinite(values).all():
            reason = f"{int((~np.isfinite(values)).sum())} of {len(values)} tokens have no finite value"
            return self.about.undefined(name, reason)
        sums = np.bincount(whole.documents, weights=values, minlength=len(used))[used]
        found = ratio_of_sums(sums, whole.lengths[used])
        return self.about.measurement(
            name,
            found.value,
            found.uncertainty(self.level),
            found.units,
            notes=(note,) if note else (),
            available=available,
        )


def _diagram(bins: Bins, level: float) -> Evidence:
    """Return the reliability diagram: how often guesses of each confidence were right, with the diagonal."""
    import pyarrow as pa

    reach = normal_quantile((1 + level) / 2) * bins.error
    rows = pa.table(
        {
            "x": bins.confidence,
            "y": bins.right,
            "low": np.maximum(bins.right - reach, 0.0),
            "high": np.minimum(bins.right + reach, 1.0),
            "reference": bins.confidence,
            "tokens": bins.count,
        }
    )
    caption = f"Reliability diagram: share of right guesses (y) by confidence (x), {level:.0%} each; dashed is calibrated"
    return Evidence("curve", caption, rows, sensitive=False)
