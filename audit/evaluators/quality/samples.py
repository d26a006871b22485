"""Samples: what the model makes, beside real examples, and whether it makes the same thing twice.

Numbers say how far samples are from real examples; only the samples themselves say in what. This evaluator keeps some to look at: drawn at
random, the nearest to and the farthest from real examples, samples beside their nearest real neighbours, and real examples that no
sample comes near, which is what a dropped mode looks like. Which ones those are is decided by the features of the audit.

The one number needs no features. A model that repeats itself, byte for byte, has few distinct outputs: among continuous
outputs a single repetition is remarkable, among short texts it is not.

Formula: ``repeated = |{i in second half: x_i in first half}| / |second half|``, over samples in the order they were drawn: the probability
that a further sample is one of those in the first half.
Interval: Clopper and Pearson's; given the first half, the others are independent trials with one probability.
Gate: no interval below 2 samples; no neighbours without a feature extractor, 20 samples and 20 real examples.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from audit.core.capabilities import Capability
from audit.core.errors import InputError
from audit.core.evaluators import About, Needs
from audit.core.measurements import Evidence, Outcome, Unquantified
from audit.core.metrics import LOWER, Metric
from audit.core.recipes import Inputs, Recipe, Shards
from audit.core.rows import IMAGE, PREFIX, TEXT, Rows, images_of
from audit.core.subjects import Subject
from audit.core.summaries import merged
from audit.recipes.neighbours import Neighbours
from audit.recipes.shown import Lookalikes, Matched, Picked, SplitThumbnails, Thumbnails, rows_in
from audit.stats.fidelity import listed
from audit.stats.proportions import clopper_pearson

_LEAST = 20
_EXTREME, _MISSING = 8, 12
_POOL = 0.05
_K = 5
_MEMBERS = 50_000
"""Training examples among which look-alikes are looked for at most."""


@dataclass(frozen=True, slots=True)
class Hashes:
    """A hash of each row's picture or text, or of the whole row where it has neither, shape (rows,); merging is concatenation."""

    values: NDArray[np.uint64]

    @classmethod
    def of(cls, rows: Rows) -> Self:
        found = [hashlib.blake2b(each, digest_size=8).digest() for each in _bytes_of(rows)]
        return cls(np.frombuffer(b"".join(found), "<u8").astype(np.uint64))

    def merge(self, other: Self) -> Self:
        return type(self)(np.concatenate([self.values, other.values]))


def _bytes_of(rows: Rows) -> Iterator[bytes]:
    if IMAGE in rows.column_names:
        yield from (image.tobytes() for image in images_of(rows))
        return
    names = [name for name in (PREFIX, TEXT) if name in rows.column_names]
    for row in rows.select(names or rows.column_names).to_pylist():
        yield repr(row).encode("utf-8", "surrogatepass")


@dataclass(frozen=True, slots=True)
class SamplesShown:
    """Shows ``shown`` samples (a third as many texts) beside as many real examples of the split ``reference``; ``level`` is that of the interval."""

    reference: str = "holdout"
    shown: int = 24
    level: float = 0.95

    about: ClassVar[About] = About(
        name="quality.samples",
        summary="What the model makes, beside real examples, and what it misses.",
        metrics=(
            Metric(
                "repeated",
                "Probability that a sample is the same, byte for byte, as one of those drawn before it",
                LOWER,
                question="Does the model repeat itself?",
            ),
        ),
        needs=Needs(capabilities=((Capability.SAMPLE,),)),
        references=("Arora, Risteski & Zhang 2018", "Clopper & Pearson 1934"),
        caveats=(
            "Which samples count as good, bad or missing is what the feature extractor says; it may be blind to what a person sees.",
        ),
    )

    def __post_init__(self) -> None:
        if not 1 <= self.shown <= 60 or not 0.5 <= self.level < 1:
            raise InputError("quality.samples: give 'shown' from 1 to 60, 'level' from 0.5 to below 1.")

    def inputs(self, subject: Subject) -> Inputs:
        samples = subject.samples()
        picture = subject.card.modality == "image"
        hashes = subject.summarised(samples, Hashes)
        shown = self.shown if picture else max(1, self.shown // 3)
        asked: dict[str, Any] = {
            "hashes": hashes,
            "drawn": Picked(samples, shown),
            "reference": self.reference,
            "real": None,
            "near": {},
            "members": self._members(subject, samples) if picture and subject.splits.get("train") else None,
            "searched": min(_MEMBERS, subject.splits.get("train", 0)),
        }
        if not subject.splits.get(self.reference):
            return asked
        asked["real"] = Picked(subject.drawn(self.reference, shown), shown)
        enough = min(subject.sample_count, subject.splits[self.reference]) >= _LEAST
        if picture and "features" in dict(subject.extractors) and enough:
            asked["near"] = self._near(subject, samples, subject.real(self.reference))
        return asked

    def _members(self, subject: Subject, samples: Recipe[Rows]) -> Recipe[Rows]:
        rows = min(_MEMBERS, subject.splits["train"])
        train = SplitThumbnails(subject.data, "train", rows, subject.shard_size)
        nearest = Neighbours(Thumbnails(samples), train, 1)
        return Lookalikes(samples, nearest, subject.data, "train", _EXTREME, "nearest training example")

    def _near(self, subject: Subject, samples: Recipe[Rows], real: Recipe[Rows]) -> Inputs:
        x, y = subject.features(samples), subject.features(real)
        ours, theirs = Neighbours(x, y, 1), Neighbours(y, x, 1)
        among = Neighbours(y, y, listed(_K))
        pool = max(_MISSING, round(_POOL * rows_in(real)))
        return {
            "nearest": Matched(samples, real, ours, _EXTREME, _EXTREME, beside="nearest real"),
            "farthest": Matched(
                samples, real, ours, _EXTREME, _EXTREME, farthest=True, beside="nearest real"
            ),
            "any": Matched(samples, real, ours, _EXTREME, beside="nearest real"),
            "missing": Matched(
                real,
                samples,
                theirs,
                _MISSING,
                pool,
                farthest=True,
                columns=subject.groups[:2],
                scale=among,
                beside="nearest sample",
            ),
        }

    def measure(
        self,
        hashes: Shards[Hashes],
        drawn: Shards[Rows],
        reference: str,
        real: Shards[Rows] | None,
        near: dict[str, Shards[Rows]],
        members: Shards[Rows] | None,
        searched: int,
    ) -> Iterable[Outcome]:
        values = merged(hashes).values
        half = len(values) // 2
        hits, trials = int(np.isin(values[half:], values[:half]).sum()), len(values) - half
        interval = (
            clopper_pearson(hits, trials, self.level) if half else Unquantified("one sample repeats nothing")
        )
        yield self.about.measurement(
            "repeated",
            hits / trials,
            interval,
            trials,
            notes=(f"Of {trials:,} samples, {hits:,} are among the {half:,} drawn before them.",),
            evidence=tuple(self._evidence(drawn, reference, real, near, members, searched)),
        )

    def _evidence(
        self,
        drawn: Shards[Rows],
        reference: str,
        real: Shards[Rows] | None,
        near: dict[str, Shards[Rows]],
        members: Shards[Rows] | None,
        searched: int,
    ) -> Iterator[Evidence]:
        private = reference == "train"
        yield _exhibit("Samples, drawn at random", drawn[0], False)
        if real is not None:
            yield _exhibit(f"Real examples of '{reference}', drawn at random", real[0], private)
        captions = {
            "farthest": f"The worst: samples farthest from any example of '{reference}', beside the nearest one",
            "nearest": f"The best: samples nearest to an example of '{reference}', beside it",
            "any": f"Samples drawn at random, beside the nearest example of '{reference}'",
            "missing": f"Most likely missing: examples of '{reference}' that samples come least near, beside the nearest sample",
        }
        for name, caption in captions.items():
            if name in near:
                yield _exhibit(caption, near[name][0], private)
        if members is not None:
            yield _exhibit(
                f"Samples nearest to any of {searched:,} training examples by their pixels, beside it: copies look like this",
                members[0],
                True,
            )


def _exhibit(caption: str, rows: Rows, sensitive: bool) -> Evidence:
    kind = "images" if IMAGE in rows.column_names else "texts" if TEXT in rows.column_names else "table"
    return Evidence(kind, caption, rows, sensitive)
