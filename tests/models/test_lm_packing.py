"""Packing: every scored token once, nothing seen that should not be."""

from __future__ import annotations

import numpy as np
import pytest

from audit.models.lm.packing import Window, batches


def windows_of(sequences: list[list[int]], firsts: list[int] | None = None) -> list[Window]:
    found, slot = [], 0
    for tokens, first in zip(sequences, firsts or [0] * len(sequences), strict=True):
        found.append(Window(np.array(tokens), first, slot))
        slot += max(len(tokens) - 1 - first, 0)
    return found


def contexts(found: list[Window], budget: int, widest: int) -> dict[int, tuple[list[int], int]]:
    """Return, by slot, the tokens that the batch lets a scored token see, in order of position, and the token."""
    seen: dict[int, tuple[list[int], int]] = {}
    for batch in batches(found, budget, widest):
        width = batch.ids.shape[1]
        for slot, edge in zip(batch.slots, batch.edges, strict=True):
            row, column = divmod(int(batch.inputs[edge]), width)
            if batch.visible is None or batch.positions is None:
                visible = np.arange(column + 1)
            else:
                visible = np.flatnonzero(batch.visible[row, column])
                order = batch.positions[row, visible]
                assert sorted(order) == list(range(len(visible)))
                visible = visible[np.argsort(order)]
            assert slot not in seen
            seen[int(slot)] = (batch.ids[row, visible].tolist(), int(batch.targets[edge]))
    return seen


@pytest.mark.parametrize("widest", [0, 8, 64, 2048])
@pytest.mark.parametrize("budget", [1, 50, 4000])
def test_each_scored_token_sees_exactly_what_comes_before_it(widest: int, budget: int) -> None:
    rng = np.random.default_rng(widest + budget)
    sequences = [rng.integers(0, 3, rng.integers(0, 30)).tolist() for _ in range(80)]
    sequences += [[1, 2, 3], [1, 2, 3], [1, 2], [1, 2, 3, 4]]
    long = rng.integers(0, 9, 200).tolist()
    sequences += [[*long, 1, 2], [*long, 1, 3, 4], rng.integers(0, 9, 300).tolist()]
    firsts = [int(rng.integers(0, max(1, len(s)))) for s in sequences]
    found = windows_of(sequences, firsts)
    seen = contexts(found, budget, widest)
    expected = {
        window.slot + i - window.first: (window.tokens[: i + 1].tolist(), int(window.tokens[i + 1]))
        for window in found
        for i in range(window.first, window.inputs)
    }
    assert seen == expected


def test_a_shared_beginning_is_computed_once() -> None:
    pairs = [[7, *range(10, 30), 40 + k, 50] for k in range(2)]
    (batch,) = batches(windows_of(pairs), 2048, 2048)
    assert batch.ids.size == 21 + 2
    assert len(batch.inputs) == 20 + 2 + 2


def test_long_texts_that_share_half_become_one_row() -> None:
    common = list(range(600))
    found = windows_of([[*common, 1, 5], [*common, 2, 5]])
    (batch,) = batches(found, 2048, 2048)
    assert batch.visible is not None
    assert batch.ids.size == 602


def test_the_packing_is_the_same_every_time() -> None:
    rng = np.random.default_rng(0)
    found = windows_of([rng.integers(0, 3, 20).tolist() for _ in range(50)])
    for a, b in zip(batches(found, 500, 2048), batches(found, 500, 2048), strict=True):
        np.testing.assert_array_equal(a.ids, b.ids)
        np.testing.assert_array_equal(a.slots, b.slots)
