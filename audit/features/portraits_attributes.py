"""The factors of portraits, read from their pixels, with the reader's own error rates beside it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np

from audit.core.errors import InputError, nearest
from audit.core.references import Attribute, ExtractorRef
from audit.core.rows import Matrix, Rows
from audit.included.families.attributes.reader import Reader
from audit.included.training.progress import Progress
from audit.included.training.recipe import RECIPES, recorded

_NAME = "portraits-attributes"


class PortraitsAttributes:
    """The probability of every value of the twelve factors of the world 'portraits', as an included network reads them.

    ``columns`` names them: ``factor=value``. The network errs; ``confusion`` says how often, on people it has
    not seen. Rates measured with it are to be corrected with these (Rogan, Gladen 1978), and hold for pictures like
    the world's: what a generator draws badly may be read worse. Input 32×32, others are scaled (bilinear,
    antialiased); values are bytes / 127.5 - 1.
    """

    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    @classmethod
    def columns(cls) -> tuple[str, ...]:
        """Return the name of each feature, in order."""
        return tuple(recorded(_NAME).sizes["columns"])

    @classmethod
    def confusion(cls, factor: str) -> Matrix:
        """Return how often each true value (rows) was read as each value (columns) on held-out people: counts."""
        known = _counted()
        if factor not in known:
            raise InputError(f"'{_NAME}' reads no factor '{factor}'. {nearest(factor, known)}")
        return np.asarray(known[factor], dtype=np.float64)

    @classmethod
    def refer(cls) -> ExtractorRef:
        return replace(Reader.extractor(_NAME, len(cls.columns())), attributes=_attributes())

    @classmethod
    def open(cls, ref: ExtractorRef, device: str) -> PortraitsAttributes:
        ref.check_same_as(cls.refer())
        return cls(Reader.shipped(device))

    @classmethod
    def train(cls, out: Path, *, resume: bool = True) -> Iterator[Progress]:
        """Train the reader by its recipe; see :meth:`audit.included.model.Shipped.train`."""
        return Reader.train(out, resume=resume)

    def extract(self, rows: Rows) -> Matrix:
        """Return probabilities of shape (rows, values of all factors). Raise ValueError for rows that are no images."""
        return np.concatenate(list(self._reader.probabilities(rows).values()), axis=1)


@cache
def _counted() -> dict[str, list[list[int]]]:
    """Return the confusion counts that were made on the holdout when the reader was trained, by factor."""
    found: dict[str, list[list[int]]] = json.loads(
        (RECIPES / _NAME / "confusion.json").read_text(encoding="utf-8")
    )
    return found


@cache
def _attributes() -> tuple[Attribute, ...]:
    """Return every factor with its values and its confusion counts, in the order of the columns."""
    values: dict[str, list[str]] = {}
    for column in PortraitsAttributes.columns():
        factor, _, value = column.partition("=")
        values.setdefault(factor, []).append(value)
    counted = _counted()
    return tuple(
        Attribute(name, tuple(listed), tuple(tuple(row) for row in counted.get(name, ())))
        for name, listed in values.items()
    )
