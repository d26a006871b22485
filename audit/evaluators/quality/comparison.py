"""What distances between samples and real rows share: sizes, the name of the features, a second real sample."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from audit.core.errors import InputError
from audit.core.evaluators import Unmet
from audit.core.recipes import Recipe, Tools, shard_count, shard_range
from audit.core.references import DataRef, ExtractorRef
from audit.core.rows import Rows
from audit.core.subjects import Subject


@dataclass(frozen=True)
class DrawnRows(Recipe[Rows]):
    """``rows`` rows of a split of ``total``, drawn without replacement, in the order of the split.

    The first rows of a split sorted by class are no sample of it; these are.
    """

    kind: ClassVar[str] = "drawn-rows"
    data: DataRef
    split: str
    rows: int
    total: int
    seed: int
    shard_size: int

    @property
    def piece(self) -> Any:
        return "rows"

    @property
    def title(self) -> str:
        return f"drawn rows ({self.split})"

    @property
    def shards(self) -> int:
        return shard_count(self.rows, self.shard_size)

    def examples(self, shard: int) -> int:
        return len(shard_range(self.rows, self.shard_size, shard))

    def make(self, tools: Tools, shard: int, pieces: Sequence[Sequence[Any]]) -> Rows:
        drawn = np.sort(tools.rng(self, 0).permutation(self.total)[: self.rows])
        span = shard_range(self.rows, self.shard_size, shard)
        return tools.split(self.data, self.split).take(drawn[span.start : span.stop])


def real_twin(subject: Subject, reference: str, size: int) -> Recipe[Rows] | None:
    """Return about ``size`` rows of ``train`` to set beside the reference, or None where there is no second split."""
    if "train" not in subject.splits or reference == "train":
        return None
    total = subject.splits["train"]
    if size >= total:
        return subject.real("train")
    return DrawnRows(subject.data, "train", size, total, subject.seed, subject.shard_size)


def sample_count(subject: Subject) -> int:
    """Return how many samples the audit draws."""
    most = subject.card.most_samples
    return subject.sample_size if most is None else min(subject.sample_size, most)


def too_few(subject: Subject, reference: str, least: int) -> tuple[Unmet, ...]:
    """Return what is missing to compare ``least`` samples with as many rows of ``reference``."""
    gaps: list[Unmet] = []
    if sample_count(subject) < least:
        found = f"{sample_count(subject)} samples"
        gaps.append(Unmet(f"at least {least} samples", found, "raise 'samples' in the spec"))
    if reference not in subject.splits:
        found = f"splits: {', '.join(subject.splits) or 'none'}"
        gaps.append(
            Unmet(f"a split '{reference}' to compare with", found, "name one of these as 'reference'")
        )
    elif subject.splits[reference] < least:
        found = f"{subject.splits[reference]} rows"
        gaps.append(Unmet(f"at least {least} rows in split '{reference}'", found, "bring more data"))
    return tuple(gaps)


@dataclass(frozen=True, slots=True)
class Named:
    """What the features are called; a number belongs to them."""

    name: str


@dataclass(frozen=True)
class Encoder(Recipe[Named]):
    """The name of the features, for scoring, which sees no subject."""

    kind: ClassVar[str] = "encoder-name"
    extractor: ExtractorRef

    @property
    def piece(self) -> Any:
        return Named

    @property
    def title(self) -> str:
        return "name of the features"

    def make(self, tools: Tools, shard: int, pieces: Sequence[Sequence[Any]]) -> Named:
        return Named(self.extractor.name)


def encoder_of(subject: Subject) -> Encoder:
    """Return the recipe for the name of this audit's features."""
    if subject.extractor is None:
        raise InputError("This audit names no feature extractor.")
    return Encoder(subject.extractor)
