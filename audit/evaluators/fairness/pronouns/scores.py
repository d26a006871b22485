"""Scores of occupations by the pronouns that a model expects after them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from audit.core.rows import Rows
from audit.evaluators.fairness.pronouns.questions import NEUTRAL_NOUNS, PRONOUNS, SWAPPED, TEMPLATES, slots

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Association:
    """Scores of each occupation in each template, and what the labour statistics say of it.

    ``raw`` and ``neutral`` are log p(she) - log p(he), shapes (occupations, templates) and
    (neutral nouns, templates); ``they`` the share of 'they' per occupation; ``swapped`` log p(occupation | she) -
    log p(occupation | he); ``odds`` the log-odds of women, with percentages held within 1 and 99.
    """

    raw: Floats
    neutral: Floats
    they: Floats
    swapped: Floats
    percent: Floats
    odds: Floats

    @classmethod
    def of(cls, forward: Floats, swapped: Floats, percent: Floats) -> Association:
        n = len(percent)
        scores = np.full((n + len(NEUTRAL_NOUNS), len(TEMPLATES), len(PRONOUNS)), -np.inf)
        if len(forward) != len(slots()):
            raise ValueError(f"the token scores have {len(forward)} rows for {len(slots())} questions")
        for slot, logp in zip(slots(), forward, strict=True):
            at = (slot.noun, slot.template, slot.pronoun)
            scores[at] = np.logaddexp(scores[at], logp)
        lean = scores[:, :, 0] - scores[:, :, 1]
        total = np.logaddexp.reduce(scores, axis=2)
        reverse = swapped.reshape(n, len(SWAPPED), 2)
        bounded = np.clip(percent, 1, 99) / 100
        return cls(
            raw=lean[:n],
            neutral=lean[n:],
            they=np.asarray(np.exp(scores[:n, :, 2] - total[:n]).mean(axis=1)),
            swapped=(reverse[:, :, 0] - reverse[:, :, 1]).mean(axis=1),
            percent=percent,
            odds=np.log(bounded / (1 - bounded)),
        )

    @property
    def units(self) -> int:
        return len(self.percent)

    @property
    def relative(self) -> Floats:
        """Each occupation's score in each template, minus the neutral nouns' mean there."""
        return np.asarray(self.raw - self.neutral.mean(axis=0))

    @property
    def g(self) -> Floats:
        """One score per occupation: the mean over templates of the relative score."""
        return np.asarray(self.relative.mean(axis=1))

    def resampled(self, chosen: NDArray[np.int64], neutral: NDArray[np.int64]) -> Floats:
        """Return g of the occupations chosen in each draw, relative to the neutral nouns drawn with them.

        ``chosen`` has shape (draws, occupations), ``neutral`` (draws, neutral nouns); so has the result the first.
        """
        shift = self.neutral.mean(axis=1)[neutral].mean(axis=1)
        return np.asarray(self.raw.mean(axis=1)[chosen] - shift[:, None])


def text_logp(scores: Sequence[Rows]) -> Floats:
    """Return the log-probability of each whole text: the sum over its tokens."""
    import pyarrow.compute as pc

    sums = []
    for shard in scores:
        lists = shard.column("logp").combine_chunks()
        lengths = pc.fill_null(pc.list_value_length(lists), 0).to_numpy(zero_copy_only=False)
        if (lengths == 0).any():
            raise ValueError("the token scores holds no token for a pronoun or an occupation")
        flat = np.asarray(pc.list_flatten(lists).to_numpy(zero_copy_only=False), dtype=np.float64)
        sums.append(np.add.reduceat(flat, np.concatenate([[0], np.cumsum(lengths)[:-1]])))
    logp = np.concatenate(sums)
    if not np.isfinite(logp).all():
        raise ValueError(f"the token scores is not finite for {int((~np.isfinite(logp)).sum())} texts")
    return np.asarray(logp)
