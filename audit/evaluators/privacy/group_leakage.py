"""Leakage by group: are some groups of people easier to find in the training data than others?

An average hides whom a leak falls on: rare groups are memorised more than common ones. The attack chosen beforehand is asked in each
group by itself, members of the group against others of the same group, so that a group which the model finds easy or hard as such
does not count as leaked.

Formula: ``auc`` of a group is the probability that the attack ranks one of its members above one of its non-members, plus half of that of a tie;
``tpr_at_fpr_1pct`` is the share of its members above the loosest threshold that at most one in a hundred of its non-members passes. ``gap`` of a column is
the largest ``auc`` of its groups less the smallest.

Interval: DeLong (Newcombe's below 30 examples a side) for ``auc`` and the binomial-beta mixture for the rate, at level ``1 - 0.05 / g`` for the g groups of a
column (Bonferroni), so that all of them hold together in 95 % of audits. ``gap``: pairs of groups at ``1 - 0.05 / pairs`` by MOVER (Zou & Donner 2008); it reaches
from the largest lower bound, or 0, to the largest upper one. The p-value is the least of the pairs times their number.

Gate: 30 members and 30 non-members of a group (100 non-members for the rate), two such groups of a column, no more than a hundred values. Copies and shared rows
are left out as in ``privacy.membership``. Where no coin decided the split, a classifier that never asks the model is above chance and the attack is not clearly
above it, nothing has a value.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from audit.core.cases import Case, CaseKind, Cases
from audit.core.errors import InputError
from audit.core.evaluators import About, Needs, Unmet
from audit.core.measurements import Interval, Outcome
from audit.core.metrics import LOWER, Metric
from audit.core.recipes import Context, Inputs, Recipe, Shards
from audit.core.rows import Matrix, Rows, Vector
from audit.core.subjects import Subject
from audit.evaluators.privacy.attacks import AttackScores, joined
from audit.evaluators.privacy.blind import BlindBaseline, BlindFeatures, BlindScores
from audit.evaluators.privacy.contest import LEAST, Contest
from audit.evaluators.privacy.known_attacks import PREFERRED, Sides, attacks_on, incomparable
from audit.recipes.halves import Half
from audit.stats.low_fpr import tpr_at_fpr
from audit.stats.ranking import RocAreas, area_interval, roc_areas

FEWEST, MOST_KINDS, LEVEL, RATE = 30, 100, 0.95, 0.01

Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Grouped:
    """Scores of the attack chosen beforehand, NaN where an example could not be scored, and the groups that each example is in.

    ``codes`` has a column per group column: the place of the value among that column's ``kinds``, -1 without one.
    """

    values: Vector
    ties: Vector
    codes: Ints
    kinds: tuple[tuple[str, ...], ...]

    def __getitem__(self, rows: slice) -> Grouped:
        return Grouped(self.values[rows], self.ties[rows], self.codes[rows], self.kinds)

    def labels(self, column: int) -> NDArray[np.str_]:
        """Return the value of each example in one column, empty where it has none."""
        return np.array([*self.kinds[column], ""])[self.codes[:, column]]


@dataclass(frozen=True)
class GroupedScores(Recipe[Grouped]):
    """The attack chosen beforehand on each row, and the groups of the row."""

    kind: ClassVar[str] = "grouped-scores"
    along: ClassVar[tuple[str, ...]] = ("scores", "rows")
    scores: Recipe[AttackScores]
    rows: Recipe[Rows]
    columns: tuple[str, ...]

    @property
    def label(self) -> str:
        return f"groups of {self.scores.label}"

    def make(self, context: Context, scores: AttackScores, rows: Rows) -> Grouped:
        kinds, codes = [], np.empty((rows.num_rows, len(self.columns)), np.int64)
        for place, column in enumerate(self.columns):
            said = ["" if v is None else str(v) for v in rows.column(column).to_pylist()]
            known = sorted({*said} - {""})
            codes[:, place] = [known.index(value) if value else -1 for value in said]
            kinds.append(tuple(known))
        return Grouped(scores.values[:, 0], scores.ties, codes, tuple(kinds))


@dataclass(frozen=True, slots=True)
class Group:
    """One group that has enough examples: its scores and ties, members first, and its area."""

    name: str
    inside: tuple[Vector, Vector]
    outside: tuple[Vector, Vector]
    areas: RocAreas

    @property
    def n(self) -> int:
        return len(self.inside[0]) + len(self.outside[0])


@dataclass(frozen=True)
class GroupLeakage:
    """Asks of the at most ``max_rows`` rows of ``train`` and ``holdout``, drawn at random, for each group column of the data."""

    max_rows: int = 10_000

    about: ClassVar[About] = About(
        name="privacy.group_leakage",
        summary="Which groups of people are easier to find in the training data than others.",
        metrics=(
            Metric(
                "auc",
                "Probability that the pre-registered attack ranks a member of a group above another one of the group; 0.5 is chance",
                LOWER,
                baseline=0.5,
                null=0.5,
                question="Can an outsider tell who of a group was in the training data?",
            ),
            Metric(
                "tpr_at_fpr_1pct",
                "Share of a group's training examples above a threshold that one in a hundred of its other examples passes",
                LOWER,
                baseline=0.01,
                question="How many people of a group can be pointed out with few mistakes?",
            ),
            Metric(
                "gap",
                "Largest AUC among the groups of a column less the smallest; 0 where all are as easy to find",
                LOWER,
                baseline=0.0,
                null=0.0,
                question="Does the leak fall on some groups more than on others?",
            ),
        ),
        needs=Needs(capabilities=(PREFERRED,), splits=("train", "holdout"), groups=True, min_rows=2 * FEWEST),
        references=(
            "Zhong et al. 2022, Understanding disparate effects of membership inference attacks and their countermeasures",
            "Kulynych et al. 2022, Disparate vulnerability to membership inference attacks",
            "Zou & Donner 2008 (MOVER)",
        ),
        caveats=(
            "A lower bound on leakage: a stronger attack may find more, and more in one group than in another.",
        ),
    )

    def __post_init__(self) -> None:
        if self.max_rows < 2 * FEWEST:
            raise InputError(
                f"privacy.group_leakage: 'max_rows' is {self.max_rows}; give {2 * FEWEST} or more."
            )

    def unmet(self, subject: Subject) -> tuple[Unmet, ...]:
        return incomparable(subject, 2 * FEWEST)

    def inputs(self, subject: Subject) -> Cases:
        sides = Sides.of(subject, self.max_rows)
        rows = (sides.members, sides.nonmembers)
        scores = [attacks_on(subject, side) for side in rows]
        groups = [GroupedScores(s, side, subject.groups) for s, side in zip(scores, rows, strict=True)]
        blind = [BlindFeatures(side) for side in rows]
        asked = self.compare(subject, (scores[0], scores[1]), (groups[0], groups[1]), (blind[0], blind[1]))
        halves = [(Half(source, 0), Half(source, 1)) for source in (scores[1], groups[1], blind[1])]
        said = "one half of 'holdout' in place of the members, the other in place of the non-members"
        null = Case(CaseKind.NULL, self.compare(subject, *halves), said)
        return Cases(asked, null).also(columns=subject.groups)

    def compare(
        self,
        subject: Subject,
        scores: tuple[Recipe[AttackScores], Recipe[AttackScores]],
        groups: tuple[Recipe[Grouped], Recipe[Grouped]],
        blind: tuple[Recipe[Matrix], Recipe[Matrix]],
    ) -> Inputs:
        """Ask in which groups one set of examples can be told from another one."""
        return {
            "scores": scores,
            "groups": groups,
            "blind": BlindScores(*blind, subject.seed, subject.data_card.randomised),
        }

    def measure(
        self,
        scores: tuple[Shards[AttackScores], Shards[AttackScores]],
        groups: tuple[Shards[Grouped], Shards[Grouped]],
        blind: Shards[BlindBaseline],
        columns: tuple[str, ...],
    ) -> Iterable[Outcome]:
        contest = Contest.of(joined(scores[0]), joined(scores[1]), blind[0])
        few = contest.smaller < LEAST
        reason = (
            f"only {contest.smaller} examples on one side could be scored" if few else contest.confounded(0)
        )
        if reason is not None:
            return [self.about.undefined("gap", reason)]
        return [
            outcome
            for place, column in enumerate(columns)
            for outcome in self._column(column, place, groups, contest)
        ]

    def _column(
        self,
        column: str,
        place: int,
        groups: tuple[Shards[Grouped], Shards[Grouped]],
        contest: Contest,
    ) -> Iterator[Outcome]:
        found, left_out = _groups(groups, place)
        if len(found) < 2:
            reason = (
                f"{len(found)} of {len(found) + left_out} groups have {FEWEST} members and {FEWEST} non-members; a comparison "
                f"takes two such groups of a column of at most {MOST_KINDS} values"
            )
            yield self.about.undefined("gap", reason, group=(("column", column),))
            return
        level = 1 - (1 - LEVEL) / len(found)
        note = (
            f"Attack chosen beforehand: {contest.names[0]}. The intervals of the {len(found)} groups of '{column}' hold together "
            f"in 95% of audits: each is at {level:.2%}."
        )
        for group in found:
            named = ((column, group.name),)
            interval = _together(area_interval(group.areas, 0, level), len(found))
            value = float(group.areas.values[0])
            yield self.about.measurement("auc", value, interval, group.n, group=named, notes=(note,))
            if RATE * len(group.outside[0]) >= 1:
                sides = (group.inside[0], group.outside[0], group.inside[1], group.outside[1])
                point = tpr_at_fpr(*sides, RATE, level)
                said = f"{point.hits} of {len(group.inside[0])} members above {point.above} of {len(group.outside[0])} non-members."
                yield self.about.measurement(
                    "tpr_at_fpr_1pct",
                    point.value,
                    _together(point.interval, len(found)),
                    group.n,
                    group=named,
                    baseline=point.chance,
                    notes=(said, note),
                )
        yield self._gap(column, found, left_out, contest)

    def _gap(self, column: str, found: Sequence[Group], left_out: int, contest: Contest) -> Outcome:
        value, interval, p = largest_gap([group.areas for group in found])
        ordered = sorted(found, key=lambda group: float(group.areas.values[0]))
        notes = [
            f"From {float(ordered[0].areas.values[0]):.3f} ('{ordered[0].name}') to "
            f"{float(ordered[-1].areas.values[0]):.3f} ('{ordered[-1].name}') by {contest.names[0]}. The largest of several noisy "
            "gaps is large by chance; read its lower bound.",
            *contest.remarks(),
        ]
        if left_out:
            notes.append(f"{left_out} groups with fewer than {FEWEST} examples on a side are left out.")
        n = sum(group.n for group in found)
        return self.about.measurement(
            "gap", value, interval, n, group=(("column", column),), p_value=p, notes=notes
        )


def _groups(sides: tuple[Shards[Grouped], Shards[Grouped]], column: int) -> tuple[list[Group], int]:
    """Return the groups of a column that have enough examples on both sides, and how many have not."""
    held = []
    for shards in sides:
        values = np.concatenate([shard.values for shard in shards])
        ties = np.concatenate([shard.ties for shard in shards])
        labels = np.concatenate([shard.labels(column) for shard in shards])
        held.append((values, ties, np.where(np.isnan(values), "", labels)))
    names = sorted({name for _, _, labels in held for name in np.unique(labels)} - {""})
    if len(names) > MOST_KINDS:
        return [], len(names)
    found = []
    for name in names:
        (x, x_ties), (y, y_ties) = (
            (values[labels == name], ties[labels == name]) for values, ties, labels in held
        )
        if min(len(x), len(y)) >= FEWEST:
            found.append(Group(str(name), (x, x_ties), (y, y_ties), roc_areas(x, y)))
    return found, len(names) - len(found)


def largest_gap(areas: Sequence[RocAreas], level: float = LEVEL) -> tuple[float, Interval, float]:
    """Return the largest difference between independent areas, an interval for the true one, and its p-value.

    Each pair's bounds are MOVER's from the areas' own intervals, at a level that makes all pairs hold together.
    """
    pairs = list(combinations(range(len(areas)), 2))
    each = 1 - (1 - level) / len(pairs)
    own = [(float(a.values[0]), area_interval(a, 0, each)) for a in areas]
    least, most, smallest = 0.0, 0.0, 1.0
    for i, j in pairs:
        (a, one), (b, other) = own[i], own[j]
        gap = a - b
        below = math.hypot(a - one.low, other.high - b)
        above = math.hypot(one.high - a, b - other.low)
        least, most = max(least, gap - below, -gap - above), max(most, gap + above, below - gap)
        error = math.sqrt(float(areas[i].covariance[0, 0] + areas[j].covariance[0, 0]))
        p = math.erfc(abs(gap) / error / math.sqrt(2)) if error > 0 else 0.0 if gap else 1.0
        smallest = min(smallest, p)
    values = [a for a, _ in own]
    method = f"MOVER over {len(pairs)} pairs, Bonferroni"
    return max(values) - min(values), Interval(least, most, level, method), min(1.0, smallest * len(pairs))


def _together(interval: Interval, groups: int) -> Interval:
    """Return an interval that was made at a level for ``groups`` of them as one that holds together with the others."""
    return Interval(interval.low, interval.high, LEVEL, f"{interval.method}, {groups} together (Bonferroni)")
