"""Membership attacks that score a text a second time, in small letters or after other texts. Each costs another pass of the model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from audit.core.recipes import Context, Recipe, Shards
from audit.core.rows import PREFIX, TEXT, Rows, Vector, texts_of
from audit.evaluators.privacy.attacks import AttackScores, per_text
from audit.evaluators.privacy.reference_attacks import LOWEST

SHOTS = 5
"""Texts that the model was not trained on, before each scored one."""
LEAST_LOSS = 1e-6
"""Nats per token below which a loss is not taken: a ratio to nothing would say nothing."""


@dataclass(frozen=True)
class SmallLetters(Recipe[Rows]):
    """Texts, and what stands before them, in small letters."""

    kind: ClassVar[str] = "small-letters"
    along: ClassVar[tuple[str, ...]] = ("rows",)
    rows: Recipe[Rows]

    @property
    def label(self) -> str:
        return f"{self.rows.label} in small letters"

    def make(self, context: Context, rows: Rows) -> Rows:
        import pyarrow as pa

        kept = [name for name in (PREFIX, TEXT) if name in rows.column_names]
        return pa.table({name: [text and text.lower() for text in texts_of(rows, name)] for name in kept})


@dataclass(frozen=True)
class AfterOthers(Recipe[Rows]):
    """Texts with the texts of ``shots`` before them, an empty line after each."""

    kind: ClassVar[str] = "after-others"
    along: ClassVar[tuple[str, ...]] = ("rows",)
    rows: Recipe[Rows]
    shots: Recipe[Rows]

    @property
    def label(self) -> str:
        return f"{self.rows.label} after texts never trained on"

    def make(self, context: Context, rows: Rows, shots: Shards[Rows]) -> Rows:
        import pyarrow as pa

        before = "".join(f"{text}\n\n" for shard in shots for text in whole_texts(shard))
        own = texts_of(rows, PREFIX) if PREFIX in rows.column_names else [""] * rows.num_rows
        return pa.table({PREFIX: [before + (prefix or "") for prefix in own], TEXT: texts_of(rows)})


def whole_texts(rows: Rows) -> list[str]:
    """Return each text with what stands before it."""
    texts = [text or "" for text in texts_of(rows)]
    if PREFIX not in rows.column_names:
        return texts
    return [(prefix or "") + text for prefix, text in zip(texts_of(rows, PREFIX), texts, strict=True)]


@dataclass(frozen=True)
class SecondLook(Recipe[AttackScores]):
    """One attack by the mean log-probability of a text as it is and as ``altered``: ``lowercase`` (Carlini 2021) or ``recall``
    (ReCaLL, Xie 2024)."""

    kind: ClassVar[str] = "second-look"
    along: ClassVar[tuple[str, ...]] = ("scores", "altered")
    scores: Recipe[Rows]
    altered: Recipe[Rows]
    attack: str

    @property
    def label(self) -> str:
        return f"attack '{self.attack}' on {self.scores.label}"

    def make(self, context: Context, scores: Rows, altered: Rows) -> AttackScores:
        own, other = _means(scores), _means(altered)
        values = lowercase(own, other) if self.attack == "lowercase" else recall(own, other)
        said = "in small letters" if self.attack == "lowercase" else f"after {SHOTS} texts never trained on"
        return AttackScores(
            names=(self.attack,),
            values=values[:, None],
            ties=context.uniforms(),
            access=f"asks the model for the log-probability of a text as it is and {said}",
        )


def lowercase(own: Vector, small: Vector) -> Vector:
    """Return ``-nll(x) / nll(lower(x))`` of mean log-probabilities: what was memorised loses most in small letters.

    >>> lowercase(np.array([-1.0, -2.0]), np.array([-4.0, -2.0]))
    array([-0.25, -1.  ])
    """
    return np.asarray(own / np.maximum(-np.maximum(small, LOWEST), LEAST_LOSS))


def recall(own: Vector, conditional: Vector) -> Vector:
    """Return ``LL(x | texts never trained on) / LL(x)``: what was memorised loses most by being put after other texts.

    >>> recall(np.array([-1.0, -2.0, -np.inf]), np.array([-1.5, -2.0, -1.0]))
    array([ 1.5,  1. , -inf])
    """
    ratio = -np.maximum(conditional, LOWEST) / np.maximum(-own, LEAST_LOSS)
    return np.where(np.isneginf(own), -np.inf, ratio)


def _means(scores: Rows) -> Vector:
    """Return the mean log-probability of each text's tokens, NaN where there is none."""
    return np.array([logp.mean() if len(logp) else np.nan for logp in per_text(scores, "logp")])
