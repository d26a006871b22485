"""What gaps between groups come to: the attributes, the largest gap of each, and how they are reported."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from audit.core.evaluators import About
from audit.core.measurements import Evidence, Interval, Outcome
from audit.stats.group_quality import Gap


@dataclass(frozen=True, slots=True)
class Column:
    """One attribute: its groups that have enough rows, how many rows of each were compared, and its gaps.

    ``without`` says of a measure why it has no value here.
    """

    name: str
    kinds: tuple[str, ...]
    sizes: NDArray[np.int64]
    gaps: tuple[Gap, ...]
    without: tuple[tuple[str, str], ...]

    @property
    def total(self) -> int:
        return int(self.sizes.sum())

    def gap(self, measure: str) -> Gap | None:
        return next((g for g in self.gaps if g.measure == measure), None)


@dataclass(frozen=True, slots=True)
class Parity:
    """Every attribute of which two groups could be compared, and sentences about what was left out."""

    columns: tuple[Column, ...]
    left_out: tuple[str, ...]

    def worst(self, measure: str) -> Column | None:
        """Return the attribute whose gap is surest: the one with the greatest lower bound, of several the largest gap."""
        with_it = [(gap, column) for column in self.columns if (gap := column.gap(measure)) is not None]
        return max(with_it, key=lambda pair: (pair[0].spread.low, pair[0].largest))[1] if with_it else None


def outcomes(
    about: About,
    measure: str,
    parity: Parity,
    level: float,
    caption: str,
    shown: Sequence[Evidence] = (),
) -> Iterator[Outcome]:
    """Yield the largest gap over all attributes, then that of each with a table of its groups.

    The first number is that of the attribute with the greatest lower bound; its interval reaches from the greatest lower to the greatest
    upper bound, which holds where those of all attributes do.
    """
    worst = parity.worst(measure)
    unread = [text for c in parity.columns for name, text in c.without if name == measure]
    if worst is None:
        yield about.undefined(
            measure, " ".join(unread or parity.left_out) or "there is no attribute to look at"
        )
        return
    columns = [(c, gap) for c in parity.columns if (gap := c.gap(measure)) is not None]
    surest = next(gap for c, gap in columns if c is worst)
    ends = [gap.spread for _, gap in columns]
    bounds = Interval(
        max(e.low for e in ends),
        max(e.high for e in ends),
        level,
        f"{surest.spread.method}; Bonferroni over {len(ends)} attributes",
    )
    notes = (
        f"Greatest lower bound: {worst.name}, {worst.kinds[surest.worst]} worse than {worst.kinds[surest.best]}.",
        *(f"Not measured: {text}." for text in unread),
        *parity.left_out,
    )
    yield about.measurement(measure, surest.largest, bounds, worst.total, notes=notes, evidence=shown)
    for column, gap in columns:
        said = f"{column.kinds[gap.worst]} is worse than {column.kinds[gap.best]}, of {len(column.kinds)} groups."
        yield about.measurement(
            measure,
            gap.largest,
            gap.spread,
            column.total,
            group=(("attribute", column.name),),
            notes=(said,),
            evidence=(_table(column, gap, caption),),
        )


def _table(column: Column, gap: Gap, caption: str) -> Evidence:
    import pyarrow as pa

    columns = {
        "label": list(column.kinds),
        "value": gap.values.round(4),
        "low": gap.low.round(4),
        "high": gap.high.round(4),
        "rows": column.sizes,
    }
    return Evidence("intervals", f"{caption}, by {column.name}", pa.table(columns), sensitive=False)
