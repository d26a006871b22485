"""Adherence: does a model that takes a request give what it was asked for?

Every value of one attribute (an occupation, a class) is asked for equally often, and an attribute classifier reads what came out. The share
of outputs that show the value asked for is corrected by the classifier's confusion matrix, counted on labelled examples; the uncorrected
share stands beside it. Each request is a group of its own: a model that draws ten of eleven occupations and ignores the eleventh
has .91 of all and 0 of one.

Formula: for each request ``[q M⁻¹] of what it asks for``, q the shares as read, M the confusion matrix by true value; the mean over requests,
brought into [0, 1]. Baseline: the same for outputs that ignore the request, which have the composition of all outputs together.
Interval: score interval: every rate that the counts would not refute if it were true, with the multinomial spread of outputs and of the labels
behind the matrix; as read, Wilson's. Where counts are outside what any rate explains, it reaches to the uncorrected one.
Gate: skipped without a request to make, and for samples drawn before. No corrected value where nobody counted the classifier's errors, where its matrix
has a condition number above 30, or where it is less sure of more than half of the outputs than of all but 1 % of real examples.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from audit.core.artifacts import Given
from audit.core.capabilities import Capability
from audit.core.cases import Case, CaseKind, Cases
from audit.core.errors import InputError, UndefinedError, nearest
from audit.core.evaluators import About, Needs, Unmet
from audit.core.measurements import Evidence, Group, Outcome
from audit.core.metrics import HIGHER, Metric
from audit.core.recipes import Context, Inputs, Recipe, Shards
from audit.core.references import Attribute
from audit.core.rows import Rows
from audit.core.subjects import Subject
from audit.recipes.attributes import Readings, joined, unlike_anything
from audit.recipes.classifiers import ROLE, lacking, readings
from audit.recipes.shown import presentable, rows_at
from audit.stats.adherence import Requests, adherence, read_rate

LEAST, SHOWN = 20, 12
Codes = NDArray[np.int64]


@dataclass(frozen=True)
class AskedFor(Recipe[Codes]):
    """The value that each row asks for, or is: its place among ``values``, -1 for none of them."""

    kind: ClassVar[str] = "asked-for"
    along: ClassVar[tuple[str, ...]] = ("rows",)
    rows: Recipe[Rows]
    column: str
    values: tuple[str, ...]

    @property
    def label(self) -> str:
        return f"{self.column} of {self.rows.label}"

    def make(self, context: Context, rows: Rows) -> Codes:
        places = {value: place for place, value in enumerate(self.values)}
        return np.array([places.get(str(v), -1) for v in rows.column(self.column).to_pylist()], np.int64)


@dataclass(frozen=True)
class IgnoredRequests(Recipe[Codes]):
    """Requests of which a share ``dose``, drawn at random, changed places among themselves: a planted model that does not listen."""

    kind: ClassVar[str] = "ignored-requests"
    asked: Recipe[Codes]
    dose: float

    @property
    def label(self) -> str:
        return f"{self.asked.label}, {self.dose:.0%} ignored"

    def make(self, context: Context, asked: Shards[Codes]) -> Codes:
        codes, rng = np.concatenate(list(asked)), context.rng()
        moved = rng.permutation(len(codes))[: round(self.dose * len(codes))]
        codes[moved] = codes[rng.permutation(moved)]
        return codes


@dataclass(frozen=True)
class Misses(Recipe[Rows]):
    """At most ``count`` outputs that were read as something else than was asked for, as many requests among them as there are."""

    kind: ClassVar[str] = "missed-requests"
    source: Recipe[Rows]
    read: Recipe[Readings]
    asked: Recipe[Codes]
    attribute: int
    values: tuple[str, ...]
    count: int

    @property
    def label(self) -> str:
        return f"{self.source.label} that miss their request"

    def make(
        self, context: Context, source: Shards[Rows], read: Shards[Readings], asked: Shards[Codes]
    ) -> Rows:
        import pyarrow as pa

        codes, wanted = joined(read).codes[:, self.attribute], np.concatenate(list(asked))
        missed = context.rng(0).permutation(np.flatnonzero((codes != wanted) & (wanted >= 0)))
        turn = np.empty(
            len(missed), np.int64
        )  # the first miss of every request comes before the second of any
        for value in np.unique(wanted[missed]):
            here = np.flatnonzero(wanted[missed] == value)
            turn[here] = np.arange(len(here))
        chosen = np.sort(missed[np.argsort(turn, kind="stable")][: self.count])
        rows = presentable(rows_at(self.source, source, chosen), ())
        for name, of in (("asked for", wanted), ("read as", codes)):
            rows = rows.append_column(name, pa.array([self.values[c] for c in of[chosen]], pa.string()))
        return rows


@dataclass(frozen=True, slots=True)
class _Plan:
    """What is asked for: the attribute's place and itself, the column of the request, and the values, by their places in the attribute."""

    number: int
    attribute: Attribute
    column: str
    chosen: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Adherence:
    """Asks ``each`` times for every value of ``attribute`` (of those that the model's card lists, the first that the classifier reads).

    A request is a row with the value in ``column`` (called as the attribute unless told); with ``prompt``, such as "a portrait of a {}", it has that text too.
    ``values`` names those to ask for, all unless told. ``reference`` is the split of real examples, of which at most ``max_rows`` are read; ``level`` is that of intervals.
    """

    attribute: str = ""
    column: str = ""
    prompt: str = ""
    values: tuple[str, ...] = ()
    each: int = 40
    reference: str = "holdout"
    max_rows: int = 2_000
    level: float = 0.95

    about: ClassVar[About] = About(
        name="quality.adherence",
        summary="Whether a model gives what it is asked for, as an attribute classifier reads it.",
        metrics=(
            Metric(
                "adherence",
                "Share of outputs that show what was asked for, corrected for the classifier's errors, mean over requests",
                HIGHER,
                null=1.0,
                question="Does the model give what it is asked for?",
            ),
            Metric("read", "The same as the classifier reads it, its errors left in", HIGHER),
        ),
        needs=Needs(((Capability.SAMPLE,),), roles=(ROLE,)),
        references=(
            "Rogan & Gladen 1978 (correction for the classifier's errors)",
            "Wilson 1927 (score interval)",
            "Cho, Zala & Bansal 2023, DALL-Eval (skills read off outputs by a classifier)",
        ),
        caveats=(
            "The correction holds as far as the classifier errs on outputs as it did on the labelled examples.",
            "It says that the value asked for is there, not that the output is good otherwise.",
        ),
        shards_matter=True,
    )

    def __post_init__(self) -> None:
        if self.each < LEAST or self.max_rows < 100 or not 0.5 <= self.level < 1:
            raise InputError(
                f"quality.adherence: give 'each' from {LEAST}, 'max_rows' from 100 and 'level' from 0.5 to below 1."
            )
        if self.prompt and "{}" not in self.prompt:
            raise InputError(
                "quality.adherence: 'prompt' holds no {}; write it where the value belongs: \"a portrait of a {}\"."
            )

    def unmet(self, subject: Subject) -> tuple[Unmet, ...]:
        if lack := lacking(subject, (self.attribute,) if self.attribute else ()):
            return lack
        if subject.card.most_samples is not None:
            found = "samples that were drawn before the audit; none can be drawn for a request"
            return (Unmet("a model that can be asked", found, "audit the model itself"),)
        if not self.attribute and not self._offered(subject):
            found = "the model's card lists no label that the attribute classifier reads"
            remedy = 'name one in [[evaluators]] if the model takes conditions: attribute = "occupation"'
            return (Unmet("an attribute to ask for", found, remedy),)
        plan = self._plan(subject)
        known = plan.attribute.values
        wrong = next((v for v in self.values if v not in known), None)
        if wrong is not None:
            return (
                Unmet(
                    f"a value '{wrong}' of '{plan.attribute.name}'",
                    f"the classifier reads {', '.join(known)}",
                    nearest(wrong, known),
                ),
            )
        if subject.splits.get(self.reference, 0) < 100:
            found = f"splits: {', '.join(f'{s} ({n} rows)' for s, n in subject.splits.items())}"
            return (
                Unmet(f"100 rows in split '{self.reference}'", found, "bring more data, or set 'reference'"),
            )
        return ()

    def _offered(self, subject: Subject) -> dict[str, tuple[str, ...]]:
        """Return what the model's card says it can be asked for, of what the classifier reads."""
        read = {a.name for a in subject.extractor(ROLE).attributes}
        return {name: labels for name, labels in subject.card.conditions if (self.attribute or name) in read}

    def _plan(self, subject: Subject) -> _Plan:
        attributes = subject.extractor(ROLE).attributes
        offered = self._offered(subject)
        name = self.attribute or next(iter(offered), attributes[0].name)
        number = next(i for i, a in enumerate(attributes) if a.name == name)
        labels = self.values or offered.get(self.column or name) or attributes[number].values
        chosen = tuple(i for i, value in enumerate(attributes[number].values) if value in labels)
        return _Plan(number, attributes[number], self.column or name, chosen)

    def inputs(self, subject: Subject) -> Cases:
        plan = self._plan(subject)
        asked = [plan.attribute.values[i] for i in plan.chosen] * self.each
        columns = [(plan.column, tuple(asked))]
        if self.prompt:
            columns.append(("text", tuple(self.prompt.replace("{}", value) for value in asked)))
        requests = Given(tuple(columns), subject.shard_size, f"requests for {plan.column}")
        outputs = subject.prompted(requests)
        read, wanted = readings(subject, outputs), AskedFor(requests, plan.column, plan.attribute.values)
        real = subject.drawn(self.reference, self.max_rows)
        common = {"real": readings(subject, real), "attribute": plan.attribute, "number": plan.number}
        missed = Misses(outputs, read, wanted, plan.number, plan.attribute.values, SHOWN)
        ours: Inputs = {**common, "read": read, "asked": wanted, "missed": missed}
        if plan.attribute.name not in subject.groups:
            return Cases(ours, no_null=f"the data do not say the {plan.attribute.name} of their rows")
        labels = AskedFor(real, plan.attribute.name, plan.attribute.values)
        known: Inputs = {**common, "read": readings(subject, real), "asked": labels, "missed": None}
        said = f"rows of '{self.reference}' in place of the outputs, each asked for what it is"
        planted = tuple(
            Case(
                CaseKind.PLANTED,
                {**known, "asked": IgnoredRequests(labels, dose)},
                f"{said}; some requests changed places",
                "ignored requests",
                dose,
            )
            for dose in subject.doses
        )
        return Cases(ours, Case(CaseKind.NULL, known, said), planted)

    def measure(
        self,
        read: Shards[Readings],
        asked: Shards[Codes],
        real: Shards[Readings],
        missed: Shards[Rows] | None,
        attribute: Attribute,
        number: int,
    ) -> Iterable[Outcome]:
        ours, wanted = joined(read), np.concatenate(list(asked))
        codes, k = ours.codes[:, number], len(attribute.values)
        table = np.zeros((k, k))
        np.add.at(table, (wanted[wanted >= 0], codes[wanted >= 0]), 1.0)
        here = np.flatnonzero(table.sum(axis=1) > 0)
        if not len(here):
            raise UndefinedError(f"no row asks for a value of '{attribute.name}'")
        whole = Requests(table[here], here)
        strange = ours.strange(joined(real))
        reason = unlike_anything(strange)
        groups: list[tuple[Group, Requests]] = [((), whole)]
        if len(here) > 1:
            groups += [(((attribute.name, attribute.values[v]),), whole.only(i)) for i, v in enumerate(here)]
        for group, requests in groups:
            evidence = () if group else tuple(self._evidence(whole, attribute, missed))
            value, interval = read_rate(requests, self.level)
            n = int(requests.sizes.sum())
            notes = (
                []
                if group
                else [
                    f"{len(here)} values of '{attribute.name}' asked for, {n / len(here):.0f} outputs each on average."
                ]
            )
            if not group and strange >= 0.05:
                notes.append(
                    f"The classifier is less sure of {strange:.0%} of the outputs than of all but 1 % of the real examples."
                )
            yield self.about.measurement(
                "read", value, interval, n, group=group, notes=notes, evidence=evidence
            )
            yield self._corrected(requests, whole, attribute, group, reason)

    def _corrected(
        self, requests: Requests, whole: Requests, attribute: Attribute, group: Group, reason: str
    ) -> Outcome:
        if not attribute.confusion:
            reason = (
                reason
                or f"nobody counted the classifier's errors on '{attribute.name}'; the uncorrected share is in '{self.about.full('read')}'"
            )
        if reason:
            return self.about.undefined("adherence", reason, group)
        try:
            rate = adherence(requests, attribute.confusion, whole, self.level)
        except UndefinedError as error:
            return self.about.undefined("adherence", str(error), group)
        notes = [f"As read: {rate.read:.3f}. Outputs that ignore the request would give {rate.ignoring:.3f}."]
        if rate.misfit:
            notes.append(
                f"The correction gives {rate.unbounded:.3f}, outside 0 to 1 by more than chance: the classifier errs differently on these outputs "
                "than on the labelled examples, so the interval reaches to the uncorrected share."
            )
        return self.about.measurement(
            "adherence", rate.value, rate.interval, rate.n, group=group, baseline=rate.ignoring, notes=notes
        )

    def _evidence(
        self, whole: Requests, attribute: Attribute, missed: Shards[Rows] | None
    ) -> Iterator[Evidence]:
        import pyarrow as pa

        if missed is None:
            return
        shares = whole.counts / whole.sizes[:, None]
        cells: list[dict[str, Any]] = [
            {"row": attribute.values[v], "column": other, "value": round(float(shares[i, j]), 4)}
            for i, v in enumerate(whole.asked)
            for j, other in enumerate(attribute.values)
        ]
        yield Evidence(
            "heatmap",
            f"What was asked for (rows) and what {attribute.name} was read (columns): share of outputs",
            pa.Table.from_pylist(cells),
            sensitive=False,
        )
        if missed[0].num_rows:
            kind = "images" if "image" in missed[0].column_names else "texts"
            yield Evidence(
                kind,
                f"Outputs read as another {attribute.name} than was asked for",
                missed[0],
                sensitive=False,
            )
