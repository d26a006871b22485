"""A function of your own over samples and real examples, with an interval, a noise floor and a place in the policy.

``function = "my_scores:sharpness"``, ``as = "sharpness"``: it is called as ``function(samples, real)`` with two lists (images as uint8 arrays of
height, width and channels; texts as strings; else mappings of columns) and returns one number. Its source is part of what names the result: a changed
function is asked again. It runs with your rights, in the process that makes artifacts and never while an audit is planned.

Formula: what the function gives.
Interval: delete-a-block jackknife over ten random blocks of each side, Student's t, for functions that are smooth in their rows; ``bootstrap`` resamples the
rows of both sides, for medians and quantiles. Neither holds for what looks for copies or nearest rows.
Gate: skipped without a function and below 30 rows a side. What is no finite number gives that as the reason.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from audit.core.cases import Case, CaseKind, Cases
from audit.core.errors import InputError, nearest
from audit.core.evaluators import About, Needs, Unmet
from audit.core.identity import Digest, identity
from audit.core.measurements import Direction, Interval, Outcome
from audit.core.metrics import NEITHER, Metric
from audit.core.recipes import Inputs, Recipe, Shards
from audit.core.rows import Rows
from audit.core.subjects import Subject
from audit.evaluators.quality.function.recipes import BLOCKS, LEAST, Found, FunctionValue
from audit.recipes.user_function import FunctionRef
from audit.stats.clusters import percentile_interval

EXAMPLE = FunctionRef("my_scores:sharpness", Digest("0" * 40))
"""What its page in the documentation shows it asking; without a function no audit gets so far."""
INTERVALS = ("jackknife", "bootstrap")


@dataclass(frozen=True)
class UserFunction:
    """Calls ``function``, written "module:callable", with at most ``max_rows`` samples and as many rows of the split ``reference``.

    ``python_path`` is the folder of its module, relative to the spec; without it the module is an installed one. ``direction`` says which way is better: "higher", "lower" or
    "neither". ``null`` is the value that it has for equal distributions, where that is known. ``interval`` is "jackknife" or "bootstrap", ``level`` its confidence.
    """

    function: str = ""
    python_path: str = identity("")
    direction: str = "neither"
    null: float | None = None
    interval: str = "jackknife"
    reference: str = "holdout"
    max_rows: int = 2_000
    level: float = 0.95

    about: ClassVar[About] = About(
        name="quality.function",
        summary="A function of your own over samples and real examples, with an interval.",
        metrics=(
            Metric(
                "function", "What the function that the spec names gives of samples and real rows", NEITHER
            ),
        ),
        needs=Needs(compares=True, min_rows=LEAST),
        references=("Quenouille 1956; Tukey 1958 (jackknife)", "Hesterberg 2015 (bootstrap)"),
        caveats=("Its meaning, and whether its interval may be trusted, are up to the function.",),
        shards_matter=True,
    )

    def __post_init__(self) -> None:
        if self.direction not in tuple(Direction):
            raise InputError(f"quality.function: {nearest(self.direction, tuple(Direction))}")
        if self.interval not in INTERVALS:
            raise InputError(f"quality.function: {nearest(self.interval, INTERVALS)}")
        if self.max_rows < LEAST or not 0.5 <= self.level < 1:
            raise InputError(
                f"quality.function: give 'max_rows' from {LEAST} and 'level' from 0.5 to below 1."
            )
        if self.function:
            meaning = f"What the function {self.function} gives of samples and real rows"
            declared = replace(
                type(self).about.metrics[0],
                direction=Direction(self.direction),
                null=self.null,
                meaning=meaning,
            )
            object.__setattr__(self, "about", replace(type(self).about, metrics=(declared,)))

    def unmet(self, subject: Subject) -> tuple[Unmet, ...]:
        if self.function:
            return ()
        remedy = 'write in its table: function = "my_scores:sharpness", python_path = ".", as = "sharpness"'
        return (Unmet("the name of a function", "none", remedy),)

    def inputs(self, subject: Subject) -> Cases:
        function = FunctionRef.of(self.function, self.python_path) if self.function else EXAMPLE
        real = subject.drawn(self.reference, self.max_rows)

        def asked(samples: Recipe[Rows]) -> Inputs:
            return {"found": FunctionValue(samples, real, function, self.interval)}

        ours = asked(subject.samples(min(subject.sample_count, self.max_rows)))
        notes = subject.unlike(self.reference)
        if self.reference == "train" or subject.splits.get("train", 0) < LEAST:
            return Cases(ours, no_null="the data has no second real split of enough rows", notes=notes)
        size = min(subject.sample_count, self.max_rows, subject.splits["train"])
        said = f"{size:,} rows of 'train' in place of the samples"
        return Cases(ours, Case(CaseKind.NULL, asked(subject.drawn("train", size)), said), notes=notes)

    def measure(self, found: Shards[Found]) -> Iterable[Outcome]:
        one = found[0]
        note = f"{self.function} of {one.samples} samples and {one.real} rows of '{self.reference}'."
        yield self.about.measurement("function", one.value, self._interval(one), one.samples, notes=(note,))

    def _interval(self, found: Found) -> Interval:
        from scipy import special

        if self.interval == "bootstrap":
            return percentile_interval(found.again[0], min(found.samples, found.real), self.level)
        spread = np.square(found.again - found.again.mean(axis=1, keepdims=True)).sum(axis=1)
        error = math.sqrt(float(spread.sum()) * (BLOCKS - 1) / BLOCKS)
        half = float(special.stdtrit(BLOCKS - 1, (1 + self.level) / 2)) * error
        return Interval(found.value - half, found.value + half, self.level, "delete-a-block jackknife")
