"""What each unit of a sample adds to a number, kept beside it so that two runs that share units are compared in pairs."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence

from audit.core.measurements import Evidence
from audit.core.rows import Vector

UNITS = "units"
"""The kind of evidence that holds them: no reader looks at it, ``audit compare`` does."""


def unit_names(texts: Iterable[str | None]) -> list[str]:
    """Return a name for each text: the same text, the same name in any run."""
    return [
        hashlib.blake2b((text or "").encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()
        for text in texts
    ]


def units_evidence(
    names: Sequence[str],
    *,
    value: Vector | None = None,
    numerator: Vector | None = None,
    denominator: Vector | None = None,
) -> Evidence:
    """Return what each named unit adds: a ``value`` to a mean, or a ``numerator`` and ``denominator`` to a ratio of sums."""
    import pyarrow as pa

    given = {"value": value, "numerator": numerator, "denominator": denominator}
    columns = {name: pa.array(column, pa.float64()) for name, column in given.items() if column is not None}
    return Evidence(UNITS, "what each unit adds", pa.table({"unit": list(names), **columns}), sensitive=False)
