"""What every dataset and every feature extractor promise."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from audit.core.identity import canonical
from audit.core.rows import Rows
from audit.core.subjects import DataCard
from audit.store import codec
from audit.testing.refusals import check_refusal


def check_dataset(loader: type[Any], options: Mapping[str, Any]) -> DataCard:
    """Check a loader on one dataset and return its card."""
    ref = loader.refer(dict(options))
    assert loader.refer(dict(options)) == ref, "the same options name the same data"
    canonical(ref)
    check_refusal(lambda: loader.refer({**options, "no_such_option": 1}), "no_such_option")
    card: DataCard = loader.describe(ref)
    assert card.splits, "there is at least one split"
    for split, rows in card.splits:
        loaded = loader.load(ref, split)
        assert loaded.num_rows == rows, f"split {split} has as many rows as described"
        assert codec.encode(loader.load(ref, split)) == codec.encode(loaded), "rows come in the same order"
        for group in card.groups:
            assert group in loaded.column_names, f"group column {group} is there"
    check_refusal(lambda: loader.load(ref, "no_such_split"), "no_such_split")
    _check_disjoint(loader, ref, card)
    return card


def _check_disjoint(loader: type[Any], ref: Any, card: DataCard) -> None:
    """Real data hold a few equal examples; a split that shares a twentieth of another one's rows is no split."""
    rows = {
        split: {codec.encode(loaded.slice(i, 1)) for i in range(loaded.num_rows)}
        for split, loaded in ((split, loader.load(ref, split)) for split, _ in card.splits)
    }
    for one, first in rows.items():
        for other, second in rows.items():
            if one < other and first and second:
                shared = len(first & second) / min(len(first), len(second))
                assert shared < 0.05, f"splits {one} and {other} share {shared:.0%} of their rows"


def check_extractor(extractor: type[Any], rows: Rows) -> None:
    """Check an extractor on some rows of its modality."""
    ref = extractor.refer()
    assert extractor.refer() == ref, "an extractor always has the same name"
    opened = extractor.open(ref, "cpu")
    features = np.asarray(opened.extract(rows))
    assert features.shape == (rows.num_rows, ref.dimensions), "one vector per row, of the stated length"
    assert np.isfinite(features).all(), "features are finite"
    np.testing.assert_array_equal(features, opened.extract(rows), err_msg="the same features again")
    alone = np.concatenate([opened.extract(rows.slice(i, 1)) for i in range(rows.num_rows)])
    np.testing.assert_allclose(alone, features, atol=1e-6, err_msg="a batch of one equals a batch of many")
