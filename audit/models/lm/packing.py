"""Packs tokenised texts into batches in which padding is rare and a shared beginning is computed once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

T = TypeVar("T")
Ints: TypeAlias = NDArray[np.int64]

NARROW = 128
"""Tokens of a tree of short texts. Attention in a tree is dense, so its cost grows with the width."""
WIDE = 2048
"""Tokens of a tree of long texts, built only where at least half of a text is shared."""


@dataclass(frozen=True, slots=True)
class Window:
    """A run of tokens to be scored: token i + 1 given tokens 0..i, for every i >= ``first``.

    ``slot`` is the place of its first score among all scores.
    """

    tokens: Ints
    first: int
    slot: int

    @property
    def inputs(self) -> int:
        return len(self.tokens) - 1

    @property
    def scored(self) -> int:
        return self.inputs - self.first


@dataclass(frozen=True, slots=True)
class Batch:
    """One forward pass. An *edge* is a next token to be scored at an input; texts that begin alike share edges.

    ``ids`` has shape (rows, width). In a batch of trees ``positions`` has the same shape and ``visible``
    (rows, width, width) says which inputs an input may attend to; both are None in a batch of plain rows,
    which are padded at the end. ``inputs`` (flat) and ``targets`` name the edges; score ``edges[k]`` goes to
    ``slots[k]``.
    """

    ids: Ints
    positions: Ints | None
    visible: NDArray[np.bool_] | None
    inputs: Ints
    targets: Ints
    slots: Ints
    edges: Ints


def batches(windows: Sequence[Window], budget: int, widest_tree: int) -> Iterator[Batch]:
    """Yield batches of about ``budget`` tokens that cover every window once.

    ``widest_tree`` is 0 for a model that cannot take trees. The packing depends on nothing but the arguments.
    """
    scored = [w for w in windows if w.scored > 0]
    narrow, wide = min(NARROW, widest_tree), min(WIDE, widest_tree)
    short = [w for w in scored if w.inputs <= narrow]
    alike, plain = _split_by_sharing([w for w in scored if w.inputs > narrow], wide)
    for kept, width in ((short, narrow), (alike, wide)):
        trees = sorted(_trees(_in_order(kept), width), key=lambda tree: -tree.size)
        for group in _under_budget(trees, [tree.size for tree in trees], budget):
            yield _batch_of_trees(group)
    plain.sort(key=lambda w: (-w.inputs, w.slot))
    for rows in _under_budget(plain, [w.inputs for w in plain], budget):
        yield _batch_of_rows(rows)


def _in_order(windows: Iterable[Window]) -> list[Window]:
    """Return the windows in lexicographic order, in which texts that begin alike are neighbours."""
    return sorted(windows, key=lambda w: (w.tokens.astype(">u4").tobytes(), w.slot))


def shared(a: Ints, b: Ints) -> int:
    """Return how many tokens two sequences have in common at the beginning.

    >>> shared(np.array([1, 2, 3]), np.array([1, 2, 4, 5]))
    2
    """
    n = min(len(a), len(b))
    differ = np.flatnonzero(a[:n] != b[:n])
    return int(differ[0]) if len(differ) else n


def _split_by_sharing(windows: list[Window], widest: int) -> tuple[list[Window], list[Window]]:
    ordered = _in_order(windows)
    common = [0, *(shared(a.tokens, b.tokens) for a, b in pairwise(ordered)), 0]
    alike: list[Window] = []
    plain: list[Window] = []
    for window, before, after in zip(ordered, common, common[1:], strict=False):
        worth = 2 * max(before, after) >= window.inputs and window.inputs <= widest
        (alike if worth else plain).append(window)
    return alike, plain


def _under_budget(items: Sequence[T], widths: Sequence[int], budget: int) -> Iterator[list[T]]:
    """Yield groups of items, widest first, such that rows x width stays within the budget (or one row)."""
    start = 0
    while start < len(items):
        rows = max(1, budget // max(1, widths[start]))
        yield list(items[start : start + rows])
        start += rows


@dataclass(slots=True)
class _Tree:
    """Texts merged where they begin alike: each node is an input token, each edge a scored next token."""

    ids: list[int]
    positions: list[int]
    paths: list[Ints]
    fresh: list[int]
    edge_inputs: list[int]
    edge_targets: list[int]
    edge_paths: list[Ints]
    windows: list[Window]

    @property
    def size(self) -> int:
        return len(self.ids)

    def add(self, window: Window, common: int) -> None:
        """Add a text whose first ``common`` tokens are those of the text added last."""
        tokens, nodes = window.tokens, window.inputs
        kept = min(common, nodes, len(self.paths[-1])) if self.paths else 0
        new = np.arange(self.size, self.size + nodes - kept)
        path = np.concatenate([self.paths[-1][:kept], new]) if self.paths else new
        self.ids.extend(tokens[kept:nodes].tolist())
        self.positions.extend(range(kept, nodes))
        known = max(common - 1, 0) if self.paths else 0
        first = len(self.edge_inputs)
        edges = np.arange(first, first + nodes - known)
        self.edge_inputs.extend(path[known:].tolist())
        self.edge_targets.extend(tokens[known + 1 :].tolist())
        self.edge_paths.append(np.concatenate([self.edge_paths[-1][:known], edges]) if self.paths else edges)
        self.paths.append(path)
        self.fresh.append(kept)
        self.windows.append(window)


def _trees(ordered: Sequence[Window], capacity: int) -> Iterator[_Tree]:
    tree: _Tree | None = None
    for window in ordered:
        common = 0
        if tree is not None:
            last = tree.windows[-1]
            common = shared(last.tokens, window.tokens)
            if tree.size + window.inputs - min(common, window.inputs, last.inputs) > capacity:
                yield tree
                tree, common = None, 0
        if tree is None:
            tree = _Tree([], [], [], [], [], [], [], [])
        tree.add(window, common)
    if tree is not None:
        yield tree


def _batch_of_trees(trees: Sequence[_Tree]) -> Batch:
    width = max(tree.size for tree in trees)
    ids = np.zeros((len(trees), width), np.int64)
    positions = np.zeros_like(ids)
    visible = np.zeros((len(trees), width, width), np.bool_)
    inputs, targets, slots, edges = [], [], [], []
    edges_before = 0
    for row, tree in enumerate(trees):
        ids[row, : tree.size] = tree.ids
        positions[row, : tree.size] = tree.positions
        _mark_visible(visible[row], tree)
        inputs.append(np.asarray(tree.edge_inputs, np.int64) + row * width)
        targets.append(np.asarray(tree.edge_targets, np.int64))
        for window, path in zip(tree.windows, tree.edge_paths, strict=True):
            slots.append(np.arange(window.slot, window.slot + window.scored))
            edges.append(path[window.first :] + edges_before)
        edges_before += len(tree.edge_inputs)
    flat_inputs, flat_targets, flat_edges = map(np.concatenate, (inputs, targets, edges))
    wanted, renumbered = np.unique(flat_edges, return_inverse=True)
    return Batch(
        ids, positions, visible, flat_inputs[wanted], flat_targets[wanted], np.concatenate(slots), renumbered
    )


def _mark_visible(visible: NDArray[np.bool_], tree: _Tree) -> None:
    """Let every node see itself and its ancestors; padding sees itself, so that no softmax is empty."""
    np.fill_diagonal(visible, val=True)
    for path, kept in zip(tree.paths, tree.fresh, strict=True):
        new = path[kept:]
        if len(new):
            start, stop = int(new[0]), int(new[-1]) + 1
            visible[start:stop, path[:kept]] = True
            visible[start:stop, start:stop] = np.tri(stop - start, dtype=np.bool_)


def _batch_of_rows(windows: Sequence[Window]) -> Batch:
    width = max(window.inputs for window in windows)
    ids = np.zeros((len(windows), width), np.int64)
    inputs, targets, slots = [], [], []
    for row, window in enumerate(windows):
        ids[row, : window.inputs] = window.tokens[:-1]
        inputs.append(np.arange(window.first, window.inputs) + row * width)
        targets.append(window.tokens[window.first + 1 :])
        slots.append(np.arange(window.slot, window.slot + window.scored))
    joined = np.concatenate(inputs)
    return Batch(
        ids, None, None, joined, np.concatenate(targets), np.concatenate(slots), np.arange(len(joined))
    )
