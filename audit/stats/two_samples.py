"""Every score of generated against real features in one go: Fréchet distance, KID, precision, recall, density, coverage.

The products of the rows are what takes the time, and kernel sums, neighbour lists and near pairs are all made of them: here each tile of
products is computed once and seen by all three. Values are those that ``frechet_distance``, ``kid`` and ``Neighbourhoods`` give alone.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from audit.stats.fidelity import METRICS, Neighbourhoods, listed
from audit.stats.frechet import frechet_distance
from audit.stats.kernel_values import cubic
from audit.stats.kernels import Discrepancy, Growing, RowSums, discrepancy, kid, refuse_flat
from audit.stats.moments import Moments
from audit.stats.neighbours import Near, Nearest, Proposed
from audit.stats.products import Centred, across, within


@dataclass(frozen=True, slots=True)
class TwoSamples:
    """What the scores of two samples are made of."""

    generated: Moments
    real: Moments
    kid: Discrepancy
    neighbourhoods: Neighbourhoods

    @classmethod
    def compared(cls, generated: ArrayLike, real: ArrayLike, k: int = 5) -> TwoSamples:
        """Compare generated rows (n, d) with real rows (m, d); ``k`` neighbours make a ball. O((n + m)^2 d) time, memory of a tile.

        >>> rng = np.random.default_rng(0)
        >>> found = TwoSamples.compared(rng.normal(size=(200, 8)), rng.normal(size=(200, 8)))
        >>> sorted(found.scores())
        ['clipped_coverage', 'clipped_density', 'coverage', 'density', 'frechet', 'kid', 'precision', 'recall']

        Raises UndefinedError for features that are not finite, for fewer than eight rows a side or no more than k, and where all real rows
        are alike.
        """
        x, y = np.asarray(generated), np.asarray(real)
        if x.ndim != 2 or y.ndim != 2 or x.shape[1] != y.shape[1]:
            raise ValueError(f"samples of shape {x.shape} and {y.shape} do not compare")
        moments = Moments.of(x), Moments.of(y)
        ours, theirs = Centred.pair(x, y)
        if min(len(x), len(y)) <= listed(k) or not cubic.is_single(ours, theirs):
            return cls(*moments, kid(x, y), Neighbourhoods.between(y, x, k))
        refuse_flat(moments[1])
        xx, generated_nearest = _within(x, ours, k)
        yy, real_nearest = _within(y, theirs, k)
        near = Near(y, x, theirs, ours, real_nearest.radii, generated_nearest.radii)
        yx, xy = Growing.of(len(y)), Growing.of(len(x))
        for rows, columns, products in across(theirs, ours):
            near.see(rows, columns, products)
            values = cubic.of_products(products, theirs.part(rows), ours.part(columns))
            yx.add(rows, columns, values.astype(np.float64), xy)
        found = discrepancy(xx, xy.sums, yx.sums, yy)
        return cls(*moments, found, Neighbourhoods(real_nearest, generated_nearest, near.pairs, k))

    def scores(self) -> dict[str, float]:
        """Return each score under its name; ``density`` and ``clipped_density`` as they come, above 1 where samples crowd."""
        metrics = self.neighbourhoods.metrics()
        return {
            "frechet": frechet_distance(self.generated, self.real),
            "kid": self.kid.value,
            **{name: float(value) for name, value in zip(METRICS, metrics, strict=False)},
        }


def _within(rows: np.ndarray, centred: Centred, k: int) -> tuple[RowSums, Nearest]:
    """Return the kernel sums and the neighbour lists of one sample."""
    sums = Growing.of(len(rows))
    proposed = Proposed.of(centred, centred, listed(k), own=True)
    for tile, columns, products in within(centred):
        proposed.see(tile, columns, products)
        values = cubic.of_products(products, centred.part(tile), centred.part(columns))
        sums.add(tile, columns, values.astype(np.float64), sums)
    return sums.sums, Nearest(*proposed.settled(rows, rows))
