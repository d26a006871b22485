"""How well samples cover the real rows of each kind: coverage, over what samples of the same distribution would reach."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from audit.core.errors import UndefinedError
from audit.core.recipes import Context, Recipe, Shards
from audit.core.summaries import merged
from audit.recipes.labelled import FEWEST, Attributes
from audit.recipes.neighbours import Pairs
from audit.stats.fidelity import Neighbourhoods, expected_coverage
from audit.stats.halving import Flags, halving_errors, share_interval
from audit.stats.neighbours import Nearest

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class GroupCovered:
    """The coverage of each kind over the expected one, with its interval, and that of the least covered kind; lists (kinds,).

    ``lowest_low`` and ``lowest_high`` bound the least of all; ``reason`` says why there is nothing, and is empty otherwise.
    """

    reason: str
    kinds: tuple[str, ...]
    sizes: NDArray[np.int64]
    values: Floats
    low: Floats
    high: Floats
    lowest_low: float
    lowest_high: float
    expected: float


@dataclass(frozen=True)
class GroupCoverage(Recipe[GroupCovered]):
    """For every kind of real row, the share of its balls (to the ``k``-th real neighbour) that hold a sample, over the expected share."""

    kind: ClassVar[str] = "group-coverage"
    version: ClassVar[int] = 2
    samples: Recipe[Nearest]
    real: Recipe[Nearest]
    pairs: Recipe[Pairs]
    attributes: Recipe[Attributes]
    k: int
    level: float

    @property
    def label(self) -> str:
        return "coverage of each kind"

    def make(
        self,
        context: Context,
        samples: Shards[Nearest],
        real: Shards[Nearest],
        pairs: Shards[Pairs],
        attributes: Shards[Attributes],
    ) -> GroupCovered:
        near, theirs = merged(pairs), merged(real)
        members = {
            f"{column.name} {kind}": column.codes == place
            for column in attributes[0].columns
            for place, kind in enumerate(column.kinds)
        }
        if not members or not theirs.distances.any():
            why = (
                "no group column has two kinds of twenty rows"
                if not members
                else "all real rows have the same features"
            )
            nothing = np.empty(0)
            return GroupCovered(why, (), np.empty(0, np.int64), nothing, nothing, nothing, 0.0, 0.0, 0.0)
        found = Neighbourhoods(theirs, merged(samples), (near.other, near.row, near.distance), self.k)
        return _covered(found, members, context.rng(), self.level)


def _covered(
    found: Neighbourhoods, members: dict[str, Flags], rng: np.random.Generator, level: float
) -> GroupCovered:
    n, m = len(found.real.radii), len(found.generated.radii)
    each = np.stack(list(members.values()))

    def shares(kept: Sequence[Flags] | None = None) -> Floats:
        """Return the coverage of each kind, over the expected one at the sizes of what is kept."""
        inside = np.ones(n, np.bool_) if kept is None else kept[0]
        size = m if kept is None else int(kept[1].sum())
        covered = found.covered(kept)
        rows = (each & inside).sum(axis=1)
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.asarray(
                (each & covered).sum(axis=1) / rows / expected_coverage(int(inside.sum()), size, found.k)
            )

    values, sizes = shares(), each.sum(axis=1)
    if int(sizes.min()) < FEWEST:
        raise UndefinedError(f"a kind has fewer than {FEWEST} real rows")
    errors, expected = halving_errors(shares, (n, m), rng), expected_coverage(n, m, found.k)

    def bounds(confidence: float) -> tuple[Floats, Floats]:
        ends = [
            share_interval(float(v * expected), float(e * expected), int(rows), confidence)
            for v, e, rows in zip(values, errors, sizes, strict=True)
        ]
        return np.array([i.low for i in ends]) / expected, np.array([i.high for i in ends]) / expected

    (low, high), (least, most) = bounds(level), bounds(1 - (1 - level) / len(members))
    return GroupCovered(
        "", tuple(members), sizes, values, low, high, float(least.min()), float(most.min()), expected
    )
