"""Attribute inference: who has a person's record, but for one attribute, and asks the model for it: is the answer right more often for members?

A model that has learnt a population lets an attacker guess well about anybody; that is what it was made for, and no leak of a record.
``risk`` is therefore how much more often the guess is right for people the model was trained on than for others from the same source.
A language model is asked, where a text first names the value of a group column, which value is likelier given what stands before. For a
model with a latent code a linear probe, taught on codes of other people, reads the column off the code. ``readable`` is another
question about such codes: whether a protected attribute can be read off the code of anybody, for a code is handed on as if it were anonymous.
``beyond_features`` is how much better codes tell it than the features of the same examples: a code that says no more than the picture shows is not to blame.

Formula: ``risk = right(members) - right(non-members)``, shares of guesses that are right; ``readable = (R - 1 / k) / (1 - 1 / k)``, R the mean
recall of the k kinds by ridge regression of five folds on the other four; ``beyond_features = AUC(codes) - AUC(features)``, areas under the ROC curve of
the same regressions, each kind against all others, averaged. Of all columns, the largest.
Interval: of ``risk`` Newcombe's for a difference of two shares; of ``readable`` that of the recalls; of the largest of several columns, from the largest
lower to the largest upper bound, each at a level that holds for all at once; of ``beyond_features`` DeLong's for a difference on the same rows, made wider by how
much more the difference of shuffled labels varies than it says. The p-value of ``readable`` is by shuffled labels, for all columns at once (the largest
standardised score).
Gate: skipped without group columns or below 100 members and 200 others. Left out: columns of one or more than 100 values, values of fewer than 20
rows, columns that fewer than 100 texts of either side name.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from audit.core.capabilities import Capability
from audit.core.cases import Case, CaseKind, Cases
from audit.core.errors import InputError
from audit.core.evaluators import About, Needs, Unmet
from audit.core.measurements import Interval, Outcome
from audit.core.metrics import LOWER, Metric
from audit.core.recipes import Recipe, Shards
from audit.core.rows import Matrix, Rows
from audit.core.subjects import Subject
from audit.evaluators.privacy.attributes.recipes import (
    CodeGuesses,
    FittedProbes,
    Guesses,
    HalfOfGuesses,
    RankedByBoth,
    RankedColumns,
    ReadColumns,
    ReadOffCodes,
    TextGuesses,
)
from audit.evaluators.privacy.holdouts import overlapping
from audit.recipes.labelled import Reordered, RowAttributes
from audit.recipes.latents import Codes, MeansOf, Posteriors, no_bottleneck
from audit.stats.proportions import newcombe_difference

LEAST = 100
_CODES = (Capability.POSTERIOR, Capability.ENCODE)


@dataclass(frozen=True)
class AttributeInference:
    """Asks about at most ``max_rows`` members and as many others, drawn at random; as many again of ``holdout`` teach the probe.

    ``columns`` are the attributes, the data's group columns unless named; ``draws`` the shuffles behind the p-value of
    ``readable``; ``level`` that of intervals.
    """

    columns: tuple[str, ...] = ()
    max_rows: int = 1_000
    draws: int = 99
    level: float = 0.95

    about: ClassVar[About] = About(
        name="privacy.attributes",
        summary="Whether an attribute of a person is inferred more often if the model was trained on them, and whether codes give it away.",
        metrics=(
            Metric(
                "risk",
                "Share of members whose attribute is inferred rightly minus that of others, largest of all columns",
                LOWER,
                null=0.0,
                question="Does the model tell more about people it was trained on than about others?",
            ),
            Metric(
                "readable",
                "How much of a protected attribute a linear probe reads off latent codes: 1 is everything, 0 no more than by chance; "
                "largest of all columns",
                LOWER,
                null=0.0,
                question="Can protected attributes be read off the code?",
            ),
            Metric(
                "beyond_features",
                "How much better a linear probe tells a protected attribute by latent codes than by the features of the same examples, "
                "as a difference of areas under ROC curves; largest of all columns",
                LOWER,
                null=0.0,
                question="Does the code say more of protected attributes than the example itself shows?",
            ),
        ),
        needs=Needs(
            capabilities=((*_CODES, Capability.LOG_LIKELIHOOD),),
            splits=("train", "holdout"),
            groups=True,
            min_rows=LEAST,
        ),
        references=(
            "Yeom, Giacomelli, Fredrikson & Jha 2018 (attribute inference as an advantage)",
            "Jayaraman & Evans 2022, Are attribute inference attacks just imputation?",
            "Hoerl & Kennard 1970 (the probe)",
            "DeLong, DeLong & Clarke-Pearson 1988 (areas on the same rows)",
        ),
        caveats=(
            "It is one attack: a stronger one may infer more.",
            "Which columns are protected is for you to say: a class that the model is about should be readable.",
            "A linear probe reads what is laid out openly: what it misses may still be in the code.",
        ),
        shards_matter=True,
    )

    def __post_init__(self) -> None:
        if self.max_rows < LEAST or self.draws < 19 or not 0.5 <= self.level < 1:
            raise InputError(
                f"privacy.attributes: give 'max_rows' from {LEAST}, 'draws' from 19 and 'level' from 0.5 to below 1."
            )

    def unmet(self, subject: Subject) -> tuple[Unmet, ...]:
        gaps = overlapping(subject)
        if subject.card.modality == "text" and Capability.LOG_LIKELIHOOD in subject.offers:
            return gaps
        if subject.offers.isdisjoint(_CODES):
            remedy = (
                "none for this model: there is nothing to ask about an example with an attribute left out"
            )
            return (*gaps, Unmet("a language model, or a model with a code", subject.card.modality, remedy))
        gaps += no_bottleneck(subject, "none for this model: it has no code")
        if subject.splits["holdout"] < 2 * LEAST:
            found = f"{subject.splits['holdout']} rows"
            gaps += (Unmet(f"{2 * LEAST} rows in split 'holdout'", found, "bring more data"),)
        return gaps

    def inputs(self, subject: Subject) -> Cases:
        unknown = sorted(set(self.columns) - set(subject.groups))
        if unknown:
            raise InputError(
                f"privacy.attributes: 'columns' names '{unknown[0]}'; the group columns of the data are {', '.join(subject.groups)}."
            )
        coded = subject.card.modality != "text" or Capability.LOG_LIKELIHOOD not in subject.offers
        shared = subject.data_card.overlap("train", "holdout")
        known = () if shared is None else tuple(shared.rows)
        taught = min(self.max_rows, subject.splits["holdout"] // 2) if coded else 0
        teachers = subject.drawn("holdout", max(taught, 1), without=known)
        others = subject.drawn(
            "holdout", self.max_rows, without=(*known, *teachers.numbers().tolist()) if coded else known
        )
        sides = subject.drawn("train", self.max_rows), others
        columns = self.columns or subject.groups
        read = chance = both = both_by_chance = None
        guesses: tuple[Recipe[Guesses], ...]
        if coded:
            probes = FittedProbes(_codes(subject, teachers), RowAttributes(teachers, columns))
            guesses = tuple(CodeGuesses(rows, _codes(subject, rows), probes) for rows in sides)
            names: Any = probes
            attributes = RowAttributes(others, columns)
            read = ReadOffCodes(_codes(subject, others), attributes, self.draws)
            chance = ReadOffCodes(_codes(subject, others), Reordered(attributes), self.draws)
            if dict(subject.extractors).get("features"):
                features = subject.features(others)
                both = RankedByBoth(_codes(subject, others), features, attributes, self.draws)
                both_by_chance = RankedByBoth(
                    _codes(subject, others), features, Reordered(attributes), self.draws
                )
        else:
            names = RowAttributes(others, columns)
            guesses = tuple(TextGuesses(rows, names, subject.model) for rows in sides)
        members, nonmembers = guesses
        asked = {"members": members, "nonmembers": nonmembers, "names": names}
        asked |= {"read": read, "both": both, "control": False}
        said = "halves of 'holdout' in place of members and others, labels dealt out at random in place of those read off codes"

        def halves(blind: bool = False, known: float = 0.0) -> dict[str, Any]:
            first = HalfOfGuesses(nonmembers, 0, blind, known)
            second = HalfOfGuesses(nonmembers, 1, blind)
            return {"members": first, "nonmembers": second, "names": names, "control": True}

        planted = tuple(
            Case(
                CaseKind.PLANTED,
                {**halves(blind=True, known=dose), "read": None, "both": None},
                "halves of 'holdout' whose attributes are guessed among four, those of one half partly known",
                "remembered attributes",
                dose,
            )
            for dose in subject.doses
        )
        null = {**halves(), "read": chance, "both": both_by_chance}
        return Cases(asked, Case(CaseKind.NULL, null, said), planted)

    def measure(
        self,
        members: Shards[Guesses],
        nonmembers: Shards[Guesses],
        names: Shards[Any],
        read: Shards[ReadColumns] | None,
        both: Shards[RankedColumns] | None,
        control: bool,
    ) -> Iterable[Outcome]:
        inside, outside = (np.concatenate(list(side)) for side in (members, nonmembers))
        columns = [column.name for column in names[0].columns]
        yield from self._risk(inside, outside, columns, getattr(names[0], "left_out", ()), control)
        if read is not None:
            yield from self._readable(read[0], control)
        elif not control:
            yield self.about.undefined("readable", "it takes a model with a latent code")
        if both is not None:
            yield from self._beyond(both[0], control)
        elif not control:
            yield self.about.undefined(
                "beyond_features", "it takes a model with a latent code, and features of the examples"
            )

    def _risk(
        self,
        inside: Guesses,
        outside: Guesses,
        columns: list[str],
        left_out: tuple[tuple[str, str], ...],
        control: bool,
    ) -> Iterable[Outcome]:
        least = LEAST // 2 if control else LEAST
        reasons = [f"'{name}': {why}" for name, why in left_out]
        found: list[tuple[str, int, int, int, int]] = []
        for place, name in enumerate(columns):
            ours, theirs = (side[:, place][side[:, place] >= 0] for side in (inside, outside))
            if min(len(ours), len(theirs)) < least:
                reasons.append(
                    f"'{name}': asked of {len(ours)} members and {len(theirs)} others; it takes {least}"
                )
                continue
            found.append((name, int(ours.sum()), len(ours), int(theirs.sum()), len(theirs)))
        if not found:
            yield self.about.undefined(
                "risk", f"no column can be asked about: {'; '.join(reasons) or 'none'}"
            )
            return
        level = 1 - (1 - self.level) / len(found)
        each = [newcombe_difference(a, m, b, n, level) for _, a, m, b, n in found]
        gaps = [a / m - b / n for _, a, m, b, n in found]
        worst = int(np.argmax(gaps))
        notes = [f"Largest of {len(found)}: {_said(found[worst])}", *(f"Left out: {why}." for why in reasons)]
        yield self.about.measurement(
            "risk", gaps[worst], _largest(each, self.level), found[worst][2], notes=notes
        )
        for column, gap in () if control else zip(found, gaps, strict=True):
            name, a, m, b, n = column
            yield self.about.measurement(
                "risk",
                gap,
                newcombe_difference(a, m, b, n, self.level),
                m,
                group=(("column", name),),
                notes=(_said(column),),
            )

    def _readable(self, found: ReadColumns, control: bool) -> Iterable[Outcome]:
        reasons = [f"'{name}': {why}" for name, why in found.left_out]
        if not found.columns:
            yield self.about.undefined("readable", f"no column can be used: {'; '.join(reasons) or 'none'}")
            return
        level = 1 - (1 - self.level) / len(found.columns)
        values = [column.read.value for column in found.columns]
        worst = found.columns[int(np.argmax(values))]
        notes = [f"Largest of {len(values)}: '{worst.name}', {worst.read.rows:,} examples of 'holdout'."]
        yield self.about.measurement(
            "readable",
            worst.read.value,
            _largest([column.read.interval(level) for column in found.columns], self.level),
            worst.read.rows,
            p_value=found.p_value,
            notes=[*notes, *(f"Left out: {why}." for why in reasons)],
        )
        for column in () if control else found.columns:
            yield self.about.measurement(
                "readable",
                column.read.value,
                column.read.interval(self.level),
                column.read.rows,
                group=(("column", column.name),),
                p_value=column.read.p_value,
            )

    def _beyond(self, found: RankedColumns, control: bool) -> Iterable[Outcome]:
        reasons = [f"'{name}': {why}" for name, why in found.left_out]
        if not found.columns:
            yield self.about.undefined(
                "beyond_features", f"no column can be used: {'; '.join(reasons) or 'none'}"
            )
            return
        level = 1 - (1 - self.level) / len(found.columns)
        name, gap = max(found.columns, key=lambda one: one[1].value)
        said = f"Largest of {len(found.columns)}: '{name}', area {gap.first:.3f} by codes and {gap.second:.3f} by features."
        yield self.about.measurement(
            "beyond_features",
            gap.value,
            _largest([one.interval(level) for _, one in found.columns], self.level),
            gap.rows,
            notes=[said, *(f"Left out: {why}." for why in reasons)],
        )
        for name, gap in () if control else found.columns:
            yield self.about.measurement(
                "beyond_features", gap.value, gap.interval(self.level), gap.rows, group=(("column", name),)
            )


def _codes(subject: Subject, rows: Recipe[Rows]) -> Recipe[Matrix]:
    if Capability.POSTERIOR in subject.offers:
        return MeansOf(Posteriors(rows, subject.model))
    return Codes(rows, subject.model)


def _said(column: tuple[str, int, int, int, int]) -> str:
    name, a, m, b, n = column
    return f"'{name}' is inferred rightly for {a} of {m} members ({a / m:.1%}) and {b} of {n} others ({b / n:.1%})."


def _largest(each: list[Interval], level: float) -> Interval:
    """Return the interval of the largest of several from intervals that hold at once."""
    method = each[0].method + (f", largest of {len(each)} at once" if len(each) > 1 else "")
    return Interval(max(i.low for i in each), max(i.high for i in each), level, method)
