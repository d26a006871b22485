"""Marks by group: are the outputs about some group, or in some language, found less often, or accused more often?

Pictures: every labelled example gets the mark and is saved as JPEG of quality 50, which is where differences between pictures show. Texts: the model
continues each example's first words with the mark, so that group and language stay. Beside it the examples themselves, which nobody
marked, are read with the same key. One key in use may accuse the words of one language more than those of another; over keys that evens out, and
in use it does not.

Formula: ``found`` is the share of a group's marked examples with p <= 1/1000, ``accused`` that of its unmarked ones with p <= 1/100. ``gap`` and
``accused_gap`` are the largest of these shares minus the smallest, for each group column.

Interval: Clopper-Pearson (exact) with Bonferroni over the groups of a column, so that all of a column hold at once; for the gaps Newcombe's with the
max-t quantile over all pairs (Hothorn, Bretz & Westfall 2008).

Gate: groups of fewer than 20 examples are left out, and columns of more than 100 values.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from audit.core.capabilities import Capability
from audit.core.cases import Case, CaseKind, Cases
from audit.core.errors import InputError, nearest
from audit.core.evaluators import About, Needs, Unmet
from audit.core.measurements import Evidence, Interval, Outcome
from audit.core.metrics import HIGHER, LOWER, Metric
from audit.core.recipes import Recipe, Shards
from audit.core.rows import Rows
from audit.core.subjects import Subject
from audit.marks.image.catalogue import IMAGE_MARKS, NEURAL, image_mark
from audit.marks.text.catalogue import TEXT_MARKS, refused
from audit.recipes.labelled import Attribute, Attributes, RowAttributes
from audit.recipes.marked_images import TOO_SMALL
from audit.recipes.marks_by_example import PicturesByMark, ShuffledGroups, TextsByMark
from audit.stats.proportions import clopper_pearson
from audit.stats.simultaneous import rate_gaps

_RATES = {"found": 1e-3, "accused": 1e-2}
_GAPS = {"found": "gap", "accused": "accused_gap"}
_LEVEL = 0.95


@dataclass(frozen=True, slots=True)
class MarkGroups:
    """Compares the groups of ``columns`` (all of the data's unless named) on ``max_rows`` examples of the split ``reference``.

    Pictures are marked with each of ``marks``, texts with each of ``text_marks``, at most ``most`` tokens; ``key`` is in use for all.
    """

    reference: str = "holdout"
    columns: tuple[str, ...] = ()
    marks: tuple[str, ...] = ("dwt_dct",)
    text_marks: tuple[str, ...] = ("kgw", "unigram")
    max_rows: int = 400
    most: int = 96
    key: int = 15485863

    about: ClassVar[About] = About(
        name="provenance.mark_groups",
        summary="Whether marks work alike for all groups and languages.",
        metrics=(
            Metric(
                "found",
                "Share of a group's marked examples in which the mark is found at 1/1000",
                HIGHER,
                question="Is the mark found in this group's outputs?",
            ),
            Metric(
                "accused",
                "Share of a group's unmarked examples that come out at 1/100",
                LOWER,
                question="How often is this group's own, unmarked content taken for marked?",
            ),
            Metric(
                "gap",
                "Largest difference between groups in the share found",
                LOWER,
                null=0.0,
                question="Is the mark found less often for some group?",
            ),
            Metric(
                "accused_gap",
                "Largest difference between groups in the share of unmarked examples accused",
                LOWER,
                null=0.0,
                question="Is some group's own content accused more often?",
            ),
        ),
        needs=Needs(modalities=("image", "text"), groups=True),
        references=(
            "Clopper & Pearson 1934, with Bonferroni",
            "Newcombe 1998; Hothorn, Bretz & Westfall 2008, for the gaps",
        ),
        shards_matter=True,
        caveats=(
            "Pictures are labelled examples of the data, not outputs of the model, whose groups nobody wrote down.",
            "Examples are marked here, for the test; no number says that the model's own service marks its outputs.",
        ),
    )

    def __post_init__(self) -> None:
        for name in self.marks:
            try:
                image_mark(name)
            except KeyError:
                known = (*IMAGE_MARKS, NEURAL)
                raise InputError(
                    f"provenance.mark_groups: no mark is called '{name}'. {nearest(name, known)}"
                ) from None
        for name in self.text_marks:
            if name not in TEXT_MARKS:
                raise InputError(
                    f"provenance.mark_groups: no mark of texts is called '{name}'. {nearest(name, TEXT_MARKS)}"
                )
        if why := next(filter(None, (refused(name, self.key) for name in self.text_marks)), ""):
            raise InputError(f"provenance.mark_groups: 'key' is {self.key}: {why}.")
        if self.max_rows < 40 or self.most < 8:
            raise InputError(
                "provenance.mark_groups: 'max_rows' is at least 40, twice the smallest group, and 'most' at least 8."
            )

    def unmet(self, subject: Subject) -> tuple[Unmet, ...]:
        if self.reference not in subject.splits:
            found = f"splits: {', '.join(subject.splits)}"
            return (Unmet(f"a split '{self.reference}'", found, "set 'reference' of this evaluator"),)
        if unknown := [name for name in self.columns if name not in subject.groups]:
            found = f"group columns: {', '.join(subject.groups)}"
            return (Unmet(f"a group column '{unknown[0]}'", found, "set 'columns' of this evaluator"),)
        needed = {Capability.MARKED_SAMPLE, Capability.TOKEN_SCORES}
        if subject.card.modality == "text" and not needed <= subject.offers:
            remedy = 'audit the model itself ([model] adapter = "transformers")'
            return (
                Unmet("a language model that can write with a mark", "a model without marked_sample", remedy),
            )
        return ()

    def inputs(self, subject: Subject) -> Cases:
        rows = subject.drawn(self.reference, self.max_rows)
        labels = RowAttributes(rows, self.columns or subject.groups)
        tests: dict[str, Recipe[Rows]]
        if subject.card.modality == "image":
            tests = {name: PicturesByMark(rows, name, self.key) for name in self.marks}
        else:
            scores = subject.token_scores(rows)
            tests = {
                name: TextsByMark(rows, scores, subject.model, name, self.key, self.most)
                for name in self.text_marks
            }
        asked: dict[str, Any] = {"tests": tests, "labels": labels, "lost": 0.0}
        shuffled = {**asked, "labels": ShuffledGroups(labels, subject.seed)}
        said = "groups shuffled over the examples"
        planted = tuple(
            Case(
                CaseKind.PLANTED,
                {**shuffled, "lost": dose},
                f"{said}, marks of the first group lost",
                "lost",
                dose,
            )
            for dose in subject.doses
        )
        return Cases(asked, Case(CaseKind.NULL, shuffled, said), planted)

    def measure(
        self, tests: dict[str, Shards[Rows]], labels: Shards[Attributes], lost: float
    ) -> Iterable[Outcome]:
        columns = [column for shard in labels for column in shard.columns]
        for name, shards in tests.items():
            p = {which: np.concatenate([s.column(which).to_numpy() for s in shards]) for which in _RATES}
            if not len(p["found"]):
                yield from (self.about.undefined(m, TOO_SMALL, (("mark", name),)) for m in self._names(lost))
                continue
            hits = {which: values <= _RATES[which] for which, values in p.items()}
            for column in columns:
                yield from self._of_column(name, column, hits, lost)

    def _names(self, lost: float) -> tuple[str, ...]:
        return ("gap",) if lost else ("found", "accused", "gap", "accused_gap")

    def _of_column(
        self, name: str, column: Attribute, hits: dict[str, Any], lost: float
    ) -> Iterator[Outcome]:
        where = (("mark", name), ("column", column.name))
        if column.left_out:
            reason = f"the column has {column.left_out}"
            yield from (
                self.about.undefined(m, reason, where) for m in ("gap", *(() if lost else ("accused_gap",)))
            )
            return
        groups = [np.flatnonzero(column.codes == i) for i in range(len(column.kinds))]
        trials = [len(group) for group in groups]
        for which in ("found",) if lost else _RATES:
            counts = [int(hits[which][group].sum()) for group in groups]
            counts[0] -= round(lost * counts[0])
            if not lost:
                yield from self._shares(which, name, column, counts, trials)
            gaps = rate_gaps(counts, trials, np.random.default_rng(0))
            table = (_table(name, column, which, counts, trials),)
            yield self.about.measurement(
                _GAPS[which], gaps.largest, gaps.spread, sum(trials), group=where, evidence=table
            )

    def _shares(
        self, which: str, name: str, column: Attribute, counts: list[int], trials: list[int]
    ) -> Iterator[Outcome]:
        for kind, hits, n in zip(column.kinds, counts, trials, strict=True):
            group = (("mark", name), (column.name, kind))
            yield self.about.measurement(which, hits / n, _together(hits, n, len(trials)), n, group=group)


def _together(hits: int, n: int, groups: int) -> Interval:
    """Return the exact interval of one of several shares, all of which hold at once."""
    one = clopper_pearson(hits, n, 1 - (1 - _LEVEL) / groups)
    return Interval(one.low, one.high, _LEVEL, f"Clopper-Pearson, Bonferroni over {groups} groups")


def _table(name: str, column: Attribute, which: str, counts: list[int], trials: list[int]) -> Evidence:
    import pyarrow as pa

    lines = []
    for kind, hits, n in zip(column.kinds, counts, trials, strict=True):
        interval = _together(hits, n, len(trials))
        share = f"{hits / n:.3f} ({interval.low:.3f} to {interval.high:.3f})"
        lines.append({column.name: kind, "examples": n, which: share})
    return Evidence("table", f"{name}: share {which} by {column.name}", pa.Table.from_pylist(lines), False)
