"""Which share of the letters a model writes are vowels."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, ClassVar, Self

from audit.core.capabilities import Capability
from audit.core.evaluators import About, Needs
from audit.core.measurements import Interval, Outcome
from audit.core.metrics import NEITHER, Metric
from audit.core.recipes import Inputs, Shards
from audit.core.rows import texts_of
from audit.core.subjects import Subject
from audit.core.summaries import merged


@dataclass(frozen=True, slots=True)
class Letters:
    """How many letters there are, and how many of them are vowels."""

    letters: int
    vowels: int

    @classmethod
    def of(cls, batch: Any) -> Self:
        text = "".join(texts_of(batch)).lower()
        return cls(sum(c.isalpha() for c in text), sum(c in "aeiou" for c in text))

    def merge(self, other: Self) -> Self:
        return type(self)(self.letters + other.letters, self.vowels + other.vowels)


@dataclass(frozen=True, slots=True)
class VowelShare:
    """The share of vowels among the letters that a model writes."""

    level: float = 0.95

    about: ClassVar[About] = About(
        name="quality.vowels",
        summary="Which share of the letters are vowels.",
        metrics=(
            Metric(
                "vowels",
                "Vowels over letters in free samples",
                NEITHER,
                question="Does the model write letters that can be pronounced?",
            ),
        ),
        needs=Needs(capabilities=((Capability.SAMPLE,),), modalities=("text",)),
        references=("Wilson 1927, for the interval",),
    )

    def inputs(self, subject: Subject) -> Inputs:
        return {"letters": subject.summarised(subject.samples(), Letters)}

    def measure(self, letters: Shards[Letters]) -> Iterable[Outcome]:
        total = merged(letters)
        share, n = total.vowels / total.letters, total.letters
        z = 1.959963984540054
        middle = (share + z * z / (2 * n)) / (1 + z * z / n)
        half = z / (1 + z * z / n) * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
        interval = Interval(middle - half, middle + half, self.level, "Wilson 1927, letters as independent")
        yield self.about.measurement("vowels", share, interval, n)
