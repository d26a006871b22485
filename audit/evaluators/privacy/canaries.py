"""The canaries of a dataset with what the model says of them: who was put in, how often, and how well it is known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from audit.core.errors import UndefinedError
from audit.core.recipes import Shards
from audit.core.rows import Rows, Vector, concat
from audit.evaluators.privacy.attacks import per_text
from audit.recipes.occurrences import whole_texts

LEAST_TWINS = 19
"""With fewer, no canary could be more likely than nineteen twins in twenty."""
NOTICED = 0.05

Flags = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Ladder:
    """One entry per canary: its dose, whether it was put in, log p of its secret in nats, whether it is completed.

    ``problems`` says in what the training texts contradict the file, ``remarks`` what could not be checked.
    """

    texts: Sequence[str]
    number: NDArray[np.int64]
    dose: Vector
    included: Flags
    logp: Vector
    completed: Flags
    problems: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()

    @classmethod
    def of(cls, rows: Shards[Rows], scores: Shards[Rows], copies: Vector | None) -> Ladder:
        """Read the split ``canaries`` and its token scores; ``copies`` is how often each canary stands in the training texts."""
        table = concat(list(rows))
        missing = {"dose", "included"} - set(table.column_names)
        if missing:
            raise UndefinedError(
                f"the split 'canaries' has no column {' and no column '.join(sorted(missing))}"
            )
        held = list(scores)
        logp = [float(tokens.sum()) for shard in held for tokens in per_text(shard, "logp")]
        ranks = [tokens for shard in held for tokens in per_text(shard, "rank")]
        number = table.column("canary").to_pylist() if "canary" in table.column_names else range(len(logp))
        included = np.array([bool(value) for value in table.column("included").to_pylist()])
        dose = np.array([float(value or 0) for value in table.column("dose").to_pylist()])
        problems, remarks = _checked(dose, included, copies)
        ruled_out = int(np.isneginf(logp).sum())
        if ruled_out:
            remarks = (*remarks, f"The model rules {ruled_out} of the secrets out; they rank lowest.")
        return cls(
            whole_texts(table),
            np.asarray(number, np.int64),
            dose,
            included,
            np.array(logp),
            np.array([len(tokens) > 0 and bool((tokens == 1).all()) for tokens in ranks]),
            problems,
            remarks,
        )

    def pretended(self, known: float) -> Ladder:
        """Return the canaries that were left out alone, every other one as if put in and its surprise reduced by the share ``known``."""
        out = np.flatnonzero(~self.included)
        included = np.arange(len(out)) % 2 == 0
        logp = np.where(included & np.isfinite(self.logp[out]), (1 - known) * self.logp[out], self.logp[out])
        kept = [self.texts[i] for i in out.tolist()]
        return replace(
            self,
            texts=kept,
            number=self.number[out],
            dose=self.dose[out],
            included=included,
            logp=logp,
            completed=self.completed[out],
        )

    def check(self) -> None:
        """Raise UndefinedError where the canaries cannot be judged."""
        if self.problems:
            raise UndefinedError("; ".join(self.problems))
        if self.twins < LEAST_TWINS:
            raise UndefinedError(
                f"{self.twins} canaries were left out; it takes {LEAST_TWINS} to rank the others among"
            )
        if not self.included.any():
            raise UndefinedError("no canary was put into the training data")

    @property
    def twins(self) -> int:
        return int((~self.included).sum())

    @property
    def doses(self) -> Vector:
        """The doses at which canaries were put in, ascending."""
        return np.unique(self.dose[self.included])

    @property
    def most_bits(self) -> float:
        return float(np.log2(self.twins + 1))

    @property
    def rank(self) -> NDArray[np.int64]:
        """1 + the twins that are at least as likely, for each canary; a tie counts against the finding."""
        twins = np.sort(self.logp[~self.included])
        return np.asarray(1 + len(twins) - np.searchsorted(twins, self.logp, side="left"), np.int64)

    @property
    def exposure(self) -> Vector:
        return np.asarray(self.most_bits - np.log2(self.rank))

    @property
    def noticed(self) -> Flags:
        return np.asarray(self.rank <= NOTICED * (self.twins + 1))

    @property
    def bits(self) -> Vector:
        """What is left to guess of each secret: -log2 of its likelihood."""
        return np.asarray(-self.logp / np.log(2))


def _checked(dose: Vector, included: Flags, copies: Any) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Compare what a file says of its canaries with how often they stand in the training texts."""
    problems = []
    if (included & (dose < 1)).any():
        problems.append(f"{int((included & (dose < 1)).sum())} canaries put in have a dose below 1")
    if copies is None:
        return tuple(problems), ("No training texts are named, so where the canaries stand was not checked.",)
    if included.any() and not copies.any():
        none = "no canary stands in 'train', so nothing shows that the model read one: have 'train' name the texts that hold them too"
        return (*problems, none), ()
    stray, wrong = int((copies[~included] > 0).sum()), included & (copies != dose)
    if stray:
        problems.append(f"{stray} canaries that were left out stand in 'train'")
    if wrong.any():
        first = int(np.flatnonzero(wrong)[0])
        problems.append(
            f"{int(wrong.sum())} of {int(included.sum())} canaries put in stand in 'train' another number of times than "
            f"their dose (row {first} {copies[first]:.0f} times, not {dose[first]:.0f}); correct the file of canaries"
        )
    return tuple(problems), ()
