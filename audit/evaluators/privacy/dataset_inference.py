"""Dataset inference: was this set of examples, as a whole, in the training data?

An attack that can hardly tell one example may still tell a thousand: what each gives away adds up. All attacks that the model allows are
combined into one score, fitted on one half of the examples, and its mean over members is compared with its mean over others in the other
half (Maini et al. 2024; Dubiński et al. 2025 for images). It says whether an owner could show that their data were used, and what an average over
people leaks that no single one's result shows.

Formula: ``separation = (mean over members - mean over others) / standard deviation`` of the combined score, averaged over two halves, each scored by
the linear discriminant of the other half's scores, in which an attack that ranks members lower counts as none. ``auc`` is that score's AUC for single examples. ``examples_needed`` is how
many examples a side a one-sided test at 5 % needs to find the separation four times in five: ``2 (1.645 + 0.842)^2 / separation^2``.

Interval: normal with the variance of Cohen's d for ``separation``, carried over to ``examples_needed``; DeLong for ``auc``; all as wide as one half's,
because the halves' fits depend on each other. The p-value shuffles the labels within each half and fits again: exact where a coin decided
the split.

Gate: 50 examples a side. ``examples_needed`` has no value where the interval of the separation reaches 0. Copies of one example count once,
non-members that also stand in ``train`` are left out. Where no coin decided the split, a classifier that never asks the model is above chance and the
combined attack is not clearly above it, nothing has a value.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from audit.core.cases import Case, CaseKind, Cases
from audit.core.errors import InputError
from audit.core.evaluators import About, Needs, Unmet
from audit.core.measurements import Interval, Outcome
from audit.core.metrics import HIGHER, LOWER, Metric
from audit.core.recipes import Context, Inputs, Recipe, Shards
from audit.core.rows import Matrix
from audit.core.subjects import Subject
from audit.evaluators.privacy.attacks import AttackScores, joined, usable
from audit.evaluators.privacy.blind import BlindBaseline, BlindFeatures, BlindScores
from audit.evaluators.privacy.contest import Contest
from audit.evaluators.privacy.known_attacks import PREFERRED, Sides, attacks_on, incomparable
from audit.recipes.halves import Half
from audit.stats.combining import Combined, combined, examples_to_tell, separation_interval
from audit.stats.ranking import area_interval

LEAST = 50


@dataclass(frozen=True)
class CombinedAttacks(Recipe[Combined]):
    """All attacks combined into one score, in the halves in which the baseline without the model was cross-fitted."""

    kind: ClassVar[str] = "combined-attacks"
    members: Recipe[AttackScores]
    nonmembers: Recipe[AttackScores]
    blind: Recipe[BlindBaseline]
    draws: int
    seed: int

    @property
    def label(self) -> str:
        return "combined attacks"

    def make(
        self,
        context: Context,
        members: Shards[AttackScores],
        nonmembers: Shards[AttackScores],
        blind: Shards[BlindBaseline],
    ) -> Combined:
        inside, outside = joined(members), joined(nonmembers)
        kept, spare = usable(inside), usable(outside)
        if min(kept.sum(), spare.sum()) < LEAST:  # the evaluator says so
            return Combined(np.zeros(0), np.zeros(0), np.zeros(2), 1.0, 0)
        return combined(
            inside.values[kept],
            outside.values[spare],
            blind[0].member_fold[kept],
            blind[0].nonmember_fold[spare],
            self.draws,
            context.rng(),
        )


@dataclass(frozen=True)
class DatasetInference:
    """Asks of the at most ``max_rows`` rows of ``train`` and ``holdout``, drawn at random; ``permutations`` shuffle the labels."""

    max_rows: int = 10_000
    permutations: int = 999

    about: ClassVar[About] = About(
        name="privacy.dataset_inference",
        summary="Whether the training data as a whole can be told from other data of the same source by asking the model.",
        metrics=(
            Metric(
                "separation",
                "Mean of the combined attack over training examples less that over others, in standard deviations; 0 is chance",
                LOWER,
                baseline=0.0,
                null=0.0,
                question="Could an owner show that their data were used for training?",
            ),
            Metric(
                "auc",
                "Probability that all attacks combined rank a training example above another one; 0.5 is chance",
                LOWER,
                baseline=0.5,
                null=0.5,
            ),
            Metric(
                "examples_needed",
                "Training examples, and as many others, from which on a test would tell that they were used, four times in five",
                HIGHER,
                unit="examples",
            ),
        ),
        needs=Needs(capabilities=(PREFERRED,), splits=("train", "holdout"), min_rows=LEAST),
        references=(
            "Maini et al. 2024, LLM dataset inference: did you train on my dataset?",
            "Dubiński et al. 2025, CDI: copyrighted data identification in diffusion models",
        ),
        caveats=(
            "A lower bound on leakage: stronger attacks may find more.",
            "The combination is fitted to half of these examples, so an attacker needs examples of both kinds to repeat it.",
        ),
    )

    def __post_init__(self) -> None:
        for name, least in (("max_rows", LEAST), ("permutations", 99)):
            if getattr(self, name) < least:
                raise InputError(
                    f"privacy.dataset_inference: '{name}' is {getattr(self, name)}; give {least} or more."
                )

    def unmet(self, subject: Subject) -> tuple[Unmet, ...]:
        return incomparable(subject, LEAST)

    def inputs(self, subject: Subject) -> Cases:
        sides = Sides.of(subject, self.max_rows)
        members, nonmembers = (attacks_on(subject, rows) for rows in (sides.members, sides.nonmembers))
        blind = [BlindFeatures(rows) for rows in (sides.members, sides.nonmembers)]
        halves = [Half(source, which) for source in (nonmembers, blind[1]) for which in (0, 1)]
        said = "one half of 'holdout' in place of the members, the other in place of the non-members"
        null = Case(CaseKind.NULL, self.compare(subject, *halves), said)
        available = sum(subject.splits[split] for split in ("train", "holdout"))
        return Cases(self.compare(subject, members, nonmembers, *blind), null).also(available=available)

    def compare(
        self,
        subject: Subject,
        members: Recipe[AttackScores],
        nonmembers: Recipe[AttackScores],
        blind_members: Recipe[Matrix],
        blind_nonmembers: Recipe[Matrix],
    ) -> Inputs:
        """Ask whether one set of examples can be told from another one as a whole."""
        blind = BlindScores(blind_members, blind_nonmembers, subject.seed, subject.data_card.randomised)
        together = CombinedAttacks(members, nonmembers, blind, self.permutations, subject.seed)
        return {"members": members, "nonmembers": nonmembers, "blind": blind, "together": together}

    def measure(
        self,
        members: Shards[AttackScores],
        nonmembers: Shards[AttackScores],
        blind: Shards[BlindBaseline],
        together: Shards[Combined],
        available: int,
    ) -> Iterable[Outcome]:
        inside, outside, found = joined(members), joined(nonmembers), together[0]
        names = ("separation", "auc", "examples_needed")
        if not found.draws:
            fewest = min(int(usable(inside).sum()), int(usable(outside).sum()))
            few = f"only {fewest} examples on one side could be scored; it takes {LEAST}"
            return [self.about.undefined(name, few) for name in names]
        contest = Contest.of(_with(inside, found.positives), _with(outside, found.negatives), blind[0])
        if (reason := contest.confounded(0)) is not None:
            return [self.about.undefined(name, reason) for name in names]
        m, n = contest.against.positives, contest.against.negatives
        value, interval = separation_interval(found.separations, m, n)
        total = len(found.positives) + len(found.negatives)
        notes = (
            f"{len(inside.names)} attacks combined; the attacker {inside.access}.",
            f"p-value by {found.draws} shuffles of the labels.",
            *contest.remarks(),
        )
        return [
            self.about.measurement(
                "separation", value, interval, total, p_value=found.p, notes=notes, available=available
            ),
            self.about.measurement(
                "auc", float(contest.against.values[0]), area_interval(contest.against, 0), total
            ),
            self._needed(value, interval, total),
        ]

    def _needed(self, value: float, interval: Interval, n: int) -> Outcome:
        if interval.low <= 0:
            reason = (
                f"Not estimable: the separation is {value:+.3f} [{interval.low:+.3f}, {interval.high:+.3f}], which may be none, "
                "and no number of examples tells nothing from nothing."
            )
            return self.about.undefined("examples_needed", reason)
        low, high = examples_to_tell(interval.high), examples_to_tell(interval.low)
        carried = Interval(low, high, interval.level, "carried over from the separation")
        return self.about.measurement("examples_needed", examples_to_tell(value), carried, n)


def _with(scores: AttackScores, combined_scores: Matrix) -> AttackScores:
    """Return the examples of ``scores`` that could be scored with the combined score as their only attack; NaN for the others."""
    values = np.full((len(scores.ties), 1), np.nan)
    values[usable(scores), 0] = combined_scores
    return AttackScores(("combined attacks",), values, scores.ties, scores.access)
