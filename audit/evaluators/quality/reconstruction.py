"""Reconstruction: how near does a model that takes pictures apart and puts them together again come to the originals?

For autoencoders, their variational kin and image enhancement. PSNR is the mean squared error in decibels, fixed to the full range of
levels: its mean over pictures is what papers give, the pooled one is that of the mean error and lower, for a bad picture weighs more in
it. SSIM compares local means, contrasts and structure, MS-SSIM at five scales; both are torchmetrics', with the data range given. LPIPS is
how differently two pictures look to a network that learnt it from people, where the audit has one. The gap is
how much better pictures the model was trained on come out than others of the same source: an overfitted model remembers them.

Formula: ``PSNR_i = 10 log10(1 / MSE_i)`` on levels from 0 to 1, mean over pictures; pooled ``10 log10(1 / mean MSE)``; gap
``mean PSNR of train - mean PSNR of holdout``; SSIM with an 11 × 11 Gaussian window, σ 1.5, K 0.01 and 0.03; LPIPS
``Σ over layers of mean over places of Σ w_c (a_c - b_c)²``, a and b activations scaled to length 1 in each place.
Interval: Student's t over pictures; of the pooled PSNR by the delta method; of the gap Welch's.
Gate: skipped below 30 pictures. No SSIM below 11 pixels a side, no MS-SSIM below 176; no LPIPS below 31 and without an extractor in the role ``perceptual``. A picture that comes out exactly has no PSNR: then there
is no mean, only the pooled value.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from audit.core.capabilities import Capability
from audit.core.cases import Case, CaseKind, Cases
from audit.core.errors import InputError
from audit.core.evaluators import About, Needs, Unmet
from audit.core.measurements import Evidence, Interval, Outcome
from audit.core.metrics import HIGHER, LOWER, Metric
from audit.core.recipes import Inputs, Recipe, Shards
from audit.core.rows import Rows, Vector
from audit.core.subjects import Subject
from audit.core.summaries import merged
from audit.recipes.halves import Half
from audit.recipes.reconstructions import (
    FIVE_SCALES,
    WINDOW,
    Closer,
    PairScores,
    Perceived,
    PerceivedPairs,
    Reconstructed,
    ScoredPairs,
    Triples,
    too_few_pictures,
)
from audit.stats.proportions import normal_quantile

LEAST, SHOWN = 30, 6
PERCEPTUAL = "perceptual"
"""The role of an extractor that says how differently two pictures look."""


@dataclass(frozen=True, slots=True)
class Reconstruction:
    """Reconstructs at most ``max_rows`` pictures of the split ``reference`` and as many of ``train``; ``level`` is that of intervals."""

    reference: str = "holdout"
    max_rows: int = 2_000
    level: float = 0.95

    about: ClassVar[About] = About(
        name="quality.reconstruction",
        summary="How near reconstructions come to their originals, and whether training pictures come out better.",
        metrics=(
            Metric(
                "psnr",
                "Mean over pictures of the peak signal-to-noise ratio",
                HIGHER,
                unit="dB",
                question="How near do reconstructions come to the originals?",
            ),
            Metric(
                "psnr_pooled",
                "Peak signal-to-noise ratio of the mean squared error of all",
                HIGHER,
                unit="dB",
            ),
            Metric("ssim", "Mean structural similarity; 1 for equal pictures", HIGHER),
            Metric("ms_ssim", "Mean structural similarity at five scales; 1 for equal pictures", HIGHER),
            Metric(
                "lpips",
                "Mean perceptual distance (LPIPS) from the original; 0 for equal pictures",
                LOWER,
                question="How differently do reconstructions look?",
            ),
            Metric(
                "gap",
                "How much better pictures come out that the model was trained on, in mean PSNR",
                LOWER,
                unit="dB",
                null=0.0,
                question="Are training pictures reconstructed better than others?",
            ),
        ),
        needs=Needs(((Capability.RECONSTRUCT,),), modalities=("image",)),
        references=(
            "Wang, Bovik, Sheikh & Simoncelli 2004 (SSIM)",
            "Wang, Simoncelli & Bovik 2003 (MS-SSIM)",
            "torchmetrics (both as it computes them)",
            "Zhang, Isola, Efros, Shechtman & Wang 2018 (LPIPS)",
        ),
        caveats=(
            "PSNR rewards blur: of all sharp pictures that fit, the mean of them scores best.",
            "What a model enhances is compared with what it was asked to restore, not with what a person likes better.",
        ),
        shards_matter=True,
    )

    def __post_init__(self) -> None:
        if self.max_rows < LEAST or not 0.5 <= self.level < 1:
            raise InputError(
                f"quality.reconstruction: give 'max_rows' from {LEAST} and 'level' from 0.5 to below 1."
            )

    def unmet(self, subject: Subject) -> tuple[Unmet, ...]:
        return too_few_pictures(subject, self.reference, LEAST)

    def inputs(self, subject: Subject) -> Cases:
        def scored(rows: Recipe[Rows], dose: float = 0.0) -> Recipe[PairScores]:
            made: Recipe[Rows] = Reconstructed(rows, subject.model)
            return ScoredPairs(Closer(made, rows, dose) if dose else made, rows)

        held = subject.drawn(self.reference, self.max_rows)
        pairs: tuple[Recipe[Rows], Recipe[Rows], Recipe[PairScores]]
        pairs = held, Reconstructed(held, subject.model), scored(held)
        pictures = {"shown": Triples(*pairs, SHOWN), "worst": Triples(*pairs, SHOWN, worst=True)}
        eyes = dict(subject.extractors).get(PERCEPTUAL)
        perceived = None if eyes is None else PerceivedPairs(pairs[1], held, eyes)
        looked_at = {"private": self.reference == "train", "perceived": perceived, **pictures}
        ours: Inputs = {"held": scored(held), "seen": None, **looked_at}
        nothing = {"private": False, "shown": None, "worst": None, "perceived": None}
        ratio = "both halves are held out, so the gap is 0"
        halves = tuple(Half(held, which) for which in (0, 1))
        null = Case(
            CaseKind.NULL,
            {"held": scored(halves[0]), "seen": scored(halves[1]), **nothing},
            f"half of '{self.reference}' against the other half: {ratio}",
        )
        known = subject.card.trained_on in (None, subject.data)
        if self.reference == "train" or subject.splits.get("train", 0) < LEAST or not known:
            return Cases(ours, no_null="without the model's training pictures there is no gap to check")
        seen = scored(subject.drawn("train", self.max_rows))
        planted = tuple(
            Case(
                CaseKind.PLANTED,
                {"held": scored(halves[0]), "seen": scored(halves[1], dose), **nothing},
                f"half of '{self.reference}', reconstructions moved towards the originals",
                "remembered pictures",
                dose,
            )
            for dose in subject.doses
        )
        return Cases({**ours, "seen": seen}, null, planted)

    def measure(
        self,
        held: Shards[PairScores],
        seen: Shards[PairScores] | None,
        shown: Shards[Rows] | None,
        worst: Shards[Rows] | None,
        private: bool,
        perceived: Shards[Perceived] | None,
    ) -> Iterable[Outcome]:
        scores = merged(held)
        if shown is not None and worst is not None:
            looked_at = (
                Evidence("images", f"Examples of '{self.reference}', reconstructed", shown[0], private),
                Evidence("images", f"The worst reconstructed of '{self.reference}'", worst[0], private),
            )
            yield from self._fidelity(scores, looked_at)
            yield self._perceived(perceived)
        if seen is None:
            yield self.about.undefined(
                "gap", "which pictures the model was trained on is not known, or they are not here"
            )
            return
        trained = merged(seen)
        if not (np.isfinite(scores.psnr).all() and np.isfinite(trained.psnr).all()):
            yield self.about.undefined("gap", "some pictures come out exactly, so their PSNR is infinite")
            return
        value = float(trained.psnr.mean() - scores.psnr.mean())
        yield self.about.measurement(
            "gap",
            value,
            _welch(value, trained.psnr, scores.psnr, self.level),
            len(trained.psnr),
            notes=(
                f"{len(trained.psnr)} pictures of 'train' against {len(scores.psnr)} of '{self.reference}'.",
            ),
        )

    def _perceived(self, perceived: Shards[Perceived] | None) -> Outcome:
        if perceived is None:
            reason = (
                f"no extractor in the role '{PERCEPTUAL}': bring one with 'audit fetch lpips-alex --from FOLDER' and write "
                f'{PERCEPTUAL} = "lpips-alex" in [features]'
            )
            return self.about.undefined("lpips", reason)
        found = merged(perceived)
        if found.reason:
            return self.about.undefined("lpips", found.reason)
        n = len(found.distances)
        return self.about.measurement(
            "lpips", float(found.distances.mean()), _student(found.distances, self.level), n
        )

    def _fidelity(self, scores: PairScores, looked_at: tuple[Evidence, ...]) -> Iterable[Outcome]:
        n, exact = len(scores.squared), int((scores.squared == 0).sum())
        if exact:
            yield self.about.undefined(
                "psnr", f"{exact} of {n} pictures come out exactly, so their PSNR is infinite"
            )
        else:
            yield self.about.measurement(
                "psnr", float(scores.psnr.mean()), _student(scores.psnr, self.level), n
            )
        pooled = float(scores.squared.mean())
        if pooled == 0:
            yield self.about.undefined("psnr_pooled", "all pictures come out exactly")
        else:
            reach = 10 / math.log(10) * _student(scores.squared, self.level).half_width / pooled
            value = -10 * math.log10(pooled)
            interval = Interval(value - reach, value + reach, self.level, "delta method over pictures")
            yield self.about.measurement("psnr_pooled", value, interval, n, evidence=looked_at)
        for name, values, least in (
            ("ssim", scores.ssim, WINDOW),
            ("ms_ssim", scores.ms_ssim, FIVE_SCALES),
        ):
            if len(values):
                yield self.about.measurement(name, float(values.mean()), _student(values, self.level), n)
            else:
                yield self.about.undefined(
                    name, f"it takes {least} pixels a side; these pictures have {scores.side}"
                )


def _student(values: Vector, level: float) -> Interval:
    from scipy import special

    half = float(
        special.stdtrit(len(values) - 1, (1 + level) / 2) * values.std(ddof=1) / math.sqrt(len(values))
    )
    mean = float(values.mean())
    return Interval(mean - half, mean + half, level, "Student's t over pictures")


def _welch(value: float, first: Vector, second: Vector, level: float) -> Interval:
    spread = first.var(ddof=1) / len(first) + second.var(ddof=1) / len(second)
    half = normal_quantile((1 + level) / 2) * math.sqrt(float(spread))
    return Interval(value - half, value + half, level, "Welch, normal quantile")
