"""What detections of one mark come to: tables of edits, of entropy and of length, and the cost in surprisal."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from audit.core.measurements import Evidence, Interval
from audit.core.rows import Rows
from audit.evaluators.provenance.text_watermark.edits import EDITS
from audit.evaluators.provenance.text_watermark.recipes import PLAIN
from audit.stats.clusters import clustered_mean
from audit.stats.proportions import clopper_pearson

RATES = (1e-2, 1e-3, 1e-6)
RATE = 1e-3
USUAL = 200
"""The length at which detectors are compared (methods of Kirchenbauer et al., 2023)."""
_WORDS = {
    "substitute": "tokens replaced",
    "delete": "tokens left out",
    "insert": "tokens put in",
    "swap": "neighbours swapped",
    "paste": "pasted into unmarked text, which is",
}


def found_at(p: Sequence[float], rate: float) -> tuple[float, Interval]:
    """Return the share of p-values at a rate, with its exact interval."""
    hits = sum(value <= rate for value in p)
    return hits / len(p), clopper_pearson(hits, len(p))


def chosen(rows: Iterable[Mapping[str, Any]], case: str, strength: float, length: int) -> list[float]:
    """Return the p-values of one case."""
    return [
        row["p"] for row in rows if (row["case"], row["strength"], row["length"]) == (case, strength, length)
    ]


def evidence(name: str, rows: Sequence[Mapping[str, Any]], lengths: Sequence[int]) -> tuple[Evidence, ...]:
    """Return what a reader may look at: power against length, edits, and power by entropy."""
    import pyarrow as pa

    curve: dict[str, list[float]] = {column: [] for column in ("x", "y", "low", "high")}
    by_length, by_edit = [], []
    for length in lengths:
        if p := chosen(rows, PLAIN, 0.0, length):
            value, interval = found_at(p, RATE)
            for column, number in zip(curve, (length, value, interval.low, interval.high), strict=True):
                curve[column].append(float(number))
            shown = f"{length} (the usual length)" if length == USUAL else str(length)
            by_length.append({"tokens": shown, "passages": len(p), **_shares(p)})
    for edit, share in EDITS:
        if p := chosen(rows, edit, share, lengths[-1]):
            by_edit.append({"edit": f"{_WORDS[edit]} {share:.0%}", "passages": len(p), **_shares(p)})
    tables = [
        (f"{name}: share found, by length and false-positive rate", by_length),
        (f"{name}: share of passages of {lengths[-1]} tokens found after edits", by_edit),
        (
            f"{name}: share of passages of {lengths[-1]} tokens found, by how open the model's choices were",
            by_entropy(rows, lengths[-1]),
        ),
    ]
    title = f"{name}: share found at 1/1000 against length in tokens"
    return (
        Evidence("curve", title, pa.table(curve), False),
        *(Evidence("table", said, pa.Table.from_pylist(lines), False) for said, lines in tables if lines),
    )


def _shares(p: Sequence[float]) -> dict[str, str]:
    found = {}
    for rate in RATES:
        value, interval = found_at(p, rate)
        found[f"found at {rate:g}"] = f"{value:.3f} ({interval.low:.3f} to {interval.high:.3f})"
    return found


def by_entropy(rows: Sequence[Mapping[str, Any]], length: int) -> list[dict[str, Any]]:
    """Return the share found among the thirds of passages with the least and the most entropy, in bits a token."""
    own = [
        (row["entropy"] / np.log(2), row["p"])
        for row in rows
        if row["case"] == PLAIN and row["length"] == length and row["entropy"] is not None
    ]
    if len(own) < 6:
        return []
    own.sort()
    lines = []
    for part in np.array_split(np.arange(len(own)), 3):
        kept = [own[i] for i in part.tolist()]
        bits = f"{kept[0][0]:.2f} to {kept[-1][0]:.2f}"
        lines.append({"bits a token": bits, "passages": len(kept), **_shares([p for _, p in kept])})
    return lines


def costs(texts: Iterable[Rows]) -> dict[str, tuple[float, Interval, int]]:
    """Return what a mark costs, in bits per token with intervals over texts; nothing where nothing was recorded.

    ``surprise`` is how much more a token surprises the unmarked model than its own choice at the same place would. It is paired: the
    entropy at a place is the mean surprisal of what the model would write there, so without a mark the difference is 0 on average in
    every text. ``divergence`` is how far the marked choice is from the model's.
    """
    surprise, divergence, owner = [np.empty(0)], [np.empty(0)], [np.empty(0, int)]
    for i, row in enumerate(row for shard in texts for row in shard.to_pylist()):
        apart = (np.array(row["surprisal"]) - np.array(row["entropy"])) / np.log(2)
        sound = np.isfinite(apart)
        surprise.append(apart[sound])
        divergence.append(np.array(row["divergence"])[sound] / np.log(2))
        owner.append(np.full(int(sound.sum()), i))
    clusters = np.concatenate(owner)
    count = len(np.unique(clusters))
    if count < 2:
        return {}
    columns = {"surprise": surprise, "divergence": divergence}
    return {name: (*clustered_mean(np.concatenate(c), clusters), count) for name, c in columns.items()}
