"""Copies: do samples repeat training examples, more closely than real examples that were never seen come to them?

Each sample is held against every training example. A blurred or typical sample is near to everything, so what counts is how much nearer
its closest training example is than that example's neighbourhood. How near is too near is read off the holdout: real examples of
the same source, of which none is a copy. It needs samples alone, so that any model and any folder of outputs can be asked.

A sample is compared as it is and, for images, mirrored; a parameter adds cropped training images. Shares are of samples; the register lists the training examples, with how often each comes
back. No copy found means none among these samples in these features: a model may hold back more than it gives unasked. Of ``portraits-ddpm-copying``, 5,000 samples name
everybody who was seen twice and more among its 60 planted people, and four of the ten who were seen once: the others are not among the samples, and ``privacy.membership`` names some of them.

Formula: closeness is the distance to the nearest training example over the mean distance to the ``k`` nearest, the least over the variants.
``excess`` is the share of samples closer than the closest hundredth of the holdout, less that hundredth (``excess_1permille``: a thousandth).
``exact`` is the share at distance 0. ``nearest_excess`` is the share of samples whose nearest real example, of training and holdout together, is a
training one, less the share that training examples have. ``data_copying`` is C_T, the Mann-Whitney z of distances to training, samples against holdout, averaged over
regions; far below 0 is copying. ``inauthentic`` is the share of samples nearer to a training example than that is to its nearest fellow, less the holdout's.

Interval: ``excess``: exact, Clopper-Pearson for the samples and the Beta distribution of an order statistic for the threshold, jointly by Bonferroni.
``exact`` and ``nearest_excess``: Clopper-Pearson; the latter's p-value re-draws the split. ``data_copying``: DeLong per region. ``inauthentic``: Newcombe's for two samples.

Gate: 100 samples and 100 holdout examples (1,000 for a thousandth). Above 5 % of the holdout in ``train`` nothing is measured; below, those are left out,
and of several copies of a training example one is kept.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

from audit.core.artifacts import DrawnRows, RealRows
from audit.core.capabilities import Capability
from audit.core.cases import Case, CaseKind, Cases
from audit.core.errors import InputError, UndefinedError, nearest
from audit.core.evaluators import About, Needs, Unmet
from audit.core.measurements import Evidence, Outcome
from audit.core.metrics import HIGHER, LOWER, Metric
from audit.core.preflight import Foreseen
from audit.core.recipes import Inputs, Recipe, Shards
from audit.core.register import AtRisk, register_evidence
from audit.core.rows import IMAGE, TEXT, Matrix, Rows
from audit.core.subjects import Subject
from audit.core.summaries import merged
from audit.core.words import counted
from audit.evaluators.privacy.copies.alterations import CROPPED, MIRRORED, Altered, WithCopies
from audit.evaluators.privacy.copies.recipes import (
    Attracted,
    Closest,
    ClosestVariant,
    CopiedPairs,
    CopiedRegions,
    Found,
    OwnDistances,
    OwnNeighbour,
    ReturnedRows,
)
from audit.recipes.halves import Half
from audit.recipes.neighbours import Neighbours
from audit.stats.copying import (
    Attraction,
    DataCopying,
    Excess,
    authentic,
    excess_closer,
    excess_half_width,
)
from audit.stats.proportions import clopper_pearson, newcombe_difference

LEAST = 100
MOST_SHARED = 0.05
"""Of the holdout, more than this share in the training data and nothing is measured."""
RATES = ((0.01, "excess"), (0.001, "excess_1permille"))

METRICS = (
    Metric(
        "excess",
        "Share of samples closer to a training example than the closest hundredth of unseen real examples, beyond that hundredth",
        LOWER,
        baseline=0.0,
        null=0.0,
        question="Do outputs repeat training examples?",
    ),
    Metric(
        "excess_1permille",
        "Share of samples closer to a training example than the closest thousandth of unseen real examples, beyond that thousandth",
        LOWER,
        baseline=0.0,
        null=0.0,
        question="Do a few outputs repeat training examples?",
    ),
    Metric(
        "exact",
        "Share of samples that equal a training example in the features compared",
        LOWER,
        baseline=0.0,
        question="Are outputs training examples unchanged?",
    ),
    Metric(
        "nearest_excess",
        "Share of samples whose nearest real example was trained on, beyond the share of real examples that were",
        LOWER,
        baseline=0.0,
        null=0.0,
        question="Are outputs drawn to what was trained on?",
    ),
    Metric(
        "data_copying",
        "C_T: by how much samples are farther from training examples than unseen real examples are, in standard deviations of chance",
        HIGHER,
        baseline=0.0,
        null=0.0,
    ),
    Metric(
        "inauthentic",
        "Share of samples nearer to a training example than that is to another one, beyond the share of unseen real examples",
        LOWER,
        baseline=0.0,
        null=0.0,
    ),
)


@dataclass(frozen=True, slots=True)
class NearCopies:
    """Compares samples with every training example among its ``k`` nearest; ``permutations`` re-draw the split, ``examples`` pairs are
    shown.

    Features say what looks alike: ``features = "edges"`` finds copies, of pictures saved as JPEG too, that a learnt extractor takes for
    other pictures of the same kind. ``variants`` says which altered copies of images count as well: ``"mirrored"`` asks with each sample's mirror image, ``"cropped"``
    compares with training images without a sixteenth of each side too, which takes their features once more.
    """

    k: int = 20
    variants: tuple[str, ...] = (MIRRORED,)
    permutations: int = 1999
    examples: int = 24

    about: ClassVar[About] = About(
        name="privacy.copies",
        summary="Which samples repeat training examples, and which training examples come back.",
        metrics=METRICS,
        needs=Needs(
            capabilities=((Capability.SAMPLE,),),
            splits=("train", "holdout"),
            features=True,
            compares=True,
            min_rows=LEAST,
        ),
        references=(
            "Carlini et al. 2023, Extracting training data from diffusion models (calibrated distance)",
            "Meehan, Chaudhuri & Dasgupta 2020, A non-parametric test to detect data-copying in generative models (C_T)",
            "Alaa et al. 2022, How faithful is your synthetic data? (authenticity)",
            "Bates et al. 2023, Testing for outliers with conformal p-values",
        ),
        caveats=(
            "Copies are seen where these features see them, and in these samples: that no copy was found does not mean that the model makes no copies.",
            "C_T and authenticity take any sample that is nearer to training examples than real ones are for a copy, a blurred one too; "
            "judge by 'excess'.",
        ),
    )

    def __post_init__(self) -> None:
        for name, least in (("k", 2), ("permutations", 99), ("examples", 0)):
            if getattr(self, name) < least:
                raise InputError(f"privacy.copies: '{name}' is {getattr(self, name)}; give {least} or more.")
        for variant in self.variants:
            if variant not in (MIRRORED, CROPPED):
                raise InputError(
                    f"privacy.copies: 'variants' names '{variant}'. {nearest(variant, (MIRRORED, CROPPED))}"
                )

    def unmet(self, subject: Subject) -> tuple[Unmet, ...]:
        card, gaps = subject.data_card, []
        shared = card.overlap("train", "holdout")
        if shared is not None and shared.share > MOST_SHARED:
            found = f"{len(shared.rows):,} of {shared.total:,} rows of 'holdout' also stand in 'train'"
            remedy = "take them out of 'holdout': what is close to a training example is read off examples that were not trained on"
            gaps.append(Unmet("a holdout that was not trained on", found, remedy))
        for split in ("train", "holdout"):
            different = subject.splits[split] - len(card.repeated(split))
            if different < LEAST:
                found = f"{different} different ones among {subject.splits[split]:,} rows"
                gaps.append(
                    Unmet(f"at least {LEAST} different examples in '{split}'", found, "bring more data")
                )
        return tuple(gaps)

    def foreseen(self, subject: Subject) -> tuple[Foreseen, ...]:
        samples, unseen = subject.sample_count, subject.splits["holdout"]
        rests = f"{samples:,} samples and {unseen:,} unseen examples"
        return tuple(
            Foreseen(name, 0.0, 1 - rate, partial(excess_half_width, rate, samples, unseen), rests)
            for rate, name in RATES
            if rate * unseen >= 1
        )

    def inputs(self, subject: Subject) -> Cases:
        shared = subject.data_card.overlap("train", "holdout")
        known = shared.rows if shared is not None else ()
        train, holdout = subject.distinct("train"), subject.distinct("holdout", known)
        samples, against = subject.samples(), _Against(self, subject, train, holdout)
        asked = against.asked(
            against.closest(samples), subject.features(samples), against.unseen, against.seen
        )
        found = ReturnedRows(asked["closest"], against.unseen, train)
        pairs = CopiedPairs(samples, train, asked["closest"], found, against.variants, self.examples)
        said = "one half of 'holdout' in place of the samples, the other as the unseen examples"
        (ours, theirs), (mine, other) = (
            [Half(whole, i) for i in (0, 1)] for whole in (against.unseen, against.seen)
        )
        nothing = {"found": None, "pairs": None}
        null = Case(CaseKind.NULL, {**against.asked(ours, mine, theirs, other), **nothing}, said)
        planted = tuple(self._planted(subject, against, dose) for dose in subject.doses)
        cases = Cases({**asked, "found": found, "pairs": pairs}, null, planted, notes=subject.unlike("train"))
        return cases.also(left_out=len(known), randomised=subject.data_card.randomised)

    def _planted(self, subject: Subject, against: _Against, dose: float) -> Case:
        rows = WithCopies(against.holdout, against.rows, dose)
        unseen, features = Half(against.unseen, 1), Half(against.seen, 1)
        asked = against.asked(against.closest(rows), subject.features(rows), unseen, features)
        said = "one half of 'holdout' in place of the samples, training examples among them"
        return Case(CaseKind.PLANTED, {**asked, "found": None, "pairs": None}, said, "copies", dose)

    def measure(
        self,
        closest: Shards[Closest],
        unseen: Shards[Closest],
        attracted: Shards[Attraction],
        regions: Shards[DataCopying],
        own: Shards[OwnDistances],
        found: Shards[Found] | None,
        pairs: Shards[Rows] | None,
        left_out: int,
        randomised: bool,
    ) -> Iterable[Outcome]:
        ours, theirs = merged(closest), merged(unseen)
        said = [f"{left_out} rows of 'holdout' that also stand in 'train' are left out."] if left_out else []
        if not randomised:
            said.append(
                "No coin decided this split: what is close is read off a holdout that may differ by itself."
            )
        evidence = (
            () if found is None or pairs is None else tuple(_evidence(found[0], pairs[0], len(ours.close)))
        )
        for rate, name in RATES:
            try:
                point = excess_closer(ours.close, theirs.close, ours.ties, theirs.ties, rate)
            except UndefinedError as error:
                yield self.about.undefined(name, f"Not estimable: {error}.")
                continue
            notes = (_counted(point, len(ours.close), len(theirs.close)), *said)
            yield self.about.measurement(
                name,
                point.value,
                point.interval,
                len(ours.close),
                notes=notes,
                evidence=evidence,
            )
            evidence = ()
        equal = int((ours.close == 0).sum())
        alike = int((theirs.close == 0).sum())
        note = f"{equal} of {len(ours.close)} samples; of unseen examples {alike} of {len(theirs.close)} do."
        yield self.about.measurement(
            "exact",
            equal / len(ours.close),
            clopper_pearson(equal, len(ours.close)),
            len(ours.close),
            notes=(note,),
        )
        yield self._attraction(attracted[0], randomised)
        yield self._copying(regions[0], len(ours.close))
        yield self._authenticity(ours, theirs, own[0])

    def _attraction(self, found: Attraction, randomised: bool) -> Outcome:
        coin = "" if randomised else " No coin decided this split, so it may also differ by itself."
        note = (
            f"A coin would give {found.expected:.3f}; the p-value re-draws {self.permutations:,} times which real examples were trained "
            f"on (z = {found.z:.2f}).{coin}"
        )
        return self.about.measurement(
            "nearest_excess", found.excess, found.interval, found.samples, p_value=found.p, notes=(note,)
        )

    def _copying(self, found: DataCopying, samples: int) -> Outcome:
        if found.cells == 0:
            return self.about.undefined("data_copying", "no region holds enough samples and unseen examples")
        note = f"Over {counted(found.cells, 'region')} with {found.share:.0%} of the unseen examples; it grows with the number of examples."
        return self.about.measurement(
            "data_copying", found.value, found.interval, samples, p_value=found.p, notes=(note,)
        )

    def _authenticity(self, ours: Closest, theirs: Closest, own: OwnDistances) -> Outcome:
        near, control = (~authentic(side.distance, own.of(side.nearest)) for side in (ours, theirs))
        a, b, m, n = int(near.sum()), int(control.sum()), len(near), len(control)
        note = f"Authentic: {1 - a / m:.3f} of the samples, {1 - b / n:.3f} of unseen real examples."
        return self.about.measurement(
            "inauthentic", a / m - b / n, newcombe_difference(a, m, b, n), m, notes=(note,)
        )


@dataclass(frozen=True, slots=True)
class _Against:
    """What any rows are compared with: the training rows and the unseen ones, with their features."""

    evaluator: NearCopies
    subject: Subject
    rows: RealRows | DrawnRows
    holdout: RealRows | DrawnRows

    @property
    def variants(self) -> tuple[str, ...]:
        """What each comparison is called, that of the row as it is first."""
        altered = self.evaluator.variants if self.subject.card.modality == "image" else ()
        return ("as it is", *altered)

    @property
    def train(self) -> Recipe[Matrix]:
        return self.subject.features(self.rows)

    @property
    def seen(self) -> Recipe[Matrix]:
        return self.subject.features(self.holdout)

    @property
    def unseen(self) -> Recipe[Closest]:
        return self.closest(self.holdout)

    def closest(self, rows: Recipe[Rows]) -> Recipe[Closest]:
        """Compare rows with the training rows, in every variant."""
        k, found = min(self.evaluator.k, self.rows.rows), []
        for variant in self.variants:
            ours = Altered(rows, MIRRORED) if variant == MIRRORED else rows
            theirs = Altered(self.rows, CROPPED) if variant == CROPPED else self.rows
            found.append(Neighbours(self.subject.features(ours), self.subject.features(theirs), k))
        return ClosestVariant(tuple(found))

    def asked(
        self,
        closest: Recipe[Closest],
        features: Recipe[Matrix],
        unseen: Recipe[Closest],
        elsewhere: Recipe[Matrix],
    ) -> Inputs:
        """Ask whether rows copy training rows, held against the ``unseen`` ones, whose features are ``elsewhere``."""
        count = sum(elsewhere.examples(i) for i in range(elsewhere.shards))
        near = Neighbours(features, elsewhere, 1)
        draws = self.evaluator.permutations
        return {
            "closest": closest,
            "unseen": unseen,
            "attracted": Attracted(closest, near, self.rows.rows, count, draws),
            "regions": CopiedRegions(features, elsewhere, self.train, closest, unseen),
            "own": OwnNeighbour(self.train, (closest, unseen)),
        }


def _counted(point: Excess, samples: int, unseen: int) -> str:
    return (
        f"{point.hits} of {samples} samples are closer to a training example than the {point.above} closest of {unseen} unseen "
        f"real examples; {point.expected:.2%} would be by chance."
    )


def _evidence(found: Found, pairs: Rows, samples: int) -> Iterable[Evidence]:
    """The pairs to look at, and the training rows for the register."""
    came = found.returned
    kind = "images" if IMAGE in pairs.column_names else "texts" if TEXT in pairs.column_names else "table"
    caption = (
        "Samples (left) beside the training examples that they repeat (right); the examples that come back most often first"
        if kind == "images"
        else "Training examples that samples repeat, and the closest sample of each; those that come back most often first"
    )
    if pairs.num_rows:
        yield Evidence(kind, caption, pairs, sensitive=True)
    yield from register_evidence(
        AtRisk(
            row=int(row),
            attack="copies",
            found=f"returned by {times:,} of {samples:,} samples",
            score=float(-close),
            chance=float(share),
            times=int(times),
        )
        for row, times, close, share in zip(found.numbers, came.times, came.closest, came.shares, strict=True)
    )
