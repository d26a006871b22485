"""Recipes of personalised output: who asks what, how far answers are apart, how good they are, and a few of them to look at."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from audit.core.errors import UndefinedError
from audit.core.recipes import Context, Recipe, Shards
from audit.core.rows import IMAGE, PREFIX, TEXT, Matrix, Rows, Vector, texts_of
from audit.evaluators.fairness.personalised.own import PERSON
from audit.recipes.shown import presentable, rows_at
from audit.stats.group_quality import Gap, gap
from audit.stats.neighbours import Nearest
from audit.stats.personal import LEAST, Personal, compared, kernels, typical


@dataclass(frozen=True, slots=True)
class Asked:
    """Who asks what: people in the order of their groups, and how often each asks each request.

    Rows are ordered by request, then person, then draw.
    """

    requests: tuple[str, ...]
    people: tuple[str, ...]
    groups: tuple[str, ...]
    draws: int

    @property
    def names(self) -> tuple[str, ...]:
        """The groups, each once."""
        return tuple(dict.fromkeys(self.groups))

    @property
    def codes(self) -> NDArray[np.int64]:
        """The group of each person, shape (people,)."""
        return np.array([self.names.index(group) for group in self.groups])

    def columns(self, request: str, person: str) -> tuple[tuple[str, tuple[str, ...]], ...]:
        """Return the columns that a model is asked with; texts where the columns have no name."""
        rows = [(r, p) for r in self.requests for p in self.people for _ in range(self.draws)]
        if not person:
            return ((PREFIX, tuple(r.replace(PERSON, p) for r, p in rows)),)
        asked = (person, tuple(p for _, p in rows))
        return ((request, tuple(r for r, _ in rows)), asked) if request else (asked,)

    def shaped(self, values: Matrix) -> Matrix:
        """Return what was found of each row by request, person and draw."""
        return values.reshape(len(self.requests), len(self.people), self.draws, *values.shape[1:])


@dataclass(frozen=True, slots=True)
class Answers:
    """Everything of one model: the distances, or why there are none, and the gaps in quality and length, or why not."""

    personal: Personal | None
    reason: str
    groups: tuple[str, ...]
    quality: Gap | None
    length: Gap | None
    without: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Lengths(Recipe[Vector]):
    """The length of each text in UTF-8 bytes; none of rows without texts."""

    kind: ClassVar[str] = "answer-lengths"
    along: ClassVar[tuple[str, ...]] = ("rows",)
    rows: Recipe[Rows]

    def make(self, context: Context, rows: Rows) -> Vector:
        if TEXT not in rows.column_names or IMAGE in rows.column_names:
            return np.empty(0)
        return np.array([len((text or "").encode()) for text in texts_of(rows)], np.float64)


@dataclass(frozen=True)
class PersonalAnswers(Recipe[Answers]):
    """How much answers differ between groups of people. ``halves`` compares each group with itself, its people halved at random.

    ``dose`` moves the answers to the first half that far, in units of the typical distance between two answers to one request.
    """

    kind: ClassVar[str] = "personal-answers"
    version: ClassVar[int] = 2
    features: Recipe[Matrix]
    lengths: Recipe[Vector]
    real: Recipe[Matrix] | None
    requests: int
    draws: int
    groups: tuple[str, ...]
    level: float
    permutations: int
    halves: bool = False
    dose: float = 0.0

    @property
    def label(self) -> str:
        return f"answers by person in {self.features.label}"

    def make(
        self,
        context: Context,
        features: Shards[Matrix],
        lengths: Shards[Vector],
        real: Shards[Matrix] | None = None,
    ) -> Answers:
        rng = context.rng()
        asked = Asked(("",) * self.requests, self.groups, self.groups, self.draws)
        answers, names, codes = asked.shaped(np.concatenate(list(features))), asked.names, asked.codes
        sizes = np.concatenate(list(lengths))
        by_length = asked.shaped(sizes) if len(sizes) else None
        if self.halves:
            kept = codes == int(np.bincount(codes).argmax())
            answers = answers[:, kept].copy()
            by_length = None if by_length is None else by_length[:, kept]
            codes = rng.permutation(np.arange(int(kept.sum())) % 2)
            names = ("one half", "the other half")
            step = np.ones(answers.shape[-1]) / np.sqrt(answers.shape[-1])
            answers[:, codes == 0] += self.dose * typical(answers) * step
        without: list[tuple[str, str]] = []
        try:
            found, reason = compared(kernels(answers), codes, rng, self.level, self.permutations), ""
        except UndefinedError as error:
            found, reason = None, str(error)
        quality = length = None
        try:
            quality = self._quality(answers, real, codes, rng)
        except UndefinedError as error:
            without.append(("quality", str(error)))
        try:
            length = self._length(by_length, codes, rng)
        except UndefinedError as error:
            without.append(("length", str(error)))
        return Answers(found, reason, names, quality, length, tuple(without))

    def _quality(
        self,
        answers: Matrix,
        real: Shards[Matrix] | None,
        codes: NDArray[np.int64],
        rng: np.random.Generator,
    ) -> Gap:
        if real is None:
            raise UndefinedError("no split of real examples is named in 'reference'")
        held = np.concatenate(list(real))
        own = float(Nearest.among(held, held, 1, own=True).distances.mean())
        if not own > 0:
            raise UndefinedError("the real examples are all alike")
        flat = answers.reshape(-1, answers.shape[-1])
        far = Nearest.among(flat, held, 1).distances[:, 0].reshape(answers.shape[:3]) / own
        return _gap("quality", far.mean(axis=(0, 2)), codes, rng, self.level)

    def _length(self, lengths: Matrix | None, codes: NDArray[np.int64], rng: np.random.Generator) -> Gap:
        if lengths is None:
            raise UndefinedError("only texts have a length")
        return _gap("length", np.log1p(lengths).mean(axis=(0, 2)), codes, rng, self.level)


def _gap(measure: str, each: Vector, codes: NDArray[np.int64], rng: np.random.Generator, level: float) -> Gap:
    """Return the largest gap between groups of people whose values are given, shape (people,)."""
    sizes = np.bincount(codes)
    if len(sizes) < 2 or sizes.min() < LEAST:
        raise UndefinedError(f"it takes two groups of {LEAST} people")
    if float(np.ptp(each)) <= 1e-12 * float(np.abs(each).max(initial=0.0)):
        raise UndefinedError("it is the same for everybody")
    means = np.bincount(codes, weights=each) / sizes
    errors = np.sqrt(np.bincount(codes, weights=(each - means[codes]) ** 2) / (sizes - 1) / sizes)
    return gap(measure, means, errors, rng, level, higher_is_better=False, degrees=float(sizes.min() - 1))


@dataclass(frozen=True)
class AnswersShown(Recipe[Rows]):
    """Answers to the request that differs most between groups: ``each`` of every group, with who asked."""

    kind: ClassVar[str] = "answers-shown"
    rows: Recipe[Rows]
    found: Recipe[Answers]
    requests: tuple[str, ...]
    people: tuple[str, ...]
    groups: tuple[str, ...]
    draws: int
    each: int

    @property
    def label(self) -> str:
        return f"{self.rows.label} by person"

    def make(self, context: Context, rows: Shards[Rows], found: Shards[Answers]) -> Rows:
        import pyarrow as pa

        personal, rng = found[0].personal, context.rng()
        asked = Asked(self.requests, self.people, self.groups, self.draws)
        request = 0 if personal is None else int(personal.requests.argmax())
        places, said = [], []
        for code, name in enumerate(asked.names):
            people = np.sort(rng.permutation(np.flatnonzero(asked.codes == code))[: self.each])
            places += [(request * len(self.people) + int(p)) * self.draws for p in people]
            said += [f"{name}: {self.people[p]}" if self.people[p] != name else name for p in people]
        shown = presentable(rows_at(self.rows, rows, np.array(places)), ())
        if PREFIX not in shown.column_names and self.requests[request]:
            shown = shown.append_column("request", pa.array([self.requests[request]] * len(places)))
        return shown.append_column("person", pa.array(said))
