"""Membership attacks that compare the model with reference models: ones like it that did not see its members.

How likely a text is says as much about the text as about the model. A reference model finds easy texts easy too, so what is
left of the difference is what this model learnt from its own training data.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from audit.core.capabilities import Capability
from audit.core.errors import InputError
from audit.core.recipes import Context, Recipe
from audit.core.references import ModelRef
from audit.core.rows import Rows, Vector
from audit.core.signals import familiarity
from audit.evaluators.privacy.attacks import AttackScores, denoising_losses, mean_and_levels, per_text

Ints = NDArray[np.int64]

WINDOWS = (2, 3, 4, 6, 9, 13, 18, 25, 32, 40)
"""Tokens of the windows that are compared (Chen et al., 2026)."""
LEAST_SHIFT = 0.01
"""Nats added to what the model gained and lost, so that a text on which it lost nothing ranks highest and not nowhere."""
OFFLINE = 0.3
"""RMIA's a: by how much a reference model's probability understates that of a model that saw the text."""
LOWEST = -100.0
"""Nats below which a reference model's log-probability is not taken: a token that it rules out must not decide a text."""

REFERENCE_ATTACKS = ("reference_ratio", "wbc", "ez_mia", "rmia")


@dataclass(frozen=True)
class ReferenceTokenAttacks(Recipe[AttackScores]):
    """Reference ratio, WBC, EZ-MIA and RMIA, from the token scores of the model and of the reference models (methods: Carlini
    2021; Chen 2026; Ilić 2026; Zarifzadeh 2024)."""

    kind: ClassVar[str] = "reference-token-attacks"
    along: ClassVar[tuple[str, ...]] = ("scores", "references")
    scores: Recipe[Rows]
    references: tuple[Recipe[Rows], ...]

    @property
    def label(self) -> str:
        return f"attacks with reference models on {self.scores.label}"

    def make(self, context: Context, scores: Rows, references: tuple[Rows, ...]) -> AttackScores:
        for other in references:
            refuse_other_tokens(scores, other)
        own, best, token = (per_text(scores, name) for name in ("logp", "top1", "token"))
        theirs = [per_text(other, "logp") for other in references]
        values = np.full((len(own), len(REFERENCE_ATTACKS)), np.nan)
        for i, logp in enumerate(own):
            if len(logp):
                values[i] = reference_attacks(logp, [t[i] for t in theirs], best[i] != token[i])
        return AttackScores(
            names=REFERENCE_ATTACKS,
            values=values,
            ties=context.uniforms(),
            access="asks the model and a reference model for the log-probability of every token of a text",
        )


def reference_attacks(logp: Vector, references: Sequence[Vector], missed: NDArray[np.bool_]) -> Vector:
    """Return reference ratio, WBC, EZ-MIA and RMIA of one text of at least one token; higher says member.

    ``references`` are the log-probabilities of the same tokens under each reference model; the first three attacks take their
    mean. ``missed`` says where the model's likeliest token is another one than the text's. A text that the model rules
    out is ranked lowest by all.

    - Reference ratio: the mean of log p - log p_ref over the tokens.
    - WBC: over windows of 2 to 40 tokens, the share in which the model finds the text likelier than the reference does, averaged over
      the window lengths that fit.
    - EZ-MIA: ``log((P + t) / (N + t))``, P what the model gained on the reference at tokens that it missed, N what it lost there. The
      published code returns 0, its lowest score, where N is 0, which is where the evidence is strongest; hence t.
    - RMIA: ``log p - log p~`` with ``p~ = ((1 + a) p_out + 1 - a) / 2``; p is the geometric mean of a token's probability, p_out its mean
      over reference models. The published score, the share of other texts that this ratio beats, increases with it, so both rank alike.
    """
    if np.isneginf(logp).any():
        return np.full(len(REFERENCE_ATTACKS), -np.inf)
    theirs = np.maximum(np.stack(list(references)), LOWEST)
    gained = logp - theirs.mean(axis=0)
    at_missed = gained[missed]
    risen, fallen = at_missed[at_missed > 0].sum(), -at_missed[at_missed < 0].sum()
    outside = float(np.exp(theirs.mean(axis=1)).mean())
    return np.array(
        [
            gained.mean(),
            _windows_won(gained),
            np.log((risen + LEAST_SHIFT) / (fallen + LEAST_SHIFT)),
            logp.mean() - np.log(((1 + OFFLINE) * outside + 1 - OFFLINE) / 2),
        ]
    )


def _windows_won(gained: Vector) -> float:
    """Return the share of windows in which the sum is above 0, averaged over the lengths that fit (all of a text shorter than any)."""
    running = np.concatenate([[0.0], np.cumsum(gained)])
    lengths = [w for w in WINDOWS if w <= len(gained)] or [len(gained)]
    return float(np.mean([(running[w:] > running[:-w]).mean() for w in lengths]))


def refuse_other_tokens(scores: Rows, other: Rows) -> None:
    """Raise InputError unless two models cut the texts into the same tokens."""
    for name in ("token", "logp"):
        if name not in scores.column_names or name not in other.column_names:
            raise ValueError(f"the token scores have no column '{name}'")
    ours, theirs = per_text(scores, "token"), per_text(other, "token")
    differ = sum(not np.array_equal(a, b) for a, b in zip(ours, theirs, strict=True))
    if differ:
        raise InputError(
            f"The reference model cuts {differ} of {len(ours)} texts into other tokens than the audited model does, so their "
            "scores cannot be compared token by token. Name one with the same tokenizer in [[reference_models]]."
        )


@dataclass(frozen=True)
class CalibratedSignal(Recipe[AttackScores]):
    """By how much more familiar an example is to the model than to reference models, on average, with the same random numbers for all
    (methods: Watson 2022; Chen 2020, GAN-Leaks)."""

    kind: ClassVar[str] = "calibrated-signal"
    along: ClassVar[tuple[str, ...]] = ("rows",)
    rows: Recipe[Rows]
    model: ModelRef
    references: tuple[ModelRef, ...]
    capability: Capability
    seed: int

    @property
    def label(self) -> str:
        return f"{_plain(self.capability)} of {self.rows.label} beside reference models"

    def make(self, context: Context, rows: Rows) -> AttackScores:
        own, *others = (
            familiarity(self.capability, context.model(ref), rows, context.rng())
            for ref in (self.model, *self.references)
        )
        return AttackScores(
            names=(calibrated(self.capability.value),),
            values=_less(own, np.mean(others, axis=0))[:, None],
            ties=context.uniforms(),
            access=f"asks the model and a reference model for the {_plain(self.capability)} of an example",
        )


@dataclass(frozen=True)
class CalibratedDenoising(Recipe[AttackScores]):
    """How much better a diffusion model removes noise from an example than reference models do: the same noise for all, by level
    and on average."""

    kind: ClassVar[str] = "calibrated-denoising"
    along: ClassVar[tuple[str, ...]] = ("rows",)
    rows: Recipe[Rows]
    model: ModelRef
    references: tuple[ModelRef, ...]
    seed: int

    @property
    def label(self) -> str:
        return f"denoising loss of {self.rows.label} beside reference models"

    def make(self, context: Context, rows: Rows) -> AttackScores:
        own, *others = (
            denoising_losses(context.model(ref), rows, context.rng) for ref in (self.model, *self.references)
        )
        names, values = mean_and_levels(np.mean(others, axis=0) - own)
        return AttackScores(
            names=tuple(calibrated(name) for name in names),
            values=values,
            ties=context.uniforms(),
            access="adds noise to an example and asks the model and a reference model to remove it",
        )


def calibrated(attack: str) -> str:
    """Return what an attack is called once reference models are subtracted.

    >>> calibrated("reconstruct")
    'reconstruct_calibrated'
    """
    return f"{attack}_calibrated"


def _plain(capability: Capability) -> str:
    return capability.value.replace("_", " ")


def _less(own: Vector, other: Vector) -> Vector:
    """Return the difference; what the model rules out stays minus infinity, what only the reference rules out counts as much as the
    highest difference of the others."""
    with np.errstate(invalid="ignore"):
        found = np.where(np.isneginf(own), -np.inf, own - other)
    highest = found[np.isfinite(found)].max(initial=0.0)
    return np.where(np.isposinf(found), highest, found)
