"""Representation: who is in the outputs, and how far is that from who should be?

An attribute classifier reads every sample; the shares of its values are set against a target: the data's own, equal shares, or shares that a
user names. The total variation is the share of samples that would have to show somebody else for the two to agree.

Shares as read are wrong by the classifier's errors, and 20 tones read from 1,000 pictures differ from any target by chance: both are
taken off. One attribute within another (``crossed``) is shown as a table with intervals, small cells drawn towards the rest or withheld.

Labels that people gave to some of the samples, drawn at random (``hand_labels`` in ``[features]``), take the place of the confusion matrix: PPI++, which assumes
nothing about the classifier's errors. A row in which nothing was read may show any value, and the interval reaches over that.

Formula: ``distance = ½ sum |p - t|`` over values, p and t shares times the inverse confusion matrix; cross-fitted: ``½ sum s(d of one half of
both sides) d of the other``, the mean of both orders, s the sign and d = p - t, which is 0 on average where nothing differs. The first number is that of the
attribute with the greatest lower bound.
Interval: cross-fitted value less 1.28 z standard errors of the linear form to plain value plus z, from multinomial variances and draws of the
confusion matrix; Bonferroni over attributes. Shares: Dirichlet draws, Bonferroni over the values of an attribute; cells: Wilson's, below 50 samples a hierarchical beta-binomial posterior.
Gate: no value where the classifier is less sure of more than half of the samples than of all but 1 % of the real examples. An
attribute is left out whose confusion matrix cannot be inverted, or of which nothing was read in more than half of the samples. Cells of fewer than 10 samples are withheld.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from audit.core.cases import Case, CaseKind, Cases
from audit.core.errors import InputError, nearest
from audit.core.evaluators import About, Needs, Unmet
from audit.core.measurements import Evidence, Interval, Outcome
from audit.core.metrics import LOWER, Metric
from audit.core.recipes import Inputs, Recipe, Shards
from audit.core.references import Attribute
from audit.core.rows import IMAGE, Rows
from audit.core.subjects import Subject
from audit.evaluators.fairness.representation.recipes import (
    Crossing,
    Narrowed,
    Representation,
    Represented,
    ShownGroups,
    Spread,
    given_shares,
)
from audit.recipes.attributes import Readings
from audit.recipes.classifiers import HAND, ROLE, lacking, readings, said_of

TARGETS = ("data", "uniform")
EACH = 6
"""Samples of a group that are shown."""


@dataclass(frozen=True, slots=True)
class AttributeRepresentation:
    """Compares samples with a ``target``: ``data`` (at most ``max_rows`` rows of the split ``reference``) or ``uniform``; ``level`` is that of intervals.

    ``shares`` names other targets, each written "attribute=value: 0.25", all values of an attribute or none; ``shares`` may be a file of the user's, written
    { file = "census.csv" } (columns attribute, value, share) or { file = "census.toml" } (a table for each attribute). ``attributes`` names the attributes to look at, all
    unless told. ``crossed`` names two of them: the second is shown within each value of the first,
    and the distance of pairs of values is measured too. Unless ``crossed`` is given, the two that are surest to be off are shown.
    """

    reference: str = "train"
    target: str = "data"
    shares: tuple[str, ...] = ()
    attributes: tuple[str, ...] = ()
    crossed: tuple[str, ...] = ()
    max_rows: int = 10_000
    level: float = 0.95

    about: ClassVar[About] = About(
        name="fairness.representation",
        summary="How far shares of attributes are from a target.",
        metrics=(
            Metric(
                "distance",
                "Total variation between the shares of an attribute's values among samples and their target, for the attribute with the greatest lower bound; 0 is "
                "agreement, 1 that nobody is shown who should be",
                LOWER,
                null=0.0,
                question="Who is missing from the outputs, or in them too often?",
            ),
        ),
        needs=Needs(compares=True, roles=(ROLE,), min_rows=200),
        references=(
            "Teo, Abdollahzadeh and Cheung 2023, On measuring fairness in generative models (CLEAM)",
            "Cho, Zala and Bansal 2023, DALL-Eval",
            "Rogan and Gladen 1978 (correction for the classifier's errors)",
            "Angelopoulos, Duchi and Zrnic 2023, PPI++ (labels by hand)",
            "fairlearn, MetricFrame (point values by group)",
        ),
        caveats=(
            "Attributes are what a classifier perceives in a picture; nobody's identity can be read off one.",
            "The correction holds as far as the classifier errs on samples as it did on the labelled examples.",
            "Equal shares are a choice, and so are the data's: which target is right is not a question of statistics.",
        ),
    )

    def __post_init__(self) -> None:
        if self.target not in TARGETS:
            raise InputError(f"fairness.representation: {nearest(self.target, TARGETS)}")
        if self.max_rows < 200 or not 0.5 <= self.level < 1 or len(self.crossed) not in (0, 2):
            raise InputError(
                "fairness.representation: give 'max_rows' of 200 or more, 'level' from 0.5 to below 1, two attributes in 'crossed' or none."
            )

    def unmet(self, subject: Subject) -> tuple[Unmet, ...]:
        if lack := lacking(subject, (*self.attributes, *self.crossed)):
            return lack
        attributes = subject.extractor(ROLE).attributes
        try:
            given_shares(attributes, self.target, self.shares)
        except ValueError as error:
            return (Unmet("target shares of attributes", str(error), "correct 'shares'"),)
        known = {a.name: a.values for a in attributes}
        for other in subject.extractor(HAND).attributes if HAND in dict(subject.extractors) else ():
            if odd := set(other.values) - set(known.get(other.name, other.values)):
                found = f"'{sorted(odd)[0]}' of '{other.name}', which the classifier does not know"
                return (
                    Unmet("labels by hand of the classifier's values", found, "correct the file of labels"),
                )
        return ()

    def inputs(self, subject: Subject) -> Cases:
        attributes = subject.extractor(ROLE).attributes
        names = [a.name for a in attributes]
        chosen = tuple(i for i, name in enumerate(names) if name in (self.attributes or names))
        crossed = tuple(names.index(name) for name in self.crossed)
        given = given_shares(attributes, self.target, self.shares)

        real = readings(subject, subject.drawn(self.reference, self.max_rows))

        def asked(rows: Recipe[Readings]) -> Inputs:
            found = Representation(rows, real, attributes, chosen, (), crossed, self.level)
            return {"found": found, "attributes": attributes, "shown": None}

        drawn = subject.samples()
        samples = readings(subject, drawn)
        found = Representation(samples, real, attributes, chosen, given, crossed, self.level)
        if HAND in dict(subject.extractors):
            labelled = subject.extractor(HAND).attributes
            found = replace(found, hand=readings(subject, drawn, HAND), labelled=labelled)
        shown = ShownGroups(drawn, samples, found, attributes, EACH)
        ours = {"found": found, "attributes": attributes, "shown": shown}
        notes = (*subject.unlike(self.reference), *said_of(subject))
        other = "holdout" if self.reference == "train" else "train"
        if subject.splits.get(other, 0) < self.about.needs.min_rows:
            return Cases(ours, no_null="the data has no second real split of enough rows", notes=notes)
        size = min(subject.sample_count, subject.splits[other])
        second = readings(subject, subject.drawn(other, size))
        rows = f"{size:,} rows of '{other}' in place of the samples, against the data"
        planted = tuple(
            Case(
                CaseKind.PLANTED,
                asked(Narrowed(second, chosen[0], attributes[chosen[0]], dose)),
                f"{rows}; the share dose of them given one value of the first attribute",
                "value too common",
                dose,
            )
            for dose in subject.doses
            if chosen
        )
        return Cases(ours, Case(CaseKind.NULL, asked(second), rows), planted, notes=notes)

    def measure(
        self, found: Shards[Represented], attributes: tuple[Attribute, ...], shown: Shards[Rows] | None
    ) -> Iterable[Outcome]:
        held = found[0]
        if not held.spreads:
            reason = held.reason or " ".join(held.left_out) or "there is no attribute to look at"
            yield self.about.undefined("distance", reason)
            return
        yield self._greatest(held, attributes, () if shown is None else _pictures(shown[0]))
        for spread in held.spreads:
            name = attributes[spread.attribute].name
            v = spread.variation
            note = (
                f"Uncorrected for the classifier's errors: {v.read:.3f}; with what noise adds: {v.naive:.3f}."
            )
            yield self.about.measurement(
                "distance",
                v.value,
                v.interval,
                held.rows,
                group=(("attribute", name),),
                notes=(note, *spread.notes),
                evidence=(_shares(spread, attributes[spread.attribute]),),
            )

        if held.joint is not None:
            note = (
                "Of pairs of values; the classifier's errors in one attribute are taken not to depend on the other. "
                f"Uncorrected: {held.joint.read:.3f}."
            )
            yield self.about.measurement(
                "distance",
                held.joint.value,
                held.joint.interval,
                held.rows,
                group=(("attribute", " × ".join(self.crossed)),),
                notes=(note,),
            )

    def _greatest(
        self, held: Represented, attributes: tuple[Attribute, ...], pictures: tuple[Evidence, ...]
    ) -> Outcome:
        worst = max(held.spreads, key=lambda spread: spread.variation.interval.low)
        ends = [spread.variation.interval for spread in held.spreads]
        method = f"{ends[0].method}; Bonferroni over {len(ends)} attributes"
        interval = Interval(max(e.low for e in ends), max(e.high for e in ends), self.level, method)
        value = worst.variation.value
        notes = [f"Greatest lower bound: {attributes[worst.attribute].name}.", *held.left_out]
        if held.strange >= 0.05:
            notes.append(
                f"The classifier is less sure of {held.strange:.0%} of the samples than of all but 1 % of the real examples; what it reads "
                "there may be its own error."
            )
        crossed = () if held.crossing is None else (_crossing(held.crossing, attributes),)
        evidence = (*crossed, *pictures)
        return self.about.measurement("distance", value, interval, held.rows, notes=notes, evidence=evidence)


def _shares(spread: Spread, attribute: Attribute) -> Evidence:
    import pyarrow as pa

    v = spread.variation
    shares, target = np.clip(v.shares, 1e-4, 1 - 1e-4), np.clip(v.target, 1e-4, 1 - 1e-4)
    odds = shares / (1 - shares) / (target / (1 - target))
    columns = {
        "label": list(attribute.values),
        "value": v.shares.round(4),
        "low": spread.low.round(4),
        "high": spread.high.round(4),
        "target": v.target.round(4),
        "share as read": spread.read.round(4),
        "odds over target's": odds.round(2),
    }
    caption = f"Shares of {attribute.name}, corrected for the classifier's errors, against their target; the intervals hold together"
    return Evidence("intervals", caption, pa.table(columns), sensitive=False)


def _pictures(rows: Rows) -> tuple[Evidence, ...]:
    kind = "images" if IMAGE in rows.column_names else "texts"
    caption = "Samples by group, of the attribute that is surest to be off; what comes too often first"
    return (Evidence(kind, caption, rows, sensitive=False),) if rows.num_rows else ()


def _crossing(crossing: Crossing, attributes: tuple[Attribute, ...]) -> Evidence:
    import pyarrow as pa

    first, second = attributes[crossing.first], attributes[crossing.second]
    rows = list(_cells(crossing, first, second))
    table = pa.table({name: [row[name] for row in rows] for name in rows[0]})
    caption = f"{second.name} within each {first.name}, as read: share among samples, with its interval, and in the data"
    return Evidence("heatmap", caption, table, sensitive=False)


def _cells(crossing: Crossing, first: Attribute, second: Attribute) -> Iterator[dict[str, object]]:
    for i, value in enumerate(first.values):
        for j, other in enumerate(second.values):
            shown = bool(np.isfinite(crossing.shares[i, j]))
            yield {
                "row": value,
                "column": other,
                "samples": int(crossing.sizes[i]) if shown else None,
                "value": round(float(crossing.shares[i, j]), 4) if shown else None,
                "low": round(float(crossing.low[i, j]), 4) if shown else None,
                "high": round(float(crossing.high[i, j]), 4) if shown else None,
                "data": round(float(crossing.real[i, j]), 4),
            }
