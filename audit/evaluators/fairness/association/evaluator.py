"""Association of attributes: are traits tied together more strongly in what the model makes than in the data?

In the data perhaps 70 of 100 nurses look feminine. A model that makes 90 of 100 so has learnt the tie and made it stronger, though
its shares of nurses and of women may both be right: an audit that looks at one attribute at a time sees nothing. An
attribute classifier reads samples and real examples alike; each pair of attributes then has a table of log odds ratios on
either side, and their slope says how many times as strong the tie is. It is judged only where the data have a tie to amplify.

Both sides are read by one classifier, so an error that depends on nothing else weakens both alike and leaves the slope nearly right.
Inverting its confusion matrix undoes that too, but takes an error that depends on the other attribute (hair under a hat) for a tie.
Which holds cannot be known from readings, so the interval reaches over both. Attributes are as perceived, and nobody's identity.

Formula: ``amplification = sum w x y / sum w (y² - var y)`` over the cells of a pair's table, x and y the log odds ratios (one
value against the rest, half a row added to each count) of samples and of real examples as read, w the inverse variance of y (0 for a cell of which
one of four counts is below 5 in the data). The first number is that of the pair with the greatest lower bound. ``differing`` counts
cells whose log odds differ at a false discovery rate of 5 % (Benjamini and Hochberg 1995), among cells of 5 or more expected rows.
Interval: Fieller's of the ratio, from a delete-a-block jackknife of both samples and draws of the confusion matrices, at a
quantile that holds for all pairs at once (max-t); it spans that of the slope as read and that of the corrected one. Of the greatest amplification: the greatest lower to the greatest upper bound; of the null case's, that pair's own.
Gate: no value where the classifier is less sure of more than half of the samples than of all but 1 % of the real examples, or where
no pair's log odds are surely above 0.1 nats in the data. An attribute is left out that shows one value only, or whose confusion matrix cannot be inverted.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from audit.core.cases import Case, CaseKind, Cases
from audit.core.errors import InputError, nearest
from audit.core.evaluators import About, Needs, Unmet
from audit.core.measurements import Evidence, Group, Interval, Outcome, Unquantified
from audit.core.metrics import LOWER, Metric
from audit.core.recipes import Inputs, Recipe, Shards
from audit.core.references import Attribute
from audit.core.rows import Rows
from audit.core.subjects import Subject
from audit.evaluators.fairness.association.recipes import (
    AskedAssociations,
    AskedStrengthened,
    Associations,
    Found,
    Known,
    Strengthened,
)
from audit.recipes.attributes import Readings
from audit.recipes.by_group import OnlyColumns
from audit.recipes.classifiers import ROLE, lacking, readings, said_of
from audit.stats.associations import FAINT, Amplified

SHOWN = 20
"""How many cells the table of evidence lists."""
RATE = 0.05
"""The false discovery rate."""


@dataclass(frozen=True, slots=True)
class AttributeAssociation:
    """Compares samples with at most ``max_rows`` rows of the split ``reference``; ``level`` is that of intervals.

    ``attributes`` names the attributes to look at, all that the classifier reads unless told: fewer pairs give narrower intervals. ``condition`` names one of them that
    the model takes as a condition and that is a group column of the data: the model is asked for rows of that column, the data's labels are taken on the other
    side, and only pairs with it are looked at, prompt by attribute.
    """

    reference: str = "train"
    attributes: tuple[str, ...] = ()
    condition: str = ""
    max_rows: int = 10_000
    level: float = 0.95

    about: ClassVar[About] = About(
        name="fairness.association",
        summary="Whether attributes go together more strongly than in the data.",
        metrics=(
            Metric(
                "amplification",
                "How many times as strong the log odds between two attributes are among samples as among real examples, for the "
                "pair with the greatest lower bound; 1 is as in the data",
                LOWER,
                null=1.0,
                question="Are stereotypes stronger in the outputs than in the data?",
            ),
            Metric(
                "differing",
                "Share of pairs of values that go together more or less often than in the data, by more than chance explains",
                LOWER,
                null=0.0,
                question="How many combinations of traits come more or less often than they should?",
            ),
        ),
        needs=Needs(compares=True, roles=(ROLE,), min_rows=200),
        references=(
            "Zhao et al. 2017, Men also like shopping (bias amplification)",
            "Bianchi et al. 2023, Easily accessible text-to-image generation amplifies demographic stereotypes",
            "Fieller 1954; Hothorn, Bretz and Westfall 2008 (simultaneous intervals)",
            "Benjamini and Hochberg 1995",
        ),
        caveats=(
            "Attributes are what a classifier perceives in a picture; nobody's identity can be read off one.",
            "A classifier that errs on samples otherwise than on real examples can make or hide an association; the share of samples "
            "that it is unsure of is said beside the number.",
            "A tie that the data have and a reader would not call a stereotype (grey hair and age) counts like any other: the pairs are listed.",
        ),
    )

    def __post_init__(self) -> None:
        if self.max_rows < 200 or not 0.5 <= self.level < 1:
            raise InputError(
                "fairness.association: give 'max_rows' of 200 or more, 'level' from 0.5 to below 1."
            )

    def unmet(self, subject: Subject) -> tuple[Unmet, ...]:
        if lack := lacking(subject, self.attributes):
            return lack
        if len(self.attributes or subject.extractor(ROLE).attributes) < 2:
            return (Unmet("two attributes", "one", "name another one in 'attributes'"),)
        if self.condition and self.condition not in subject.groups:
            found = f"group columns: {', '.join(subject.groups) or 'none'}"
            return (
                Unmet(f"a group column '{self.condition}'", found, nearest(self.condition, subject.groups)),
            )
        return lacking(subject, (self.condition,)) if self.condition else ()

    def inputs(self, subject: Subject) -> Cases:
        attributes = subject.extractor(ROLE).attributes
        names = [a.name for a in attributes]
        wanted = (*self.attributes, self.condition) if self.attributes else names
        chosen = tuple(i for i, name in enumerate(names) if name in wanted)
        widths = tuple(len(a.values) for a in attributes)
        place = names.index(self.condition) if self.condition else -1
        if self.condition:  # it is known on both sides, so nothing misreads it
            attributes = tuple(
                replace(a, confusion=()) if i == place else a for i, a in enumerate(attributes)
            )

        def read(rows: Recipe[Rows], known: Recipe[Rows]) -> Recipe[Readings]:
            found = readings(subject, rows)
            if not self.condition:
                return found
            return Known(found, known, self.condition, place, attributes[place].values)

        drawn = subject.drawn(self.reference, self.max_rows)
        real = read(drawn, drawn)

        def asked(samples: Recipe[Readings], null: bool = False) -> Inputs:
            of = samples, real, attributes, chosen, self.level
            found = AskedAssociations(*of, place) if self.condition else Associations(*of)
            return {"found": found, "attributes": attributes, "null": null}

        if self.condition:
            prompts = OnlyColumns(subject.drawn(self.reference, subject.sample_count), (self.condition,))
            ours = asked(read(subject.prompted(prompts), prompts))
        else:
            samples = subject.samples()
            ours = asked(read(samples, samples))
        notes = (*subject.unlike(self.reference), *said_of(subject))
        other = "holdout" if self.reference == "train" else "train"
        if subject.splits.get(other, 0) < self.about.needs.min_rows:
            return Cases(ours, no_null="the data has no second real split of enough rows", notes=notes)
        size = min(subject.sample_count, subject.splits[other])
        taken = subject.drawn(other, size)
        second = read(taken, taken)
        rows = f"{size:,} rows of '{other}' in place of the samples"
        planted = tuple(
            Case(
                CaseKind.PLANTED,
                asked(
                    AskedStrengthened(second, widths, chosen, dose, place)
                    if self.condition
                    else Strengthened(second, widths, chosen, dose)
                ),
                f"{rows}, one association of them made 1 + dose times as strong",
                "stronger association",
                dose,
            )
            for dose in subject.doses
        )
        return Cases(ours, Case(CaseKind.NULL, asked(second, null=True), rows), planted, notes=notes)

    def measure(
        self, found: Shards[Found], attributes: tuple[Attribute, ...], null: bool
    ) -> Iterable[Outcome]:
        held = found[0]
        yield from self._amplification(held, attributes, null)
        yield self._differing(held, attributes)

    def _amplification(self, held: Found, attributes: tuple[Attribute, ...], null: bool) -> Iterator[Outcome]:
        amplified = held.amplified
        if amplified is None:
            yield self.about.undefined("amplification", held.reason)
            return
        judged = np.flatnonzero(amplified.judged)
        if not len(judged):
            reason = f"no pair of attributes has log odds surely above {FAINT} nats in the data, so there is nothing to amplify"
            yield self.about.undefined("amplification", reason)
            return
        names = [_name(held, attributes, i) for i in range(len(held.pairs))]
        worst = amplified.worst
        interval = Interval(
            float(amplified.low[judged].max()),
            float(amplified.high[worst] if null else amplified.high[judged].max()),
            self.level,
            f"simultaneous Fieller intervals over {len(judged)} pairs",
        )
        notes = (
            f"Greatest lower bound: {names[worst]}, {amplified.value[worst]:.2f} times as strong as in the data.",
            f"{len(names) - len(judged)} of {len(names)} pairs have log odds in the data that are not surely above {FAINT} nats, or too "
            "uncertain to divide by, and are not judged.",
            *_strange(held),
            *held.left_out,
        )
        yield self.about.measurement(
            "amplification", float(amplified.value[worst]), interval, held.rows, notes=notes
        )
        for i in judged:
            yield self._one(amplified, int(i), held.rows, (("pair", names[i]),))

    def _one(self, amplified: Amplified, i: int, rows: int, group: Group) -> Outcome:
        interval = Interval(
            float(amplified.low[i]),
            float(amplified.high[i]),
            self.level,
            f"Fieller, simultaneous over {int(amplified.judged.sum())} pairs",
        )
        note = (
            f"Root mean square log odds in the data: {amplified.strength[i]:.2f} nats. Corrected for the classifier's errors the "
            f"amplification is {amplified.corrected[i]:.2f}."
        )
        return self.about.measurement(
            "amplification", float(amplified.value[i]), interval, rows, group=group, notes=(note,)
        )

    def _differing(self, held: Found, attributes: tuple[Attribute, ...]) -> Outcome:
        if held.cells is None:
            reason = held.reason or "no two values have enough rows expected together in both samples"
            return self.about.undefined("differing", reason)
        below = held.cells.adjusted < RATE
        why = Unquantified("a count of discoveries: its errors are bounded by the false discovery rate")
        note = (
            f"{int(below.sum())} of {len(below):,} pairs of values at a false discovery rate of {RATE:.0%}."
        )
        evidence = (_table(held, attributes),) if below.any() else ()
        return self.about.measurement(
            "differing", float(below.mean()), why, held.rows, notes=(note,), evidence=evidence
        )


def _name(held: Found, attributes: tuple[Attribute, ...], pair: int) -> str:
    first, second = held.pairs[pair]
    return f"{attributes[first].name} × {attributes[second].name}"


def _strange(held: Found) -> tuple[str, ...]:
    if held.strange < 0.05:
        return ()
    return (
        f"The classifier is less sure of {held.strange:.0%} of the samples than of all but 1 % of the real examples; what it reads "
        "there may be its own error.",
    )


def _table(held: Found, attributes: tuple[Attribute, ...]) -> Evidence:
    import pyarrow as pa

    cells = held.cells
    assert cells is not None
    order = np.argsort(-np.abs(cells.shrunk), kind="stable")
    order = order[cells.adjusted[order] < RATE][:SHOWN]
    sides = [held.pairs[cells.pair[order], side] for side in (0, 1)]
    shown: list[list[str]] = [
        [f"{attributes[a].name}={attributes[a].values[v]}" for a, v in zip(side, values, strict=True)]
        for side, values in zip(sides, (cells.first[order], cells.second[order]), strict=True)
    ]
    columns: dict[str, Any] = {
        "value": shown[0],
        "goes with": shown[1],
        "log odds, samples": cells.ours[order].round(2),
        "log odds, data": cells.theirs[order].round(2),
        "odds times, shrunk": np.exp(cells.shrunk[order]).round(2),
        "p, adjusted": cells.adjusted[order].round(4),
    }
    caption = "Pairs of values whose association differs most from the data's, drawn towards 0 within each pair of attributes"
    return Evidence("table", caption, pa.table(columns), sensitive=False)
