"""Membership attacks: one number per example, meant to be larger for what the model was trained on."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from audit.core.artifacts import DrawnRows, RealRows
from audit.core.capabilities import Capability
from audit.core.recipes import Context, Recipe, Shards
from audit.core.references import ModelRef
from audit.core.rows import Matrix, Rng, Rows, Vector, texts_of
from audit.stats.at_risk import standing_out
from audit.stats.permutation import LabelPermutations, permute_labels

LOWEST_SHARE = 0.2
"""The k of Min-K%: the least likely fifth of the tokens (Shi et al., 2024)."""

LEVELS = (0.1, 0.2, 0.3, 0.4, 0.6)
"""Shares of the noise levels of a diffusion model at which its loss is asked for."""

LEAST_VARIANCE = 1e-2
"""Floor of a position's variance, nats squared. Where the model is sure of the next token to within
0.1 nat, dividing by its spread would let that one position decide the text's score."""


@dataclass(frozen=True, slots=True)
class AttackScores:
    """One row per example, one column per attack, the pre-registered attack first; higher says member.

    NaN where an example has nothing to score; minus infinity, which ranks lowest, where the model rules it out. ``ties`` are uniform numbers that
    order equal scores; ``access`` says what the attacker must be able to do.
    """

    names: tuple[str, ...]
    values: Matrix
    ties: Vector
    access: str

    def __getitem__(self, rows: slice) -> AttackScores:
        return AttackScores(self.names, self.values[rows], self.ties[rows], self.access)


@dataclass(frozen=True)
class TokenAttacks(Recipe[AttackScores]):
    """Min-K%++, Min-K%, zlib ratio and loss, all from one token scores (methods: Yeom 2018, Carlini 2021,
    Shi 2024, Zhang 2025)."""

    kind: ClassVar[str] = "token-attacks"
    along: ClassVar[tuple[str, ...]] = ("rows", "scores")
    rows: Recipe[Rows]
    scores: Recipe[Rows]

    @property
    def label(self) -> str:
        return f"membership attacks on {self.rows.label}"

    def make(self, context: Context, rows: Rows, scores: Rows) -> AttackScores:
        texts = texts_of(rows)
        if scores.num_rows != len(texts):
            raise ValueError(f"the token scores have {scores.num_rows} rows for {len(texts)} texts")
        logp, mean, variance = (per_text(scores, name) for name in ("logp", "mean", "variance"))
        values = np.full((len(texts), 4), np.nan)
        for i, text in enumerate(texts):
            if len(logp[i]):
                values[i] = token_attacks(text or "", logp[i], mean[i], variance[i])
        return AttackScores(
            names=("min_k_plus_plus", "min_k", "zlib", "loss"),
            values=values,
            ties=context.uniforms(),
            access="asks the model for the log-probability of every token of a text, and of the words it did not choose",
        )


def token_attacks(text: str, logp: Vector, mean: Vector, variance: Vector) -> Vector:
    """Return Min-K%++, Min-K%, zlib ratio and mean log-probability of one text of at least one token.

    ``mean`` and ``variance`` are those of the log-probability over the
    vocabulary at each position. At least one token is always averaged: a text of four tokens has no fifth.
    """
    lowest = max(1, int(LOWEST_SHARE * len(logp)))
    standardised = (logp - mean) / np.sqrt(np.maximum(variance, LEAST_VARIANCE))
    compressed = len(zlib.compress(text.encode("utf-8", "surrogatepass")))
    return np.array(
        [
            np.partition(standardised, lowest - 1)[:lowest].mean(),
            np.partition(logp, lowest - 1)[:lowest].mean(),
            logp.mean() / compressed,
            logp.mean(),
        ]
    )


def per_text(scores: Rows, column: str) -> list[Vector]:
    """Return one float64 vector per row of a list column.

    A log-probability of minus infinity is a token that the model rules out; anything else that is not finite is the
    model's fault and raises.
    """
    import pyarrow.compute as pc

    lists = scores.column(column).combine_chunks()
    lengths = pc.fill_null(pc.list_value_length(lists), 0).to_numpy(zero_copy_only=False)
    flat = np.asarray(pc.list_flatten(lists).to_numpy(zero_copy_only=False), dtype=np.float64)
    sound = np.isfinite(flat) | (np.isneginf(flat) & (column == "logp"))
    if not sound.all():
        bad = int((~sound).sum())
        raise ValueError(f"the token scores's {column} is not finite for {bad} of {len(flat)} tokens")
    return np.split(flat, np.cumsum(lengths)[:-1]) if len(lengths) else []


@dataclass(frozen=True)
class SignalAttack(Recipe[AttackScores]):
    """One attack: the number by which a model says how familiar it finds an example."""

    kind: ClassVar[str] = "signal-attack"
    along: ClassVar[tuple[str, ...]] = ("signal",)
    signal: Recipe[Vector]
    capability: Capability

    @property
    def label(self) -> str:
        return f"membership attack by {self.signal.label}"

    def make(self, context: Context, signal: Vector) -> AttackScores:
        values = np.asarray(signal, dtype=np.float64)
        return AttackScores(
            names=(self.capability.value,),
            values=values[:, None],
            ties=context.uniforms(),
            access=f"asks the model for its {self.capability.value.replace('_', ' ')} of an example",
        )


@dataclass(frozen=True)
class DenoisingAttacks(Recipe[AttackScores]):
    """How well a diffusion model removes noise from an example, at several levels and on average (Matsumoto 2023; Carlini 2023)."""

    kind: ClassVar[str] = "denoising-attacks"
    along: ClassVar[tuple[str, ...]] = ("rows",)
    rows: Recipe[Rows]
    model: ModelRef
    seed: int

    @property
    def label(self) -> str:
        return f"denoising loss of {self.rows.label}"

    def make(self, context: Context, rows: Rows) -> AttackScores:
        names, values = mean_and_levels(-denoising_losses(context.model(self.model), rows, context.rng))
        return AttackScores(
            names=names,
            values=values,
            ties=context.uniforms(),
            access="adds noise to an example and asks the model to remove it",
        )


def denoising_losses(model: Any, rows: Rows, rng: Callable[[], Rng]) -> Matrix:
    """Return the denoising loss of each row at each of ``LEVELS``; ``rng()`` gives the same numbers each time, so that levels share noise."""
    found = np.empty((rows.num_rows, len(LEVELS)))
    for i, level in enumerate(LEVELS):
        losses = np.asarray(model.denoising_loss(rows, level, rng()), dtype=np.float64)
        if losses.shape != (rows.num_rows,) or not np.isfinite(losses).all():
            raise ValueError(
                f"denoising_loss returned {losses.shape} for {rows.num_rows} examples, or no numbers"
            )
        found[:, i] = losses
    return found


def mean_and_levels(by_level: Matrix) -> tuple[tuple[str, ...], Matrix]:
    """Return the names and scores of the attacks by the mean over ``LEVELS`` and by each level alone."""
    names = ("denoising_loss", *(denoising_at(level) for level in LEVELS))
    return names, np.column_stack([by_level.mean(axis=1), by_level])


def denoising_at(level: float) -> str:
    """Return what the attack by the loss at one level is called.

    >>> denoising_at(0.3)
    'denoising_loss_30pct'
    """
    return f"denoising_loss_{round(100 * level)}pct"


@dataclass(frozen=True)
class SeveralAttacks(Recipe[AttackScores]):
    """Several attacks on the same examples, the one chosen beforehand first."""

    kind: ClassVar[str] = "several-attacks"
    along: ClassVar[tuple[str, ...]] = ("attacks",)
    attacks: tuple[Recipe[AttackScores], ...]

    def make(self, context: Context, attacks: tuple[AttackScores, ...]) -> AttackScores:
        return AttackScores(
            tuple(name for one in attacks for name in one.names),
            np.concatenate([one.values for one in attacks], axis=1),
            attacks[0].ties,
            "; ".join(dict.fromkeys(one.access for one in attacks)),
        )


def joined(shards: Sequence[AttackScores]) -> AttackScores:
    """Return the scores of all shards, one shard after another."""
    held = list(shards)
    return AttackScores(
        held[0].names,
        np.concatenate([shard.values for shard in held]),
        np.concatenate([shard.ties for shard in held]),
        held[0].access,
    )


def usable(scores: AttackScores) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Say which examples every attack could score."""
    return np.asarray(~np.isnan(scores.values).any(axis=1))


@dataclass(frozen=True, slots=True)
class Named:
    """Members that can be named: their rows in the split (r,), the attack that says so most clearly, how far its score is above
    the median of non-members, in their spreads, and chance."""

    rows: NDArray[np.int64]
    attacks: tuple[str, ...]
    scores: Vector
    chance: Vector


@dataclass(frozen=True)
class NamedMembers(Recipe[Named]):
    """The members that stand out among non-members so clearly that each can be named."""

    kind: ClassVar[str] = "named-members"
    members: Recipe[AttackScores]
    nonmembers: Recipe[AttackScores]
    train: RealRows | DrawnRows

    @property
    def label(self) -> str:
        return "members that stand out"

    def needs(self, field: str, parent: Recipe[Any], shard: int) -> range:
        return range(0) if field == "train" else range(parent.shards)

    def make(
        self,
        context: Context,
        members: Shards[AttackScores],
        nonmembers: Shards[AttackScores],
        train: Shards[Rows],
    ) -> Named:
        inside, outside = joined(members), joined(nonmembers)
        kept = np.flatnonzero(usable(inside))
        found = standing_out(inside.values[kept], outside.values[usable(outside)])
        places = kept[found.places]
        return Named(
            self.train.numbers()[places],
            tuple(inside.names[i] for i in found.scores),
            found.heights,
            found.chance,
        )


@dataclass(frozen=True)
class ShuffledMembership(Recipe[LabelPermutations]):
    """What the attacks' areas look like when membership labels are shuffled, the same way for all attacks."""

    kind: ClassVar[str] = "shuffled-membership"
    version: ClassVar[int] = 2
    members: Recipe[AttackScores]
    nonmembers: Recipe[AttackScores]
    draws: int
    seed: int

    @property
    def label(self) -> str:
        return "shuffled membership labels"

    def make(
        self, context: Context, members: Shards[AttackScores], nonmembers: Shards[AttackScores]
    ) -> LabelPermutations:
        inside, outside = joined(members), joined(nonmembers)
        x, y = inside.values[usable(inside)].T, outside.values[usable(outside)].T
        if min(x.shape[1], y.shape[1]) == 0:  # nothing to shuffle; the evaluator says so
            nothing = np.ones(len(inside.names))
            return LabelPermutations(nothing, nothing, nothing, 0)
        return permute_labels(x, y, self.draws, context.rng())
