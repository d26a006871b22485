"""Factors of portraits as columns: one per value, named ``factor=value``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from audit.core.rows import Rows


def factors_in(columns: Sequence[str]) -> Mapping[str, tuple[str, ...]]:
    """Return the values of each factor, in order.

    >>> factors_in(("age=child", "age=adult", "hair=bun"))
    {'age': ('child', 'adult'), 'hair': ('bun',)}
    """
    found: dict[str, tuple[str, ...]] = {}
    for column in columns:
        factor, _, value = column.partition("=")
        found[factor] = (*found.get(factor, ()), value)
    return found


def codes_of(rows: Rows, columns: Sequence[str]) -> NDArray[np.uint8]:
    """Return the number of each row's value among those of its factor, shape (n, factors)."""
    codes = [
        [values.index(value) for value in rows.column(factor).to_pylist()]
        for factor, values in factors_in(columns).items()
    ]
    return np.array(codes, np.uint8).T.reshape(rows.num_rows, -1)


def checked_codes(codes: NDArray[np.generic], columns: Sequence[str]) -> NDArray[np.uint8]:
    """Return codes as they should be: at least one row, a known value of every factor. Raise ValueError otherwise."""
    sizes = [len(values) for values in factors_in(columns).values()]
    if codes.dtype != np.uint8 or codes.ndim != 2 or codes.shape[1] != len(sizes) or not len(codes):
        raise ValueError(
            f"its people have shape {codes.shape} and type {codes.dtype}, not (n, {len(sizes)}) uint8"
        )
    found = codes.astype(np.uint8)
    if (found >= np.array(sizes)).any():
        raise ValueError("its people have values that no factor has")
    return found


def shares_of(codes: NDArray[np.uint8], columns: Sequence[str]) -> NDArray[np.float32]:
    """Return ones at the values of each row and zeros elsewhere, shape (n, columns).

    >>> shares_of(np.array([[1, 0]], np.uint8), ("age=child", "age=adult", "hair=bun"))
    array([[0., 1., 1.]], dtype=float32)
    """
    sizes = [len(values) for values in factors_in(columns).values()]
    starts = np.concatenate([[0], np.cumsum(sizes)[:-1]]).astype(int)
    found = np.zeros((len(codes), len(columns)), np.float32)
    np.put_along_axis(found, codes + starts, 1.0, axis=1)
    return found
