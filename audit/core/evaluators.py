"""What an evaluator is, and what it cannot do without."""

from __future__ import annotations

import enum
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Protocol

from audit.core.capabilities import Capability
from audit.core.cases import Cases
from audit.core.measurements import Evidence, Group, Interval, Measurement, Outcome, Undefined, Unquantified
from audit.core.metrics import Metric
from audit.core.recipes import Inputs
from audit.core.references import DataRef
from audit.core.subjects import Subject


class Dimension(enum.StrEnum):
    """The kind of question that an evaluator asks."""

    QUALITY = "quality"
    FAIRNESS = "fairness"
    PRIVACY = "privacy"
    PROVENANCE = "provenance"


@dataclass(frozen=True, slots=True)
class Unmet:
    """One reason an evaluator cannot run here, and what would change that."""

    need: str
    found: str
    remedy: str


def groups_in_spec(modality: str) -> str:
    """Return the lines of a spec that name group columns: pictures have theirs in a table beside them."""
    if modality != "image":
        return '[data] groups = "column, another"'
    return (
        "[data] metadata = \"groups.csv\", a table with a column 'file' and one for each group, "
        'and groups = "column, another" where not all of them are meant'
    )


@dataclass(frozen=True, slots=True)
class Needs:
    """What an evaluator cannot do without.

    Every inner tuple of ``capabilities`` is a choice: at least one member must be offered, and
    earlier members are preferred. ``compares`` asks for samples and for the real examples of the split
    that the evaluator's parameter ``reference`` names, at least ``min_rows`` of each. ``features`` asks
    for a feature extractor of the audit's modality, ``roles`` for further ones by their role.
    """

    capabilities: tuple[tuple[Capability, ...], ...] = ()
    splits: tuple[str, ...] = ()
    modalities: tuple[str, ...] = ()
    groups: bool = False
    features: bool = False
    roles: tuple[str, ...] = ()
    compares: bool = False
    min_rows: int = 0

    @property
    def choices(self) -> tuple[tuple[Capability, ...], ...]:
        """The capabilities that are needed, those of a comparison included."""
        return ((Capability.SAMPLE,), *self.capabilities) if self.compares else self.capabilities

    @property
    def extractors(self) -> tuple[str, ...]:
        """The roles that are needed."""
        return ("features", *self.roles) if self.features else self.roles

    def unmet(self, subject: Subject, reference: str = "holdout") -> tuple[Unmet, ...]:
        """Return every gap, not just the first; ``reference`` is the split that samples are compared with."""
        card = subject.card
        if self.modalities and card.modality not in self.modalities:
            gap = Unmet(
                need=f"a model of {' or '.join(self.modalities)}",
                found=f"a model of {card.modality}",
                remedy="none for this model: the question does not arise for its modality",
            )
            return (gap,)  # what follows would only repeat that this is another kind of model
        gaps: list[Unmet] = [*self._capabilities(subject)]
        splits = dict.fromkeys((*self.splits, reference) if self.compares else self.splits)
        gaps += [lack for split in splits if (lack := self._split(subject, split)) is not None]
        if self.compares and not gaps and subject.sample_count < self.min_rows:
            gaps.append(
                Unmet(
                    f"at least {self.min_rows} samples",
                    *subject.too_few_samples(self.min_rows),
                )
            )
        if "train" in self.splits and card.trained_on not in (None, subject.data):
            gaps.append(
                Unmet(
                    need="the data that this model was trained on",
                    found="other data: the model's card names another content or another way of splitting it",
                    remedy=_data_lines(card.trained_on),
                )
            )
        if self.groups and not subject.data_card.groups:
            remedy = f"name group columns in the spec: {groups_in_spec(subject.data_card.modality)}"
            gaps.append(Unmet("data with group columns", "no group column", remedy))
        known = dict(subject.extractors)
        gaps += [
            Unmet(
                need=f"a feature extractor for {card.modality}"
                + ("" if role == "features" else f" in the role '{role}'"),
                found="none",
                remedy=f"write in the spec: [features] {role} = \"…\"; 'audit list extractors' shows them",
            )
            for role in self.extractors
            if role not in known
        ]
        return tuple(gaps)

    def _capabilities(self, subject: Subject) -> Iterable[Unmet]:
        withheld = dict(subject.card.withheld)
        for choice in self.choices:
            if subject.offers.isdisjoint(choice):
                reasons = [f"{c} is withheld: {withheld[c]}" for c in choice if c in withheld]
                yield Unmet(
                    need=f"a model that offers {' or '.join(choice)}",
                    found="; ".join(reasons) or f"it offers {', '.join(sorted(subject.offers)) or 'nothing'}",
                    remedy=f"use an adapter whose model implements {choice[0]}",
                )

    def _split(self, subject: Subject, split: str) -> Unmet | None:
        if split not in subject.splits:
            return Unmet(
                need=_SPLIT_MEANING.get(split, f"a split '{split}'"),
                found=f"splits: {', '.join(subject.splits) or 'none'}",
                remedy=f'name them in the spec: [data] {split} = "…", or data that has such a split',
            )
        if subject.splits[split] < self.min_rows:
            return Unmet(
                need=f"at least {self.min_rows} rows in split '{split}'",
                found=f"{subject.splits[split]} rows",
                remedy="bring more data",
            )
        return None


def _data_lines(ref: DataRef | None) -> str:
    """Return what to write in a spec to name some data, with its options."""
    assert ref is not None, "asked only where the card names data"
    options = "".join(f", {name} = {json.dumps(value)}" for name, value in ref.options)
    return (
        f'write in the spec: [data] use = "{ref.loader}"{options}; or leave [data] out for an included model'
    )


_SPLIT_MEANING = {
    "train": "a split 'train': the examples this model was trained on (its members)",
    "holdout": "a split 'holdout': examples from the same source that the model was not trained on",
}


@dataclass(frozen=True, slots=True)
class About:
    """What an evaluator is: its name, its metrics, what it needs, and what its numbers are not.

    ``name`` begins with the dimension: ``privacy.membership``. ``caveats`` are sentences about every one of its
    numbers, shown once; what depends on the run belongs to a measurement's notes. ``shards_matter`` admits that its
    statistics depend on how rows are cut into shards; otherwise the conformance suite demands that they do not.
    ``label`` is what a spec calls one asking of it (``as``), in place of its name. ``distances`` names the
    metrics that are distances in the audit's features: no policy judges them in features that see too little (``ExtractorRef.limits``).
    """

    name: str
    summary: str
    metrics: tuple[Metric, ...]
    needs: Needs = field(default_factory=Needs)
    references: tuple[str, ...] = ()
    caveats: tuple[str, ...] = ()
    shards_matter: bool = False
    label: str = ""
    distances: tuple[str, ...] = ()

    @property
    def dimension(self) -> Dimension:
        return Dimension(self.name.partition(".")[0])

    @property
    def called(self) -> str:
        """What its metrics begin with: the label, or the name."""
        return self.label or self.name

    @property
    def declared(self) -> dict[str, Metric]:
        """Its metrics by their full names."""
        return {self.full(metric.name): metric for metric in self.metrics}

    def full(self, metric: str) -> str:
        """Return the full name of one of its metrics; the one named as the evaluator is goes by its name alone."""
        return self.called if metric == self.name.rpartition(".")[2] else f"{self.called}.{metric}"

    def metric(self, name: str) -> Metric:
        """Return a declaration by its last word. Raise ValueError when there is none."""
        for metric in self.metrics:
            if metric.name == name:
                return metric
        raise ValueError(
            f"{self.name} declares no metric '{name}'; it declares {', '.join(m.name for m in self.metrics)}"
        )

    def measurement(
        self,
        metric: str,
        value: float,
        uncertainty: Interval | Unquantified,
        n: int,
        *,
        group: Group = (),
        unit: str | None = None,
        baseline: float | None = None,
        p_value: float | None = None,
        notes: Iterable[str] = (),
        evidence: Iterable[Evidence] = (),
        available: int | None = None,
    ) -> Measurement:
        """Return a measurement of a declared metric, with its direction, unit and baseline filled in."""
        declared = self.metric(metric)
        return Measurement(
            metric=self.full(metric),
            value=value,
            uncertainty=uncertainty,
            n=n,
            direction=declared.direction,
            group=group,
            baseline=declared.baseline if baseline is None else baseline,
            unit=declared.unit if unit is None else unit,
            p_value=p_value,
            notes=tuple(notes),
            evidence=tuple(evidence),
            available=available,
        )

    def undefined(self, metric: str, reason: str, group: Group = ()) -> Undefined:
        """Return the fact that a declared metric has no value here, and why."""
        return Undefined(self.full(self.metric(metric).name), reason, group)


class Evaluator(Protocol):
    """Scores one property of a model.

    A frozen dataclass whose fields are its parameters. It asks for inputs by describing them and turns
    them into measurements. It never opens a model, reads a file, draws a random number or takes longer than
    a second or so: whatever does is a recipe. The keys of ``inputs`` are the keyword arguments of
    ``measure``; the planner checks that before anything runs. A recipe arrives as its ``Shards``, the values
    of all its shards; tuples and mappings keep their form, and plain values (None, strings,
    numbers) arrive as they are and are part of what names the result.

    ``inputs`` may return :class:`~audit.core.cases.Cases` instead: the same question asked of the subject, of a
    null and of planted defects; ``subject.compared`` builds them for comparisons with real examples.

    An evaluator may also have ``unmet(subject) -> tuple[Unmet, ...]`` for needs that ``Needs`` cannot say;
    it is asked once ``about.needs`` is met. One that knows how wide its intervals will be may have ``foreseen(subject) ->
    tuple[Foreseen, ...]`` (``audit.core.preflight``): then ``audit plan`` says whether a criterion can be decided.
    """

    @property
    def about(self) -> About: ...

    def inputs(self, subject: Subject) -> Inputs | Cases: ...

    @property
    def measure(self) -> Callable[..., Iterable[Outcome]]: ...
