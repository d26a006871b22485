"""Modes: does every kind of thing in the data occur among the samples, and as often?

The kinds are the values of the data's group columns: classes, occupations, skin tones. Half of the labelled real rows teach a
linear reader to tell them apart in the features, the other half show how often it errs; what it reads off samples is
corrected for that, so shares compare with true labels. Data without labels are read by an attribute classifier, samples and real rows alike, and
corrected by its own confusion matrix. A kind counts as dropped when it comes less than a tenth as often as in the
data. Total variation says how far all shares of a column are off: the part of the samples that would have to be of other kinds.

A distance between distributions hardly notices a rare kind that is gone, and cannot say which; this names it. It sees only
kinds that somebody labelled; ``quality.diversity`` and coverage see others.

Formula: shares ``M'⁻¹ q`` of read shares q and the reader's confusion matrix M; dropped where ``share < threshold × real share``;
total variation ``½ Σ |share - real share|``, extrapolated to infinitely many rows, so that equal shares give 0 on average. Coverage of a kind: the
share of its real rows whose 5th real neighbour is farther than some sample, over its mean for equal distributions.
Interval: of the count, closed testing with Simes' test, from exact binomial p-values at an effective number of samples: at least so
many are dropped, and at most so many may be. Of a total variation, draws from its normal approximation; of the largest, the
largest lower to the largest upper bound, each at a level that holds for all columns at once. Ratios in the table hold all at once within their column. Of
coverage, the delete-half jackknife with Wilson's, Bonferroni over kinds.
Gate: skipped without group columns or an attribute classifier, and below 100 rows a side. Left out: columns of one or more than 100 values, values of fewer
than 20 rows, columns that the features hardly tell apart (M's smallest singular value within three times its noise).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from audit.core.cases import Case, CaseKind, Cases
from audit.core.errors import InputError, UndefinedError
from audit.core.evaluators import About, Needs, Unmet, groups_in_spec
from audit.core.measurements import Evidence, Interval, Outcome
from audit.core.metrics import HIGHER, LOWER, Metric
from audit.core.recipes import Inputs, Recipe, Shards
from audit.core.rows import Rows
from audit.core.subjects import Subject
from audit.recipes.attributes import Readings
from audit.recipes.classifiers import ROLE, lacking, readings
from audit.recipes.group_coverage import GroupCoverage, GroupCovered
from audit.recipes.labelled import (
    Attributes,
    ClassifiedAttributes,
    ClassifiedKinds,
    ClassifiedReader,
    Compared,
    ComparedColumn,
    ComparedKinds,
    FittedReader,
    Reader,
    ReadKinds,
    RowAttributes,
    WithoutKinds,
)
from audit.recipes.neighbours import NearPairs, Neighbours
from audit.stats.fidelity import listed
from audit.stats.modes import surely_true

LEAST, K = 100, 5
METHOD = "closed testing, Simes; exact binomial at effective n"


@dataclass(frozen=True, slots=True)
class _Labels:
    """Kinds by the data's group columns, read off samples by a reader that learns from them."""

    subject: Subject
    real: Recipe[Rows]
    columns: tuple[str, ...]

    @property
    def reads(self) -> str:
        return self.subject.extractor().name

    @property
    def attributes(self) -> Recipe[Attributes]:
        return RowAttributes(self.real, tuple(self.columns) or self.subject.groups)

    @property
    def reader(self) -> Recipe[Reader]:
        return FittedReader(self.subject.features(self.real), self.attributes)

    def read(self, rows: Recipe[Rows]) -> Recipe[NDArray[np.int64]]:
        return ReadKinds(self.subject.features(rows), self.reader)


@dataclass(frozen=True, slots=True)
class _Classifier:
    """Kinds as an attribute classifier reads them in samples and real rows."""

    subject: Subject
    real: Recipe[Rows]
    columns: tuple[str, ...]

    @property
    def reads(self) -> str:
        return self.subject.extractor(ROLE).name

    @property
    def _chosen(self) -> tuple[int, ...]:
        known = self.subject.extractor(ROLE).attributes
        return tuple(i for i, a in enumerate(known) if a.name in self.columns or not self.columns)

    @property
    def _theirs(self) -> Recipe[Readings]:
        return readings(self.subject, self.real)

    @property
    def attributes(self) -> Recipe[Attributes]:
        return ClassifiedAttributes(self._theirs, self.subject.extractor(ROLE).attributes, self._chosen)

    @property
    def reader(self) -> Recipe[Reader]:
        return ClassifiedReader(self._theirs, self.subject.extractor(ROLE).attributes, self._chosen)

    def read(self, rows: Recipe[Rows]) -> Recipe[NDArray[np.int64]]:
        known = self.subject.extractor(ROLE).attributes
        return ClassifiedKinds(readings(self.subject, rows), self._theirs, self.reader, known)


@dataclass(frozen=True)
class Modes:
    """Compares free samples with the split ``reference``, by its group columns or those of them that ``columns`` names; an attribute classifier
    reads those that the data lack.

    A kind is dropped below ``threshold`` times its real share; ``level`` is that of intervals.
    """

    reference: str = "holdout"
    columns: tuple[str, ...] = ()
    threshold: float = 0.1
    level: float = 0.95

    about: ClassVar[About] = About(
        name="quality.modes",
        summary="Which kinds of the data are missing among samples, and how far the shares of all are off.",
        metrics=(
            Metric(
                "dropped",
                "Number of kinds that come less than a tenth as often as in the data",
                LOWER,
                null=0.0,
                question="Is any kind of thing gone that the data have?",
            ),
            Metric(
                "tv",
                "Total variation distance between the shares of kinds among samples and in the data; 0 is equal, the largest of all columns",
                LOWER,
                null=0.0,
                question="Do the kinds come as often as in the data?",
            ),
            Metric(
                "coverage",
                "Share of the real balls of a kind that hold a sample, over what samples of the same distribution reach; the least covered kind",
                HIGHER,
                question="Is the variety within some kind lost?",
            ),
        ),
        needs=Needs(compares=True, features=True, min_rows=LEAST),
        references=(
            "Rogan & Gladen 1978; Lipton, Wang & Smola 2018 (shares behind a classifier that errs)",
            "Goeman, Meijer, Krebs & Solari 2019 (closed testing with Simes' test)",
        ),
        caveats=(
            "Kinds are read off features: samples that look like nothing in the data are read as some kind all the same.",
            "The correction assumes that samples of a kind are misread as real rows of it are.",
            "Coverage is comparable only between models measured with the same features and sizes.",
        ),
        distances=("coverage",),
    )

    def __post_init__(self) -> None:
        if not 0 < self.threshold <= 0.5 or not 0.5 <= self.level < 1:
            raise InputError(
                "quality.modes: give 'threshold' above 0 and up to 0.5, 'level' from 0.5 to below 1."
            )

    def unmet(self, subject: Subject) -> tuple[Unmet, ...]:
        if subject.groups and set(self.columns) <= set(subject.groups):
            return ()
        if ROLE in dict(subject.extractors):
            return lacking(subject, self.columns)
        if subject.groups:
            return ()  # a column that is not there is a mistake in the spec: ``inputs`` names it
        lines = groups_in_spec(subject.data_card.modality)
        remedy = (
            f'name group columns in the spec ({lines}), or an attribute classifier ([features] {ROLE} = "…")'
        )
        return (Unmet("data with group columns, or an attribute classifier", "neither", remedy),)

    def inputs(self, subject: Subject) -> Cases:
        unknown = sorted(set(self.columns) - set(subject.groups))
        if unknown and ROLE not in dict(subject.extractors):
            raise InputError(
                f"quality.modes: 'columns' names '{unknown[0]}'; the group columns of the data are {', '.join(subject.groups)}."
            )
        real = subject.real(self.reference)
        asks = _Labels if subject.groups and set(self.columns) <= set(subject.groups) else _Classifier
        kinds = asks(subject, real, self.columns)
        theirs = subject.features(real)
        around = Neighbours(theirs, theirs, listed(K))

        def asked(rows: Recipe[Rows], dose: float = 0.0) -> Inputs:
            read, covered = kinds.read(rows), None
            if not dose:
                x = subject.features(rows)
                own = Neighbours(x, x, listed(K))
                near = NearPairs(x, theirs, own, around)
                covered = GroupCoverage(own, around, near, kinds.attributes, K, self.level)
            found = ComparedKinds(
                WithoutKinds(read, dose) if dose else read, kinds.reader, self.threshold, self.level
            )
            return {"found": found, "extractor": kinds.reads, "covered": covered}

        ours, notes = asked(subject.samples()), subject.unlike(self.reference)
        if self.reference == "train" or subject.splits.get("train", 0) < LEAST:
            return Cases(ours, no_null="the data has no second real split of enough rows", notes=notes)
        size = min(subject.sample_count, subject.splits["train"])
        second = subject.drawn("train", size)
        words = f"{size:,} rows of 'train' in place of the samples"
        planted = tuple(
            Case(
                CaseKind.PLANTED,
                asked(second, dose),
                f"{words}, kinds of them dropped",
                "dropped kinds",
                dose,
            )
            for dose in subject.doses
        )
        return Cases(ours, Case(CaseKind.NULL, asked(second), words), planted, notes=notes)

    def measure(
        self, found: Shards[Compared], extractor: str, covered: Shards[GroupCovered] | None = None
    ) -> Iterable[Outcome]:
        if covered is not None:
            yield self._covered(covered[0])
        columns, left_out = found[0].columns, found[0].left_out
        if not columns:
            raise UndefinedError(
                "no group column can be used: " + "; ".join(f"'{name}': {why}" for name, why in left_out)
            )
        yield self._dropped(columns, left_out, extractor)
        level = 1 - (1 - self.level) / len(columns)
        within = [column.variation.interval(level) for column in columns]
        largest = columns[int(np.argmax([column.variation.value for column in columns]))]
        n = largest.shares.n
        yield self.about.measurement(
            "tv",
            largest.variation.value,
            Interval(max(i.low for i in within), max(i.high for i in within), self.level, within[0].method),
            n,
            notes=(
                f"Largest of {len(columns)}: '{largest.name}'. Without the correction for its bias it is {largest.variation.plain:.3f}.",
            ),
        )
        for column in columns:
            yield self.about.measurement(
                "tv",
                column.variation.value,
                column.variation.interval(self.level),
                n,
                group=(("column", column.name),),
                notes=(f"The reader is right on {column.right:.1%} of labelled rows; {_extremes(column)}.",),
            )

    def _covered(self, found: GroupCovered) -> Outcome:
        """Return the coverage of the least covered kind, with that of all."""
        import pyarrow as pa

        if found.reason:
            return self.about.undefined("coverage", found.reason)
        order = np.argsort(found.values, kind="stable")
        columns = {
            "label": [found.kinds[i] for i in order],
            "value": found.values[order].round(4),
            "low": found.low[order].round(4),
            "high": found.high[order].round(4),
            "target": np.ones(len(order)),
            "real rows": found.sizes[order],
        }
        caption = "Coverage of each kind over that of samples of the same distribution, least covered first"
        least = int(order[0])
        interval = Interval(
            min(found.lowest_low, float(found.values[least])),
            max(found.lowest_high, float(found.values[least])),
            self.level,
            f"delete-half jackknife, Wilson; Bonferroni over {len(order)} kinds",
        )
        note = f"Least covered of {len(order)}: '{found.kinds[least]}', {found.sizes[least]} real rows."
        evidence = Evidence("intervals", caption, pa.table(columns), sensitive=False)
        return self.about.measurement(
            "coverage",
            float(found.values[least]),
            interval,
            int(found.sizes.sum()),
            notes=(note,),
            evidence=(evidence,),
        )

    def _dropped(
        self, columns: tuple[ComparedColumn, ...], left_out: tuple[tuple[str, str], ...], extractor: str
    ) -> Outcome:
        """Return how many kinds are gone, with those that seem so by name and a table of all."""
        gone = np.concatenate([column.shares.gone for column in columns])
        there = np.concatenate([column.shares.there for column in columns])
        each = (1 + self.level) / 2
        least, most = surely_true(gone, each), len(gone) - surely_true(there, each)
        seem = [
            f"{column.name} {kind}"
            for column in columns
            for kind, ratio in zip(column.kinds, column.shares.ratios, strict=True)
            if ratio < self.threshold
        ]
        n = columns[0].shares.n
        notes = [
            f"{n} samples, {len(gone)} kinds in {len(columns)} columns, read off '{extractor}'.",
            f"Below {self.threshold:g} times their share in '{self.reference}': {', '.join(seem)}."
            if seem
            else f"No kind is below {self.threshold:g} times its share in '{self.reference}'.",
        ]
        notes += [f"Column '{name}' is left out: {why}." for name, why in left_out]
        value = min(max(len(seem), least), most)
        return self.about.measurement(
            "dropped",
            value,
            Interval(least, most, self.level, METHOD),
            n,
            notes=notes,
            evidence=(_table(columns),),
        )


def _extremes(column: ComparedColumn) -> str:
    ratios = column.shares.ratios
    low, high = int(ratios.argmin()), int(ratios.argmax())
    return f"'{column.kinds[low]}' comes {ratios[low]:.2f} and '{column.kinds[high]}' {ratios[high]:.2f} times as often as in the data"


def _table(columns: tuple[ComparedColumn, ...]) -> Evidence:
    """Return every kind with its shares and their ratio, the rarest among samples first."""
    import pyarrow as pa

    rows = [
        {
            "kind": f"{column.name} {kind}",
            "in the data": round(float(column.shares.real[i]), 4),
            "among samples": round(max(float(column.shares.samples[i]), 0.0), 4),
            "ratio": round(float(column.shares.ratios[i]), 3),
            "at least": round(float(column.low[i]), 3),
            "at most": round(float(column.high[i]), 3),
        }
        for column in columns
        for i, kind in enumerate(column.kinds)
    ]
    ordered = sorted(rows, key=lambda row: (row["ratio"], row["kind"]))
    return Evidence(
        "table",
        "How often each kind comes, rarest beside the data first",
        pa.Table.from_pylist(ordered),
        sensitive=False,
    )
