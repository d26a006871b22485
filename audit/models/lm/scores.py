"""The token scores: one forward pass per token, from which every likelihood-based score is read."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from audit.core.rows import PREFIX, Rows, Vector, texts_of
from audit.models.lm.head import statistics
from audit.models.lm.network import Network, passes, scores_of
from audit.models.lm.packing import Window
from audit.models.lm.tokens import Encoded, windows

TOKENS = 2048
"""Tokens of a forward pass. More is no faster on a processor, and less wastes the matrix units."""


def _encoded(network: Network, rows: Rows, *, check: bool) -> list[Encoded]:
    texts = texts_of(rows)
    prefixes = texts_of(rows, PREFIX) if PREFIX in rows.column_names else [""] * len(texts)
    empty = sum(text is None for text in texts) + sum(prefix is None for prefix in prefixes)
    if empty:
        raise ValueError(f"{empty} of {len(texts)} texts are null; a text may be empty but not absent")
    return network.words.encode(texts, prefixes, check=check)


def _windows(
    network: Network, encoded: Sequence[Encoded], longest: int, stride: int
) -> tuple[list[Window], list[int]]:
    """Return every window, and where each text's scores begin (and the last one's end)."""
    found: list[Window] = []
    begins = [0]
    for text in encoded:
        found.extend(windows(text, begins[-1], longest, stride, network.words.start))
        begins.append(begins[-1] + text.scored)
    return found, begins


def log_likelihood(network: Network, rows: Rows, longest: int, stride: int, scale: float) -> Vector:
    """Return the sum of log p over each text's tokens, in nats."""
    found, begins = _windows(network, _encoded(network, rows, check=False), longest, stride)
    scores = scores_of(network, found, begins[-1], _budget(scale), network.widest_tree).double().numpy()
    _require_finite(network, scores)
    running = np.concatenate([[0.0], np.cumsum(scores)])
    return np.asarray(running[begins[1:]] - running[begins[:-1]], np.float64)


def token_scores(network: Network, rows: Rows, longest: int, stride: int, scale: float) -> Rows:
    """Return one row per text: lists with one entry per scored token (``end`` is how many characters of the text stand
    before its end), the bytes they cover, and whether the tokenizer gives the text back.
    """
    import pyarrow as pa

    encoded = _encoded(network, rows, check=True)
    found, begins = _windows(network, encoded, longest, stride)
    total = begins[-1]
    reals = {name: np.zeros(total, np.float32) for name in ("logp", "best", "mean", "variance")}
    counts = {name: np.zeros(total, np.int32) for name in ("rank", "top1")}
    for batch, states, targets in passes(network, found, _budget(scale), network.widest_tree):
        scores = statistics(network.head, states, targets)
        for name, column in (*reals.items(), *counts.items()):
            column[batch.slots] = getattr(scores, name).cpu().numpy()[batch.edges]
    for column in reals.values():
        _require_finite(network, column)
    tokens = np.concatenate([t.tokens[t.first :] for t in encoded] or [np.empty(0, np.int64)]).astype(
        np.int32
    )
    ends = np.concatenate([t.ends for t in encoded] or [np.empty(0, np.int64)]).astype(np.int32)
    offsets = pa.array(begins, pa.int32())
    columns = {
        "token": tokens,
        "end": ends,
        "logp": reals["logp"],
        "rank": counts["rank"],
        "top1": counts["top1"],
        "best": reals["best"],
        "entropy": -reals["mean"],
        "mean": reals["mean"],
        "variance": reals["variance"],
    }
    lists = {name: pa.ListArray.from_arrays(offsets, pa.array(values)) for name, values in columns.items()}
    sizes = [len(s.encode()) - e.unscored_bytes for s, e in zip(texts_of(rows), encoded, strict=True)]
    lossless = pa.array([e.lossless for e in encoded], pa.bool_())
    return pa.table({**lists, "bytes": pa.array(sizes, pa.int64()), "lossless": lossless})


def _budget(scale: float) -> int:
    return max(1, int(TOKENS * scale))


def _require_finite(network: Network, values: np.ndarray[tuple[int], np.dtype[np.floating]]) -> None:
    bad = int((~np.isfinite(values)).sum())
    if bad:
        raise ValueError(
            f"model '{network.name}' returned logits that are not finite (NaN or infinite) for {bad} of "
            f"{values.size} tokens; its weights may be damaged, or {_precision(network)} too coarse for them"
        )


def _precision(network: Network) -> str:
    dtype: torch.dtype = next(network.model.parameters()).dtype
    return str(dtype).removeprefix("torch.")
