"""Runs are compared in pairs where they share units, and runs that have nothing in common are refused."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from audit.core.errors import InputError
from audit.core.identity import Digest
from audit.core.measurements import Direction, Measurement
from audit.core.units import unit_names, units_evidence
from audit.engine.comparison import Change, compare
from audit.stats.ratios import ratio_of_sums


class Kept:
    """Evidence by digest."""

    def __init__(self) -> None:
        self.rows: dict[str, Any] = {}

    def __call__(self, digest: Digest) -> Any:
        return self.rows.get(digest)


def measurement(bits: np.ndarray, size: np.ndarray, names: list[str], kept: Kept, key: str) -> Measurement:
    found = ratio_of_sums(bits, size)
    units = units_evidence(names, numerator=bits, denominator=size)
    kept.rows[key] = units.content
    return Measurement(
        "quality.bits_per_byte", found.value, found.interval(), len(bits), Direction.LOWER_IS_BETTER,
        evidence=(replace(units, content=Digest(key)),),
    )  # fmt: skip


def runs(sample: Any, gain: float) -> tuple[Any, Any, Kept]:
    """Two models on the same documents: which are hard is shared, and the second needs ``gain`` bits a byte more."""
    rng, kept = np.random.default_rng(0), Kept()
    size = rng.integers(200, 2000, 300).astype(float)
    hard = rng.normal(1.0, 0.4, 300)
    names = unit_names(str(i) for i in range(300))
    one = measurement(size * (hard + rng.normal(0, 0.01, 300)), size, names, kept, "a")
    order = rng.permutation(300)
    other = size * (hard + gain + rng.normal(0, 0.01, 300))
    two = measurement(other[order], size[order], [names[i] for i in order], kept, "b")
    bare = replace(sample.record, judgements=(), undefined=(), controls=())
    return replace(bare, measurements=(one,)), replace(bare, run="second", measurements=(two,)), kept


def test_shared_units_are_compared_in_pairs_whatever_their_order(sample: Any) -> None:
    first, second, kept = runs(sample, 0.004)
    (paired,) = compare(first, second, kept).differences
    (alone,) = compare(first, second).differences
    assert paired.shared == 300
    assert paired.uncertainty.low < 0.004 < paired.uncertainty.high  # type: ignore[union-attr]
    assert paired.change is Change.WORSE
    assert alone.change is Change.WITHIN_NOISE, "taken as strangers the runs hide a difference that is there"
    width = alone.uncertainty.half_width / paired.uncertainty.half_width  # type: ignore[union-attr]
    assert width > 10


def test_a_difference_that_is_not_there_is_not_found(sample: Any) -> None:
    first, second, kept = runs(sample, 0.0)
    (paired,) = compare(first, second, kept).differences
    assert paired.change is Change.WITHIN_NOISE


def test_units_that_are_gone_or_not_shared_fall_back_to_independent_runs(sample: Any) -> None:
    first, second, kept = runs(sample, 0.004)
    del kept.rows["b"]
    assert compare(first, second, kept).differences[0].shared == 0
    first, second, kept = runs(sample, 0.004)
    table = kept.rows["b"]
    kept.rows["b"] = table.set_column(0, "unit", [[f"other {i}" for i in range(300)]])
    assert compare(first, second, kept).differences[0].shared == 0


def test_runs_of_different_modalities_are_refused(sample: Any) -> None:
    text = replace(sample.record, model={**sample.record.model, "modality": "text"})
    with pytest.raises(InputError, match="nothing in them compares"):
        compare(sample.record, text)
