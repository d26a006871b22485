"""What editors do to a text whose tokens carry a mark, and how a text that is marked in part is read."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from audit.core.rows import Rng
from audit.marks.text.detection import Detection, TextMark, Tokens

EDITS: tuple[tuple[str, float], ...] = tuple(
    [(edit, share) for edit in ("substitute", "delete", "insert", "swap") for share in (0.1, 0.2, 0.4)]
    + [("paste", share) for share in (0.5, 0.75, 0.9)]
)
"""Each edit with the share of tokens it touches; of ``paste``, the share that is other, unmarked text."""
HEADLINE = ("substitute", 0.2)


def edited(edit: str, share: float, passage: Sequence[Tokens], others: Tokens, rng: Rng) -> list[Tokens]:
    """Return the passage after an edit; ``others`` are tokens of unmarked texts, from which new ones are taken."""
    if edit == "paste":
        return pasted(passage, share, others, rng)
    return [_changed(edit, share, text, others, rng) for text in passage]


def _changed(edit: str, share: float, text: Tokens, others: Tokens, rng: Rng) -> Tokens:
    chosen = rng.random(len(text)) < share
    if edit == "delete":
        return text[~chosen]
    if edit == "swap":
        at = np.arange(len(text))
        for i in np.flatnonzero(chosen[:-1]).tolist():
            at[i], at[i + 1] = at[i + 1], at[i]
        return np.asarray(text[at])
    new = others[rng.integers(0, len(others), len(text))]
    if edit == "substitute":
        return np.where(chosen, new, text)
    return np.insert(text, np.flatnonzero(chosen), new[chosen])


def pasted(passage: Sequence[Tokens], share: float, others: Tokens, rng: Rng) -> list[Tokens]:
    """Return other text of the passage's length with a piece of the passage pasted into it, all but ``share`` of it."""
    whole = np.concatenate(list(passage))
    kept = max(1, round(len(whole) * (1 - share)))
    start = int(rng.integers(0, len(whole) - kept + 1))
    around = others[(int(rng.integers(0, len(others))) + np.arange(len(whole) - kept)) % len(others)]
    cut = int(rng.integers(0, len(around) + 1))
    return [around[:cut], whole[start : start + kept], around[cut:]]


def searched(mark: TextMark, passage: Sequence[Tokens], width: int) -> float:
    """Return a p-value of a passage that may be marked in part: the least of the whole and of windows, by Bonferroni.

    Windows of ``width`` tokens begin every half of it. The whole has half of the error, the windows share the other half.
    """
    whole = np.concatenate(list(passage))
    starts = range(0, max(1, len(whole) - width + 1), max(1, width // 2))
    windows = [mark.detect([whole[start : start + width]]) for start in starts]
    return min(1.0, 2 * _p(mark.detect(list(passage))), 2 * len(windows) * min(map(_p, windows)))


def _p(found: Detection) -> float:
    return found.p_value
