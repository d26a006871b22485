"""Quality parity: are the outputs as good for every group, or does one of them get blurred or all-alike pictures?

Samples of a group are compared with real examples of the same group. A distance shrinks with the number of rows, so a small group
looks bad whatever the model does; here all groups of an attribute are cut to the size of the smallest, and each measure has the same
mean value in every group where samples and real examples agree. What a group's distance is counted in is the variety of its own real examples.

The groups are as one attribute classifier reads them on both sides, so that its errors fall on both alike: with the data's labels on one side and
readings on the other, a perfect model would look worse for the group that is misread most. A model that takes a ``condition`` is
asked for each group instead; then the data's labels say who is who, and no classifier is needed.

Formula: ``kernel`` is the largest difference between two groups in squared MMD (unbiased, Gaussian kernel of the median distance, features
standardised by the group's real rows), ``coverage`` in clipped coverage (share of good samples that cover the real examples as well, not cut
off at 1), ``frechet`` in the debiased Fréchet distance over the total variance of the group's real rows. The first number is that of the
attribute with the greatest lower bound.
Interval: simultaneous over all pairs of groups (max-t), ``[max(0, max(d - c SE)), max(d + c SE)]``, Bonferroni over attributes; standard errors of
the U-statistic, of random halves, and of influence functions.
Gate: a group is left out below 50 rows on either side; no value below two groups. No Fréchet gap where some group has too few rows to remove the bias, and
no value where the classifier is less sure of more than half of the samples than of all but 1 % of the real examples.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

from audit.core.cases import Case, CaseKind, Cases
from audit.core.errors import InputError, nearest
from audit.core.evaluators import About, Needs, Unmet
from audit.core.measurements import Evidence, Outcome
from audit.core.metrics import LOWER, Metric
from audit.core.recipes import Inputs, Recipe, Shards
from audit.core.rows import IMAGE, Matrix, Rows
from audit.core.subjects import Subject
from audit.evaluators.fairness.quality_parity.recipes import GroupQuality, Narrower, WorstGroups
from audit.recipes.by_group import OnlyColumns, ReadGroups
from audit.recipes.classifiers import ROLE, lacking, readings, said_of
from audit.recipes.group_gaps import Parity, outcomes
from audit.recipes.labelled import Attributes, RowAttributes
from audit.stats.group_quality import LEAST, MEASURES

EACH = 6
"""Samples of a group that are shown."""


@dataclass(frozen=True, slots=True)
class QualityParity:
    """Compares samples with the split ``reference``, in each group of the chosen ``attributes`` (all that the classifier reads unless told).

    ``condition`` names a group column of the data that the model takes as a condition: it is then asked for rows of that column, and
    no classifier is needed. ``max_rows`` is the most of one group on either side; ``level`` is that of intervals.
    """

    reference: str = "holdout"
    attributes: tuple[str, ...] = ()
    condition: str = ""
    max_rows: int = 500
    level: float = 0.95

    about: ClassVar[About] = About(
        name="fairness.quality_parity",
        summary="Whether outputs are as good for every group.",
        metrics=(
            Metric(
                "kernel",
                "Largest difference between two groups in how far samples lie from real examples (squared kernel distance, 0 to 2)",
                LOWER,
                null=0.0,
                question="Do the outputs look less real for some group?",
            ),
            Metric(
                "coverage",
                "Largest difference between two groups in the share of good samples that would cover real examples as well",
                LOWER,
                null=0.0,
                question="Is the variety of some group lost?",
            ),
            Metric(
                "frechet",
                "Largest difference between two groups in Fréchet distance, relative to the group's own variance",
                LOWER,
                null=0.0,
            ),
        ),
        needs=Needs(compares=True, features=True, min_rows=200),
        references=(
            "Gretton et al. 2012 (kernel distance); Salvy, Talbot & Thirion 2025 (clipped coverage)",
            "Chong & Forsyth 2020 (debiased Fréchet distance)",
            "Hothorn, Bretz & Westfall 2008 (simultaneous intervals)",
            "Hall et al. 2024, DIG In (quality of generated images by group)",
        ),
        caveats=(
            "Attributes are what a classifier perceives in a picture; nobody's identity can be read off one.",
            "A sample so bad that the classifier takes it for another group counts there: look at fairness.representation as well.",
            "The largest of several noisy gaps is larger than the true one on average; the interval is not misled by that, the value is.",
        ),
    )

    def __post_init__(self) -> None:
        if self.max_rows < LEAST or not 0.5 <= self.level < 1:
            raise InputError(
                f"fairness.quality_parity: give 'max_rows' of {LEAST} or more, 'level' from 0.5 to below 1."
            )
        if self.condition and self.attributes:
            raise InputError("fairness.quality_parity: give 'condition' or 'attributes', not both.")

    def unmet(self, subject: Subject) -> tuple[Unmet, ...]:
        if self.condition:
            if self.condition in subject.groups:
                return ()
            found = f"group columns: {', '.join(subject.groups) or 'none'}"
            return (
                Unmet(f"a group column '{self.condition}'", found, nearest(self.condition, subject.groups)),
            )
        if lack := Needs(roles=(ROLE,)).unmet(subject):
            return lack
        return lacking(subject, self.attributes)

    def inputs(self, subject: Subject) -> Cases:
        real = subject.drawn(self.reference, subject.splits[self.reference])
        if self.condition:
            prompts = OnlyColumns(subject.drawn(self.reference, subject.sample_count), (self.condition,))
            drawn = subject.prompted(prompts)
            ours: Recipe[Attributes] = self._groups(subject, prompts, real)
        else:
            drawn = subject.samples()
            ours = self._groups(subject, drawn, real)
        y, theirs = subject.features(real), self._groups(subject, real, real)

        def asked(x: Recipe[Matrix], groups: Recipe[Attributes], first: bool = False) -> Inputs:
            return {
                "found": GroupQuality(x, y, groups, theirs, self.max_rows, self.level, first),
                "shown": None,
            }

        subject_inputs = asked(subject.features(drawn), ours)
        shown = WorstGroups(drawn, ours, subject_inputs["found"], EACH)
        subject_inputs = {**subject_inputs, "shown": shown}
        notes = (*subject.unlike(self.reference), *(() if self.condition else said_of(subject)))
        other = "holdout" if self.reference == "train" else "train"
        if subject.splits.get(other, 0) < self.about.needs.min_rows:
            return Cases(
                subject_inputs, no_null="the data has no second real split of enough rows", notes=notes
            )
        second = subject.drawn(other, min(subject.sample_count, subject.splits[other]))
        x, groups = subject.features(second), self._groups(subject, second, real)
        rows = f"rows of '{other}' in place of the samples"
        planted = tuple(
            Case(
                CaseKind.PLANTED,
                asked(Narrower(x, groups, dose), groups, True),
                f"{rows}, the commonest group of the first attribute moved the share dose of the way to its mean",
                "one group all alike",
                dose,
            )
            for dose in subject.doses
        )
        return Cases(subject_inputs, Case(CaseKind.NULL, asked(x, groups), rows), planted, notes=notes)

    def _groups(self, subject: Subject, rows: Recipe[Rows], real: Recipe[Rows]) -> Recipe[Attributes]:
        if self.condition:
            return RowAttributes(rows, (self.condition,))
        attributes = subject.extractor(ROLE).attributes
        names = [a.name for a in attributes]
        chosen = tuple(i for i, name in enumerate(names) if name in (self.attributes or names))
        return ReadGroups(readings(subject, rows), readings(subject, real), attributes, chosen)

    def measure(self, found: Shards[Parity], shown: Shards[Rows] | None) -> Iterable[Outcome]:
        pictures: tuple[Evidence, ...] = ()
        if shown is not None and shown[0].num_rows:
            kind = "images" if IMAGE in shown[0].column_names else "texts"
            caption = "Samples by group, the group that is farthest from its real examples first"
            pictures = (Evidence(kind, caption, shown[0], sensitive=False),)
        for measure, caption in _SAID.items():
            yield from outcomes(
                self.about, measure, found[0], self.level, caption, pictures if measure == MEASURES[0] else ()
            )


_SAID = {
    "kernel": "Kernel distance of samples from real examples",
    "coverage": "Clipped coverage of real examples by samples",
    "frechet": "Relative Fréchet distance of samples from real examples",
}
