"""Attacks and the model-free baseline on the same examples, and whether an attack's success is the model's."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from audit.core.measurements import Interval
from audit.core.rows import Matrix, Vector
from audit.evaluators.privacy.attacks import AttackScores, usable
from audit.evaluators.privacy.blind import BlindBaseline
from audit.stats.crossfit import cross_fitted_areas
from audit.stats.ranking import RocAreas, area_difference, area_interval, roc_areas

LEAST = 20
"""Fewer examples a side than this and even a perfect attack could not be told from a lucky one reliably."""


@dataclass(frozen=True, slots=True)
class Contest:
    """Attacks and the blind baseline on the same examples.

    ``areas`` has the attacks in order. ``against`` has the attacks and then the baseline, averaged over
    the halves in which the baseline was cross-fitted; differences are read there. Scores have one
    column per attack; ``member_index`` says which training rows they are of.
    """

    names: tuple[str, ...]
    access: str
    inside: Matrix
    outside: Matrix
    inside_ties: Vector
    outside_ties: Vector
    member_index: NDArray[np.intp]
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

    def headline(self) -> tuple[Vector, Vector, Vector, Vector]:
        """The scores of the pre-registered attack, members first, and the numbers that order equal ones."""
        return self.inside[:, 0], self.outside[:, 0], self.inside_ties, self.outside_ties

    def excess(self, attack: int) -> tuple[float, Interval]:
        """Return the attack's area minus the baseline's, or minus one half where the baseline has less: that is chance."""
        difference, interval = area_difference(self.against, attack, self.baseline)
        blind = float(self.against.values[self.baseline])
        if blind >= 0.5:
            return difference, interval
        own = area_interval(self.against, attack)
        return float(self.against.values[attack]) - 0.5, Interval(
            own.low - 0.5, own.high - 0.5, own.level, own.method
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
            "which is not clearly above 0. Use members and non-members that a coin separated."
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
        if ruled_out := int(np.isneginf(self.inside[:, 0]).sum() + np.isneginf(self.outside[:, 0]).sum()):
            yield f"{ruled_out} examples that the model rules out (minus infinity) are ranked lowest."
        if self.unscored:
            yield f"{self.unscored} examples had nothing to score and were left out."
