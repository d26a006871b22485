"""The rows that a recipe trains on, found again and checked."""

from __future__ import annotations

from importlib.metadata import entry_points

from audit.core.errors import InputError
from audit.core.references import DataRef
from audit.core.rows import Rows
from audit.included.training.recipe import TrainingData


def reference_of(data: TrainingData) -> DataRef:
    """Return the dataset of a recipe as it is here. Raise InputError when its bytes are not those of the recipe."""
    entry, *_ = entry_points(group="audit.datasets", name=data.use)
    ref: DataRef = entry.load().refer(dict(data.options))
    if ref.content != data.content:
        raise InputError(
            f"The dataset '{data.use}' here has the digest {ref.content}, the recipe was recorded with "
            f"{data.content}. Install the version of the package or of the data that the recipe was made with."
        )
    return ref


def named(data: TrainingData) -> DataRef:
    """Return the name of a recipe's dataset, also where the dataset itself is not here.

    Then the recipe's own record stands, so it has to name every option.
    """
    try:
        return reference_of(data)
    except InputError:
        return DataRef(data.use, data.content, data.options)


def rows_of(data: TrainingData, split: str | None = None) -> Rows:
    """Return the rows that a recipe trains on, or another split as it is: what a recipe leaves out is left out of training."""
    import pyarrow as pa
    import pyarrow.compute as pc

    entry, *_ = entry_points(group="audit.datasets", name=data.use)
    rows = entry.load().load(reference_of(data), split or data.split)
    if split not in (None, data.split):
        return rows
    for column, values in data.only:
        rows = rows.filter(pc.is_in(rows.column(column), pa.array(values)))
    if data.rows:
        rows = rows.slice(0, data.rows)
    if not rows.num_rows:
        raise InputError(f"The recipe's filter leaves no row of the split '{split or data.split}'.")
    return rows
