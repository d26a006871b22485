"""Kernel distance between the model's samples and real examples: unbiased at every size, with a test of equality."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from typing import Any, ClassVar

from audit.core.capabilities import Capability
from audit.core.errors import InputError
from audit.core.evaluators import About, Dimension, Needs, Unmet
from audit.core.measurements import Direction, Interval, Measurement, Outcome, Unquantified
from audit.core.recipes import Recipe, Tools
from audit.core.rows import Matrix
from audit.core.subjects import Subject
from audit.core.summaries import merged
from audit.evaluators.quality.comparison import Named, encoder_of, real_twin, sample_count, too_few
from audit.stats.kernels import RowSums, Scale, cubic, discrepancy
from audit.stats.moments import Marginals

NAME = "quality.kid"
ENOUGH = 500
"""Fewer rows a side than this and neither the interval nor the p-value is claimed."""
LEAST = 16
"""Fewer rows than this and half a sample has no spread."""


@dataclass(frozen=True)
class Standardised(Recipe[Matrix]):
    """Features on the scale of the reference, shuffled within each shard; at most ``most`` rows, spread over all shards."""

    kind: ClassVar[str] = "kid-standardised"
    features: Recipe[Matrix]
    reference: Recipe[Marginals]
    most: int

    @property
    def piece(self) -> Any:
        return "array"

    @property
    def title(self) -> str:
        return f"standardised {self.features.title}"

    @property
    def shards(self) -> int:
        return self.features.shards

    def examples(self, shard: int) -> int:
        return len(self._kept(shard))

    def needs(self, parent: Recipe[Any], shard: int) -> range:
        return range(parent.shards) if parent == self.reference else range(shard, shard + 1)

    def make(self, tools: Tools, shard: int, pieces: Sequence[Sequence[Any]]) -> Matrix:
        rows, scale = pieces[0][0], Scale.of(merged(pieces[1]))
        order = tools.rng(self, shard).permutation(len(rows))[: self.examples(shard)]
        return scale.apply(rows[order])

    def _kept(self, shard: int) -> range:
        """Return this shard's part of the first ``most`` places, were they dealt evenly to all rows."""
        before, after, total = self._ends[shard], self._ends[shard + 1], self._ends[-1]
        if total <= self.most:
            return range(before, after)
        return range(before * self.most // total, after * self.most // total)

    @cached_property
    def _ends(self) -> list[int]:
        """Where each shard of the features ends; a plan of many shards asks for every one."""
        return list(accumulate((self.features.examples(i) for i in range(self.features.shards)), initial=0))


@dataclass(frozen=True)
class KernelSums(Recipe[RowSums]):
    """Sums of the cubic kernel between each row of one sample and all of another, or of the same one.

    One piece is one shard of ``rows`` against every shard of ``others``, a block at a time.
    """

    kind: ClassVar[str] = "kid-row-sums"
    rows: Recipe[Matrix]
    others: Recipe[Matrix] | None = None

    @property
    def piece(self) -> Any:
        return RowSums

    @property
    def title(self) -> str:
        kind = "within" if self.others is None else f"against {self.others.title}:"
        return f"kernel sums {kind} {self.rows.title}"

    @property
    def shards(self) -> int:
        return self.rows.shards

    def examples(self, shard: int) -> int:
        return self.rows.examples(shard)

    def needs(self, parent: Recipe[Any], shard: int) -> range:
        return range(parent.shards)

    def make(self, tools: Tools, shard: int, pieces: Sequence[Sequence[Any]]) -> RowSums:
        if self.others is None:
            return RowSums.against(pieces[0][shard], pieces[0], cubic, own=shard)
        return RowSums.against(pieces[0][shard], pieces[1], cubic)


@dataclass(frozen=True, slots=True)
class Floor:
    """The kernel distance between two real samples, or why there is none."""

    value: float | None
    n: int
    m: int
    reason: str


@dataclass(frozen=True)
class RealFloor(Recipe[Floor]):
    """The noise floor; ``pair`` holds four kernel sums, or nothing where the data has one split."""

    kind: ClassVar[str] = "kid-floor"
    pair: tuple[Recipe[RowSums], ...]

    @property
    def piece(self) -> Any:
        return Floor

    @property
    def title(self) -> str:
        return "noise floor of the kernel distance"

    def needs(self, parent: Recipe[Any], shard: int) -> range:
        return range(parent.shards)

    def make(self, tools: Tools, shard: int, pieces: Sequence[Sequence[Any]]) -> Floor:
        if not pieces:
            return Floor(None, 0, 0, "the data has no second real split of enough rows")
        xx, xy, yx, yy = (merged(sums) for sums in pieces)
        if min(xx.n, yy.n) < ENOUGH:
            return Floor(None, xx.n, yy.n, f"it takes {ENOUGH} rows a side; there are {xx.n} and {yy.n}")
        return Floor(discrepancy(xx, xy, yx, yy).value, xx.n, yy.n, "")


@dataclass(frozen=True)
class KernelDistance:
    """Compares free samples with the split ``reference``, at most ``most`` rows a side drawn at random.

    Time grows with the square of ``most``. ``level`` is the confidence of the interval.
    """

    reference: str = "holdout"
    most: int = 10_000
    level: float = 0.95

    about: ClassVar[About] = About(
        name=NAME,
        dimension=Dimension.QUALITY,
        summary="How far the distribution of the samples' features lies from that of real examples.",
        metrics={
            NAME: "Unbiased squared maximum mean discrepancy under the cubic kernel, of features standardised by "
            "the reference; 0 is equality (noise may push it below), lower is better.",
        },
        needs=Needs(
            capabilities=((Capability.SAMPLE,),), splits=("holdout",), features=True, least_rows=LEAST
        ),
        references=(
            "Bińkowski et al. 2018 (KID)",
            "Gretton et al. 2012 (unbiased estimator)",
            "Sutherland & Deka 2019 (variance)",
            "Shekhar, Kim & Ramdas 2022 (xMMD test)",
        ),
    )

    def __post_init__(self) -> None:
        if self.most < ENOUGH:
            raise InputError(f"{NAME}: 'most' is {self.most}; give {ENOUGH} or more.")
        if not 0.5 <= self.level < 1:
            raise InputError(
                f"{NAME}: 'level' is {self.level}; give a number from 0.5 to below 1, such as 0.95."
            )

    def unmet(self, subject: Subject) -> tuple[Unmet, ...]:
        return too_few(subject, self.reference, LEAST)

    def inputs(self, subject: Subject) -> Mapping[str, Recipe[Any]]:
        real = subject.features(subject.real(self.reference))
        scale = subject.pieces(real, Marginals)
        x = Standardised(subject.features(subject.samples()), scale, self.most)
        y = Standardised(real, scale, self.most)
        twin = real_twin(subject, self.reference, min(sample_count(subject), self.most))
        pair: tuple[Recipe[RowSums], ...] = ()
        if twin is not None and subject.splits["train"] >= LEAST:
            z = Standardised(subject.features(twin), scale, self.most)
            pair = (KernelSums(z), KernelSums(z, y), KernelSums(y, z), KernelSums(y))
        return {
            "ours": KernelSums(x),
            "across": KernelSums(x, y),
            "back": KernelSums(y, x),
            "theirs": KernelSums(y),
            "floor": RealFloor(pair),
            "encoder": encoder_of(subject),
        }

    def measure(
        self,
        ours: Sequence[RowSums],
        across: Sequence[RowSums],
        back: Sequence[RowSums],
        theirs: Sequence[RowSums],
        floor: Sequence[Floor],
        encoder: Sequence[Named],
    ) -> Iterable[Outcome]:
        found = discrepancy(merged(ours), merged(across), merged(back), merged(theirs))
        real, name = floor[0], encoder[0].name
        uncertainty: Interval | Unquantified
        if min(found.n, found.m) >= ENOUGH:
            uncertainty, p_value = found.interval(self.level), found.p_value
        else:
            reason = f"It takes {ENOUGH} rows a side; there are {found.n} samples and {found.m} real rows."
            uncertainty, p_value = Unquantified(reason), None
        yield Measurement(
            metric=NAME,
            value=found.value,
            uncertainty=uncertainty,
            n=found.n,
            direction=Direction.LOWER_IS_BETTER,
            noise_floor=real.value,
            unit=f"MMD²[{name}]",
            p_value=p_value,
            notes=(
                f"{found.n} samples against {found.m} rows of '{self.reference}', features '{name}', each centred and "
                "scaled by its mean and deviation in the reference: comparable only between models measured "
                "against that reference. The interval takes that scale as given.",
                "One U-statistic over all rows. The standard deviation over overlapping random subsets that is often "
                "printed beside KID is neither a standard error nor an interval, and is not given.",
                "The p-value is of the hypothesis that samples and real rows have one distribution (xMMD); a large "
                "one proves nothing.",
                _floor_note(real, self.reference),
            ),
        )


def _floor_note(real: Floor, reference: str) -> str:
    if real.value is None:
        return f"No noise floor: {real.reason}."
    return f"Noise floor: the same distance between {real.n} rows of 'train' and {real.m} of '{reference}'."
