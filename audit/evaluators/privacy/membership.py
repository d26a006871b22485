"""Membership inference: can an attacker tell the model's training examples from others like them?

The attacker asks the model how likely, or how familiar, it finds an example, and takes the ones it finds most familiar for
training examples. One file serves every model that can say so. A result is a lower bound on leakage: it says what these
attacks find, on these examples, and nothing about a stronger attack.

Formula: ``auc = P(score of a member > score of another one) + P(equal) / 2``. With token scores the attack chosen beforehand
is Min-K%++: the mean of the lowest fifth of ``(log p - mean) / deviation`` over the tokens of a text, mean and
deviation over the vocabulary. Where the spec names models like this one that did not see the members (``[[reference_models]]``, with the keys of ``[model]``), it
is the mean of ``log p - log p_ref``, and for other models the signal less that of the reference model, unless that model's card names the same data. Else it is the first signal that the model offers (for diffusion, minus the denoising loss averaged over five noise
levels). All others are attacks beside it. ``blind_auc`` is the same for a ridge
regression on the rows themselves, which never asks the model, and ``excess = auc - max(0.5, blind_auc)``. ``tpr_at_fpr_…`` is the
share of members above the loosest threshold that at most a share f of the other examples passes (the ROC curve at f);
``tpr_guaranteed_…`` that above a stricter one, whose false-positive rate is at most f with 97.5 % confidence.

Interval: DeLong's variance on the logit scale; Newcombe's score interval below 30 examples a side or where the two sides
hardly overlap. ``excess``: paired DeLong. ``blind_auc`` and ``excess`` are averaged over two halves, and as wide as one half's.
``tpr_at_fpr_…``: a mixture over how many other examples the population's threshold lets through, which covers that
population's rate. ``tpr_guaranteed_…``: Clopper-Pearson. p-values by shuffled labels, for several attacks by max-T. The register names members
whose clearest score few others reach with theirs, at a false discovery rate of 10 %.

Gate: 20 examples a side. A rate of 1 % takes 100 other examples, one of 0.1 % takes 1,000, the guaranteed one 368; below that it has no
value. Copies of one example count once, non-members that also stand in ``train`` are left out, and above 5 % of them nothing is measured. Where no coin
decided the split, the blind classifier is above chance and the attack is not clearly above it, ``auc`` and the rates have no value.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

from audit.core.capabilities import Capability
from audit.core.cases import Case, CaseKind, Cases
from audit.core.errors import InputError, UndefinedError, nearest
from audit.core.evaluators import About, Needs, Unmet
from audit.core.measurements import Outcome
from audit.core.metrics import LOWER, NEITHER, Metric
from audit.core.preflight import Foreseen
from audit.core.recipes import Inputs, Recipe, Shards
from audit.core.rows import Matrix, Rows
from audit.core.subjects import Subject
from audit.evaluators.privacy.attacks import AttackScores, Named, NamedMembers, ShuffledMembership, joined
from audit.evaluators.privacy.blind import BlindBaseline, BlindFeatures, BlindScores
from audit.evaluators.privacy.contest import LEAST, Contest
from audit.evaluators.privacy.exposed import Exposed, curve
from audit.evaluators.privacy.known_attacks import (
    EXTRA,
    MEANINGS,
    PREFERRED,
    Sides,
    attacks_on,
    incomparable,
    reference_notes,
    silent,
)
from audit.recipes.halves import Half
from audit.stats.low_fpr import guaranteed_tpr, tpr_at_fpr, tpr_half_width
from audit.stats.permutation import LabelPermutations
from audit.stats.proportions import clopper_pearson
from audit.stats.ranking import (
    area_half_width,
    area_interval,
    detectable_area,
)

RATES = ((0.01, "tpr_at_fpr_1pct"), (0.001, "tpr_at_fpr_1permille"))


@dataclass(frozen=True)
class MembershipInference:
    """Attacks the at most ``max_rows`` rows of ``train``, drawn at random, against as many of ``holdout``.

    The headline attack is fixed before anything runs: the difference from the reference models of the spec where it names
    some whose cards do not name the same data, else Min-K%++ for a model that gives token probabilities, else the first number that the model gives per example.
    ``permutations`` is the number of shuffles for the p-values, ``examples`` how many of the most exposed training examples are kept as
    evidence. ``extra`` names attacks that ask the model again, each at the cost of further passes:
    ``"lowercase"`` and ``"recall"`` for texts, ``"pia"``, ``"secmi"`` and ``"shared_noise"`` for diffusion models,
    ``"latent_search"`` for generators that draw latent vectors (dear: set ``max_rows`` to a thousand or so).
    """

    max_rows: int = 10_000
    permutations: int = 1999
    examples: int = 12
    extra: tuple[str, ...] = ()

    about: ClassVar[About] = About(
        name="privacy.membership",
        summary="Whether training examples can be told from others of the same source by asking the model.",
        metrics=(
            Metric(
                "auc",
                "Probability that the pre-registered attack ranks a training example above another one; 0.5 is chance",
                LOWER,
                baseline=0.5,
                null=0.5,
                question="Can an outsider tell who was in the training data?",
            ),
            Metric(
                "tpr_at_fpr_1pct",
                "Share of training examples above a threshold that one in a hundred other examples passes; chance is 0.01",
                LOWER,
                baseline=0.01,
                question="How many people in the training data can be pointed out with few mistakes?",
            ),
            Metric(
                "tpr_at_fpr_1permille",
                "Share of training examples above a threshold that one in a thousand other examples passes; chance is 0.001",
                LOWER,
                baseline=0.001,
                question="How many can be pointed out with hardly any mistake?",
            ),
            Metric(
                "tpr_guaranteed_1pct",
                "Share of training examples above a stricter threshold, of which it is promised that at most one in a hundred "
                "other examples passes it",
                LOWER,
                question="How many could an attacker point out who has to be sure?",
            ),
            Metric(
                "blind_auc",
                "The same probability for a classifier that never asks the model; above 0.5 the two splits differ by "
                "themselves, and the attack's number is not the model's alone",
                NEITHER,
                baseline=0.5,
                null=0.5,
                question="Do the two splits differ even without the model?",
            ),
            Metric(
                "excess",
                "The attack's AUC minus that of the classifier that never asks the model, or minus 0.5 where that is less",
                LOWER,
                baseline=0.0,
                null=0.0,
                question="What of the attack's success is the model's?",
            ),
            *(
                Metric(
                    f"auc.{attack}",
                    f"AUC of the attack by {meaning}; its p-value allows for the number of attacks",
                    LOWER,
                    baseline=0.5,
                    null=0.5,
                )
                for attack, meaning in MEANINGS.items()
            ),
        ),
        needs=Needs(
            capabilities=((*PREFERRED, Capability.DRAW_LATENTS),), splits=("train", "holdout"), min_rows=LEAST
        ),
        references=(
            "Yeom et al. 2018, Privacy risk in machine learning (loss attack)",
            "Carlini et al. 2021, Extracting training data from large language models (zlib)",
            "Shi et al. 2024, Detecting pretraining data from large language models (Min-K%)",
            "Zhang et al. 2025, Min-K%++",
            "Chen et al. 2026, WBC; Ilić 2026, EZ-MIA; Zarifzadeh et al. 2024, RMIA (reference models)",
            "Watson et al. 2022, On the importance of difficulty calibration in membership inference attacks",
            "Xie et al. 2024, ReCaLL",
            "Kong et al. 2024, An efficient membership inference attack for the diffusion model (PIA)",
            "Chen et al. 2020, GAN-Leaks (latent search)",
            "Duan et al. 2023, Are diffusion models vulnerable to membership inference attacks? (SecMI)",
            "Das, Zhang & Tramèr 2024, Blind baselines beat membership inference attacks",
            "DeLong, DeLong & Clarke-Pearson 1988; Sun & Xu 2014 (AUC intervals)",
        ),
        caveats=(
            "A lower bound on leakage: a stronger attack may find more.",
            "The baseline without the model is ridge regression on the rows themselves, each half scored by a fit to "
            "the other; its interval is as wide as one half's, because the halves depend on each other.",
        ),
    )

    def __post_init__(self) -> None:
        for name, least in (("max_rows", LEAST), ("permutations", 99), ("examples", 0)):
            if getattr(self, name) < least:
                raise InputError(
                    f"privacy.membership: '{name}' is {getattr(self, name)}; give {least} or more."
                )
        for name in self.extra:
            if name not in EXTRA:
                raise InputError(f"privacy.membership: 'extra' names '{name}'. {nearest(name, tuple(EXTRA))}")
        if len(set(self.extra)) < len(self.extra):
            raise InputError(f"privacy.membership: 'extra' names an attack twice: {', '.join(self.extra)}.")

    def unmet(self, subject: Subject) -> tuple[Unmet, ...]:
        return (*silent(subject, self.extra), *incomparable(subject, LEAST))

    def foreseen(self, subject: Subject) -> tuple[Foreseen, ...]:
        m, n = (min(self.max_rows, subject.splits[split]) for split in ("train", "holdout"))
        rests = f"{m:,} members and {n:,} non-members"
        area = Foreseen("auc", 0.5, 1.0, partial(area_half_width, m, n), rests)
        rates = (
            Foreseen(name, rate, 1.0, partial(tpr_half_width, rate, m, n), rests)
            for rate, name in RATES
            if rate * n >= 1
        )
        return (area, *rates)

    def inputs(self, subject: Subject) -> Cases:
        sides = Sides.of(subject, self.max_rows, self.extra)
        both = (sides.members, sides.nonmembers)
        members, nonmembers = (attacks_on(subject, rows, self.extra, sides.shots) for rows in both)
        blind = [BlindFeatures(rows) for rows in both]
        asked = self.attack(subject, members, nonmembers, blind[0], blind[1])
        halves = [Half(nonmembers, 0), Half(nonmembers, 1), Half(blind[1], 0), Half(blind[1], 1)]
        said = "one half of 'holdout' in place of the members, the other in place of the non-members"
        nobody = {"member_rows": None, "named": None}
        null = Case(CaseKind.NULL, {**self.attack(subject, *halves), **nobody}, said)
        there = sum(subject.splits[split] for split in ("train", "holdout"))
        named = NamedMembers(members, nonmembers, sides.members)
        cases = Cases({**asked, "member_rows": sides.members, "named": named}, null)
        absent = tuple(name for name in self.extra if EXTRA[name][0] not in subject.offers)
        return cases.also(
            left_out=sides.left_out, available=there, references=reference_notes(subject), absent=absent
        )

    def attack(
        self,
        subject: Subject,
        members: Recipe[AttackScores],
        nonmembers: Recipe[AttackScores],
        blind_members: Recipe[Matrix],
        blind_nonmembers: Recipe[Matrix],
    ) -> Inputs:
        """Ask whether one set of examples can be told from another one."""
        randomised = subject.data_card.randomised
        return {
            "members": members,
            "nonmembers": nonmembers,
            "shuffled": ShuffledMembership(members, nonmembers, self.permutations, subject.seed),
            "blind": BlindScores(blind_members, blind_nonmembers, subject.seed, randomised),
        }

    def measure(
        self,
        members: Shards[AttackScores],
        nonmembers: Shards[AttackScores],
        shuffled: Shards[LabelPermutations],
        blind: Shards[BlindBaseline],
        member_rows: Shards[Rows] | None,
        named: Shards[Named] | None,
        left_out: int,
        available: int,
        references: tuple[str, ...],
        absent: tuple[str, ...],
    ) -> Iterable[Outcome]:
        contest = Contest.of(joined(members), joined(nonmembers), blind[0])
        if contest.smaller < LEAST:
            reason = f"only {contest.smaller} examples on one side could be scored; it takes {LEAST}"
            expected = ("auc", "blind_auc", "excess", *(name for _, name in RATES), "tpr_guaranteed_1pct")
            return [self.about.undefined(metric, reason) for metric in expected]
        exposed = None
        if member_rows is not None and named is not None:
            exposed = Exposed([len(s.ties) for s in members], member_rows, named[0])
        return [
            *self._baseline(contest),
            self._headline(contest, shuffled[0], exposed, left_out, available, references),
            *(self._sensitivity(contest, rate, name) for rate, name in RATES),
            self._guaranteed(contest),
            *self._each_attack(contest, shuffled[0]),
            *(
                self.about.undefined(f"auc.{name}", f"the model offers no {EXTRA[name][0]}")
                for name in absent
            ),
        ]

    def _headline(
        self,
        contest: Contest,
        shuffled: LabelPermutations,
        exposed: Exposed | None,
        left_out: int,
        available: int,
        references: tuple[str, ...],
    ) -> Outcome:
        if (reason := contest.confounded(0)) is not None:
            return self.about.undefined("auc", reason)
        m, n = contest.areas.positives, contest.areas.negatives
        notes = (
            f"Attack chosen beforehand: {contest.names[0]}; the attacker {contest.access}.",
            f"With {m} members and {n} non-members an AUC of {detectable_area(m, n):.3f} would have been found four "
            "times in five.",
            *references,
            *contest.remarks(),
            *([f"{left_out} rows of 'holdout' that also stand in 'train' are left out."] if left_out else []),
        )
        return self.about.measurement(
            "auc",
            float(contest.areas.values[0]),
            area_interval(contest.areas, 0),
            m + n,
            p_value=float(shuffled.p[0]),
            notes=notes,
            evidence=()
            if exposed is None
            else (curve(contest), *exposed.surest(contest, self.examples), *exposed.entries()),
            available=available,
        )

    def _baseline(self, contest: Contest) -> Iterator[Outcome]:
        n = contest.areas.positives + contest.areas.negatives
        value = float(contest.against.values[contest.baseline])
        note = "A property of the data, not of the model."
        interval = area_interval(contest.against, contest.baseline)
        yield self.about.measurement("blind_auc", value, interval, n, notes=(note,))
        difference, interval = contest.excess(0)
        paired = "Paired: attack and baseline rank the same examples."
        yield self.about.measurement("excess", difference, interval, n, notes=(paired,))

    def _sensitivity(self, contest: Contest, rate: float, name: str) -> Outcome:
        if (reason := contest.confounded(0)) is not None:
            return self.about.undefined(name, reason)
        try:
            point = tpr_at_fpr(*contest.headline(), rate)
        except UndefinedError as error:
            return self.about.undefined(name, f"Not estimable: {error}.")
        note = f"{point.hits} of {len(contest.inside)} members above {point.above} of {len(contest.outside)} non-members."
        n = len(contest.inside) + len(contest.outside)
        return self.about.measurement(
            name, point.value, point.interval, n, baseline=point.chance, notes=(note,)
        )

    def _guaranteed(self, contest: Contest) -> Outcome:
        if (reason := contest.confounded(0)) is not None:
            return self.about.undefined("tpr_guaranteed_1pct", reason)
        try:
            point = guaranteed_tpr(*contest.headline(), 0.01)
        except UndefinedError as error:
            return self.about.undefined("tpr_guaranteed_1pct", f"Not estimable: {error}.")
        interval = clopper_pearson(point.hits, len(contest.inside))
        note = (
            f"Threshold at the {point.above} highest of {len(contest.outside)} non-members: with 95% confidence its "
            f"false-positive rate is at most {point.rate_bound:.4f} and it finds at least {point.lower_bound:.4f} of the members."
        )
        n = len(contest.inside) + len(contest.outside)
        return self.about.measurement(
            "tpr_guaranteed_1pct", point.value, interval, n, baseline=point.chance, notes=(note,)
        )

    def _each_attack(self, contest: Contest, shuffled: LabelPermutations) -> Iterator[Outcome]:
        """One measurement per attack where there are several; their p-values share the same shuffled labels."""
        if len(contest.names) == 1:
            return
        note = (
            f"p-value by max-T over {len(contest.names)} attacks and {shuffled.draws} shuffles of the labels; the "
            "interval is for this attack alone, so do not pick the best of several by it."
        )
        for i, attack in enumerate(contest.names):
            if (reason := contest.confounded(i)) is not None:
                yield self.about.undefined(f"auc.{attack}", reason)
                continue
            yield self.about.measurement(
                f"auc.{attack}",
                float(contest.areas.values[i]),
                area_interval(contest.areas, i),
                contest.areas.positives + contest.areas.negatives,
                p_value=float(shuffled.p_adjusted[i]),
                notes=(note,),
            )
