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
    usable,
)
from audit.evaluators.privacy.blind import BlindBaseline, BlindFeatures, BlindScores
from audit.stats.crossfit import cross_fitted_areas
from audit.stats.permutation import LabelPermutations
from audit.stats.ranking import (
    RocAreas,
    area_difference,
    area_interval,
    detectable_area,
    operating_point,
    roc_areas,
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
LEAST = 20
"""Fewer examples a side than this and even a perfect attack could not be told from a lucky one reliably."""

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
            self._headline(contest, shuffled[0], member_rows),
            *(_sensitivity(contest, rate, name) for rate, name in RATES),
            *_each_attack(contest, shuffled[0]),
        ]

    def _expected(self, contest: Contest) -> Iterator[str]:
        yield from (f"{NAME}.{n}" for n in ("auc", "blind_auc", "excess", *(name for _, name in RATES)))

    def _headline(
        self, contest: Contest, shuffled: LabelPermutations, member_rows: Sequence[Rows]
    ) -> Outcome:
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
            evidence=(_curve(contest), *self._most_exposed(contest, member_rows)),
        )

    def _most_exposed(self, contest: Contest, member_rows: Sequence[Rows]) -> Iterator[Evidence]:
        import pyarrow as pa

        if self.examples == 0:
            return
        order = np.argsort(contest.inside[:, 0], kind="stable")[::-1][: self.examples]
        chosen = contest.member_index[order]
        ends = np.cumsum([piece.num_rows for piece in member_rows])
        shards = np.searchsorted(ends, chosen, side="right")
        starts = np.concatenate([[0], ends])
        opened = {int(s): member_rows[int(s)] for s in np.unique(shards)}
        rows = concat(
            [opened[int(s)].slice(int(i - starts[s]), 1) for i, s in zip(chosen, shards, strict=True)]
        )
        scores = contest.inside[order, 0]
        beaten = [float((contest.outside[:, 0] >= score).mean()) for score in scores]
        for name, values in (("attack score", scores.tolist()), ("non-members at or above", beaten)):
            rows = rows.append_column(name, pa.array(values, pa.float64()))
        kind = "images" if IMAGE in rows.column_names else "texts" if TEXT in rows.column_names else "table"
        yield Evidence(kind, "Training examples the attack is surest of", rows, sensitive=True)


@dataclass(frozen=True, slots=True)
class Contest:
    """Attacks and the blind baseline on the same examples.

    ``areas`` has the attacks in order. ``against`` has the attacks and then the baseline, averaged over
    the halves in which the baseline was cross-fitted; differences are read there.
    """

    names: tuple[str, ...]
    access: str
    inside: Any
    outside: Any
    inside_ties: Any
    outside_ties: Any
    member_index: Any
    areas: RocAreas
    against: RocAreas
    randomised: bool
    unscored: int

    @classmethod
    def of(cls, inside: AttackScores, outside: AttackScores, blind: BlindBaseline) -> Contest:
        keep, spare = usable(inside), usable(outside)
        x, y = inside.values[keep], outside.values[spare]
        if min(len(x), len(y)) < LEAST:
            nothing = np.full(len(inside.names) + 1, 0.5)
            areas = against = RocAreas(nothing, np.zeros((len(nothing),) * 2), len(x), len(y))
        else:
            areas = roc_areas(x.T, y.T)
            against = cross_fitted_areas(
                np.vstack([x.T, blind.members[keep]]),
                np.vstack([y.T, blind.nonmembers[spare]]),
                blind.member_fold[keep],
                blind.nonmember_fold[spare],
            )
        return cls(
            names=inside.names,
            access=inside.access,
            inside=x,
            outside=y,
            inside_ties=inside.ties[keep],
            outside_ties=outside.ties[spare],
            member_index=np.flatnonzero(keep),
            areas=areas,
            against=against,
            randomised=blind.randomised,
            unscored=int((~keep).sum() + (~spare).sum()),
        )

    @property
    def smaller(self) -> int:
        return min(len(self.inside), len(self.outside))

    @property
    def baseline(self) -> int:
        """Where the blind baseline stands among the areas."""
        return len(self.names)

    @property
    def splits_differ(self) -> bool:
        return area_interval(self.against, self.baseline).low > 0.5

    def confounded(self, attack: int) -> str | None:
        """Return why an attack's area cannot be laid at the model's door, or None.

        Only for a split that no coin decided: there a baseline above chance is
        the splits' own difference. After a coin it is chance, and worth a remark.
        """
        if self.randomised or not self.splits_differ:
            return None
        difference, interval = area_difference(self.against, attack, self.baseline)
        if interval.low > 0:
            return None
        blind = area_interval(self.against, self.baseline)
        return (
            "Inconclusive: the split was not randomised, and a classifier that never asks the model tells members from "
            f"non-members with AUC {self.against.values[self.baseline]:.3f} [{blind.low:.3f}, {blind.high:.3f}]. The attack's "
            f"{self.against.values[attack]:.3f} exceeds that by {difference:+.3f} [{interval.low:+.3f}, {interval.high:+.3f}], "
            "which does not exclude 0. Use members and non-members that a coin separated."
        )

    def remarks(self) -> Iterator[str]:
        blind = area_interval(self.against, self.baseline)
        found = f"AUC {self.against.values[self.baseline]:.3f} [{blind.low:.3f}, {blind.high:.3f}] without asking the model"
        if self.randomised and self.splits_differ:
            yield f"{found}, although the data says a coin decided the split: look for duplicates or a leak between splits."
        elif self.randomised:
            yield f"The data says a coin decided the split, and the check agrees: {found}."
        elif self.splits_differ:
            yield f"The split was not randomised and differs by itself ({found}); read 'excess' for the part that is the model's."
        else:
            yield f"The split was not randomised; the blind baseline sees no difference ({found}), which does not prove there is none."
        if self.unscored:
            yield f"{self.unscored} examples had nothing to score and were left out."


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
