"""Disentanglement: does each unit of a code stand for one thing about an example, and is each thing in one unit?

The data's group columns are the things: classes, occupations, ages, whatever a world drew. ``mig`` is the mutual information gap: how much
more the unit that says most about a factor says than the one that comes second; 1 is a unit of its own for every factor, 0 that two
units say equally much, or none anything. DCI asks a classifier which units it needed: ``disentanglement`` is whether a unit counts
for one factor alone, ``completeness`` whether a factor needs one unit alone, ``informativeness`` whether it can be read at all.

Formula: ``mig = mean_k (I(z_1; v_k) - I(z_2; v_k)) / H(v_k)``, units cut into 20 bins, chosen on one half and measured on the other with Miller and
Madow's correction; importances R of random forests, ``disentanglement = Σ_i w_i (1 - H(R_i.) / ln K)``, ``completeness = mean_k (1 - H(R_.k) / ln d)``,
``informativeness = (right - most frequent) / (1 - most frequent)`` on the half that was not fitted to.
Interval: of ``mig``, jackknife over 20 groups of examples; of the others, delete-half jackknife. Both are cautious.
Gate: skipped without group columns and below 200 examples. Left out: columns of one or more than 100 values, values of fewer than 20 rows.
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
from audit.core.measurements import Evidence, Outcome
from audit.core.metrics import HIGHER, Metric
from audit.core.recipes import Recipe, Shards
from audit.core.rows import Matrix
from audit.core.subjects import Subject
from audit.evaluators.quality.disentanglement.recipes import FactorGap, Factors, FactorScores
from audit.recipes.labelled import Reordered, RowAttributes
from audit.recipes.latents import Codes, MeansOf, Posteriors, no_bottleneck
from audit.stats.disentanglement import Importances, halvings_interval, jackknife_interval, mean_gap

LEAST = 200
_UNITS = 30


@dataclass(frozen=True)
class Disentanglement:
    """Encodes at most ``max_rows`` examples of ``split``, drawn at random, and compares codes with its group columns, or those in ``columns``.

    ``level`` is that of intervals.
    """

    split: str = "holdout"
    max_rows: int = 2_000
    columns: tuple[str, ...] = ()
    level: float = 0.95

    about: ClassVar[About] = About(
        name="quality.disentanglement",
        summary="Whether each unit of a latent code stands for one known factor of the data.",
        metrics=(
            Metric(
                "mig",
                "Mutual information gap: how much more the first unit says about a factor than the second, over the factor's entropy",
                HIGHER,
                null=0.0,
                question="Is there one unit for each factor?",
            ),
            Metric(
                "disentanglement",
                "DCI disentanglement: 1 where every unit counts for one factor alone",
                HIGHER,
                baseline=0.0,
                question="Does a unit stand for one thing?",
            ),
            Metric(
                "completeness",
                "DCI completeness: 1 where every factor is read off one unit alone",
                HIGHER,
                baseline=0.0,
                question="Is a thing in one unit?",
            ),
            Metric(
                "informativeness",
                "How well factors are read off the code: 1 is always rightly, 0 no better than guessing the most frequent kind",
                HIGHER,
                baseline=0.0,
                question="Is the factor in the code at all?",
            ),
        ),
        needs=Needs(capabilities=((Capability.POSTERIOR, Capability.ENCODE),), groups=True),
        references=(
            "Chen, Li, Grosse & Duvenaud 2018 (mutual information gap)",
            "Eastwood & Williams 2018 (DCI)",
            "Locatello et al. 2019, Challenging common assumptions (20 bins; no score finds it without labels)",
        ),
        caveats=(
            "Factors that depend on one another in the data cannot be apart in a code that is true to them.",
            "A rotated code says as much and scores lower: this is about single units.",
            "It sees only factors that somebody labelled. DCI depends on the classifier: compare it only with itself.",
        ),
    )

    def __post_init__(self) -> None:
        if self.max_rows < LEAST or not 0.5 <= self.level < 1:
            raise InputError(
                f"quality.disentanglement: give 'max_rows' from {LEAST} and 'level' from 0.5 to below 1."
            )

    def unmet(self, subject: Subject) -> tuple[Unmet, ...]:
        gaps = no_bottleneck(subject, "none for this model: it has no code")
        if subject.splits.get(self.split, 0) < LEAST:
            found = f"{subject.splits.get(self.split, 0)} rows"
            gaps += (Unmet(f"{LEAST} examples in split '{self.split}'", found, "bring more data"),)
        return gaps

    def inputs(self, subject: Subject) -> Cases:
        unknown = sorted(set(self.columns) - set(subject.groups))
        if unknown:
            raise InputError(
                f"quality.disentanglement: 'columns' names '{unknown[0]}'; the group columns of the data are {', '.join(subject.groups)}."
            )
        rows = subject.drawn(self.split, self.max_rows)
        codes: Recipe[Matrix] = Codes(rows, subject.model)
        if Capability.POSTERIOR in subject.offers:
            codes = MeansOf(Posteriors(rows, subject.model))
        attributes = RowAttributes(rows, self.columns or subject.groups)
        asked: dict[str, Any] = {"found": FactorScores(codes, attributes), "control": False}
        shuffled = {"found": FactorScores(codes, Reordered(attributes), importances=False), "control": True}
        return Cases(asked, Case(CaseKind.NULL, shuffled, "labels dealt out to examples at random"))

    def measure(self, found: Shards[Factors], control: bool) -> Iterable[Outcome]:
        factors = found[0]
        if not factors.gaps:
            reasons = "; ".join(f"'{name}': {why}" for name, why in factors.left_out)
            for metric in self.about.metrics:
                yield self.about.undefined(metric.name, f"no factor can be used: {reasons or 'no column'}")
            return
        yield from self._gaps(factors, control)
        if factors.scores is not None:
            yield from self._scores(factors.gaps, factors.scores)

    def _gaps(self, factors: Factors, control: bool) -> Iterable[Outcome]:
        value, error = mean_gap([factor.gap for factor in factors.gaps])
        plain = float(np.mean([factor.gap.plain for factor in factors.gaps]))
        n = max(factor.examples for factor in factors.gaps)
        notes = [
            f"{len(factors.gaps)} factors, {len(factors.gaps[0].gap.information)} units. The published estimate is {plain:.4f}."
        ]
        notes += [f"Column '{name}' is left out: {why}." for name, why in factors.left_out]
        yield self.about.measurement(
            "mig",
            value,
            jackknife_interval(value, error, self.level),
            n,
            notes=notes,
            evidence=() if control else (_heatmap(factors.gaps),),
        )
        for factor in () if control else factors.gaps:
            gap = factor.gap
            best = f"Unit {gap.unit} says the most: {gap.information[gap.unit]:.1%} of the factor's entropy."
            interval = jackknife_interval(gap.value, gap.error, self.level)
            group = (("factor", factor.name),)
            yield self.about.measurement(
                "mig", gap.value, interval, factor.examples, group=group, notes=(best,)
            )

    def _scores(self, gaps: tuple[FactorGap, ...], scores: Importances) -> Iterable[Outcome]:
        n = max(factor.examples for factor in gaps)
        if scores.disentanglement is None:
            yield self.about.undefined(
                "disentanglement", "a unit can tell factors apart only where there are two"
            )
        else:
            interval = halvings_interval(scores.disentanglement, scores.disentanglement_error, self.level)
            yield self.about.measurement("disentanglement", scores.disentanglement, interval, n)
        interval = halvings_interval(scores.completeness, scores.completeness_error, self.level)
        yield self.about.measurement("completeness", scores.completeness, interval, n)
        values, errors = scores.informativeness, scores.informativeness_error
        mean, error = float(values.mean()), float(errors.mean())
        yield self.about.measurement("informativeness", mean, halvings_interval(mean, error, self.level), n)
        for factor, value, one in zip(gaps, values, errors, strict=True):
            yield self.about.measurement(
                "informativeness",
                float(value),
                halvings_interval(float(value), float(one), self.level),
                factor.examples,
                group=(("factor", factor.name),),
            )


def _heatmap(gaps: tuple[FactorGap, ...]) -> Evidence:
    """Return what each unit says about each factor, the units that say most first."""
    import pyarrow as pa

    table = np.stack([factor.gap.information for factor in gaps])
    units = np.argsort(-table.max(axis=0), kind="stable")[:_UNITS]
    rows = [
        {"row": factor.name, "column": f"unit {unit}", "value": float(max(table[place, unit], 0.0))}
        for place, factor in enumerate(gaps)
        for unit in units
    ]
    caption = "Share of each factor's entropy that a unit tells (mutual information)"
    return Evidence("heatmap", caption, pa.Table.from_pylist(rows), sensitive=False)
