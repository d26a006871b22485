"""Kernels of rows of features, by tiles: in single precision, from products of centred rows, where that gives the same sums.

Single precision takes half the time. What it rounds is not common to a row, so it averages out of sums: unbiased discrepancies differ
from those in double precision by less than a thousandth of their standard errors (``tests/stats/test_products.py``).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from audit.stats.products import Centred, Singles, above_diagonal, across, crossing, within

Floats = NDArray[np.float64]

FEW = 1 << 20
"""So many pairs or fewer take double precision: there is no time to be won, and few values for rounding to average out over."""
_FAR = 100.0
"""Single precision is not used where the centre's mean square is larger: products would be all offset."""
_WIDEST = 1e6
"""Nor where a centred row's mean square is larger: its cube would leave the range."""
_ERROR = 1e-3
"""In single precision a Gaussian kernel's squared distances may be off by this share of the squared bandwidth, no more."""


Kernel: TypeAlias = Callable[[Floats, Floats], Floats]


class TiledKernel(Protocol):
    """A symmetric kernel that can be made of the products of centred rows in single precision, too."""

    def __call__(self, x: Floats, y: Floats) -> Floats:
        """Return the kernel of each pair of rows x (n, d) and y (m, d), shape (n, m)."""
        ...

    def of_products(self, products: Singles, x: Centred, y: Centred) -> Singles:
        """Return the same from the products (n, m) of centred rows, which stay as they are."""
        ...

    def is_single(self, x: Centred, y: Centred) -> bool:
        """Whether single precision gives what double precision gives but for rounding that averages out."""
        ...


def _add(values: Singles, of_rows: Floats, of_columns: Floats) -> None:
    """Add a number to each row and each column of single-precision values in place, rounding each sum once.

    The numbers are split at a step so coarse that sums of whole steps are exact, and what is left of them is added to the small values
    first: else one rounding would be common to a whole row or column, and would not average out.
    """
    largest = float(np.abs(of_rows).max(initial=1e-30) + np.abs(of_columns).max(initial=1e-30))
    step = 2.0 ** (math.ceil(math.log2(largest)) - 20)
    rows, columns = (np.rint(numbers / step) * step for numbers in (of_rows, of_columns))
    values += (of_rows - rows).astype(np.float32)[:, None]
    values += (of_columns - columns).astype(np.float32)
    values += rows.astype(np.float32)[:, None]
    values += columns.astype(np.float32)


class _Cubic:
    """``(x'y / d + 1)^3``: the kernel of KID (Bińkowski et al. 2018)."""

    def __call__(self, x: Floats, y: Floats) -> Floats:
        products = x @ y.T
        products /= x.shape[1]
        products += 1.0
        return np.asarray(products * products * products)

    def of_products(self, products: Singles, x: Centred, y: Centred) -> Singles:
        columns = x.rows.shape[1]
        values = products * np.float32(1 / (x.unit * x.unit * columns))
        _add(values, 1 + x.offset / columns, y.offset / columns)
        squares = values * values
        squares *= values
        return np.asarray(squares)

    def is_single(self, x: Centred, y: Centred) -> bool:
        columns = x.rows.shape[1]
        widest = max(float(x.norms.max(initial=0.0)), float(y.norms.max(initial=0.0)))
        return bool(x.centre @ x.centre <= _FAR * columns and widest <= _WIDEST * columns * x.unit * x.unit)


cubic = _Cubic()


@dataclass(frozen=True, slots=True)
class _Gaussian:
    bandwidth: float

    def __call__(self, x: Floats, y: Floats) -> Floats:
        squares = np.square(x).sum(axis=1)[:, None] + np.square(y).sum(axis=1) - 2 * x @ y.T
        return np.asarray(np.exp(np.maximum(squares, 0.0) / (-2 * self.bandwidth**2)))

    def of_products(self, products: Singles, x: Centred, y: Centred) -> Singles:
        values = products * np.float32(-2)
        _add(values, x.norms, y.norms)
        np.maximum(values, 0.0, out=values)
        values *= np.float32(-0.5 / (self.bandwidth * x.unit) ** 2)
        return np.asarray(np.exp(values, out=values))

    def is_single(self, x: Centred, y: Centred) -> bool:
        widest = float(x.norms.max(initial=0.0)) + float(y.norms.max(initial=0.0))
        return x.rounding * widest <= _ERROR * (self.bandwidth * x.unit) ** 2


def gaussian(bandwidth: float) -> TiledKernel:
    """Return the kernel ``exp(-|x - y|^2 / (2 bandwidth^2))``."""
    if not bandwidth > 0:
        raise ValueError(f"a bandwidth is positive, not {bandwidth}")
    return _Gaussian(bandwidth)


def kernel_values(
    x: Floats, y: Floats, kernel: TiledKernel, *, same: bool, pairs: int | None = None
) -> Iterator[tuple[slice, slice, Floats]]:
    """Yield the kernel's values for each tile of rows of x and of y, made in single precision where that is enough.

    Of one sample with itself each pair comes once, in tiles on the diagonal and above it. ``pairs`` is their number in the whole samples
    where x and y are parts: single precision is for many.
    """
    if (len(x) * len(y) if pairs is None else pairs) > FEW:
        ours, theirs = Centred.pair(x, x if same else y)
        if kernel.is_single(ours, theirs):
            for rows, columns, products in within(ours) if same else across(ours, theirs):
                made = kernel.of_products(products, ours.part(rows), theirs.part(columns))
                yield rows, columns, made.astype(np.float64)
            return
    for rows, columns in above_diagonal(len(x)) if same else crossing(len(x), len(y)):
        yield rows, columns, kernel(_doubles(x[rows]), _doubles(y[columns]))


def _doubles(rows: NDArray[Any]) -> Floats:
    return np.asarray(rows, dtype=np.float64)
