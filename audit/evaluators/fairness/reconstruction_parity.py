"""Reconstruction parity: are pictures of every group restored as well, by an autoencoder or an enhancement model?

Each picture of the holdout is reconstructed and scored against its original, and the mean scores of the groups are compared. Some pictures are
harder than others whatever the model: stripes and beards have more detail than plain shirts. ``adjusted`` compares pictures of equal
detail, which is what a model can be blamed for; the plain gaps say what people of a group get.

Formula: ``psnr`` is the largest difference between two groups in mean PSNR, ``ssim`` in mean SSIM, ``adjusted`` in mean PSNR at equal detail: the
covariance-adjusted means ``y_g - b (x_g - x)``, with b the slope within groups on the PSNR of the picture scaled to half its size and
back (analysis of covariance, Fisher 1932). Means by group are fairlearn's ``MetricFrame``. The first number is that of the attribute with the greatest lower bound.
Interval: simultaneous over all pairs of groups (max-t), ``[max(0, max(d - c SE)), max(d + c SE)]``, Bonferroni over attributes. Not fairlearn's
``difference_ci``, a bootstrap of the largest minus the smallest, which leaves out 0 where all groups are equal.
Gate: a group is left out below 30 pictures; no value below two groups. A picture that comes out exactly has no PSNR, then there is no gap in it. No SSIM
below 11 pixels a side.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from audit.core.capabilities import Capability
from audit.core.cases import Case, CaseKind, Cases
from audit.core.errors import InputError, UndefinedError, nearest
from audit.core.evaluators import About, Needs, Unmet
from audit.core.measurements import Outcome
from audit.core.metrics import LOWER, Metric
from audit.core.recipes import Context, Inputs, Recipe, Shards
from audit.core.rows import Rng, Rows, image_rows, images_of
from audit.core.subjects import Subject
from audit.core.summaries import merged
from audit.recipes.group_gaps import Column, Parity, outcomes
from audit.recipes.labelled import Attribute, Attributes, RowAttributes
from audit.recipes.reconstructions import WINDOW, PairScores, Reconstructed, ScoredPairs, too_few_pictures
from audit.stats.group_quality import Gap
from audit.stats.proportions import normal_quantile
from audit.stats.simultaneous import mean_gaps

LEAST = 30
"""Pictures of a group below which it is left out."""
SAID = {
    "psnr": "Mean PSNR in decibels",
    "ssim": "Mean SSIM",
    "adjusted": "Mean PSNR in decibels at equal detail",
}


@dataclass(frozen=True)
class Halved(Recipe[Rows]):
    """Pictures scaled to half their size and back: what is left is the worse, the more detail they have."""

    kind: ClassVar[str] = "halved-pictures"
    along: ClassVar[tuple[str, ...]] = ("rows",)
    rows: Recipe[Rows]

    def make(self, context: Context, rows: Rows) -> Rows:
        from PIL import Image

        images = images_of(rows)
        height, width = images.shape[1:3]
        small = (max(1, width // 2), max(1, height // 2))

        def halved(plane: NDArray[np.uint8]) -> NDArray[np.uint8]:
            once = Image.fromarray(plane).resize(small, Image.Resampling.BOX)
            return np.asarray(once.resize((width, height), Image.Resampling.BILINEAR))

        return image_rows(
            np.stack(
                [
                    np.stack([halved(image[..., c]) for c in range(image.shape[2])], axis=-1)
                    for image in images
                ]
            )
        )


@dataclass(frozen=True)
class Shuffled(Recipe[Attributes]):
    """Groups in a random order over the rows, the same for every attribute: whatever depends on them is gone."""

    kind: ClassVar[str] = "shuffled-groups"
    groups: Recipe[Attributes]

    def make(self, context: Context, groups: Shards[Attributes]) -> Attributes:
        rng = context.rng()
        held = groups[0].columns
        order = rng.permutation(len(held[0].codes)) if held else np.empty(0, np.int64)
        return Attributes(tuple(Attribute(a.name, a.kinds, a.codes[order], a.left_out) for a in held))


@dataclass(frozen=True)
class Duller(Recipe[Rows]):
    """Reconstructions of the commonest group of the first attribute moved a share ``dose`` of the way to their mean colour."""

    kind: ClassVar[str] = "duller-group"
    along: ClassVar[tuple[str, ...]] = ("made",)
    made: Recipe[Rows]
    groups: Recipe[Attributes]
    dose: float

    @property
    def label(self) -> str:
        return f"{self.made.label}, one group {self.dose:.0%} duller"

    def make(self, context: Context, made: Rows, groups: Shards[Attributes]) -> Rows:
        images = images_of(made).astype(np.float64)
        span = self.made.rows_of(context.shard)
        first = next((c for c in groups[0].columns if len(c.kinds) >= 2), None)
        if first is not None:
            commonest = int(np.bincount(first.codes[first.codes >= 0]).argmax())
            hit = first.codes[span.start : span.stop] == commonest
            images[hit] += self.dose * (images[hit].mean(axis=(1, 2), keepdims=True) - images[hit])
        return image_rows(np.clip(np.rint(images), 0, 255).astype(np.uint8))


@dataclass(frozen=True)
class PairParity(Recipe[Parity]):
    """Gaps between groups in how near pictures come to their originals; ``plain`` holds the scores of halved ones, which say how hard they are."""

    kind: ClassVar[str] = "pair-parity"
    scores: Recipe[PairScores]
    plain: Recipe[PairScores]
    groups: Recipe[Attributes]
    level: float
    first: bool = False

    def make(
        self,
        context: Context,
        scores: Shards[PairScores],
        plain: Shards[PairScores],
        groups: Shards[Attributes],
    ) -> Parity:
        found, hard, rng = merged(scores), merged(plain), context.rng()
        columns = [c for c in groups[0].columns if len(c.kinds) >= 2]
        left_out = [f"'{c.name}' is left out: {c.left_out}." for c in groups[0].columns if len(c.kinds) < 2]
        columns = columns[:1] if self.first else columns
        level = 1 - (1 - self.level) / max(len(columns), 1)
        kept = []
        for column in columns:
            sizes = np.bincount(column.codes[column.codes >= 0], minlength=len(column.kinds))
            places = np.flatnonzero(sizes >= LEAST)
            few = [kind for i, kind in enumerate(column.kinds) if i not in places]
            if few:
                left_out.append(
                    f"'{column.name}': fewer than {LEAST} pictures of {', '.join(few)}; left out."
                )
            if len(places) >= 2:
                kept.append(_column(column, places, sizes[places], (found, hard), rng, level))
        return Parity(tuple(kept), tuple(left_out))


def _column(
    column: Attribute,
    places: NDArray[np.int64],
    sizes: NDArray[np.int64],
    scores: tuple[PairScores, PairScores],
    rng: Rng,
    level: float,
) -> Column:
    found, hard = scores
    inside = np.isin(column.codes, places)
    codes = np.searchsorted(places, column.codes[inside])
    gaps, without = list[Gap](), list[tuple[str, str]]()
    for measure in SAID:
        try:
            values = _values(measure, found)[inside]
            detail = None
            if measure == "adjusted":
                with np.errstate(divide="ignore"):
                    detail = np.minimum(hard.psnr[inside], 100.0)
            gaps.append(compared(measure, values, codes, rng, level, detail))
        except UndefinedError as error:
            without.append((measure, f"'{column.name}': {error}"))
    kinds = tuple(column.kinds[i] for i in places)
    return Column(column.name, kinds, sizes, tuple(gaps), tuple(without))


def _values(measure: str, found: PairScores) -> NDArray[np.float64]:
    if measure == "ssim":
        if not len(found.ssim):
            raise UndefinedError(f"SSIM takes {WINDOW} pixels a side; these pictures have {found.side}")
        return found.ssim
    if exact := int((found.squared == 0).sum()):
        raise UndefinedError(f"{exact} pictures come out exactly, so their PSNR is infinite")
    return found.psnr


def compared(
    measure: str,
    values: NDArray[np.float64],
    codes: NDArray[np.int64],
    rng: Rng,
    level: float,
    detail: NDArray[np.float64] | None = None,
) -> Gap:
    """Return the means of groups 0, 1, … of rows, shape (n,), and the largest gap between two; adjusted for ``detail`` where it is given."""
    from fairlearn.metrics import MetricFrame, mean_prediction

    frame = MetricFrame(metrics=mean_prediction, y_true=values, y_pred=values, sensitive_features=codes)
    means = frame.by_group.to_numpy(np.float64)
    sizes = np.bincount(codes)
    left = values - means[codes]
    shift = np.zeros(len(means))
    of_slope = 0.0
    if detail is not None:
        places = np.bincount(codes, weights=detail) / sizes
        within = detail - places[codes]
        total = float(within @ within)
        slope = float(within @ left) / total if total > 0 else 0.0
        left = left - slope * within
        shift = places - float(detail.mean())
        means = means - slope * shift
        freedom = max(len(values) - len(means) - 1, 1)
        of_slope = float(left @ left) / freedom / total if total > 0 else 0.0
    variances = np.bincount(codes, weights=left**2) / (sizes - 1) / sizes
    covariance = np.diag(variances) + of_slope * np.outer(shift, shift)
    found = mean_gaps(means, covariance, rng, level, degrees=float(sizes.min() - 1))
    reach = normal_quantile((1 + level) / 2) * np.sqrt(np.diag(covariance))
    worst, best = int(means.argmin()), int(means.argmax())
    return Gap(measure, means, means - reach, means + reach, found.largest, found.spread, worst, best)


@dataclass(frozen=True, slots=True)
class ReconstructionParity:
    """Reconstructs at most ``max_rows`` pictures of the split ``reference`` and compares the groups of its columns ``attributes``, all of them unless told.

    ``level`` is that of intervals.
    """

    reference: str = "holdout"
    attributes: tuple[str, ...] = ()
    max_rows: int = 2_000
    level: float = 0.95

    about: ClassVar[About] = About(
        name="fairness.reconstruction_parity",
        summary="Whether pictures of every group are reconstructed as well.",
        metrics=(
            Metric(
                "psnr",
                "Largest difference between two groups in mean peak signal-to-noise ratio of reconstructions",
                LOWER,
                unit="dB",
                null=0.0,
                question="Do some groups get worse reconstructions?",
            ),
            Metric(
                "ssim", "Largest difference between two groups in mean structural similarity", LOWER, null=0.0
            ),
            Metric(
                "adjusted",
                "Largest difference between two groups in mean peak signal-to-noise ratio at equal detail of the originals",
                LOWER,
                unit="dB",
                null=0.0,
                question="Are some groups reconstructed worse than their pictures' detail explains?",
            ),
        ),
        needs=Needs(((Capability.RECONSTRUCT,),), modalities=("image",), groups=True),
        references=(
            "Hothorn, Bretz & Westfall 2008 (simultaneous intervals)",
            "Fisher 1932 (analysis of covariance)",
            "fairlearn, MetricFrame (means by group)",
        ),
        caveats=(
            "Groups are what the data's labels say.",
            "The largest of several noisy gaps is larger than the true one on average; the interval is not misled by that, the value is.",
        ),
        shards_matter=True,
    )

    def __post_init__(self) -> None:
        if self.max_rows < 2 * LEAST or not 0.5 <= self.level < 1:
            raise InputError(
                f"fairness.reconstruction_parity: give 'max_rows' from {2 * LEAST} and 'level' from 0.5 to below 1."
            )

    def unmet(self, subject: Subject) -> tuple[Unmet, ...]:
        for name in self.attributes:
            if name not in subject.groups:
                found = f"group columns: {', '.join(subject.groups)}"
                return (Unmet(f"a group column '{name}'", found, nearest(name, subject.groups)),)
        return too_few_pictures(subject, self.reference, 2 * LEAST)

    def inputs(self, subject: Subject) -> Cases:
        rows = subject.drawn(self.reference, self.max_rows)
        made = Reconstructed(rows, subject.model)
        groups: Recipe[Attributes] = RowAttributes(rows, self.attributes or subject.groups)
        plain = ScoredPairs(Halved(rows), rows)

        def asked(ours: Recipe[Rows], by: Recipe[Attributes], first: bool = False) -> Inputs:
            return {"found": PairParity(ScoredPairs(ours, rows), plain, by, self.level, first)}

        mixed = Shuffled(groups)
        said = "groups shuffled over the pictures"
        planted = tuple(
            Case(
                CaseKind.PLANTED,
                asked(Duller(made, mixed, dose), mixed, True),
                f"{said}, reconstructions of one moved the share dose of the way to their mean colour",
                "one group duller",
                dose,
            )
            for dose in subject.doses
        )
        return Cases(asked(made, groups), Case(CaseKind.NULL, asked(made, mixed), said), planted)

    def measure(self, found: Shards[Parity]) -> Iterable[Outcome]:
        for measure, caption in SAID.items():
            yield from outcomes(self.about, measure, found[0], self.level, caption)
