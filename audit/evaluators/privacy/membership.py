"""Membership inference: can an attacker tell the model's training examples from others like them?

One file serves every model that says how likely, or how familiar, it finds an
example. A result here is a lower bound on leakage: it says what these attacks
find, on these examples, and nothing about a stronger attack.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from audit.core.capabilities import Capability
from audit.core.errors import InputError, UndefinedError
from audit.core.evaluators import About, Dimension, Needs
from audit.core.measurements import Direction, Evidence, Measurement, Outcome, Undefined
from audit.core.recipes import Recipe
from audit.core.rows import IMAGE, TEXT, Rows, concat
from audit.core.subjects import Subject
from audit.evaluators.privacy.attacks import (
    AttackScores,
    LedgerAttacks,
    ShuffledMembership,
    SignalAttack,
    joined,
)
from audit.evaluators.privacy.blind import BlindBaseline, BlindFeatures, BlindScores
from audit.evaluators.privacy.contest import LEAST, Contest
from audit.stats.permutation import LabelPermutations
from audit.stats.ranking import (
    area_difference,
    area_interval,
    detectable_area,
    operating_point,
    roc_curve,
)

NAME = "privacy.membership"
PREFERRED = (
    Capability.TOKEN_LEDGER,
    Capability.LOG_LIKELIHOOD,
    Capability.LIKELIHOOD_BOUND,
    Capability.DENOISING_LOSS,
    Capability.RECONSTRUCT,
)
RATES = ((0.01, "tpr_at_fpr_1pct"), (0.001, "tpr_at_fpr_1permille"))

_LOWER_BOUND = "A lower bound on leakage: a stronger attack may find more."
_ATTACKS = {
    "min_k_plus_plus": "Min-K%++ (least likely fifth of the tokens, standardised per position)",
    "min_k": "Min-K% (least likely fifth of the tokens)",
    "zlib": "mean log-probability over zlib length",
    "loss": "mean log-probability",
}


@dataclass(frozen=True)
class MembershipInference:
    """Attacks the first ``most`` rows of ``train`` against as many of ``holdout``.

    The headline attack is fixed before anything runs: Min-K%++ for a model that
    gives token probabilities, else the one number the model gives per example.
    """

    most: int = 10_000
    permutations: int = 1999
    examples: int = 12

    about: ClassVar[About] = About(
        name=NAME,
        dimension=Dimension.PRIVACY,
        summary="Whether training examples can be told from others of the same source by asking the model.",
        metrics={
            f"{NAME}.auc": "Probability that the pre-registered attack ranks a training example above another one; "
            "0.5 is chance, lower is better.",
            f"{NAME}.tpr_at_fpr_1pct": "Share of training examples the attack finds at a threshold that is wrong about "
            "at most 1% of other examples, with confidence; lower is better.",
            f"{NAME}.tpr_at_fpr_1permille": "The same at a threshold that is wrong about at most 0.1%; lower is better.",
            f"{NAME}.blind_auc": "The same probability for a classifier that never asks the model; above 0.5 the two "
            "splits differ by themselves, and the attack's number is not the model's alone.",
            f"{NAME}.excess": "The attack's AUC minus that of the classifier that never asks the model; lower is better.",
            **{
                f"{NAME}.auc.{attack}": f"AUC of the attack by {meaning}; its p-value allows for the number of attacks; "
                "lower is better."
                for attack, meaning in _ATTACKS.items()
            },
        },
        needs=Needs(capabilities=(PREFERRED,), splits=("train", "holdout"), least_rows=LEAST),
        references=(
            "Yeom et al. 2018, Privacy risk in machine learning (loss attack)",
            "Carlini et al. 2021, Extracting training data from large language models (zlib)",
            "Shi et al. 2024, Detecting pretraining data from large language models (Min-K%)",
            "Zhang et al. 2025, Min-K%++",
            "Das, Zhang & Tramèr 2024, Blind baselines beat membership inference attacks",
            "DeLong, DeLong & Clarke-Pearson 1988; Sun & Xu 2014 (AUC intervals)",
        ),
    )

    def __post_init__(self) -> None:
        for name, least in (("most", LEAST), ("permutations", 99), ("examples", 0)):
            if getattr(self, name) < least:
                raise InputError(f"{NAME}: '{name}' is {getattr(self, name)}; give {least} or more.")

    def inputs(self, subject: Subject) -> Mapping[str, Recipe[Any]]:
        rows = {split: subject.real(split, self.most) for split in ("train", "holdout")}
        members, nonmembers = (self._attacks(subject, rows[split]) for split in ("train", "holdout"))
        return {
            "members": members,
            "nonmembers": nonmembers,
            "shuffled": ShuffledMembership(members, nonmembers, self.permutations, subject.seed),
            "blind": BlindScores(
                BlindFeatures(rows["train"]),
                BlindFeatures(rows["holdout"]),
                subject.seed,
                subject.data_card.randomised,
            ),
            "member_rows": rows["train"],
        }

    def _attacks(self, subject: Subject, rows: Recipe[Rows]) -> Recipe[AttackScores]:
        capability = subject.first_offered(PREFERRED)
        if capability is Capability.TOKEN_LEDGER:
            return LedgerAttacks(rows, subject.ledger(rows))
        return SignalAttack(subject.signal(rows, PREFERRED), capability)

    def measure(
        self,
        members: Sequence[AttackScores],
        nonmembers: Sequence[AttackScores],
        shuffled: Sequence[LabelPermutations],
        blind: Sequence[BlindBaseline],
        member_rows: Sequence[Rows],
    ) -> Iterable[Outcome]:
        contest = Contest.of(joined(members), joined(nonmembers), blind[0])
        if contest.smaller < LEAST:
            reason = f"only {contest.smaller} examples on one side could be scored; it takes {LEAST}"
            return [Undefined(metric, reason) for metric in self._expected(contest)]
        return [
            *_baseline(contest),
            self._headline(contest, shuffled[0], Exposed([len(p.ties) for p in members], member_rows)),
            *(_sensitivity(contest, rate, name) for rate, name in RATES),
            *_each_attack(contest, shuffled[0]),
        ]

    def _expected(self, contest: Contest) -> Iterator[str]:
        yield from (f"{NAME}.{n}" for n in ("auc", "blind_auc", "excess", *(name for _, name in RATES)))

    def _headline(self, contest: Contest, shuffled: LabelPermutations, exposed: Exposed) -> Outcome:
        if (reason := contest.confounded(0)) is not None:
            return Undefined(f"{NAME}.auc", reason)
        m, n = contest.areas.positives, contest.areas.negatives
        notes = (
            f"Attack chosen beforehand: {contest.names[0]}; the attacker {contest.access}.",
            _LOWER_BOUND,
            f"With {m} members and {n} non-members an AUC of {detectable_area(m, n):.3f} would have been found four "
            "times in five.",
            f"Negative control: with labels shuffled, the AUC exceeds {shuffled.blank[0]:.3f} one time in twenty; "
            "that is the noise floor shown.",
            *contest.remarks(),
        )
        return Measurement(
            metric=f"{NAME}.auc",
            value=float(contest.areas.values[0]),
            uncertainty=area_interval(contest.areas, 0),
            n=m + n,
            direction=Direction.LOWER_IS_BETTER,
            baseline=0.5,
            noise_floor=float(shuffled.blank[0]),
            p_value=float(shuffled.p[0]),
            notes=notes,
            evidence=(_curve(contest), *self._most_exposed(contest, exposed)),
        )

    def _most_exposed(self, contest: Contest, exposed: Exposed) -> Iterator[Evidence]:
        import pyarrow as pa

        if self.examples == 0:
            return
        order = np.argsort(contest.inside[:, 0], kind="stable")[::-1][: self.examples]
        scores = contest.inside[order, 0]
        beaten = [float((contest.outside[:, 0] >= score).mean()) for score in scores]
        rows = exposed.rows(contest.member_index[order])
        for name, values in (("attack score", scores.tolist()), ("non-members at or above", beaten)):
            rows = rows.append_column(name, pa.array(values, pa.float64()))
        kind = "images" if IMAGE in rows.column_names else "texts" if TEXT in rows.column_names else "table"
        yield Evidence(kind, "Training examples the attack is surest of", rows, sensitive=True)


@dataclass(frozen=True, slots=True)
class Exposed:
    """The training rows by their index, opening only the pieces that hold those asked for."""

    sizes: Sequence[int]
    pieces: Sequence[Rows]

    def rows(self, chosen: Any) -> Rows:
        ends = np.cumsum(self.sizes)
        shards = np.searchsorted(ends, chosen, side="right")
        opened = {int(shard): self.pieces[int(shard)] for shard in np.unique(shards)}
        return concat(
            [
                opened[int(shard)].slice(int(index - ends[shard] + self.sizes[shard]), 1)
                for index, shard in zip(chosen, shards, strict=True)
            ]
        )


def _baseline(contest: Contest) -> Iterator[Outcome]:
    n = contest.areas.positives + contest.areas.negatives
    yield Measurement(
        metric=f"{NAME}.blind_auc",
        value=float(contest.against.values[contest.baseline]),
        uncertainty=area_interval(contest.against, contest.baseline),
        n=n,
        direction=Direction.NEITHER,
        baseline=0.5,
        notes=(
            "A property of the data, not of the model: ridge regression on the rows themselves, each half "
            "scored by a fit to the other; the interval is as wide as one half's, because the halves depend on each other.",
        ),
    )
    difference, interval = area_difference(contest.against, 0, contest.baseline)
    yield Measurement(
        metric=f"{NAME}.excess",
        value=difference,
        uncertainty=interval,
        n=n,
        direction=Direction.LOWER_IS_BETTER,
        baseline=0.0,
        notes=(_LOWER_BOUND, "Paired: attack and baseline rank the same examples."),
    )


def _sensitivity(contest: Contest, rate: float, name: str) -> Outcome:
    metric = f"{NAME}.{name}"
    if (reason := contest.confounded(0)) is not None:
        return Undefined(metric, reason)
    try:
        point = operating_point(
            contest.inside[:, 0], contest.outside[:, 0], contest.inside_ties, contest.outside_ties, rate
        )
    except UndefinedError as error:
        return Undefined(metric, f"Not estimable: {error}.")
    low = point.interval.low
    return Measurement(
        metric=metric,
        value=point.sensitivity,
        uncertainty=point.interval,
        n=len(contest.inside) + len(contest.outside),
        direction=Direction.LOWER_IS_BETTER,
        baseline=point.expected_rate,
        notes=(
            f"Threshold at the {point.above} highest of {len(contest.outside)} non-members: with 95% confidence its "
            f"false-positive rate is at most {point.rate_bound:.4f} and it finds at least {low:.4f} of the members.",
            _LOWER_BOUND,
        ),
    )


def _each_attack(contest: Contest, shuffled: LabelPermutations) -> Iterator[Outcome]:
    """One measurement per attack where there are several; their p-values share the same shuffled labels."""
    if len(contest.names) == 1:
        return
    for i, attack in enumerate(contest.names):
        if (reason := contest.confounded(i)) is not None:
            yield Undefined(f"{NAME}.auc.{attack}", reason)
            continue
        yield Measurement(
            metric=f"{NAME}.auc.{attack}",
            value=float(contest.areas.values[i]),
            uncertainty=area_interval(contest.areas, i),
            n=contest.areas.positives + contest.areas.negatives,
            direction=Direction.LOWER_IS_BETTER,
            baseline=0.5,
            noise_floor=float(shuffled.blank[i]),
            p_value=float(shuffled.p_adjusted[i]),
            notes=(
                _LOWER_BOUND,
                f"p-value by max-T over {len(contest.names)} attacks and {shuffled.draws} shuffles of the labels; the "
                "interval is for this attack alone, so do not pick the best of several by it.",
            ),
        )


def _curve(contest: Contest) -> Evidence:
    import pyarrow as pa

    false, true = roc_curve(contest.inside[:, 0], contest.outside[:, 0])
    return Evidence(
        "curve",
        f"ROC of {contest.names[0]}: false-positive rate (x) and true-positive rate (y)",
        pa.table({"x": false, "y": true}),
        sensitive=False,
    )
