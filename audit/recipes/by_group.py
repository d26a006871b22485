"""Groups of rows as an attribute classifier reads them or as rows say themselves, and a few rows of each to look at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from audit.core.errors import UndefinedError
from audit.core.recipes import Context, Recipe, Shards
from audit.core.references import Attribute
from audit.core.rows import Rng, Rows
from audit.recipes import labelled
from audit.recipes.attributes import Readings, joined, unlike_anything
from audit.recipes.shown import presentable, rows_at
from audit.stats.shrinkage import LEAST


@dataclass(frozen=True)
class ReadGroups(Recipe[labelled.Attributes]):
    """What a classifier reads in some rows as groups; ``real`` rows say what it is sure of.

    Raises UndefinedError where the rows look like nothing that the classifier was tried on.
    """

    kind: ClassVar[str] = "read-groups"
    readings: Recipe[Readings]
    real: Recipe[Readings]
    attributes: tuple[Attribute, ...]
    chosen: tuple[int, ...]

    @property
    def label(self) -> str:
        return f"groups in {self.readings.label}"

    def make(
        self, context: Context, readings: Shards[Readings], real: Shards[Readings]
    ) -> labelled.Attributes:
        held = joined(readings)
        if reason := unlike_anything(held.strange(joined(real))):
            raise UndefinedError(reason)
        return labelled.Attributes(
            tuple(
                labelled.Attribute(self.attributes[i].name, self.attributes[i].values, held.codes[:, i])
                for i in self.chosen
            )
        )


@dataclass(frozen=True)
class OnlyColumns(Recipe[Rows]):
    """Some columns of rows and nothing else: what a model is asked for, without the example itself."""

    kind: ClassVar[str] = "only-columns"
    along: ClassVar[tuple[str, ...]] = ("rows",)
    rows: Recipe[Rows]
    columns: tuple[str, ...]

    @property
    def label(self) -> str:
        return f"{', '.join(self.columns)} of {self.rows.label}"

    def make(self, context: Context, rows: Rows) -> Rows:
        return rows.select(list(self.columns))


def grid(
    source: Recipe[Rows],
    rows: Shards[Rows],
    attribute: labelled.Attribute,
    each: int,
    rng: Rng,
    order: Sequence[int],
) -> Rows:
    """Return ``each`` rows of every group that has ten, with the column ``group``; ``order`` says which groups, and which first.

    A group of fewer than ten rows is not shown.
    """
    import pyarrow as pa

    chosen: list[NDArray[np.int64]] = []
    names: list[str] = []
    for place in order:
        members = np.flatnonzero(attribute.codes == place)
        if len(members) < LEAST:
            continue
        chosen.append(np.sort(rng.permutation(members)[:each]))
        names += [f"{attribute.name}: {attribute.kinds[place]}"] * len(chosen[-1])
    places = np.concatenate(chosen) if chosen else np.empty(0, np.int64)
    shown = presentable(rows_at(source, rows, places), ())
    return shown.append_column("group", pa.array(names, pa.string()))
