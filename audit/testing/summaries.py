"""The laws of summaries: merging shards equals summarising the whole, and merging is associative."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from audit.core.summaries import merged
from audit.store import codec


def check_summary(summary: type[Any], shards: Sequence[Any], whole: Any, *, tolerance: float = 1e-9) -> None:
    """Check the laws of one summary on one way of cutting a batch into at least three shards."""
    assert len(shards) >= 3, "associativity needs three shards"
    parts = [summary.of(shard) for shard in shards]
    layout = vars(summary).get("__dataclass_params__")
    assert layout is not None, f"{summary.__name__} is a dataclass"
    assert layout.frozen, f"{summary.__name__} is frozen"
    _close(merged(parts), summary.of(whole), tolerance, "merging shards equals summarising the whole")
    left = parts[0].merge(parts[1]).merge(parts[2])
    right = parts[0].merge(parts[1].merge(parts[2]))
    _close(left, right, tolerance, "merging is associative")
    data = codec.encode(parts[0])
    _close(codec.decode(summary, data), parts[0], 0.0, "a stored summary is the same summary")
    assert codec.encode(summary.of(shards[0])) == data, "the same batch gives the same bytes"


def _close(found: Any, wanted: Any, tolerance: float, law: str) -> None:
    for field in dataclasses.fields(wanted):
        a, b = getattr(found, field.name), getattr(wanted, field.name)
        if dataclasses.is_dataclass(b) and not isinstance(b, type):
            _close(a, b, tolerance, law)
        elif isinstance(b, (np.ndarray, float, int, np.number)):
            np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance, err_msg=f"{law}: {field.name}")
        elif isinstance(b, (tuple, list)) and b and dataclasses.is_dataclass(b[0]):
            for one, other in zip(a, b, strict=True):
                _close(one, other, tolerance, law)
        else:
            assert a == b, f"{law}: {field.name} is {a!r}, not {b!r}"
